// A bulk source or sink on kernel sockets, small enough never to be the bottleneck of a benchmark.
//
//     bench-peer listen ADDRESS PORT send|receive BYTES [tcp]
//     bench-peer connect ADDRESS PORT send|receive BYTES [tcp]
//
// One connection, Multipath TCP unless `tcp` is said, CUBIC set per socket. The sender writes BYTES and closes its side;
// both wait for the other's end. `listen` prints `ready`. At the end one JSON line: bytes, seconds from the first byte
// (sender: from the connection) to the end of the stream, user and system CPU seconds, and how many subflows the kernel
// counted (0: plain TCP, or fallen back to it).

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/mptcp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

enum { BUFFER = 1 << 20 };

static char buffer[BUFFER];

static void fail(const char *what) {
    fprintf(stderr, "bench-peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec instant;
    clock_gettime(CLOCK_MONOTONIC, &instant);
    return (double)instant.tv_sec + (double)instant.tv_nsec / 1e9;
}

static double seconds(struct timeval value) { return (double)value.tv_sec + (double)value.tv_usec / 1e6; }

static int subflows(int connection) {
    struct mptcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(connection, SOL_MPTCP, MPTCP_INFO, &info, &length) != 0) return 0;
    return info.mptcpi_flags & MPTCP_INFO_FLAG_FALLBACK ? 0 : info.mptcpi_subflows + 1;
}

static long long send_all(int connection, long long bytes, int *count) {
    long long done = 0;
    while (done < bytes) {
        size_t wanted = bytes - done < BUFFER ? (size_t)(bytes - done) : BUFFER;
        ssize_t written = write(connection, buffer, wanted);
        if (written < 0) fail("write");
        done += written;
    }
    *count = subflows(connection);
    if (shutdown(connection, SHUT_WR) != 0) fail("shutdown");
    while (read(connection, buffer, BUFFER) > 0) {
    }
    return done;
}

static long long receive_all(int connection, double *began, int *count) {
    long long done = 0;
    for (;;) {
        ssize_t got = read(connection, buffer, BUFFER);
        if (got < 0) fail("read");
        if (got == 0) return done;
        if (done == 0) *began = now();
        if (done < (64LL << 20)) {
            int seen = subflows(connection);
            if (seen > *count) *count = seen;
        }
        done += got;
    }
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: %s listen|connect ADDRESS PORT send|receive BYTES [tcp]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    memset(buffer, 0x5a, sizeof buffer);
    struct sockaddr_storage address = {0};
    socklen_t length;
    if (strchr(argv[2], ':')) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((unsigned short)atoi(argv[3]));
        if (inet_pton(AF_INET6, argv[2], &v6->sin6_addr) != 1) fail("address");
        length = sizeof *v6;
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons((unsigned short)atoi(argv[3]));
        if (inet_pton(AF_INET, argv[2], &v4->sin_addr) != 1) fail("address");
        length = sizeof *v4;
    }
    int plain = argc > 6 && strcmp(argv[6], "tcp") == 0;
    int made = socket(address.ss_family, SOCK_STREAM, plain ? IPPROTO_TCP : IPPROTO_MPTCP);
    if (made < 0) fail("socket");
    int one = 1;
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (setsockopt(made, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) fail("cubic");

    int connection = made;
    if (strcmp(argv[1], "listen") == 0) {
        if (bind(made, (struct sockaddr *)&address, length) != 0) fail("bind");
        if (listen(made, 16) != 0) fail("listen");
        puts("ready");
        fflush(stdout);
        connection = accept(made, NULL, NULL);
        if (connection < 0) fail("accept");
    } else if (connect(made, (struct sockaddr *)&address, length) != 0) {
        fail("connect");
    }
    double began = now();
    int count = 0;
    long long bytes = strcmp(argv[4], "send") == 0 ? send_all(connection, atoll(argv[5]), &count)
                                                   : receive_all(connection, &began, &count);
    double taken = now() - began;
    close(connection);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf(
        "{\"bytes\": %lld, \"seconds\": %.6f, \"user\": %.4f, \"system\": %.4f, \"subflows\": %d}\n", bytes, taken,
        seconds(used.ru_utime), seconds(used.ru_stime), count);
    return 0;
}
