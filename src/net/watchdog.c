#define _GNU_SOURCE 1
#include "net/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "net/sys.h"

/* How long the message may wait for room at most, and the thread's stack. */
enum { MESSAGE_MS = 100, STACK = 65536 };

struct tri_watchdog {
    const tri_mem *mem;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows, up to the message */
    int event;
    uint32_t pid;
    bool quit;
    uint64_t deadline; /* ms; 0 for none */
    unsigned heeded;   /* signals that the deadline was set for */
    tri_watchdog_signals signals;
    int code;
    size_t n;
    char message[TRI_WATCHDOG_MESSAGE];
    unsigned came; /* signals; written by handlers */
    struct sigaction before[TRI_WATCHDOG_SIGNALS];
};

/* The one that heeds signals. A handler is told nothing but its signal's number, and signals are the process's. */
static tri_watchdog *heeding;

/* A signal came: the thread is told, and the handler from before is called. */
static void on_signal(int number)
{
    tri_watchdog *dog = __atomic_load_n(&heeding, __ATOMIC_ACQUIRE);
    if (dog == NULL)
        return;
    __atomic_add_fetch(&dog->came, 1, __ATOMIC_RELAXED);
    tri_sys_event_set(dog->event);
    for (unsigned i = 0; i < dog->signals.n; i++) {
        void (*handler)(int) = dog->before[i].sa_handler;
        bool simple = !(dog->before[i].sa_flags & SA_SIGINFO) && handler != SIG_DFL && handler != SIG_IGN;
        if (dog->signals.numbers[i] == number && simple)
            handler(number);
    }
}

/* How long the process may take after its signal number `which`, from 0; 0 for ever. */
static uint64_t patience_of(const tri_watchdog *dog, unsigned which)
{
    const tri_watchdog_signals *signals = &dog->signals;
    uint64_t patience = signals->patience_ms[which < TRI_WATCHDOG_PATIENCES ? which : TRI_WATCHDOG_PATIENCES - 1];
    bool orphan = signals->parent != 0 && tri_sys_parent() != signals->parent;
    return orphan && (patience == 0 || signals->orphan_ms < patience) ? signals->orphan_ms : patience;
}

/* Sets the deadline by the signals that have come since the last time. */
static void look_at_signals(tri_watchdog *dog)
{
    unsigned came = __atomic_load_n(&dog->came, __ATOMIC_RELAXED);
    while (dog->heeded < came) {
        uint64_t patience = patience_of(dog, dog->heeded);
        uint64_t deadline = tri_sys_clock_ns(CLOCK_MONOTONIC) / 1000000 + patience;
        dog->heeded++;
        if (patience != 0 && (dog->deadline == 0 || deadline < dog->deadline))
            dog->deadline = deadline;
    }
}

/* How long the thread may sleep, -1 without end; ends the process if it is time. Holds the lock. */
static int sleep_ms(tri_watchdog *dog)
{
    look_at_signals(dog);
    if (dog->deadline == 0)
        return -1;
    uint64_t now = tri_sys_clock_ns(CLOCK_MONOTONIC) / 1000000;
    if (now >= dog->deadline) {
        tri_sys_complain(dog->message, dog->n, MESSAGE_MS);
        tri_sys_exit(dog->code);
    }
    uint64_t left = dog->deadline - now;
    return left > 3600000 ? 3600000 : (int)left;
}

