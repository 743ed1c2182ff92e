/* Every function with what it must refuse. */
#include "world.h"

void test_arguments(void) {
    cmptcp_config config = defaults();
    errno = 0;
    CHECK(cmptcp_host_create(NULL, 0) == NULL && errno == EFAULT);
#define REFUSED(change)                                                          \
    do {                                                                         \
        config = defaults();                                                     \
        change;                                                                  \
        errno = 0;                                                               \
        CHECK(cmptcp_host_create(&config, 0) == NULL && errno == EINVAL);        \
    } while (0)
    REFUSED(config.size = 0);
    REFUSED(config.size = sizeof config - 1);
    REFUSED(config.size = SIZE_MAX);
    REFUSED(config.mptcp_versions = 4);
    REFUSED(config.mptcp_versions = -1);
    REFUSED(config.profile = "plan9");
    REFUSED(config.window_scale = 15);
    REFUSED(config.window_scale = -2);
    REFUSED(config.receive_buffer = 100);
    REFUSED(config.receive_buffer = SIZE_MAX);
    REFUSED(config.send_buffer = SIZE_MAX / 2);
    REFUSED(config.congestion = "none such");
    REFUSED(config.scheduler = "none such");
    static char endless[1000];
    memset(endless, 'a', sizeof endless);
    REFUSED(config.scheduler = endless);
    config = defaults();
    errno = 0;
    CHECK(cmptcp_host_create(&config, -1) == NULL && errno == EINVAL);
    /* A longer structure, of a later header, is taken as far as it is known. */
    struct {
        cmptcp_config known;
        char more[64];
    } later = {.known = defaults()};
    later.known.size = sizeof later;
    later.known.congestion = "newreno";
    later.known.scheduler = "lowest-rtt";
    later.known.profile = "linux";
    cmptcp_host *host = cmptcp_host_create(&later.known, 5);
    CHECK(host != NULL);

    struct sockaddr_in local = ipv4("10.0.1.1", 0), other = ipv4("10.0.9.9", 0), group = ipv4("224.0.0.1", 0);
    struct sockaddr_in strange = local;
    strange.sin_family = AF_UNIX;
    FAILS(cmptcp_interface_add(host, -1, 1500), EINVAL);
    FAILS(cmptcp_interface_add(host, 1, 100), EINVAL);
    FAILS(cmptcp_interface_add(host, 1, 65536), EINVAL);
    CHECK(cmptcp_interface_add(host, 1, 1500) == 0);
    FAILS(cmptcp_interface_add(host, 1, 1500), EEXIST);
    FAILS(cmptcp_address_add(host, 2, any(&local), 24), ENODEV);
    FAILS(cmptcp_address_add(host, 1, NULL, 24), EFAULT);
    FAILS(cmptcp_address_add(host, 1, any(&local), 33), EINVAL);
    FAILS(cmptcp_address_add(host, 1, any(&local), -1), EINVAL);
    FAILS(cmptcp_address_add(host, 1, any(&group), 24), EINVAL);
    FAILS(cmptcp_address_add(host, 1, any(&strange), 24), EAFNOSUPPORT);
    CHECK(cmptcp_address_add(host, 1, any(&local), 24) == 0);
    FAILS(cmptcp_address_add(host, 1, any(&local), 24), EEXIST);
    FAILS(cmptcp_address_remove(host, any(&other)), EADDRNOTAVAIL);
    FAILS(cmptcp_address_remove(host, NULL), EFAULT);
    FAILS(cmptcp_endpoint_add(host, 0, any(&local), CMPTCP_ENDPOINT_SIGNAL), EINVAL);
    FAILS(cmptcp_endpoint_add(host, 256, any(&local), CMPTCP_ENDPOINT_SIGNAL), EINVAL);
    FAILS(cmptcp_endpoint_add(host, 1, any(&local), 16), EINVAL);
    FAILS(cmptcp_endpoint_add(host, 1, NULL, CMPTCP_ENDPOINT_SIGNAL), EFAULT);
    FAILS(cmptcp_endpoint_add(host, 1, any(&other), CMPTCP_ENDPOINT_SIGNAL), EADDRNOTAVAIL);
    local.sin_port = htons(7000);
    FAILS(cmptcp_endpoint_add(host, 1, any(&local), CMPTCP_ENDPOINT_SUBFLOW), EINVAL);
    CHECK(cmptcp_endpoint_add(host, 1, any(&local), CMPTCP_ENDPOINT_SIGNAL) == 0);
    FAILS(cmptcp_endpoint_add(host, 1, any(&local), CMPTCP_ENDPOINT_SIGNAL), EEXIST);
    FAILS(cmptcp_endpoint_remove(host, 2), ENOENT);
    FAILS(cmptcp_endpoint_remove(host, 1000), EINVAL);
    CHECK(cmptcp_endpoint_remove(host, 1) == 0);
    FAILS(cmptcp_endpoint_remove(host, 1), ENOENT);
    local.sin_port = 0;
    FAILS(cmptcp_limits(host, -1, 0), EINVAL);
    FAILS(cmptcp_limits(host, 32, 0), EINVAL);
    FAILS(cmptcp_limits(host, 1, 33), EINVAL);
    CHECK(cmptcp_limits(host, 2, 2) == 0);
    FAILS(cmptcp_option(host, NULL, 0), EFAULT);
    FAILS(cmptcp_option(host, "no such setting", 0), ENOENT);
    static const char *const switches[] = {
        "packed_syn", "sack_first", "dss_first", "fail_first", "add_addr_alone", "add_addr_proves_keys",
        "reset_timestamps", "fastclose_reason", "syn_window_whole_segments", "checksum", "nagle", "joins",
        "accept_unproven_addresses", "refuse_damage"};
    for (size_t index = 0; index < sizeof switches / sizeof *switches; index++) {
        CHECK(cmptcp_option(host, switches[index], 1) == 0 && cmptcp_option(host, switches[index], 0) == 0);
        FAILS(cmptcp_option(host, switches[index], 2), EINVAL);
    }
    static const struct {
        const char *name;
        int64_t good, bad;
    } ranges[] = {{"push", 2, 3}, {"data_ack_size", 8, 4}, {"data_sequence_size", 4, 5}, {"window_scale", 14, 15},
                  {"initial_receive_window", 4096, 4095}, {"syn_retries", 20, 21}, {"user_timeout_ms", 1, 0},
                  {"keepalive_ms", 0, -1}, {"pathless_timeout_ms", 0, INT64_MAX}, {"time_wait_ms", 0, INT64_MIN}};
    for (size_t index = 0; index < sizeof ranges / sizeof *ranges; index++) {
        CHECK(cmptcp_option(host, ranges[index].name, ranges[index].good) == 0);
        FAILS(cmptcp_option(host, ranges[index].name, ranges[index].bad), EINVAL);
    }
    FAILS(cmptcp_counter(host, NULL), EFAULT);
    FAILS(cmptcp_counter(host, "MPTcpExtNoSuch"), ENOENT);
    CHECK(cmptcp_counter(host, "MPTcpExtMPJoinSynRx") == 0);

    FAILS(cmptcp_socket(host, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(cmptcp_socket(host, AF_INET, SOCK_DGRAM, 0), EPROTOTYPE);
    FAILS(cmptcp_socket(host, AF_INET, SOCK_STREAM, 17), EPROTONOSUPPORT);
    int plain = cmptcp_socket(host, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int six = cmptcp_socket(host, AF_INET6, SOCK_STREAM, MPTCP);
    CHECK(plain >= 0 && six >= 0 && plain != six);
    FAILS(cmptcp_bind(host, plain, NULL, 16), EFAULT);
    FAILS(cmptcp_bind(host, plain, any(&local), 1), EINVAL);
    FAILS(cmptcp_bind(host, plain, any(&local), 15), EINVAL);
    FAILS(cmptcp_bind(host, plain, any(&other), 16), EADDRNOTAVAIL);
    FAILS(cmptcp_bind(host, six, any(&local), 16), EAFNOSUPPORT);
    FAILS(cmptcp_accept(host, plain, NULL, NULL), EINVAL);
    CHECK(cmptcp_bind(host, plain, any(&local), 16) == 0);
    FAILS(cmptcp_bind(host, plain, any(&local), 16), EINVAL);
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    CHECK(cmptcp_getsockname(host, plain, (struct sockaddr *)&name, &length) == 0 && name.sin_port != 0);
    FAILS(cmptcp_getsockname(host, plain, NULL, &length), EFAULT);
    FAILS(cmptcp_getsockname(host, plain, (struct sockaddr *)&name, NULL), EFAULT);
    FAILS(cmptcp_getpeername(host, plain, (struct sockaddr *)&name, &length), ENOTCONN);
    length = (socklen_t)-1;
    FAILS(cmptcp_getsockname(host, plain, (struct sockaddr *)&name, &length), EINVAL);
    length = 2;
    memset(&name, 0xff, sizeof name);
    CHECK(cmptcp_getsockname(host, plain, (struct sockaddr *)&name, &length) == 0);
    CHECK(length == sizeof name && name.sin_family == AF_INET && name.sin_port == 0xffff);
    int rival = cmptcp_socket(host, AF_INET, SOCK_STREAM, 0);
    length = sizeof name;
    CHECK(cmptcp_getsockname(host, plain, (struct sockaddr *)&name, &length) == 0);
    FAILS(cmptcp_bind(host, rival, any(&name), 16), EADDRINUSE);
    FAILS(cmptcp_connect(host, rival, NULL, 16), EFAULT);
    FAILS(cmptcp_connect(host, rival, any(&other), 16), EADDRNOTAVAIL); /* port 0 */
    FAILS(cmptcp_connect(host, six, any(&other), 16), EAFNOSUPPORT);
    other.sin_port = htons(1);
    group.sin_port = htons(1);
    FAILS(cmptcp_connect(host, rival, any(&group), 16), ENETUNREACH);
    char byte = 0;
    FAILS(cmptcp_recv(host, rival, &byte, 1, 0), ENOTCONN);
    FAILS(cmptcp_send(host, rival, &byte, 1, 0), ENOTCONN);
    FAILS(cmptcp_shutdown(host, rival, SHUT_RD), ENOTCONN);
    FAILS(cmptcp_shutdown(host, rival, 3), EINVAL);
    CHECK(cmptcp_poll(host, NULL, 0) == 0);
    FAILS(cmptcp_poll(host, NULL, 1), EFAULT);
    FAILS(cmptcp_poll(host, NULL, (nfds_t)-1), EINVAL);
    struct pollfd entries[3] = {{.fd = -1, .events = POLLIN}, {.fd = 9999, .events = POLLIN}, {.fd = rival}};
    CHECK(cmptcp_poll(host, entries, 3) == 2);
    CHECK(entries[0].revents == 0 && entries[1].revents == POLLNVAL && entries[2].revents == POLLHUP);
    CHECK(cmptcp_listen(host, plain, -1) == 0 && cmptcp_listen(host, plain, 5) == 0);
    FAILS(cmptcp_connect(host, plain, any(&other), 16), EISCONN);
    FAILS(cmptcp_shutdown(host, plain, SHUT_WR), ENOTCONN);
    cmptcp_host_destroy(host);

    config = defaults();
    config.mptcp_versions = 0;
    host = cmptcp_host_create(&config, 0);
    CHECK(host != NULL);
    FAILS(cmptcp_socket(host, AF_INET, SOCK_STREAM, MPTCP), EPROTONOSUPPORT);
    CHECK(cmptcp_socket(host, AF_INET, SOCK_STREAM, 0) >= 0);
    cmptcp_host_destroy(host);
}

/* Handles and descriptors that are none, or none any more. */
void test_handles(void) {
    cmptcp_config config = defaults();
    cmptcp_host *gone = cmptcp_host_create(&config, 0);
    CHECK(gone != NULL);
    int socket = cmptcp_socket(gone, AF_INET, SOCK_STREAM, 0);
    CHECK(cmptcp_close(gone, socket) == 0);
    FAILS(cmptcp_close(gone, socket), EBADF);
    CHECK(cmptcp_socket(gone, AF_INET, SOCK_STREAM, 0) != socket);
    cmptcp_host_destroy(gone);
    cmptcp_host_destroy(gone);
    cmptcp_host_destroy(NULL);
    cmptcp_host *host = cmptcp_host_create(&config, 0);
    CHECK(host != NULL && host != gone);
    cmptcp_host *bad[] = {NULL, gone, (cmptcp_host *)(uintptr_t)-1, (cmptcp_host *)&config};
    struct sockaddr_in address = ipv4("10.0.1.1", 1);
    socklen_t length = sizeof address;
    char byte = 0;
    int value = 1, interface;
    struct pollfd entry = {.fd = 3, .events = POLLIN};
    for (size_t index = 0; index < sizeof bad / sizeof *bad; index++) {
        cmptcp_host *h = bad[index];
        FAILS(cmptcp_interface_add(h, 1, 1500), EINVAL);
        FAILS(cmptcp_address_add(h, 1, any(&address), 24), EINVAL);
        FAILS(cmptcp_address_remove(h, any(&address)), EINVAL);
        FAILS(cmptcp_endpoint_add(h, 1, any(&address), 1), EINVAL);
        FAILS(cmptcp_endpoint_remove(h, 1), EINVAL);
        FAILS(cmptcp_limits(h, 1, 1), EINVAL);
        FAILS(cmptcp_option(h, "nagle", 1), EINVAL);
        FAILS(cmptcp_packet_in(h, 1, &byte, 1, 0), EINVAL);
        FAILS(cmptcp_packet_out(h, &interface, &byte, 1, 0), EINVAL);
        FAILS(cmptcp_advance(h, 0), EINVAL);
        errno = 0;
        CHECK(cmptcp_next_deadline(h) == INT64_MAX && errno == EINVAL);
        FAILS(cmptcp_socket(h, AF_INET, SOCK_STREAM, 0), EINVAL);
        FAILS(cmptcp_bind(h, 3, any(&address), length), EINVAL);
        FAILS(cmptcp_listen(h, 3, 1), EINVAL);
        FAILS(cmptcp_accept(h, 3, NULL, NULL), EINVAL);
        FAILS(cmptcp_connect(h, 3, any(&address), length), EINVAL);
        FAILS(cmptcp_recv(h, 3, &byte, 1, 0), EINVAL);
        FAILS(cmptcp_send(h, 3, &byte, 1, 0), EINVAL);
        FAILS(cmptcp_shutdown(h, 3, SHUT_WR), EINVAL);
        FAILS(cmptcp_close(h, 3), EINVAL);
        FAILS(cmptcp_getsockopt(h, 3, SOL_SOCKET, SO_ERROR, &value, &length), EINVAL);
        FAILS(cmptcp_setsockopt(h, 3, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value), EINVAL);
        FAILS(cmptcp_getsockname(h, 3, (struct sockaddr *)&address, &length), EINVAL);
        FAILS(cmptcp_getpeername(h, 3, (struct sockaddr *)&address, &length), EINVAL);
        FAILS(cmptcp_poll(h, &entry, 1), EINVAL);
        FAILS(cmptcp_counter(h, "MPTcpExtMPJoinSynRx"), EINVAL);
    }
    int numbers[] = {-1, 0, 2, 3, 12345, INT32_MAX, INT32_MIN};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        int s = numbers[index];
        FAILS(cmptcp_bind(host, s, any(&address), length), EBADF);
        FAILS(cmptcp_listen(host, s, 1), EBADF);
        FAILS(cmptcp_accept(host, s, NULL, NULL), EBADF);
        FAILS(cmptcp_connect(host, s, any(&address), length), EBADF);
        FAILS(cmptcp_recv(host, s, &byte, 1, 0), EBADF);
        FAILS(cmptcp_send(host, s, &byte, 1, 0), EBADF);
        FAILS(cmptcp_shutdown(host, s, SHUT_WR), EBADF);
        FAILS(cmptcp_close(host, s), EBADF);
        FAILS(cmptcp_getsockopt(host, s, SOL_SOCKET, SO_ERROR, &value, &length), EBADF);
        FAILS(cmptcp_setsockopt(host, s, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value), EBADF);
        FAILS(cmptcp_getsockname(host, s, (struct sockaddr *)&address, &length), EBADF);
        FAILS(cmptcp_getpeername(host, s, (struct sockaddr *)&address, &length), EBADF);
    }
    cmptcp_host_destroy(host);
}

/* Socket options: what is set is told again. */
void test_options(void) {
    cmptcp_config config = defaults();
    cmptcp_host *host = cmptcp_host_create(&config, 0);
    int socket = cmptcp_socket(host, AF_INET, SOCK_STREAM, MPTCP);
    static const struct {
        int level, name, value;
    } numbers[] = {{SOL_SOCKET, SO_REUSEADDR, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1}, {SOL_SOCKET, SO_SNDBUF, 65536},
                   {SOL_SOCKET, SO_RCVBUF, 65536}, {IPPROTO_TCP, TCP_NODELAY, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 60},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 5}, {IPPROTO_TCP, TCP_KEEPCNT, 3}, {IPPROTO_TCP, TCP_SYNCNT, 2},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000}, {IPPROTO_TCP, 25, 16384}};
    int value;
    socklen_t length;
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        int level = numbers[index].level, name = numbers[index].name;
        value = numbers[index].value;
        CHECK(cmptcp_setsockopt(host, socket, level, name, &value, sizeof value) == 0);
        value = -1;
        length = sizeof value;
        CHECK(cmptcp_getsockopt(host, socket, level, name, &value, &length) == 0);
        CHECK(length == sizeof value && value == numbers[index].value);
    }
    static const struct {
        int level, name, value;
    } fixed[] = {{SOL_SOCKET, SO_TYPE, SOCK_STREAM}, {SOL_SOCKET, SO_DOMAIN, AF_INET}, {SOL_SOCKET, SO_PROTOCOL, MPTCP},
                 {SOL_SOCKET, SO_ACCEPTCONN, 0}, {SOL_SOCKET, SO_ERROR, 0}, {IPPROTO_TCP, 43, 1}};
    for (size_t index = 0; index < sizeof fixed / sizeof *fixed; index++) {
        length = sizeof value;
        CHECK(cmptcp_getsockopt(host, socket, fixed[index].level, fixed[index].name, &value, &length) == 0);
        CHECK(value == fixed[index].value);
    }
    char text[16];
    CHECK(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_CONGESTION, "newreno", 7) == 0);
    FAILS(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_CONGESTION, "warp", 4), ENOENT);
    length = sizeof text;
    CHECK(cmptcp_getsockopt(host, socket, IPPROTO_TCP, TCP_CONGESTION, text, &length) == 0);
    CHECK(strcmp(text, "newreno") == 0);
    FAILS(cmptcp_setsockopt(host, socket, 77, 1, &value, sizeof value), ENOPROTOOPT);
    FAILS(cmptcp_getsockopt(host, socket, 77, 1, &value, &length), ENOPROTOOPT);
    FAILS(cmptcp_setsockopt(host, socket, SOL_SOCKET, SO_TYPE, &value, sizeof value), ENOPROTOOPT);
    FAILS(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_NODELAY, &value, 3), EINVAL);
    FAILS(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_NODELAY, NULL, 4), EFAULT);
    FAILS(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1), EINVAL);
    FAILS(cmptcp_getsockopt(host, socket, IPPROTO_TCP, TCP_NODELAY, NULL, &length), EFAULT);
    FAILS(cmptcp_getsockopt(host, socket, IPPROTO_TCP, TCP_NODELAY, &value, NULL), EFAULT);
    value = 500;
    FAILS(cmptcp_setsockopt(host, socket, IPPROTO_TCP, TCP_KEEPCNT, &value, sizeof value), EINVAL);
    cmptcp_host_destroy(host);
}
