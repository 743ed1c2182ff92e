/* Packets: what goes in and out, hostile ones, and the layouts of profile "linux". */
#include "world.h"

void test_packets(void) {
    cmptcp_config config = defaults();
    world w = world_make(&config, &config);
    struct sockaddr_in address = ipv4("10.0.1.2", 5001);
    uint8_t bytes[1600];
    int interface = -7;
    cmptcp_host *host = w.host[CLIENT];
    CHECK(cmptcp_packet_out(host, &interface, bytes, sizeof bytes, w.now) == 0 && interface == -7);
    CHECK(cmptcp_next_deadline(host) == INT64_MAX);
    int socket = cmptcp_socket(host, AF_INET, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_connect(host, socket, any(&address), sizeof address), EINPROGRESS);
    CHECK(cmptcp_next_deadline(host) == w.now);
    /* A buffer that is too small loses nothing. */
    FAILS(cmptcp_packet_out(host, &interface, NULL, sizeof bytes, w.now), EFAULT);
    FAILS(cmptcp_packet_out(host, &interface, bytes, (size_t)-1, w.now), EINVAL);
    FAILS(cmptcp_packet_out(host, &interface, bytes, 10, w.now), EMSGSIZE);
    FAILS(cmptcp_packet_out(host, &interface, bytes, 0, w.now), EMSGSIZE);
    CHECK(cmptcp_next_deadline(host) == w.now);
    ssize_t length = cmptcp_packet_out(host, NULL, bytes, sizeof bytes, w.now);
    CHECK(length == 20 + 20 + 24 && bytes[0] == 0x45);
    CHECK(cmptcp_packet_out(host, NULL, bytes, sizeof bytes, w.now) == 0);
    /* Time: not before zero, never back, timers fire when they are due and not before. */
    FAILS(cmptcp_advance(host, -1), EINVAL);
    FAILS(cmptcp_advance(host, INT64_MAX), EINVAL);
    int64_t deadline = cmptcp_next_deadline(host);
    CHECK(deadline == w.now + SECOND);
    CHECK(cmptcp_advance(host, deadline - 1) == 0);
    CHECK(cmptcp_packet_out(host, NULL, bytes, sizeof bytes, deadline - 1) == 0);
    CHECK(cmptcp_advance(host, 0) == 0 && cmptcp_next_deadline(host) == deadline);
    CHECK(cmptcp_packet_out(host, NULL, bytes, sizeof bytes, deadline) == length);
    /* What comes in. */
    FAILS(cmptcp_packet_in(host, 99, bytes, 40, deadline), ENODEV);
    FAILS(cmptcp_packet_in(host, 11, NULL, 40, deadline), EFAULT);
    FAILS(cmptcp_packet_in(host, 11, bytes, SIZE_MAX, deadline), EMSGSIZE);
    FAILS(cmptcp_packet_in(host, 11, bytes, 70000, deadline), EMSGSIZE);
    FAILS(cmptcp_packet_in(host, 11, bytes, 40, INT64_MIN), EINVAL);
    CHECK(cmptcp_packet_in(host, 11, bytes, 0, deadline) == 0);
    CHECK(cmptcp_counter(host, "packetMalformed") == 1);
    world_free(&w);
}

/* Random bytes, and every packet of a transfer bent at random: error counters move, nothing else breaks. */
void test_hostile(void) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        cmptcp_config config = defaults();
        config.seed = seed;
        world w = world_make(&config, &config);
        struct sockaddr_in second = ipv4("10.0.2.1", 0);
        CHECK(cmptcp_endpoint_add(w.host[CLIENT], 2, any(&second), CMPTCP_ENDPOINT_SUBFLOW) == 0);
        int client, server, listener;
        world_connect(&w, MPTCP, &client, &server, &listener);
        uint64_t state = seed * 0x9e3779b97f4a7c15u;
        uint8_t noise[200];
        for (int round = 0; round < 2000; round++) {
            for (size_t index = 0; index < sizeof noise; index++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                noise[index] = (uint8_t)(state >> 56);
            }
            CHECK(cmptcp_packet_in(w.host[CLIENT], 11, noise, noise[0], w.now) == 0);
            sent_packet bent = w.sent[(state >> 33) % w.count];
            bent.bytes[noise[1] % bent.length] ^= noise[2];
            CHECK(cmptcp_packet_in(w.host[1 - bent.from], 10 * (2 - bent.from) + bent.path + 1, bent.bytes,
                                   noise[3] % 4 ? bent.length : noise[4] % bent.length, w.now) == 0);
        }
        CHECK(cmptcp_counter(w.host[CLIENT], "packetMalformed") > 0);
        CHECK(cmptcp_counter(w.host[SERVER], "packetBadChecksum") > 0);
        char text[6] = "";
        CHECK(cmptcp_send(w.host[CLIENT], client, "after", 6, 0) == 6);
        world_run(&w, 5 * SECOND);
        CHECK(cmptcp_recv(w.host[SERVER], server, text, 6, 0) == 6 && strcmp(text, "after") == 0);
        world_free(&w);
    }
}

