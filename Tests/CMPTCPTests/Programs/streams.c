/* Streams between two driven hosts: data both ways over two paths, close, abort, errors, endpoints. */
#include "world.h"

enum { TOTAL = 1 << 20 };

static uint8_t pattern(size_t position, int side) {
    return (uint8_t)(position * 31 + (position >> 8) + (size_t)side * 101);
}

/* Sends what fits of one direction; true when all is sent and the end told. */
static int push(world *w, int side, int socket, size_t *sent) {
    uint8_t bytes[7000];
    while (*sent < TOTAL) {
        size_t count = TOTAL - *sent < sizeof bytes ? TOTAL - *sent : sizeof bytes;
        for (size_t index = 0; index < count; index++) bytes[index] = pattern(*sent + index, side);
        ssize_t taken = cmptcp_send(w->host[side], socket, bytes, count, MSG_NOSIGNAL);
        if (taken < 0) {
            CHECK(errno == EAGAIN);
            CHECK(!(events_of(w, side, socket, POLLOUT) & POLLOUT));
            return 0;
        }
        CHECK(taken > 0 && (size_t)taken <= count);
        *sent += (size_t)taken;
        if (*sent == TOTAL) CHECK(cmptcp_shutdown(w->host[side], socket, SHUT_WR) == 0);
    }
    return 1;
}

/* Reads and checks what is there; true at the end of the stream. */
static int pull(world *w, int side, int socket, size_t *received) {
    uint8_t bytes[9000], first;
    for (;;) {
        ssize_t peeked = cmptcp_recv(w->host[side], socket, &first, 1, MSG_PEEK);
        int readable = (events_of(w, side, socket, POLLIN) & POLLIN) != 0;
        ssize_t count = cmptcp_recv(w->host[side], socket, bytes, sizeof bytes, 0);
        if (count < 0) {
            CHECK(errno == EAGAIN && peeked == -1 && !readable);
            return 0;
        }
        CHECK(readable);
        if (count == 0) {
            CHECK(peeked == 0 && *received == TOTAL);
            return 1;
        }
        CHECK(peeked == 1 && first == bytes[0]);
        for (ssize_t index = 0; index < count; index++) CHECK(bytes[index] == pattern((*received)++, 1 - side));
    }
}

static void exchange(world *w, int client, int server) {
    size_t sent[2] = {0, 0}, received[2] = {0, 0};
    int sockets[2] = {client, server}, over[2] = {0, 0};
    for (int round = 0; !(over[0] && over[1]); round++) {
        CHECK(round < 20000);
        for (int side = 0; side < 2; side++) {
            push(w, side, sockets[side], &sent[side]);
            if (!over[side]) over[side] = pull(w, side, sockets[side], &received[side]);
        }
        world_run(w, 10 * MS);
    }
}

static size_t payload_on(const world *w, int from, int path) {
    size_t total = 0;
    for (size_t index = 0; index < w->count; index++) {
        const sent_packet *packet = &w->sent[index];
        if (packet->from != from || packet->path != path || packet->bytes[0] != 0x45) continue;
        total += packet->length - 20 - (size_t)(packet->bytes[32] >> 4) * 4;
    }
    return total;
}

static int64_t counter(world *w, int side, const char *name) {
    int64_t value = cmptcp_counter(w->host[side], name);
    CHECK(value >= 0);
    return value;
}

static int is_multipath(world *w, int side, int socket) {
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(cmptcp_getsockopt(w->host[side], socket, IPPROTO_TCP, 43, &value, &length) == 0);
    return value;
}

static int error_of(world *w, int side, int socket) {
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(cmptcp_getsockopt(w->host[side], socket, SOL_SOCKET, SO_ERROR, &value, &length) == 0);
    return value;
}

static void join_from_second(world *w) {
    struct sockaddr_in second = ipv4("10.0.2.1", 0);
    CHECK(cmptcp_endpoint_add(w->host[CLIENT], 3, any(&second), CMPTCP_ENDPOINT_SUBFLOW) == 0);
}

