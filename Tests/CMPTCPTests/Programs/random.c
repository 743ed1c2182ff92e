/* Every call in any order with any argument that can be given without lying about memory: errors, never a crash. */
#include "world.h"

static uint64_t state;

static unsigned pick(unsigned count) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 40) % count;
}

static int latest; /* descriptor that any host gave */

static int descriptor(void) { return latest + 1 - (int)pick(24); }

static void note(int made) {
    if (made > latest) latest = made;
}

static struct sockaddr_storage address(socklen_t *length) {
    struct sockaddr_storage result;
    char text[32];
    memset(&result, 0, sizeof result);
    snprintf(text, sizeof text, "10.0.%u.%u", pick(3), pick(4));
    struct sockaddr_in four = ipv4(text, pick(3) ? 5000 + (int)pick(3) : 0);
    memcpy(&result, &four, sizeof four);
    if (pick(8) == 0) result.ss_family = (sa_family_t)(pick(2) ? AF_INET6 : pick(20));
    *length = pick(8) ? (socklen_t)sizeof result : (socklen_t)pick(30);
    return result;
}

static void socket_call(cmptcp_host *host) {
    static uint8_t bytes[70000];
    socklen_t length, size = (socklen_t)pick(32);
    struct sockaddr_storage there = address(&length), name;
    struct sockaddr *to = (struct sockaddr *)&there;
    int s = descriptor(), value[2] = {(int)pick(3), (int)pick(100000) - 5};
    struct pollfd entries[3] = {{.fd = s, .events = (short)pick(65536)}, {.fd = descriptor()}, {.fd = descriptor()}};
    switch (pick(15)) {
    case 0: note(cmptcp_socket(host, pick(4) ? AF_INET : AF_INET6, SOCK_STREAM, pick(3) ? MPTCP : (int)pick(10))); break;
    case 1: cmptcp_bind(host, s, to, length); break;
    case 2: cmptcp_listen(host, s, (int)pick(10) - 2); break;
    case 3: note(cmptcp_accept(host, s, pick(2) ? (struct sockaddr *)&name : NULL, pick(4) ? &size : NULL)); break;
    case 4:
    case 5: cmptcp_connect(host, s, to, length); break;
    case 6: cmptcp_recv(host, s, bytes, pick(2) ? pick(sizeof bytes) : 0, pick(4) ? 0 : (int)pick(1024)); break;
    case 7:
    case 8: cmptcp_send(host, s, bytes, pick(2) ? pick(sizeof bytes) : 0, pick(4) ? 0 : (int)pick(1024)); break;
    case 9: cmptcp_shutdown(host, s, (int)pick(4)); break;
    case 10: if (pick(4) == 0) cmptcp_close(host, s); break;
    case 11: cmptcp_getsockopt(host, s, pick(2) ? SOL_SOCKET : IPPROTO_TCP, (int)pick(50), &name, &size); break;
    case 12: cmptcp_setsockopt(host, s, pick(2) ? SOL_SOCKET : IPPROTO_TCP, (int)pick(50), value, pick(9)); break;
    case 13:
        cmptcp_getsockname(host, s, (struct sockaddr *)&name, &size);
        cmptcp_getpeername(host, s, (struct sockaddr *)&name, &size);
        break;
    default: cmptcp_poll(host, entries, 3);
    }
}

static void host_call(cmptcp_host *host) {
    static const char *const names[] = {"push", "checksum", "nagle", "window_scale", "joins", "time_wait_ms",
                                        "keepalive_ms", "user_timeout_ms", "data_ack_size", "sack_first", "nothing"};
    socklen_t length;
    struct sockaddr_storage there = address(&length);
    const struct sockaddr *to = (const struct sockaddr *)&there;
    switch (pick(8)) {
    case 0: cmptcp_interface_add(host, (int)pick(30) - 1, (int)pick(70000)); break;
    case 1: cmptcp_address_add(host, (int)pick(30) - 1, to, (int)pick(40) - 2); break;
    case 2: if (pick(10) == 0) cmptcp_address_remove(host, to); break;
    case 3: cmptcp_endpoint_add(host, (int)pick(10), to, (int)pick(18)); break;
    case 4: cmptcp_endpoint_remove(host, (int)pick(10)); break;
    case 5: cmptcp_limits(host, (int)pick(10) - 1, (int)pick(10) - 1); break;
    case 6: cmptcp_option(host, names[pick(sizeof names / sizeof *names)], (int64_t)pick(5000) - 2); break;
    default: cmptcp_counter(host, names[pick(sizeof names / sizeof *names)]);
    }
}

/* Packets go across at once, some are lost, some come in at the wrong interface. */
static void carry(world *w) {
    static uint8_t bytes[70000];
    for (int side = 0; side < 2; side++) {
        for (int count = 0; count < 200; count++) {
            int interface = 0;
            ssize_t length = cmptcp_packet_out(w->host[side], &interface, bytes, pick(50) ? sizeof bytes : pick(100), w->now);
            if (length == 0) break;
            if (length < 0) {
                CHECK(errno == EMSGSIZE);
                continue;
            }
            int to = interface + (side ? -10 : 10);
            if (pick(20) == 0) continue;
            cmptcp_packet_in(w->host[1 - side], pick(50) ? to : (int)pick(30), bytes, (size_t)length, w->now);
        }
    }
}

void test_random(void) {
    int64_t opened = 0, joined = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        state = seed * 0x9e3779b97f4a7c15u;
        cmptcp_config config = defaults();
        config.seed = seed;
        config.mptcp_versions = 1 + (int)pick(3);
        config.profile = pick(2) ? "linux" : NULL;
        config.checksum = (int)pick(2);
        world w = world_make(&config, &config);
        int client, server, listener;
        struct sockaddr_in second = ipv4("10.0.2.1", 0);
        CHECK(cmptcp_endpoint_add(w.host[CLIENT], 3, any(&second), CMPTCP_ENDPOINT_SUBFLOW) == 0);
        world_connect(&w, MPTCP, &client, &server, &listener);
        latest = server;
        for (int round = 0; round < 4000; round++) {
            socket_call(w.host[pick(2)]);
            if (pick(10) == 0) host_call(w.host[pick(2)]);
            if (pick(3) == 0) carry(&w);
            w.now += pick(200) ? (int64_t)pick(3) * MS : (int64_t)pick(100) * SECOND;
            CHECK(cmptcp_advance(w.host[pick(2)], w.now) == 0);
            CHECK(cmptcp_next_deadline(w.host[0]) >= 0);
        }
        CHECK(cmptcp_counter(w.host[0], "packetBadChecksum") == 0 && cmptcp_counter(w.host[0], "packetMalformed") == 0);
        for (int side = 0; side < 2; side++) {
            opened += cmptcp_counter(w.host[side], "MPTcpExtMPCapableACKRX");
            joined += cmptcp_counter(w.host[side], "MPTcpExtMPJoinAckRx");
        }
        world_free(&w);
    }
    /* It got somewhere. */
    if (opened < 40 || joined < 5) fprintf(stderr, "%ld opened, %ld joined\n", (long)opened, (long)joined);
    CHECK(opened >= 40 && joined >= 5);
}
