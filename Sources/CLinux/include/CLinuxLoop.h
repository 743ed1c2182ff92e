// epoll and eventfd for the stack's loop: not in Swift's Glibc module.
#pragma once
#include <stdint.h>

enum {
    CLINUX_POLL_IN = 1,
    CLINUX_POLL_OUT = 2,
};

// What one descriptor is ready for: `tag` as given to clinux_poller_set.
typedef struct {
    uint32_t tag;
    uint32_t events;
} clinux_ready;

// Each returns a descriptor or -1 with errno set.
int clinux_poller_create(void);
int clinux_wake_create(void);

// Adds `fd`, or changes what it is watched for; 0, or -1 with errno set.
int clinux_poller_set(int poller, int fd, uint32_t tag, uint32_t events);

// Watches `fd` no more; one that isn't watched is no error.
void clinux_poller_remove(int poller, int fd);

// Waits at most `nanoseconds` (negative: for ever); the number of entries written to `ready`, 0 after the time or a
// signal, -1 with errno set.
int clinux_poller_wait(int poller, clinux_ready *ready, int capacity, int64_t nanoseconds);

// Makes the wake descriptor readable; takes that back. Neither blocks.
void clinux_wake(int fd);
void clinux_wake_clear(int fd);