static void transfer(cmptcp_config config, int protocol, int paths) {
    world w = world_make(&config, &config);
    if (paths == 2) join_from_second(&w);
    int client, server, listener;
    world_connect(&w, protocol, &client, &server, &listener);
    CHECK(is_multipath(&w, CLIENT, client) == (protocol == MPTCP));
    CHECK(is_multipath(&w, SERVER, server) == (protocol == MPTCP));
    exchange(&w, client, server);
    CHECK(counter(&w, SERVER, "MPTcpExtMPJoinAckRx") == paths - 1);
    for (int side = 0; side < 2; side++) {
        CHECK(payload_on(&w, side, 0) > 0);
        CHECK((payload_on(&w, side, 1) > TOTAL / 10) == (paths == 2));
    }
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0 && cmptcp_close(w.host[SERVER], server) == 0);
    CHECK(cmptcp_close(w.host[SERVER], listener) == 0);
    /* Past TIME-WAIT nothing is left to do. */
    world_run(&w, 200 * SECOND);
    CHECK(cmptcp_next_deadline(w.host[CLIENT]) == INT64_MAX && cmptcp_next_deadline(w.host[SERVER]) == INT64_MAX);
    CHECK(counter(&w, CLIENT, "resetSent") == 0 && counter(&w, CLIENT, "packetBadChecksum") == 0);
    world_free(&w);
}

static void families(void);

void test_transfer(void) {
    families();
    cmptcp_config config = defaults();
    transfer(config, MPTCP, 2);
    transfer(config, MPTCP, 1);
    transfer(config, 0, 1);
    config.checksum = 1;
    transfer(config, MPTCP, 2);
    config.profile = "linux";
    transfer(config, MPTCP, 2);
    config.mptcp_versions = 1;
    transfer(config, MPTCP, 2);
    config = defaults();
    config.mptcp_versions = 3;
    config.window_scale = 0;
    config.receive_buffer = 60000;
    config.send_buffer = 60000;
    config.congestion = "newreno";
    transfer(config, MPTCP, 1);
}

static struct sockaddr_in6 ipv6(const char *text, int port) {
    struct sockaddr_in6 address;
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons((uint16_t)port);
    CHECK(inet_pton(AF_INET6, text, &address.sin6_addr) == 1);
    return address;
}

