/* Two driven hosts joined in memory by links with a delay; virtual time. */
#ifndef WORLD_H
#define WORLD_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmptcp.h"

#define MPTCP 262
#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s (errno %s)\n", __FILE__, __LINE__, #condition, \
                    strerror(errno));                                               \
            exit(1);                                                                \
        }                                                                           \
    } while (0)
/* The call fails and says why. */
#define FAILS(call, code)            \
    do {                             \
        errno = 0;                   \
        CHECK((call) == -1);         \
        CHECK(errno == (code));      \
    } while (0)

enum { CLIENT = 0, SERVER = 1, PATHS = 2 };

/* One packet that was sent. */
typedef struct {
    int from, path;
    size_t length;
    int64_t time;
    uint8_t bytes[1600];
} sent_packet;

typedef struct {
    cmptcp_host *host[2];
    int64_t now;
    int dead[PATHS]; /* carries nothing */
    sent_packet *sent;
    size_t count, taken;
} world;

cmptcp_config defaults(void);
/* Host 0 is 10.0.n.1, host 1 is 10.0.n.2 on path n (from 1); interface numbers are 10 + n there, 20 + n here. */
world world_make(const cmptcp_config *client, const cmptcp_config *server);
void world_free(world *w);
/* Moves packets and time until nothing happens before `end`. */
void world_run(world *w, int64_t duration);
struct sockaddr_in ipv4(const char *text, int port);
const struct sockaddr *any(const struct sockaddr_in *address);
/* A listener on 10.0.1.2:5001 and a connection to it, both established; accepted by the server. */
void world_connect(world *w, int protocol, int *client, int *server, int *listener);
short events_of(world *w, int side, int socket, short events);

void test_arguments(void);
void test_handles(void);
void test_options(void);
void test_transfer(void);
void test_close(void);
void test_errors(void);
void test_endpoints(void);
void test_packets(void);
void test_hostile(void);
void test_linux(void);
void test_random(void);
#endif
