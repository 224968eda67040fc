/* A timer wheel: deadlines in milliseconds of a clock that the caller passes in. Adding and removing are O(1), no
   allocation. */
#ifndef TRI_BASE_TIMER_H
#define TRI_BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Ticks of 8 ms, 4 levels of 64 slots: 36 hours ahead; later deadlines wait in the last slot and are filed again. */
enum { TRI_WHEEL_TICK = 8, TRI_WHEEL_SLOTS = 64, TRI_WHEEL_LEVELS = 4 };

typedef struct tri_timer {
    tri_list link;
    uint64_t deadline; /* ms; 0 while not set */
} tri_timer;

typedef struct tri_wheel {
    /* private */
    tri_list slots[TRI_WHEEL_LEVELS][TRI_WHEEL_SLOTS];
    uint64_t occupied[TRI_WHEEL_LEVELS]; /* a bit per slot that may hold timers */
    uint64_t tick;                       /* everything due before it has fired */
} tri_wheel;

void tri_wheel_init(tri_wheel *wheel, uint64_t now);
void tri_timer_init(tri_timer *timer);
/* Sets or moves `timer` to fire at `deadline` (ms); never early, at most two ticks late. */
void tri_wheel_set(tri_wheel *wheel, tri_timer *timer, uint64_t deadline);
/* Unsets `timer`; no harm if it is not set. */
void tri_wheel_unset(tri_wheel *wheel, tri_timer *timer);
/* Moves every timer due at `now` into `due` (a list head), unset, in no particular order within a tick. */
void tri_wheel_advance(tri_wheel *wheel, uint64_t now, tri_list *due);
/* When tri_wheel_advance should next be called (ms), or 0 when no timer is set. It may be early, never late. */
uint64_t tri_wheel_next(const tri_wheel *wheel);

#endif