/* IPv6, and an IPv4 client at a listener on ::, who is seen by his mapped address. */
static void families(void) {
    cmptcp_config config = defaults();
    world w = world_make(&config, &config);
    struct sockaddr_in6 own = ipv6("fd00:1::1", 0), theirs = ipv6("fd00:1::2", 0), all = ipv6("::", 80), name;
    CHECK(cmptcp_address_add(w.host[CLIENT], 11, (struct sockaddr *)&own, 64) == 0);
    CHECK(cmptcp_address_add(w.host[SERVER], 21, (struct sockaddr *)&theirs, 64) == 0);
    FAILS(cmptcp_address_add(w.host[SERVER], 21, (struct sockaddr *)&own, 129), EINVAL);
    int listener = cmptcp_socket(w.host[SERVER], AF_INET6, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_bind(w.host[SERVER], listener, (struct sockaddr *)&all, sizeof(struct sockaddr_in)), EINVAL);
    CHECK(cmptcp_bind(w.host[SERVER], listener, (struct sockaddr *)&all, sizeof all) == 0);
    CHECK(cmptcp_listen(w.host[SERVER], listener, 4) == 0);
    int client = cmptcp_socket(w.host[CLIENT], AF_INET6, SOCK_STREAM, MPTCP);
    theirs.sin6_port = htons(80);
    FAILS(cmptcp_connect(w.host[CLIENT], client, (struct sockaddr *)&theirs, sizeof theirs), EINPROGRESS);
    world_run(&w, 100 * MS);
    socklen_t length = sizeof name;
    int server = cmptcp_accept(w.host[SERVER], listener, (struct sockaddr *)&name, &length);
    CHECK(server >= 0 && length == sizeof name && name.sin6_family == AF_INET6);
    CHECK(memcmp(&name.sin6_addr, &own.sin6_addr, 16) == 0);
    length = sizeof name;
    CHECK(cmptcp_getpeername(w.host[CLIENT], client, (struct sockaddr *)&name, &length) == 0);
    CHECK(memcmp(&name.sin6_addr, &theirs.sin6_addr, 16) == 0 && name.sin6_port == htons(80));
    exchange(&w, client, server);
    int four = cmptcp_socket(w.host[CLIENT], AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in old = ipv4("10.0.1.2", 80);
    FAILS(cmptcp_connect(w.host[CLIENT], four, any(&old), sizeof old), EINPROGRESS);
    world_run(&w, 100 * MS);
    length = sizeof name;
    server = cmptcp_accept(w.host[SERVER], listener, (struct sockaddr *)&name, &length);
    struct sockaddr_in6 mapped = ipv6("::ffff:10.0.1.1", 0);
    CHECK(server >= 0 && memcmp(&name.sin6_addr, &mapped.sin6_addr, 16) == 0);
    world_free(&w);
}

/* The same seed gives the same packets. */
static void repeat(void) {
    cmptcp_config config = defaults();
    world worlds[2];
    for (int run = 0; run < 2; run++) {
        int client, server, listener;
        worlds[run] = world_make(&config, &config);
        world_connect(&worlds[run], MPTCP, &client, &server, &listener);
        CHECK(cmptcp_send(worlds[run].host[CLIENT], client, "hello", 5, 0) == 5);
        world_run(&worlds[run], SECOND);
    }
    CHECK(worlds[0].count == worlds[1].count);
    for (size_t index = 0; index < worlds[0].count; index++) {
        CHECK(worlds[0].sent[index].length == worlds[1].sent[index].length);
        CHECK(memcmp(worlds[0].sent[index].bytes, worlds[1].sent[index].bytes, worlds[0].sent[index].length) == 0);
    }
    world_free(&worlds[0]);
    world_free(&worlds[1]);
}

void test_close(void) {
    cmptcp_config config = defaults();
    int client, server, listener;
    char byte;
    repeat();
    /* Half-closed: the other direction goes on. */
    world w = world_make(&config, &config);
    world_connect(&w, MPTCP, &client, &server, &listener);
    CHECK(cmptcp_shutdown(w.host[CLIENT], client, SHUT_WR) == 0);
    FAILS(cmptcp_send(w.host[CLIENT], client, "x", 1, 0), EPIPE);
    world_run(&w, 100 * MS);
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 0);
    CHECK(events_of(&w, SERVER, server, POLLIN | 0x2000) == (POLLIN | 0x2000));
    CHECK(cmptcp_send(w.host[SERVER], server, "y", 1, 0) == 1);
    world_run(&w, 100 * MS);
    CHECK(cmptcp_recv(w.host[CLIENT], client, &byte, 1, 0) == 1 && byte == 'y');
    CHECK(cmptcp_close(w.host[SERVER], server) == 0);
    world_run(&w, 500 * MS);
    CHECK(cmptcp_recv(w.host[CLIENT], client, &byte, 1, 0) == 0);
    CHECK(error_of(&w, CLIENT, client) == 0);
    CHECK(events_of(&w, CLIENT, client, POLLIN) & POLLHUP);
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0);
    FAILS(cmptcp_close(w.host[CLIENT], client), EBADF);
    world_free(&w);

    /* Closed before the handshake is over, with nothing sent: keys first, then the DATA_FIN. */
    w = world_make(&config, &config);
    struct sockaddr_in address = ipv4("10.0.1.2", 5001);
    listener = cmptcp_socket(w.host[SERVER], AF_INET, SOCK_STREAM, MPTCP);
    CHECK(cmptcp_bind(w.host[SERVER], listener, any(&address), sizeof address) == 0);
    CHECK(cmptcp_listen(w.host[SERVER], listener, 1) == 0);
    client = cmptcp_socket(w.host[CLIENT], AF_INET, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_connect(w.host[CLIENT], client, any(&address), sizeof address), EINPROGRESS);
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0);
    world_run(&w, 100 * MS);
    server = cmptcp_accept(w.host[SERVER], listener, NULL, NULL);
    CHECK(server >= 0 && is_multipath(&w, SERVER, server));
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 0);
    CHECK(cmptcp_close(w.host[SERVER], server) == 0);
    world_run(&w, 200 * SECOND);
    CHECK(counter(&w, SERVER, "MPTcpExtMPCapableFallbackACK") == 0);
    CHECK(cmptcp_next_deadline(w.host[CLIENT]) == INT64_MAX && cmptcp_next_deadline(w.host[SERVER]) == INT64_MAX);
    world_free(&w);

    /* Reading shut: what had come is read, then the end. */
    w = world_make(&config, &config);
    world_connect(&w, MPTCP, &client, &server, &listener);
    CHECK(cmptcp_send(w.host[CLIENT], client, "z", 1, 0) == 1);
    world_run(&w, 100 * MS);
    CHECK(cmptcp_shutdown(w.host[SERVER], server, SHUT_RD) == 0);
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 1 && byte == 'z');
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 0);
    world_free(&w);

    /* Abort (SO_LINGER of zero): MP_FASTCLOSE, ECONNRESET once, then the end of it. */
    w = world_make(&config, &config);
    world_connect(&w, MPTCP, &client, &server, &listener);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    CHECK(cmptcp_setsockopt(w.host[CLIENT], client, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    CHECK(cmptcp_close(w.host[CLIENT], client) == 0);
    world_run(&w, 100 * MS);
    CHECK(counter(&w, SERVER, "MPTcpExtMPFastcloseRx") == 1);
    CHECK(events_of(&w, SERVER, server, 0) == (POLLERR | POLLHUP));
    FAILS(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0), ECONNRESET);
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 0);
    FAILS(cmptcp_send(w.host[SERVER], server, "x", 1, 0), EPIPE);
    CHECK(error_of(&w, SERVER, server) == 0);
    world_free(&w);

    /* A close with unread bytes is an abort, too. */
    w = world_make(&config, &config);
    world_connect(&w, 0, &client, &server, &listener);
    CHECK(cmptcp_send(w.host[CLIENT], client, "unread", 6, 0) == 6);
    world_run(&w, 100 * MS);
    CHECK(cmptcp_close(w.host[SERVER], server) == 0);
    world_run(&w, 100 * MS);
    CHECK(error_of(&w, CLIENT, client) == ECONNRESET && error_of(&w, CLIENT, client) == 0);
    FAILS(cmptcp_send(w.host[CLIENT], client, "x", 1, 0), EPIPE);
    world_free(&w);
}

