/*
 * A clock for programs that are run under callgrind, to be loaded before the C library: every look at it finds it a
 * microsecond later. Such a program is slowed down some fifty times; by the true clock it would use up its time slices
 * after a few requests, and sooner on a busy machine, so that no two counts would be alike. A timer set to a time of
 * this clock waits for as long as that is ahead: by the true clock, which goes faster, it would always be late.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CLOCKS = 16 };

enum { SECOND = 1000000000 };

static struct timespec start[CLOCKS];
static uint64_t looks[CLOCKS];

/* What the clock shows, in nanoseconds since the second in which it was first looked at. */
static uint64_t passed(clockid_t clock)
{
    return (uint64_t)start[clock].tv_nsec + looks[clock] * 1000;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock < 0 || clock >= CLOCKS)
        return (int)syscall(SYS_clock_gettime, clock, now);
    if (looks[clock]++ == 0)
        syscall(SYS_clock_gettime, clock, &start[clock]);
    now->tv_sec = start[clock].tv_sec + (time_t)(passed(clock) / SECOND);
    now->tv_nsec = (long)(passed(clock) % SECOND);
    return 0;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *before)
{
    struct itimerspec ahead = *to;
    struct timespec *due = &ahead.it_value;
    if ((flags & TFD_TIMER_ABSTIME) && (due->tv_sec != 0 || due->tv_nsec != 0)) {
        int64_t left = (int64_t)(due->tv_sec - start[CLOCK_MONOTONIC].tv_sec) * SECOND + due->tv_nsec
                       - (int64_t)passed(CLOCK_MONOTONIC);
        left = left > 0 ? left : 1;
        due->tv_sec = (time_t)(left / SECOND);
        due->tv_nsec = (long)(left % SECOND);
        flags &= ~TFD_TIMER_ABSTIME;
    }
    return (int)syscall(SYS_timerfd_settime, fd, flags, &ahead, before);
}
