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
    uint32_t pid;
    int event;
    bool runs; /* the thread does: only from the first deadline on, as the C library is slower beside a second thread */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows, up to the message */
    bool quit;
    uint64_t deadline; /* ms; 0 for none */
    int code;
    size_t n;
    char message[TRI_WATCHDOG_MESSAGE];
    tri_watchdog_signals signals;
    struct sigaction before[TRI_WATCHDOG_SIGNALS];
    struct sigaction alarm_before;
    timer_t timer;     /* set by handlers */
    uint64_t timer_at; /* ms; 0 while it is not set */
    unsigned came;     /* signals */
};

/* The one that heeds signals. A handler is told nothing but its signal's number, and signals are the process's. */
static tri_watchdog *heeding;

/* The signal of the timer. */
static int alarm_number(void)
{
    return SIGRTMAX - 1;
}

/* Ends the process. */
static _Noreturn void end_process(const tri_watchdog *dog)
{
    tri_sys_complain(dog->message, dog->n, MESSAGE_MS);
    tri_sys_exit(dog->code);
}

static uint64_t now_ms(void)
{
    return tri_sys_clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Nobody has acted on a signal in time. */
static void on_alarm(int number)
{
    tri_watchdog *dog = __atomic_load_n(&heeding, __ATOMIC_ACQUIRE);
    (void)number;
    if (dog != NULL && tri_watchdog_is_own(dog) && dog->timer_at != 0 && now_ms() >= dog->timer_at)
        end_process(dog);
}

/* How long the process may take after its signal number `which`, from 0; 0 for ever. */
static uint64_t patience_of(const tri_watchdog *dog, unsigned which)
{
    const tri_watchdog_signals *signals = &dog->signals;
    uint64_t patience = signals->patience_ms[which < TRI_WATCHDOG_PATIENCES ? which : TRI_WATCHDOG_PATIENCES - 1];
    bool orphan = signals->parent != 0 && tri_sys_parent() != signals->parent;
    return orphan && (patience == 0 || signals->orphan_ms < patience) ? signals->orphan_ms : patience;
}

/* Sets the timer by how many signals have come, unless it goes off earlier. */
static void limit_patience(tri_watchdog *dog)
{
    uint64_t patience = patience_of(dog, __atomic_fetch_add(&dog->came, 1, __ATOMIC_RELAXED));
    uint64_t at = now_ms() + patience;
    if (patience == 0 || (dog->timer_at != 0 && dog->timer_at <= at))
        return;
    dog->timer_at = at;
    tri_sys_alarm_set(dog->timer, at);
}

/* A signal came: the timer is set, and the handler from before is called. */
static void on_signal(int number)
{
    tri_watchdog *dog = __atomic_load_n(&heeding, __ATOMIC_ACQUIRE);
    if (dog == NULL)
        return;
    if (tri_watchdog_is_own(dog))
        limit_patience(dog);
    for (unsigned i = 0; i < dog->signals.n; i++) {
        void (*handler)(int) = dog->before[i].sa_handler;
        bool simple = !(dog->before[i].sa_flags & SA_SIGINFO) && handler != SIG_DFL && handler != SIG_IGN;
        if (dog->signals.numbers[i] == number && simple)
            handler(number);
    }
}

/* How long the thread may sleep, -1 without end; ends the process if it is time. Holds the lock. */
static int sleep_ms(tri_watchdog *dog)
{
    if (dog->deadline == 0)
        return -1;
    uint64_t now = now_ms();
    if (now >= dog->deadline)
        end_process(dog);
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

/* Starts the thread, with every signal blocked, unless it runs. Returns 0 or an errno. */
static int start(tri_watchdog *dog)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    if (dog->runs)
        return 0;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    (void)pthread_attr_setstacksize(&attributes, STACK); /* where it needs more, the usual size will do */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&dog->thread, &attributes, watch, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    dog->runs = error == 0;
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
    *out = dog;
    return TRI_OK;
}

bool tri_watchdog_is_own(const tri_watchdog *dog)
{
    return dog->pid == tri_sys_pid();
}

/* Puts back a handler, if that which is there now is ours. */
static void put_back(int number, void (*ours)(int), const struct sigaction *before)
{
    struct sigaction now;
    if (tri_sys_sigaction(number, NULL, &now) == 0 && now.sa_handler == ours)
        (void)!tri_sys_sigaction(number, before, NULL);
}

/* Heeds no signals any more, of which the first `n` have been. */
static void heed_none(tri_watchdog *dog, unsigned n)
{
    while (n-- > 0)
        put_back(dog->signals.numbers[n], on_signal, &dog->before[n]);
    if (tri_watchdog_is_own(dog))
        tri_sys_alarm_free(dog->timer);
    put_back(alarm_number(), on_alarm, &dog->alarm_before);
    __atomic_store_n(&heeding, NULL, __ATOMIC_RELEASE);
}

void tri_watchdog_free(tri_watchdog *dog)
{
    if (heeding == dog)
        heed_none(dog, dog->signals.n);
    if (dog->runs && tri_watchdog_is_own(dog)) {
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

int tri_watchdog_set(tri_watchdog *dog, uint64_t ms, const tri_watchdog_end *end)
{
    dog->timer_at = 0; /* the signals have been acted on */
    int error = start(dog);
    if (error != 0) {
        errno = error;
        return TRI_ESYS;
    }
    pthread_mutex_lock(&dog->lock);
    keep_end(dog, end);
    dog->deadline = ms == 0 ? 0 : now_ms() + ms;
    pthread_mutex_unlock(&dog->lock);
    tri_sys_event_set(dog->event);
    return TRI_OK;
}

/* Makes the timer and the handler that it calls. */
static int make_alarm(tri_watchdog *dog)
{
    const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    if (tri_sys_alarm_new(alarm_number(), &dog->timer) != 0)
        return TRI_ESYS;
    if (tri_sys_sigaction(alarm_number(), &action, &dog->alarm_before) == 0)
        return TRI_OK;
    tri_sys_alarm_free(dog->timer);
    return TRI_ESYS;
}

int tri_watchdog_heed(tri_watchdog *dog, const tri_watchdog_signals *signals, const tri_watchdog_end *end)
{
    if (heeding != NULL)
        return TRI_ESTATE;
    int error = make_alarm(dog);
    if (error != 0)
        return error;
    keep_end(dog, end);
    dog->signals = *signals;
    __atomic_store_n(&heeding, dog, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < signals->n; i++) {
        struct sigaction ours;
        if (tri_sys_sigaction(signals->numbers[i], NULL, &dog->before[i]) != 0) {
            heed_none(dog, i);
            return TRI_ESYS;
        }
        ours = dog->before[i];
        ours.sa_flags &= ~SA_SIGINFO;
        ours.sa_handler = on_signal;
        (void)!tri_sys_sigaction(signals->numbers[i], &ours, NULL); /* what can be read can be set, save for two */
    }
    return TRI_OK;
}