void test_errors(void) {
    cmptcp_config config = defaults();
    world w = world_make(&config, &config);
    struct sockaddr_in address = ipv4("10.0.1.2", 9);
    /* Refused; the socket can try again, and a listener makes the difference. */
    int socket = cmptcp_socket(w.host[CLIENT], AF_INET, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_connect(w.host[CLIENT], socket, any(&address), sizeof address), EINPROGRESS);
    CHECK(events_of(&w, CLIENT, socket, POLLIN | POLLOUT) == 0);
    world_run(&w, 100 * MS);
    CHECK(events_of(&w, CLIENT, socket, POLLOUT) == (POLLOUT | POLLERR | POLLHUP));
    FAILS(cmptcp_connect(w.host[CLIENT], socket, any(&address), sizeof address), ECONNREFUSED);
    int listener = cmptcp_socket(w.host[SERVER], AF_INET, SOCK_STREAM, MPTCP);
    CHECK(cmptcp_bind(w.host[SERVER], listener, any(&address), sizeof address) == 0);
    CHECK(cmptcp_listen(w.host[SERVER], listener, 1) == 0);
    FAILS(cmptcp_connect(w.host[CLIENT], socket, any(&address), sizeof address), EINPROGRESS);
    world_run(&w, 100 * MS);
    FAILS(cmptcp_connect(w.host[CLIENT], socket, any(&address), sizeof address), EISCONN);
    /* Nobody answers. */
    w.dead[0] = 1;
    CHECK(cmptcp_option(w.host[CLIENT], "syn_retries", 1) == 0);
    int silent = cmptcp_socket(w.host[CLIENT], AF_INET, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_connect(w.host[CLIENT], silent, any(&address), sizeof address), EINPROGRESS);
    world_run(&w, 60 * SECOND);
    CHECK(error_of(&w, CLIENT, silent) == ETIMEDOUT);
    world_free(&w);

    /* Established, then silence: the user timeout. */
    int client, server;
    w = world_make(&config, &config);
    CHECK(cmptcp_option(w.host[CLIENT], "user_timeout_ms", 5000) == 0);
    CHECK(cmptcp_option(w.host[CLIENT], "pathless_timeout_ms", 0) == 0);
    world_connect(&w, MPTCP, &client, &server, &listener);
    w.dead[0] = 1;
    char byte;
    CHECK(cmptcp_send(w.host[CLIENT], client, "x", 1, 0) == 1);
    world_run(&w, 60 * SECOND);
    FAILS(cmptcp_recv(w.host[CLIENT], client, &byte, 1, 0), ETIMEDOUT);
    world_free(&w);
}