/* The options of a packet as hexadecimal text, with keys, stamps, HMACs and numbers as dots. */
static const char *layout(const sent_packet *packet) {
    static char text[200];
    const uint8_t *tcp = packet->bytes + 20;
    int end = (tcp[12] >> 4) * 4, at = 0;
    const char *flags = "A";
    if (tcp[13] & 8) flags = "P";
    if (tcp[13] & 1) flags = "F";
    if (tcp[13] & 4) flags = "R";
    if (tcp[13] & 2) flags = tcp[13] & 16 ? "SA" : "S";
    at += snprintf(text + at, sizeof text - (size_t)at, "%s", flags);
    for (int place = 20; place < end;) {
        int kind = tcp[place], length = kind <= 1 ? 1 : tcp[place + 1];
        if (kind == 1) at += snprintf(text + at, sizeof text - (size_t)at, " nop");
        else if (kind == 2) at += snprintf(text + at, sizeof text - (size_t)at, " mss");
        else if (kind == 3) at += snprintf(text + at, sizeof text - (size_t)at, " scale%d", tcp[place + 2]);
        else if (kind == 4) at += snprintf(text + at, sizeof text - (size_t)at, " sackok");
        else if (kind == 5) at += snprintf(text + at, sizeof text - (size_t)at, " sack");
        else if (kind == 8) at += snprintf(text + at, sizeof text - (size_t)at, " ts");
        else at += snprintf(text + at, sizeof text - (size_t)at, " mp%d/%d:%x", tcp[place + 2] >> 4, length,
                            (tcp[place + 2] >> 4) == 2 ? tcp[place + 3] : tcp[place + 2] & 15);
        if (length < 1) break;
        place += length;
    }
    return text;
}

static void expect(world *w, size_t *at, int from, const char *wanted) {
    while (*at < w->count && w->sent[*at].from != from) ++*at;
    if (*at >= w->count) fprintf(stderr, "no more packets, wanted %s\n", wanted);
    CHECK(*at < w->count);
    const char *found = layout(&w->sent[*at]);
    if (strcmp(found, wanted) != 0) fprintf(stderr, "packet %zu: %s\n        not %s\n", *at, found, wanted);
    CHECK(strcmp(found, wanted) == 0);
    ++*at;
}

static unsigned window(const sent_packet *packet) { return (unsigned)packet->bytes[34] << 8 | packet->bytes[35]; }

