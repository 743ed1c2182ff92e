#define _GNU_SOURCE
#include "CLinuxLoop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { maximum_ready = 64 };

int clinux_poller_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int clinux_wake_create(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int clinux_poller_set(int poller, int fd, uint32_t tag, uint32_t events) {
    struct epoll_event event = {0};
    if (events & CLINUX_POLL_IN) event.events |= EPOLLIN;
    if (events & CLINUX_POLL_OUT) event.events |= EPOLLOUT;
    event.data.u32 = tag;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    if (errno != ENOENT) return -1;
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

void clinux_poller_remove(int poller, int fd) { epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL); }

static int wait_nanoseconds(int poller, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    if (nanoseconds <= 0) return epoll_wait(poller, events, capacity, nanoseconds < 0 ? -1 : 0);
#ifdef SYS_epoll_pwait2
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = syscall(SYS_epoll_pwait2, poller, events, capacity, &limit, NULL, 0);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
#endif
    // Kernels before 5.11 know milliseconds only: rounded up, so that a timer is never looked at too early in a spin.
    int64_t milliseconds = nanoseconds / 1000000 + 1;
    return epoll_wait(poller, events, capacity, milliseconds > 3600000 ? 3600000 : (int)milliseconds);
}

int clinux_poller_wait(int poller, clinux_ready *ready, int capacity, int64_t nanoseconds) {
    struct epoll_event events[maximum_ready];
    if (capacity > maximum_ready) capacity = maximum_ready;
    int count = wait_nanoseconds(poller, events, capacity, nanoseconds);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int index = 0; index < count; index++) {
        ready[index].tag = events[index].data.u32;
        ready[index].events = 0;
        // An error is learnt by reading or writing: it makes the descriptor ready for what it was watched for.
        if (events[index].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) ready[index].events |= CLINUX_POLL_IN;
        if (events[index].events & (EPOLLOUT | EPOLLERR)) ready[index].events |= CLINUX_POLL_OUT;
    }
    return count;
}

void clinux_wake(int fd) {
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; // EAGAIN: it is readable already
}

void clinux_wake_clear(int fd) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
}
