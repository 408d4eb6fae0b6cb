#ifndef CELERIAC_CSHIMS_H
#define CELERIAC_CSHIMS_H

// What Swift cannot import by itself: epoll's packed union, eventfd, the socket options of <netinet/tcp.h>, and
// extensions of glibc.
// Wrappers only, inline where the headers allow; no state, no policy.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/// Adds, changes or removes interest in a descriptor; `tag` comes back with each of its events.
static inline int celeriac_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t tag) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u64 = tag;
    return epoll_ctl(epoll, operation, descriptor, &event);
}

static inline uint64_t celeriac_epoll_tag(const struct epoll_event *event) { return event->data.u64; }
static inline uint32_t celeriac_epoll_events(const struct epoll_event *event) { return event->events; }

/// Waits for events as long as so many nanoseconds; for ever if negative.
///
/// Kernels before 5.11 and other libraries wait in whole milliseconds: the time is rounded up, lest the rest be spent
/// spinning.
static inline int celeriac_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds) {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
    if (nanoseconds > 0) {
        struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
        int count = epoll_pwait2(epoll, events, capacity, &timeout, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    }
#endif
#endif
    return epoll_wait(epoll, events, capacity, nanoseconds < 0 ? -1 : (int)((nanoseconds + 999999) / 1000000));
}

static const uint32_t celeriac_epoll_in = EPOLLIN;
static const uint32_t celeriac_epoll_out = EPOLLOUT;
static const uint32_t celeriac_epoll_error = EPOLLERR;
static const uint32_t celeriac_epoll_hangup = EPOLLHUP;
static const uint32_t celeriac_epoll_read_hangup = EPOLLRDHUP;
static const int celeriac_epoll_cloexec = EPOLL_CLOEXEC;
static const int celeriac_eventfd_flags = EFD_CLOEXEC | EFD_NONBLOCK;

static inline int celeriac_set_no_delay(int descriptor) {
    int on = 1;
    return setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// Octets that must have arrived before the kernel tells that a socket is readable.
static inline int celeriac_set_receive_low_water(int descriptor, int octets) {
    return setsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &octets, sizeof octets);
}

/// Asks the peer's kernel for a sign of life after so many idle seconds, then at intervals, so many times.
static inline int celeriac_set_keep_alive(int descriptor, int idle, int interval, int probes) {
    int on = 1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) return -1;
    if (setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) != 0) return -1;
    if (setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval) != 0) return -1;
    return setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/// Has the allocator keep up to twice so many octets of freed memory for the process.
///
/// glibc keeps twice as much as the largest mapped block that was ever freed (mallopt(3), dynamic threshold): one is
/// freed here.
static inline void celeriac_keep_freed_memory(size_t octets) {
    void *volatile block = malloc(octets);  // volatile, or the compiler would take both calls for nothing
    free(block);
}

/// Milliseconds that written data may stay unacknowledged, or find the peer's window closed, before the kernel gives the
/// connection up; zero for the system's own bound.
static inline int celeriac_set_user_timeout(int descriptor, unsigned int milliseconds) {
    return setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

/// Octets that have arrived at a socket and were not read.
static inline int celeriac_unread_octets(int descriptor) {
    int octets = 0;
    return ioctl(descriptor, FIONREAD, &octets) == 0 ? octets : 0;
}

/// The pending error of a socket, as after a non-blocking connect; -1 with errno when it cannot be read.
static inline int celeriac_socket_error(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : -1;
}

/// Names the calling thread in tools such as `top -H`; a null-terminated text, cut at 15 octets.
static inline void celeriac_name_thread(const unsigned char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Has a child that is spawned close all descriptors from a number on.
int celeriac_spawn_closes_from(posix_spawn_file_actions_t *actions, int lowest);

#endif
