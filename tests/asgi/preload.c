#define _GNU_SOURCE 1
/* What a server under test has instead of some calls of the C library's, loaded before it: a connection cannot be
   accepted, the wall clock stands elsewhere, the other clock leaps. The test says when, in memory that it shares with
   the server and all of its workers. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* As tests/asgi/faulty.py has it. */
typedef struct faults {
    int64_t wall_s;        /* how far the wall clock is ahead */
    int64_t steady_s;      /* how far the other one has leapt */
    int32_t accept_error;  /* the errno of accepting; 0 for none */
    uint32_t accept_fails; /* how often it still fails */
    uint32_t accept_tried; /* how often it has failed */
} faults;

static faults none;
static faults *shared = &none;

/* Finds the memory of the test's. */
__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("TRICORN_TEST_FAULTS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED)
        shared = memory;
    if (fd >= 0)
        close(fd);
}

/* How far a clock is ahead. */
static int64_t ahead(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return __atomic_load_n(&shared->wall_s, __ATOMIC_RELAXED);
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        return __atomic_load_n(&shared->steady_s, __ATOMIC_RELAXED);
    default:
        return 0;
    }
}

/* When the kernel's own clock has come to that time; what has passed is at once, but not "never". */
static struct timespec to_kernel(clockid_t clock, struct timespec at)
{
    if (at.tv_sec == 0 && at.tv_nsec == 0)
        return at;
    at.tv_sec -= ahead(clock);
    return at.tv_sec < 0 ? (struct timespec){ 0, 1 } : at;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0)
        now->tv_sec += ahead(clock);
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
    return 0;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    struct itimerspec real = *when;
    if (flags & TFD_TIMER_ABSTIME)
        real.it_value = to_kernel(CLOCK_MONOTONIC, when->it_value);
    return (int)syscall(SYS_timerfd_settime, fd, flags, &real, before);
}

int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict when, struct itimerspec *restrict before)
{
    static int (*real)(timer_t, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec to = *when;
    if (real == NULL)
        real = (int (*)(timer_t, int, const struct itimerspec *, struct itimerspec *))(uintptr_t)dlsym(RTLD_NEXT,
                                                                                                       "timer_settime");
    if (flags & TIMER_ABSTIME)
        to.it_value = to_kernel(CLOCK_MONOTONIC, when->it_value);
    return real(timer, flags, &to, before);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict at)
{
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    struct timespec to = to_kernel(clock, *at);
    if (real == NULL)
        real = (int (*)(sem_t *, clockid_t, const struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "sem_clockwait");
    return real(semaphore, clock, &to);
}

/* Whether this call of accept4() fails, and counts it. */
static bool refuses(void)
{
    uint32_t left = __atomic_load_n(&shared->accept_fails, __ATOMIC_RELAXED);
    while (left > 0) {
        if (!__atomic_compare_exchange_n(&shared->accept_fails, &left, left - 1, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            continue;
        __atomic_fetch_add(&shared->accept_tried, 1, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    if (refuses()) {
        errno = shared->accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, peer, size, flags);
}