void test_endpoints(void) {
    cmptcp_config config = defaults();
    int client, server, listener;
    /* Announced with a port; joined there, and nothing else is taken there. */
    world w = world_make(&config, &config);
    struct sockaddr_in announced = ipv4("10.0.2.2", 6001);
    int flags = CMPTCP_ENDPOINT_SIGNAL | CMPTCP_ENDPOINT_BACKUP;
    CHECK(cmptcp_endpoint_add(w.host[SERVER], 9, any(&announced), flags) == 0);
    world_connect(&w, MPTCP, &client, &server, &listener);
    CHECK(counter(&w, CLIENT, "MPTcpExtAddAddr") == 1 && counter(&w, CLIENT, "MPTcpExtPortAdd") == 1);
    CHECK(counter(&w, SERVER, "MPTcpExtEchoAdd") == 1 && counter(&w, SERVER, "MPTcpExtMPJoinAckRx") == 1);
    CHECK(counter(&w, CLIENT, "MPTcpExtMPJoinSynAckBackupRx") == 1);
    int stray = cmptcp_socket(w.host[CLIENT], AF_INET, SOCK_STREAM, MPTCP);
    FAILS(cmptcp_connect(w.host[CLIENT], stray, any(&announced), sizeof announced), EINPROGRESS);
    world_run(&w, 100 * MS);
    CHECK(error_of(&w, CLIENT, stray) == ECONNREFUSED);
    CHECK(counter(&w, SERVER, "MPTcpExtMPCapableEndpAttempt") == 1);
    /* Withdrawn: REMOVE_ADDR, the join ends, the connection stays. */
    CHECK(cmptcp_endpoint_remove(w.host[SERVER], 9) == 0);
    world_run(&w, 100 * MS);
    CHECK(counter(&w, CLIENT, "MPTcpExtRmAddr") == 1);
    exchange(&w, client, server);
    world_free(&w);

    /* Nothing is joined or announced that is no endpoint, and no more than the limits say. */
    w = world_make(&config, &config);
    CHECK(cmptcp_limits(w.host[SERVER], 0, 0) == 0);
    join_from_second(&w);
    world_connect(&w, MPTCP, &client, &server, &listener);
    exchange(&w, client, server);
    CHECK(counter(&w, CLIENT, "MPTcpExtMPJoinSynTx") >= 1 && counter(&w, SERVER, "MPTcpExtMPJoinRejected") >= 1);
    CHECK(counter(&w, SERVER, "MPTcpExtAddAddrTx") == 0);
    world_free(&w);

    /* Added while connected; then the first address goes away and the stream does not notice. */
    w = world_make(&config, &config);
    world_connect(&w, MPTCP, &client, &server, &listener);
    CHECK(counter(&w, CLIENT, "MPTcpExtMPJoinSynTx") == 0);
    CHECK(cmptcp_send(w.host[CLIENT], client, "a", 1, 0) == 1);
    world_run(&w, 100 * MS);
    char byte;
    CHECK(cmptcp_recv(w.host[SERVER], server, &byte, 1, 0) == 1 && byte == 'a');
    join_from_second(&w);
    world_run(&w, 200 * MS);
    CHECK(counter(&w, SERVER, "MPTcpExtMPJoinAckRx") == 1);
    struct sockaddr_in first = ipv4("10.0.1.1", 0);
    CHECK(cmptcp_address_remove(w.host[CLIENT], any(&first)) == 0);
    FAILS(cmptcp_address_remove(w.host[CLIENT], any(&first)), EADDRNOTAVAIL);
    exchange(&w, client, server);
    world_free(&w);
}
