#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int clinux_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }

int clinux_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int clinux_tun_attach(int descriptor, char *name, int flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = (short)flags;
    int result = ioctl(descriptor, TUNSETIFF, &request);
    if (result == 0) memcpy(name, request.ifr_name, IFNAMSIZ);
    return result;
}

int clinux_tun_set_header_size(int descriptor, int size) { return ioctl(descriptor, TUNSETVNETHDRSZ, &size); }

int clinux_tun_set_offload(int descriptor, unsigned flags) {
    return ioctl(descriptor, TUNSETOFFLOAD, (unsigned long)flags);
}

int clinux_attach_filter(int descriptor, const struct sock_filter *program, uint16_t count) {
    struct sock_fprog filter = {.len = count, .filter = (struct sock_filter *)program};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

int clinux_enter_namespace(const char *name) {
    char path[256];
    if (strchr(name, '/') != NULL || snprintf(path, sizeof path, "/run/netns/%s", name) >= (int)sizeof path) {
        errno = EINVAL;
        return -1;
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    int result = setns(descriptor, CLONE_NEWNET);
    int saved = errno;
    close(descriptor);
    errno = saved;
    return result;
}

int clinux_signal_descriptor(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int index = 0; index < count; index++) {
        if (sigaddset(&set, signals[index]) != 0) return -1;
    }
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int clinux_ignore_write_signals(void) {
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ? -1 : 0;
}

int clinux_timer_create(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

int clinux_timer_set(int descriptor, int64_t nanoseconds) {
    struct itimerspec value;
    memset(&value, 0, sizeof value);
    if (nanoseconds != INT64_MAX) {
        if (nanoseconds < 1) nanoseconds = 1; // an all-zero value would disarm
        value.it_value.tv_sec = nanoseconds / 1000000000;
        value.it_value.tv_nsec = nanoseconds % 1000000000;
    }
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &value, NULL);
}

int clinux_event_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
