/* The reactor: one epoll set with a timerfd and an eventfd in it. Its own descriptor is what an async library waits on.
   It must be made after a fork, never shared across one. */
#ifndef TRI_NET_REACTOR_H
#define TRI_NET_REACTOR_H

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

enum tri_interest {
    TRI_READ = 1,
    TRI_WRITE = 2,
    TRI_HANGUP = 4, /* the peer ended its side (wait for it without reading) */
    TRI_FAIL = 8,   /* reset or both sides closed; reported with any other, or asked for alone */
};

/* A descriptor of somebody's, embedded in it; the reactor only points to it. */
typedef struct tri_source {
    int fd;
    uint8_t interest; /* what the kernel was told */
    uint8_t kind;     /* the owner's own, untouched */
} tri_source;

typedef struct tri_ready {
    tri_source *source;
    unsigned events; /* enum tri_interest */
} tri_ready;

/* Most events that one poll reports; what is beyond is reported by the next. */
enum { TRI_REACTOR_BATCH = 256 };

typedef struct tri_reactor tri_reactor;

/* TRI_ENOMEM, TRI_EMFILE or TRI_ESYS. The caller owns it. */
TRI_NODISCARD int tri_reactor_new(tri_reactor **out, const tri_mem *mem);
void tri_reactor_free(tri_reactor *reactor);
/* The descriptor to wait on: readable when tri_reactor_poll has something. */
int tri_reactor_fd(const tri_reactor *reactor);
/* Watches `source` for `interest`, level-triggered; 0 stops watching. A system call only when it changes. TRI_ENOMEM,
   TRI_ESYS; then `source->interest` is as before. A source that closes its descriptor just sets its interest to 0: the
   kernel forgets it (unless the descriptor was duplicated). */
TRI_NODISCARD int tri_reactor_watch(tri_reactor *reactor, tri_source *source, unsigned interest);
/* What is ready, without waiting (`timeout_ms` 0), for a time, or without end (-1). Returns how many (0 to `max`; at
   most TRI_REACTOR_BATCH), or TRI_ESYS. Timer and wake-up events are taken in here: they end a wait but are not
   reported. A signal ends a timed wait. Before a source in `out` goes away while `out` is still being worked on, its
   owner must forget that entry. */
TRI_NODISCARD int tri_reactor_poll(tri_reactor *reactor, tri_ready *out, int max, int timeout_ms);
/* Makes the descriptor readable at `deadline_ms` of tri_reactor_now, at the latest; 0 for no matter when. A system call
   only when that is earlier than what it was armed for, so a deadline that moved on wakes once for nothing. */
void tri_reactor_arm(tri_reactor *reactor, uint64_t deadline_ms);
/* Makes the descriptor readable now. Safe in signal handlers and from other threads. */
void tri_reactor_wake(tri_reactor *reactor);
/* Milliseconds and nanoseconds of CLOCK_MONOTONIC. */
uint64_t tri_reactor_now(void);
uint64_t tri_reactor_now_ns(void);

#endif
