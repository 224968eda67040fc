#define _GNU_SOURCE 1
#include "net/clock.h"

#include "net/sys.h"

int64_t tri_clock_wall(void)
{
    return (int64_t)(tri_sys_clock_ns(CLOCK_REALTIME_COARSE) / 1000000000);
}

uint64_t tri_clock_wall_ns(void)
{
    return tri_sys_clock_ns(CLOCK_REALTIME);
}
