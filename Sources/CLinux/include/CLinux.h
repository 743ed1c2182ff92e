#pragma once

// Linux constants, structures and the few calls that Swift cannot reach: variadic ones (ioctl, open) and macros that
// the importer does not understand. No logic lives here. Calls return -1 with errno set, as the system's do.

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "CLinuxLoop.h"

/// open(2), always with O_CLOEXEC.
int clinux_open(const char *path, int flags, unsigned mode);

/// Sets O_NONBLOCK on a descriptor.
int clinux_set_nonblocking(int descriptor);

/// TUNSETIFF on an open /dev/net/tun. `name` holds IFNAMSIZ bytes; the name the kernel gave is written back.
int clinux_tun_attach(int descriptor, char *name, int flags);

/// TUNSETVNETHDRSZ: bytes of the virtio-net header before each packet.
int clinux_tun_set_header_size(int descriptor, int size);

/// TUNSETOFFLOAD: TUN_F_* for the packets that the kernel hands to us.
int clinux_tun_set_offload(int descriptor, unsigned flags);

/// SO_ATTACH_FILTER: replaces the classic BPF program of a socket.
int clinux_attach_filter(int descriptor, const struct sock_filter *program, uint16_t count);

/// Moves the calling thread into the network namespace /run/netns/NAME.
int clinux_enter_namespace(const char *name);

/// Blocks these signals in the calling thread and returns a non-blocking signalfd that reports them. Call it before
/// other threads start, which inherit the mask.
int clinux_signal_descriptor(const int *signals, int count);

/// Ignores SIGPIPE and SIGXFSZ, so that a closed pipe or a file-size limit is an error of write(2).
int clinux_ignore_write_signals(void);

/// A monotonic timerfd, non-blocking; see clinux_timer_set.
int clinux_timer_create(void);

/// Arms a timerfd for an absolute CLOCK_MONOTONIC time in nanoseconds; INT64_MAX disarms it.
int clinux_timer_set(int descriptor, int64_t nanoseconds);

/// A non-blocking eventfd.
int clinux_event_create(void);
