/* How late the library's loop comes to the reactor: a peak that decays. Without I/O: time is a parameter, in
   milliseconds of one monotonic clock. */
#ifndef TRI_SERVER_LAG_H
#define TRI_SERVER_LAG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TRI_LAG_IDLE_MS = 250,   /* between two looks while no application is at work */
    TRI_LAG_BUSY_MS = 50,    /* and while one is: what is shorter than this by so much may be missed */
    TRI_LAG_DECAY_MS = 5000, /* until a peak is forgotten */
};

/* Zeroed it is off, and costs nothing. */
typedef struct tri_lag {
    bool on;
    uint64_t due;  /* the next look; 0 while off */
    uint64_t turn; /* the last turn began; 0 before the first */
    uint64_t peak; /* how late it was at `peak_at` */
    uint64_t peak_at;
} tri_lag;

/* Begins to measure; when it was on already nothing changes. */
void tri_lag_start(tri_lag *lag, uint64_t now);
/* A turn begins; `waited` when the loop was waiting for the reactor before it, and not the reactor for the loop.
   Returns whether a look was due; the next is `busy` or not by whether applications are at work. */
bool tri_lag_turn(tri_lag *lag, uint64_t now, bool waited, bool busy);
/* The loop waits for the reactor from now on. */
void tri_lag_wait(tri_lag *lag, uint64_t now, bool busy);
/* The peak as it is at `now`; 0 while off. */
uint64_t tri_lag_ms(const tri_lag *lag, uint64_t now);

#endif
