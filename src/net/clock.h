/* The wall clock, for Date and the log. */
#ifndef TRI_NET_CLOCK_H
#define TRI_NET_CLOCK_H

#include <stdint.h>

/* Seconds since 1970-01-01 00:00 UTC. */
int64_t tri_clock_wall(void);
/* Nanoseconds since then. */
uint64_t tri_clock_wall_ns(void);

#endif