/* As Linux 6.18 sends it between two kernels: shared/captures, and one path alone as captured in namespaces. */
static void one_path(int checksum) {
    cmptcp_config config = defaults();
    config.profile = "linux";
    config.checksum = checksum;
    config.window_scale = 7;
    world w = world_make(&config, &config);
    int client, server, listener;
    world_connect(&w, MPTCP, &client, &server, &listener);
    size_t at = 0;
    expect(&w, &at, CLIENT, "S mss sackok ts nop scale7 mp0/4:1");
    CHECK(window(&w.sent[at - 1]) == 64240 && w.sent[at - 1].bytes[63] == (checksum ? 0x81 : 0x01));
    expect(&w, &at, SERVER, "SA mss sackok ts nop scale7 mp0/12:1");
    CHECK(window(&w.sent[at - 1]) == 65160);
    expect(&w, &at, CLIENT, "A nop nop ts mp0/20:1");
    at = w.count;
    char bytes[3000] = "";
    CHECK(cmptcp_send(w.host[CLIENT], client, bytes, 100, 0) == 100);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, checksum ? "P nop nop ts mp0/24:1" : "P nop nop ts mp0/22:1 nop nop");
    expect(&w, &at, SERVER, "A nop nop ts mp2/12:3");
    CHECK(cmptcp_recv(w.host[SERVER], server, bytes, sizeof bytes, 0) == 100);
    CHECK(cmptcp_send(w.host[SERVER], server, bytes, 100, 0) == 100);
    world_run(&w, 200 * MS);
    expect(&w, &at, SERVER, checksum ? "P nop nop ts mp2/28:f" : "P nop nop ts mp2/26:f nop nop");
    expect(&w, &at, CLIENT, "A nop nop ts mp2/12:3");
    CHECK(cmptcp_recv(w.host[CLIENT], client, bytes, sizeof bytes, 0) == 100);
    at = w.count;
    CHECK(cmptcp_send(w.host[CLIENT], client, bytes, 3000, 0) == 3000);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, checksum ? "A nop nop ts mp2/28:f" : "A nop nop ts mp2/26:f nop nop");
    CHECK(w.sent[at - 1].length == 1500);
    expect(&w, &at, CLIENT, checksum ? "A nop nop ts mp2/28:f" : "A nop nop ts mp2/26:f nop nop");
    expect(&w, &at, CLIENT, checksum ? "P nop nop ts mp2/28:f" : "P nop nop ts mp2/26:f nop nop");
    CHECK(cmptcp_recv(w.host[SERVER], server, bytes, sizeof bytes, 0) == 3000);
    world_run(&w, 200 * MS);
    at = w.count;
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, checksum ? "A nop nop ts mp2/28:1f" : "A nop nop ts mp2/26:1f nop nop");
    expect(&w, &at, SERVER, "A nop nop ts mp2/12:3");
    CHECK(cmptcp_close(w.host[SERVER], server) == 0);
    world_run(&w, 200 * MS);
    size_t from_here = at;
    expect(&w, &at, SERVER, checksum ? "A nop nop ts mp2/28:1f" : "A nop nop ts mp2/26:1f nop nop");
    at = from_here;
    expect(&w, &at, CLIENT, "F nop nop ts mp2/12:3");
    world_free(&w);
}

/* ADD_ADDR and its echo alone, the four segments of a join, REMOVE_ADDR behind DSS, MP_FASTCLOSE with MP_TCPRST. */
static void two_paths(int port) {
    cmptcp_config config = defaults();
    config.profile = "linux";
    world w = world_make(&config, &config);
    CHECK(cmptcp_limits(w.host[CLIENT], 2, 2) == 0);
    struct sockaddr_in address = ipv4("10.0.2.2", port);
    CHECK(cmptcp_endpoint_add(w.host[SERVER], 2, any(&address), CMPTCP_ENDPOINT_SIGNAL) == 0);
    int client, server, listener;
    world_connect(&w, MPTCP, &client, &server, &listener);
    size_t at = 0, server_at = 0;
    expect(&w, &at, CLIENT, "S mss sackok ts nop scale7 mp0/4:1");
    expect(&w, &at, CLIENT, "A nop nop ts mp0/20:1");
    expect(&w, &at, CLIENT, port ? "A nop nop ts mp3/10:1 nop nop" : "A nop nop ts mp3/8:1");
    expect(&w, &at, CLIENT, "S mss sackok ts nop scale7 mp1/12:0");
    CHECK(w.sent[at - 1].path == 1);
    expect(&w, &at, CLIENT, "A nop nop ts mp1/24:0");
    expect(&w, &server_at, SERVER, "SA mss sackok ts nop scale7 mp0/12:1");
    expect(&w, &server_at, SERVER, port ? "A nop nop ts mp3/18:0 nop nop" : "A nop nop ts mp3/16:0");
    expect(&w, &server_at, SERVER, "SA mss sackok ts nop scale7 mp1/16:0");
    expect(&w, &server_at, SERVER, "A nop nop ts mp2/8:1");
    /* No MP_CAPABLE any more: DSS with the 4-byte DATA_ACK, as no 8-byte number has come. */
    at = w.count;
    CHECK(cmptcp_send(w.host[CLIENT], client, "data", 4, 0) == 4);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, "P nop nop ts mp2/22:d nop nop");
    expect(&w, &at, SERVER, "A nop nop ts mp2/12:3");
    at = w.count;
    CHECK(cmptcp_endpoint_remove(w.host[SERVER], 2) == 0);
    world_run(&w, 200 * MS);
    size_t removal = at;
    while (removal < w.count && strcmp(layout(&w.sent[removal]), "A nop nop ts mp2/12:3 mp4/4:0") != 0) removal++;
    CHECK(removal < w.count);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    CHECK(cmptcp_setsockopt(w.host[CLIENT], client, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    at = w.count;
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, "R nop nop ts mp7/12:0 mp8/4:0");
    world_free(&w);
}

