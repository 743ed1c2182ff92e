/* Two hosts in one process, without a thread, a socket or a clock: this program is the network between them.
 *
 *     make capi
 *     cc -I .build/capi Examples/DrivenHost/driven_host.c -L .build/capi -lcmptcp -Wl,-rpath,.build/capi -o driven_host
 *
 * The client has two addresses and sends one megabyte over both paths; every packet is printed with -v.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmptcp.h"

#define MPTCP 262
#define MILLISECOND INT64_C(1000000)
#define TOTAL (1 << 20)
#define CAPACITY 4096

/* A link sends one packet after another at its rate and delivers each after its delay; what does not fit is lost. */
typedef struct {
    int64_t delay, per_byte, free; /* nanoseconds; when the wire is free again */
    struct {
        int64_t at;
        int to;
        size_t length;
        uint8_t bytes[1500];
    } packets[CAPACITY];
    size_t head, tail;
} link;

static link links[2] = {
    {.delay = 10 * MILLISECOND, .per_byte = 160}, /* 50 Mbit/s */
    {.delay = 15 * MILLISECOND, .per_byte = 160},
};
static cmptcp_host *hosts[2]; /* 0: client, 1: server */
static int64_t now;
static long carried[2];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in address(int path, int host, int port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    result.sin_addr.s_addr = htonl(0x0a000000u | (unsigned)(path + 1) << 8 | (unsigned)(host + 1));
    return result;
}

static void add_host(int host, uint64_t seed) {
    cmptcp_config config = {.size = sizeof config, .seed = seed, .mptcp_versions = 2, .profile = "linux", .window_scale = -1};
    hosts[host] = cmptcp_host_create(&config, now);
    if (hosts[host] == NULL) fail("cmptcp_host_create");
    for (int path = 0; path < 2; path++) {
        struct sockaddr_in own = address(path, host, 0);
        if (cmptcp_interface_add(hosts[host], path, 1500) < 0) fail("cmptcp_interface_add");
        if (cmptcp_address_add(hosts[host], path, (struct sockaddr *)&own, 24) < 0) fail("cmptcp_address_add");
    }
}

/* Moves what both hosts have to send onto the links; a full link drops. */
static void collect(int verbose) {
    for (int host = 0; host < 2; host++) {
        for (;;) {
            uint8_t bytes[1500];
            int path;
            ssize_t length = cmptcp_packet_out(hosts[host], &path, bytes, sizeof bytes, now);
            if (length < 0) fail("cmptcp_packet_out");
            if (length == 0) break;
            if (verbose) printf("%10.3f ms  path %d  %s  %zd bytes\n", (double)now / 1e6, path, host ? "<-" : "->", length);
            link *l = &links[path];
            if (l->free > now + 50 * MILLISECOND || l->tail - l->head == CAPACITY) continue;
            carried[path] += length;
            size_t place = l->tail++ % CAPACITY;
            l->free = (l->free > now ? l->free : now) + length * l->per_byte;
            l->packets[place].at = l->free + l->delay;
            l->packets[place].to = 1 - host;
            l->packets[place].length = (size_t)length;
            memcpy(l->packets[place].bytes, bytes, (size_t)length);
        }
    }
}

/* Moves time to the next thing that happens, and lets it happen. */
static void step(void) {
    int64_t next = INT64_MAX;
    for (int index = 0; index < 2; index++) {
        int64_t deadline = cmptcp_next_deadline(hosts[index]);
        if (deadline < next) next = deadline;
        link *l = &links[index];
        if (l->head != l->tail && l->packets[l->head % CAPACITY].at < next) next = l->packets[l->head % CAPACITY].at;
    }
    if (next == INT64_MAX) {
        fprintf(stderr, "nothing will ever happen again\n");
        exit(1);
    }
    if (next > now) now = next;
    for (int path = 0; path < 2; path++) {
        link *l = &links[path];
        while (l->head != l->tail && l->packets[l->head % CAPACITY].at <= now) {
            size_t place = l->head++ % CAPACITY;
            int to = l->packets[place].to;
            if (cmptcp_packet_in(hosts[to], path, l->packets[place].bytes, l->packets[place].length, now) < 0) {
                fail("cmptcp_packet_in");
            }
        }
    }
    for (int host = 0; host < 2; host++) {
        if (cmptcp_advance(hosts[host], now) < 0) fail("cmptcp_advance");
    }
}

int main(int count, char **words) {
    int verbose = count > 1 && strcmp(words[1], "-v") == 0;
    for (int host = 0; host < 2; host++) add_host(host, (uint64_t)host + 1);
    struct sockaddr_in second = address(1, 0, 0), remote = address(0, 1, 4000);
    if (cmptcp_endpoint_add(hosts[0], 1, (struct sockaddr *)&second, CMPTCP_ENDPOINT_SUBFLOW) < 0) fail("endpoint");

    int listener = cmptcp_socket(hosts[1], AF_INET, SOCK_STREAM, MPTCP);
    if (listener < 0 || cmptcp_bind(hosts[1], listener, (struct sockaddr *)&remote, sizeof remote) < 0 ||
        cmptcp_listen(hosts[1], listener, 8) < 0) {
        fail("listen");
    }
    int client = cmptcp_socket(hosts[0], AF_INET, SOCK_STREAM, MPTCP), server = -1;
    if (cmptcp_connect(hosts[0], client, (struct sockaddr *)&remote, sizeof remote) == 0 || errno != EINPROGRESS) {
        fail("connect");
    }

    long sent = 0, received = 0;
    for (int over = 0; !over;) {
        char bytes[16384];
        while (sent < TOTAL) {
            size_t length = TOTAL - sent < (long)sizeof bytes ? (size_t)(TOTAL - sent) : sizeof bytes;
            for (size_t index = 0; index < length; index++) bytes[index] = (char)((sent + (long)index) % 251);
            ssize_t taken = cmptcp_send(hosts[0], client, bytes, length, 0);
            if (taken < 0 && errno != EAGAIN) fail("send");
            if (taken <= 0) break;
            sent += taken;
            if (sent == TOTAL && cmptcp_shutdown(hosts[0], client, SHUT_WR) < 0) fail("shutdown");
        }
        if (server < 0) server = cmptcp_accept(hosts[1], listener, NULL, NULL);
        while (server >= 0) {
            ssize_t length = cmptcp_recv(hosts[1], server, bytes, sizeof bytes, 0);
            if (length < 0 && errno != EAGAIN) fail("recv");
            if (length == 0) over = 1;
            if (length <= 0) break;
            for (ssize_t index = 0; index < length; index++) {
                if (bytes[index] != (char)((received + index) % 251)) {
                    fprintf(stderr, "byte %ld is wrong\n", received + (long)index);
                    return 1;
                }
            }
            received += length;
        }
        collect(verbose);
        if (!over) step();
    }
    printf("%ld bytes in %.0f ms of virtual time; %ld bytes of packets on path 0, %ld on path 1; %lld joins\n", received,
           (double)now / 1e6, carried[0], carried[1], (long long)cmptcp_counter(hosts[1], "MPTcpExtMPJoinAckRx"));
    cmptcp_close(hosts[0], client);
    cmptcp_close(hosts[1], server);
    for (int host = 0; host < 2; host++) cmptcp_host_destroy(hosts[host]);
    return received == TOTAL ? 0 : 1;
}
