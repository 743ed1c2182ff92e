#include "world.h"

enum { DELAY = 5 }; /* milliseconds */

cmptcp_config defaults(void) {
    cmptcp_config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.seed = 1;
    config.mptcp_versions = 2;
    config.window_scale = -1;
    return config;
}

struct sockaddr_in ipv4(const char *text, int port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    CHECK(inet_pton(AF_INET, text, &address.sin_addr) == 1);
    return address;
}

const struct sockaddr *any(const struct sockaddr_in *address) { return (const struct sockaddr *)address; }

world world_make(const cmptcp_config *client, const cmptcp_config *server) {
    world w;
    memset(&w, 0, sizeof w);
    w.now = SECOND;
    for (int side = 0; side < 2; side++) {
        cmptcp_config config = side == CLIENT ? *client : *server;
        config.seed += (uint64_t)side * 1000;
        w.host[side] = cmptcp_host_create(&config, w.now);
        CHECK(w.host[side] != NULL);
        for (int path = 1; path <= PATHS; path++) {
            char text[32];
            snprintf(text, sizeof text, "10.0.%d.%d", path, side + 1);
            struct sockaddr_in address = ipv4(text, 0);
            CHECK(cmptcp_interface_add(w.host[side], 10 * (side + 1) + path, 1500) == 0);
            CHECK(cmptcp_address_add(w.host[side], 10 * (side + 1) + path, any(&address), 24) == 0);
        }
    }
    return w;
}

void world_free(world *w) {
    for (int side = 0; side < 2; side++) cmptcp_host_destroy(w->host[side]);
    free(w->sent);
}

/* Takes everything that is due out of both hosts. */
static void flush(world *w) {
    for (int side = 0; side < 2; side++) {
        for (;;) {
            if (w->count % 1024 == 0) {
                w->sent = realloc(w->sent, (w->count + 1024) * sizeof *w->sent);
                CHECK(w->sent != NULL);
            }
            sent_packet *packet = &w->sent[w->count];
            int interface = -1;
            ssize_t length = cmptcp_packet_out(w->host[side], &interface, packet->bytes, sizeof packet->bytes, w->now);
            CHECK(length >= 0);
            if (length == 0) break;
            packet->from = side;
            packet->path = interface % 10 - 1;
            CHECK(interface / 10 == side + 1 && packet->path >= 0 && packet->path < PATHS);
            packet->length = (size_t)length;
            packet->time = w->now;
            w->count++;
        }
    }
}

void world_run(world *w, int64_t duration) {
    int64_t end = w->now + duration;
    for (;;) {
        flush(w);
        int64_t next = w->taken < w->count ? w->sent[w->taken].time + DELAY * MS : INT64_MAX;
        for (int side = 0; side < 2; side++) {
            int64_t deadline = cmptcp_next_deadline(w->host[side]);
            if (deadline < next) next = deadline;
        }
        if (next > end) break;
        if (next > w->now) w->now = next;
        while (w->taken < w->count && w->sent[w->taken].time + DELAY * MS <= w->now) {
            sent_packet *packet = &w->sent[w->taken++];
            if (w->dead[packet->path]) continue;
            int other = 1 - packet->from;
            int interface = 10 * (other + 1) + packet->path + 1;
            CHECK(cmptcp_packet_in(w->host[other], interface, packet->bytes, packet->length, w->now) == 0);
        }
        for (int side = 0; side < 2; side++) CHECK(cmptcp_advance(w->host[side], w->now) == 0);
    }
    w->now = end;
}

void world_connect(world *w, int protocol, int *client, int *server, int *listener) {
    struct sockaddr_in address = ipv4("10.0.1.2", 5001);
    *listener = cmptcp_socket(w->host[SERVER], AF_INET, SOCK_STREAM, protocol);
    CHECK(*listener >= 0);
    CHECK(cmptcp_bind(w->host[SERVER], *listener, any(&address), sizeof address) == 0);
    CHECK(cmptcp_listen(w->host[SERVER], *listener, 8) == 0);
    FAILS(cmptcp_accept(w->host[SERVER], *listener, NULL, NULL), EAGAIN);
    *client = cmptcp_socket(w->host[CLIENT], AF_INET, SOCK_STREAM, protocol);
    CHECK(*client >= 0);
    FAILS(cmptcp_connect(w->host[CLIENT], *client, any(&address), sizeof address), EINPROGRESS);
    FAILS(cmptcp_connect(w->host[CLIENT], *client, any(&address), sizeof address), EALREADY);
    FAILS(cmptcp_send(w->host[CLIENT], *client, "x", 1, 0), EAGAIN);
    world_run(w, 100 * MS);
    FAILS(cmptcp_connect(w->host[CLIENT], *client, any(&address), sizeof address), EISCONN);
    CHECK(events_of(w, SERVER, *listener, POLLIN) == POLLIN);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    *server = cmptcp_accept(w->host[SERVER], *listener, (struct sockaddr *)&peer, &length);
    CHECK(*server >= 0 && length == sizeof peer && peer.sin_family == AF_INET);
    CHECK(peer.sin_addr.s_addr == ipv4("10.0.1.1", 0).sin_addr.s_addr && peer.sin_port != 0);
}

short events_of(world *w, int side, int socket, short events) {
    struct pollfd entry = {.fd = socket, .events = events, .revents = 0x7fff};
    int count = cmptcp_poll(w->host[side], &entry, 1);
    CHECK(count == (entry.revents != 0));
    return entry.revents;
}
