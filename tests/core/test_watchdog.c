#define _GNU_SOURCE 1
/* The watchdog: it ends a process that does nothing, one that is stuck, and one that never acts on signals; it leaves
   alone whoever takes the deadline back. */
#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "net/watchdog.h"

static const tri_watchdog_end late = { "too late\n", 9, 4 };
static const tri_watchdog_end mute = { NULL, 0, 5 };

static int fail_event;

/* These go before the C library's. */
int eventfd(unsigned int count, int flags)
{
    errno = fail_event;
    return fail_event ? -1 : (int)syscall(SYS_eventfd2, count, flags);
}

static void nap(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        continue;
}

static tri_watchdog *new_dog(void)
{
    tri_watchdog *dog;
    CHECK(tri_watchdog_new(&dog, tri_mem_libc()) == 0 && tri_watchdog_is_own(dog));
    return dog;
}

/* Runs a function in a child with descriptor 2 in a pipe; returns its exit code, or 1000 and the signal. */
static int outcome(void (*child)(void), char text[64])
{
    int ends[2], status = 0;
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        child();
        _exit(check_failed != 0 ? 99 : 0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, 63);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void stuck(void)
{
    CHECK(tri_watchdog_set(new_dog(), 50, &late) == 0);
    for (volatile unsigned i = 0;; i++)
        continue;
}

static void silent(void)
{
    CHECK(tri_watchdog_set(new_dog(), 1, &mute) == 0);
    nap(5000);
}

/* A deadline moved on, and one taken back. */
static void patient(void)
{
    tri_watchdog *dog = new_dog();
    CHECK(tri_watchdog_set(dog, 50, &mute) == 0);
    CHECK(tri_watchdog_set(dog, 10000000, &late) == 0);
    nap(100);
    CHECK(tri_watchdog_set(dog, 50, &mute) == 0);
    CHECK(tri_watchdog_set(dog, 0, &mute) == 0);
    nap(100);
    CHECK(tri_watchdog_set(dog, 50, &mute) == 0);
    tri_watchdog_free(dog);
    nap(100);
}

/* Nobody reads standard error, which is full. */
static void unread(void)
{
    int ends[2];
    char page[4096] = { 0 };
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    while (write(ends[1], page, sizeof page) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    dup2(ends[1], 2);
    CHECK(tri_watchdog_set(new_dog(), 1, &late) == 0);
    nap(5000);
}

/* After a fork the child has none. */
static void forked(void)
{
    tri_watchdog *dog = new_dog();
    CHECK(tri_watchdog_set(dog, 200, &late) == 0);
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        nap(400);
        int own = tri_watchdog_is_own(dog);
        tri_watchdog_free(dog);
        _exit(own);
    }
    CHECK(tri_watchdog_set(dog, 0, &mute) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tri_watchdog_free(dog);
}

static void test_ends(void)
{
    char text[64];
    CHECK(outcome(stuck, text) == 4 && strcmp(text, "too late\n") == 0);
    CHECK(outcome(silent, text) == 5 && text[0] == '\0');
    CHECK(outcome(patient, text) == 0 && text[0] == '\0');
    CHECK(outcome(unread, text) == 4);
    CHECK(outcome(forked, text) == 0 && text[0] == '\0');
}

static volatile sig_atomic_t handled;

static void count(int number)
{
    handled += number;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void heed(tri_watchdog *dog, uint64_t first, uint64_t second)
{
    const tri_watchdog_signals signals = { { SIGUSR1, SIGUSR2 }, 2, { first, second, 1 }, 0, 0 };
    CHECK(tri_watchdog_heed(dog, &signals, &late) == 0);
    CHECK(tri_watchdog_heed(dog, &signals, &late) == TRI_ESTATE);
}

/* Handlers are called as before; the first signal ends nothing, the second does. */
static void second_signal(void)
{
    tri_watchdog *dog = new_dog();
    handle(SIGUSR1, count);
    handle(SIGUSR2, SIG_IGN);
    heed(dog, 0, 50);
    raise(SIGUSR1);
    nap(100);
    CHECK(handled == SIGUSR1);
    raise(SIGUSR2);
    CHECK(handled == SIGUSR1);
    if (check_failed == 0)
        nap(5000);
}

/* Any further one is the third. */
static void fourth_signal(void)
{
    tri_watchdog *dog = new_dog();
    handle(SIGUSR1, count);
    handle(SIGUSR2, count);
    heed(dog, 0, 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    nap(50);
    CHECK(tri_watchdog_set(dog, 0, &late) == 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    nap(5000);
}

/* A process that acts on the signal sets its own deadline; a freed watchdog has put the handlers back. */
static void acted_on(void)
{
    struct sigaction now;
    tri_watchdog *dog = new_dog();
    handle(SIGUSR1, count);
    handle(SIGUSR2, count);
    heed(dog, 50, 50);
    raise(SIGUSR1);
    CHECK(tri_watchdog_set(dog, 10000, &late) == 0);
    nap(100);
    handle(SIGUSR2, SIG_IGN);
    tri_watchdog_free(dog);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == count);
    CHECK(sigaction(SIGUSR2, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    raise(SIGUSR1);
    CHECK(handled == 2 * SIGUSR1);
}

/* Heeds a signal that may take for ever, unless the parent is not this one. */
static void heed_orphaned(uint32_t parent)
{
    tri_watchdog *dog = new_dog();
    const tri_watchdog_signals signals = { { SIGUSR1 }, 1, { 0, 0, 0 }, parent, 50 };
    handle(SIGUSR1, count);
    CHECK(tri_watchdog_heed(dog, &signals, &late) == 0);
    raise(SIGUSR1);
    nap(300);
}

/* Who has lost its parent has a deadline; who has not has none. */
static void orphaned(void)
{
    heed_orphaned((uint32_t)getppid() + 1);
}

static void not_orphaned(void)
{
    heed_orphaned((uint32_t)getppid());
}

static void test_signals(void)
{
    char text[64];
    CHECK(outcome(orphaned, text) == 4 && strcmp(text, "too late\n") == 0);
    CHECK(outcome(not_orphaned, text) == 0);
    CHECK(outcome(second_signal, text) == 4 && strcmp(text, "too late\n") == 0);
    CHECK(outcome(fourth_signal, text) == 4 && strcmp(text, "too late\n") == 0);
    CHECK(outcome(acted_on, text) == 0);
    tri_watchdog *dog = new_dog();
    const tri_watchdog_signals wrong = { { SIGUSR1, 9999 }, 2, { 1, 1, 1 }, 0, 0 };
    CHECK(tri_watchdog_heed(dog, &wrong, &late) == TRI_ESYS && errno == EINVAL);
    struct sigaction now;
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    tri_watchdog_free(dog);
}

static bool refuse_threads, refuse_timers;

/* What it needs may be short: nothing is left behind then. */
static void test_faults(void)
{
    tri_watchdog *dog;
    check_mem mem;
    check_mem_init(&mem);
    mem.fail_at = 1;
    CHECK(tri_watchdog_new(&dog, &mem.mem) == TRI_ENOMEM && dog == NULL);
    fail_event = EMFILE;
    CHECK(tri_watchdog_new(&dog, &mem.mem) == TRI_EMFILE && dog == NULL);
    fail_event = ENOMEM;
    CHECK(tri_watchdog_new(&dog, &mem.mem) == TRI_ESYS && dog == NULL);
    fail_event = 0;
    refuse_threads = true;
    CHECK(tri_watchdog_new(&dog, &mem.mem) == 0);
    CHECK(tri_watchdog_set(dog, 1, &late) == TRI_ESYS && errno == EAGAIN);
    refuse_threads = false;
    refuse_timers = true;
    CHECK(tri_watchdog_heed(dog, &(tri_watchdog_signals){ 0 }, &late) == TRI_ESYS && errno == EAGAIN);
    refuse_timers = false;
    tri_watchdog_free(dog);
    CHECK(mem.blocks_out == 0);
}

int timer_create(clockid_t clock, struct sigevent *how, timer_t *timer)
{
    int (*real)(clockid_t, struct sigevent *, timer_t *);
    void *found = dlsym(RTLD_NEXT, "timer_create");
    memcpy(&real, &found, sizeof real);
    errno = EAGAIN;
    return refuse_timers ? -1 : real(clock, how, timer);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &found, sizeof real);
    return refuse_threads ? EAGAIN : real(thread, attributes, run, context);
}

int main(void)
{
    test_ends();
    test_signals();
    test_faults();
    return check_report();
}