/* Single settings against profile NULL. */
static void settings(void) {
    cmptcp_config config = defaults();
    world w = world_make(&config, &config);
    static const struct {
        const char *name;
        int64_t value;
    } changes[] = {
        {"packed_syn", 0}, {"push", 2}, {"data_ack_size", 8}, {"data_sequence_size", 4}, {"window_scale", 3}};
    for (size_t index = 0; index < sizeof changes / sizeof *changes; index++) {
        CHECK(cmptcp_option(w.host[CLIENT], changes[index].name, changes[index].value) == 0);
    }
    int client, server, listener;
    world_connect(&w, MPTCP, &client, &server, &listener);
    size_t at = 0;
    expect(&w, &at, CLIENT, "S mss nop nop sackok nop nop ts nop scale3 mp0/4:1");
    at = w.count;
    char bytes[5000] = "";
    CHECK(cmptcp_send(w.host[CLIENT], client, bytes, 3000, 0) == 3000);
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, "P nop nop ts mp0/22:1 nop nop");
    expect(&w, &at, CLIENT, "P nop nop ts mp2/22:7 nop nop");
    CHECK(cmptcp_recv(w.host[SERVER], server, bytes, sizeof bytes, 0) == 3000);
    CHECK(cmptcp_send(w.host[SERVER], server, bytes, 10, 0) == 10);
    at = w.count;
    world_run(&w, 200 * MS);
    expect(&w, &at, CLIENT, "A nop nop ts mp2/12:3");
    world_free(&w);
}

/* SACK blocks stand before the Multipath TCP option (net/ipv4/tcp_output.c writes it last). */
static void holes(const char *profile, const char *wanted, const char *again) {
    cmptcp_config config = defaults();
    config.profile = profile;
    world w = world_make(&config, &config);
    int client, server, listener;
    world_connect(&w, MPTCP, &client, &server, &listener);
    char bytes[1000] = "";
    for (int turn = 0; turn < 3; turn++) {
        w.dead[0] = turn == 1;
        int off = 1;
        CHECK(cmptcp_setsockopt(w.host[CLIENT], client, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off) == 0);
        CHECK(cmptcp_send(w.host[CLIENT], client, bytes, sizeof bytes, 0) == sizeof bytes);
        world_run(&w, turn == 1 ? 8 * MS : 20 * MS);
    }
    size_t at = w.count;
    while (at > 0 && !(w.sent[at - 1].from == SERVER && strstr(layout(&w.sent[at - 1]), "nop sack"))) at--;
    CHECK(at > 0);
    at--;
    expect(&w, &at, SERVER, wanted);
    /* What was lost ended a write: PSH is repeated, as the kernel does, or not. */
    world_run(&w, SECOND);
    expect(&w, &at, CLIENT, again);
    CHECK(w.sent[at - 1].length > 1000);
    world_free(&w);
}

void test_linux(void) {
    one_path(0);
    one_path(1);
    two_paths(0);
    two_paths(5009);
    settings();
    holes("linux", "A nop nop ts nop nop sack mp2/12:3", "P nop nop ts mp2/22:d nop nop");
    holes(NULL, "A nop nop ts mp2/12:3 nop nop sack", "A nop nop ts mp2/22:d nop nop");
}