/* The thread: sleeps until something changes or the deadline passes. */
static void *watch(void *context)
{
    tri_watchdog *dog = context;
    pthread_mutex_lock(&dog->lock);
    while (!dog->quit) {
        int ms = sleep_ms(dog);
        pthread_mutex_unlock(&dog->lock);
        tri_sys_event_wait(dog->event, ms);
        pthread_mutex_lock(&dog->lock);
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

/* Starts the thread with every signal blocked. Returns 0 or an errno. */
static int start(tri_watchdog *dog)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    (void)pthread_attr_setstacksize(&attributes, STACK); /* where it needs more, the usual size will do */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&dog->thread, &attributes, watch, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

int tri_watchdog_new(tri_watchdog **out, const tri_mem *mem)
{
    *out = NULL;
    tri_watchdog *dog = tri_mem_zalloc(mem, sizeof *dog);
    if (dog == NULL)
        return TRI_ENOMEM;
    dog->mem = mem;
    dog->pid = tri_sys_pid();
    dog->event = tri_sys_event_new();
    if (dog->event < 0) {
        tri_mem_free(mem, dog, sizeof *dog);
        return errno == EMFILE || errno == ENFILE ? TRI_EMFILE : TRI_ESYS;
    }
    pthread_mutex_init(&dog->lock, NULL);
    int error = start(dog);
    if (error != 0) {
        tri_sys_close(dog->event);
        tri_mem_free(mem, dog, sizeof *dog);
        errno = error;
        return TRI_ESYS;
    }
    *out = dog;
    return TRI_OK;
}

bool tri_watchdog_is_own(const tri_watchdog *dog)
{
    return dog->pid == tri_sys_pid();
}

/* Puts back those of the first `n` handlers that are still ours. */
static void put_back(tri_watchdog *dog, unsigned n)
{
    while (n-- > 0) {
        struct sigaction now;
        int number = dog->signals.numbers[n];
        if (tri_sys_sigaction(number, NULL, &now) == 0 && now.sa_handler == on_signal)
            (void)!tri_sys_sigaction(number, &dog->before[n], NULL);
    }
    __atomic_store_n(&heeding, NULL, __ATOMIC_RELEASE);
}

void tri_watchdog_free(tri_watchdog *dog)
{
    if (heeding == dog)
        put_back(dog, dog->signals.n);
    if (tri_watchdog_is_own(dog)) {
        pthread_mutex_lock(&dog->lock);
        dog->quit = true;
        pthread_mutex_unlock(&dog->lock);
        tri_sys_event_set(dog->event);
        pthread_join(dog->thread, NULL);
    }
    tri_sys_close(dog->event);
    tri_mem_free(dog->mem, dog, sizeof *dog);
}

/* Keeps what is done at the end. */
static void keep_end(tri_watchdog *dog, const tri_watchdog_end *end)
{
    dog->n = end->n < sizeof dog->message ? end->n : sizeof dog->message;
    dog->code = end->code;
    if (dog->n > 0)
        memcpy(dog->message, end->message, dog->n);
}

void tri_watchdog_set(tri_watchdog *dog, uint64_t ms, const tri_watchdog_end *end)
{
    pthread_mutex_lock(&dog->lock);
    keep_end(dog, end);
    dog->heeded = __atomic_load_n(&dog->came, __ATOMIC_RELAXED);
    dog->deadline = ms == 0 ? 0 : tri_sys_clock_ns(CLOCK_MONOTONIC) / 1000000 + ms;
    pthread_mutex_unlock(&dog->lock);
    tri_sys_event_set(dog->event);
}

int tri_watchdog_heed(tri_watchdog *dog, const tri_watchdog_signals *signals, const tri_watchdog_end *end)
{
    if (heeding != NULL)
        return TRI_ESTATE;
    pthread_mutex_lock(&dog->lock);
    keep_end(dog, end);
    dog->signals = *signals;
    pthread_mutex_unlock(&dog->lock);
    __atomic_store_n(&heeding, dog, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < signals->n; i++) {
        struct sigaction ours;
        if (tri_sys_sigaction(signals->numbers[i], NULL, &dog->before[i]) != 0) {
            put_back(dog, i);
            return TRI_ESYS;
        }
        ours = dog->before[i];
        ours.sa_flags &= ~SA_SIGINFO;
        ours.sa_handler = on_signal;
        (void)!tri_sys_sigaction(signals->numbers[i], &ours, NULL); /* what can be read can be set, save for two */
    }
    return TRI_OK;
}
