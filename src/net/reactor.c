#include "net/reactor.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "net/sys.h"

struct tri_reactor {
    const tri_mem *mem;
    int epoll;
    tri_source timer;
    tri_source event;
    uint64_t armed; /* ms at which the timer goes off; 0 when it is not set */
};

static const unsigned askable = TRI_READ | TRI_WRITE | TRI_HANGUP | TRI_FAIL;

/* What a failed call means here. */
static int sys_error(void)
{
    switch (errno) {
    case ENOMEM:
    case ENOSPC: /* the user's quota of epoll entries */
        return TRI_ENOMEM;
    case EMFILE:
    case ENFILE:
        return TRI_EMFILE;
    default:
        return TRI_ESYS;
    }
}

/* The kernel's word for an interest. */
static uint32_t to_epoll(unsigned interest)
{
    uint32_t events = 0;
    if (interest & TRI_READ)
        events |= EPOLLIN;
    if (interest & TRI_WRITE)
        events |= EPOLLOUT;
    if (interest & TRI_HANGUP)
        events |= EPOLLRDHUP;
    return events;
}

/* Our word for the kernel's events. */
static unsigned from_epoll(uint32_t events)
{
    unsigned ready = 0;
    if (events & EPOLLIN)
        ready |= TRI_READ;
    if (events & EPOLLOUT)
        ready |= TRI_WRITE;
    if (events & EPOLLRDHUP)
        ready |= TRI_HANGUP;
    if (events & (EPOLLERR | EPOLLHUP))
        ready |= TRI_FAIL;
    return ready;
}

/* Makes the three descriptors; what was made stays for tri_reactor_free. */
static int open_all(tri_reactor *reactor)
{
    reactor->epoll = tri_sys_epoll_new();
    if (reactor->epoll < 0)
        return sys_error();
    reactor->timer.fd = tri_sys_timer_new();
    if (reactor->timer.fd < 0)
        return sys_error();
    reactor->event.fd = tri_sys_event_new();
    if (reactor->event.fd < 0)
        return sys_error();
    int error = tri_reactor_watch(reactor, &reactor->timer, TRI_READ);
    return error != TRI_OK ? error : tri_reactor_watch(reactor, &reactor->event, TRI_READ);
}

int tri_reactor_new(tri_reactor **out, const tri_mem *mem)
{
    *out = NULL;
    tri_reactor *reactor = tri_mem_alloc(mem, sizeof *reactor);
    if (reactor == NULL)
        return TRI_ENOMEM;
    *reactor = (tri_reactor){ .mem = mem, .epoll = -1, .timer = { .fd = -1 }, .event = { .fd = -1 } };
    int error = open_all(reactor);
    if (error != TRI_OK) {
        tri_reactor_free(reactor);
        return error;
    }
    *out = reactor;
    return TRI_OK;
}

void tri_reactor_free(tri_reactor *reactor)
{
    if (reactor == NULL)
        return;
    const int fds[] = { reactor->event.fd, reactor->timer.fd, reactor->epoll };
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            tri_sys_close(fds[i]);
    }
    tri_mem_free(reactor->mem, reactor, sizeof *reactor);
}

int tri_reactor_fd(const tri_reactor *reactor)
{
    return reactor->epoll;
}

int tri_reactor_watch(tri_reactor *reactor, tri_source *source, unsigned interest)
{
    interest &= askable;
    if (interest == source->interest)
        return TRI_OK;
    int operation = source->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (interest == 0)
        operation = EPOLL_CTL_DEL;
    struct epoll_event event = { .events = to_epoll(interest), .data.ptr = source };
    if (tri_sys_epoll_ctl(reactor->epoll, operation, source->fd, &event) != 0)
        return sys_error();
    source->interest = (uint8_t)interest;
    return TRI_OK;
}

/* Whether `source` is one of the reactor's own; if so its event is taken. */
static bool take_own(tri_reactor *reactor, const tri_source *source)
{
    if (source != &reactor->timer && source != &reactor->event)
        return false;
    if (source == &reactor->timer)
        reactor->armed = 0;
    tri_sys_event_take(source->fd);
    return true;
}

int tri_reactor_poll(tri_reactor *reactor, tri_ready *out, int max, int timeout_ms)
{
    struct epoll_event events[TRI_REACTOR_BATCH];
    assert(max > 0);
    if (max > TRI_REACTOR_BATCH)
        max = TRI_REACTOR_BATCH;
    int n = tri_sys_epoll_wait(reactor->epoll, events, max, timeout_ms);
    if (n < 0)
        return TRI_ESYS;
    int count = 0;
    for (int i = 0; i < n; i++) {
        tri_source *source = events[i].data.ptr;
        if (!take_own(reactor, source))
            out[count++] = (tri_ready){ source, from_epoll(events[i].events) };
    }
    return count;
}

void tri_reactor_arm(tri_reactor *reactor, uint64_t deadline_ms)
{
    if (deadline_ms == 0 || (reactor->armed != 0 && deadline_ms >= reactor->armed))
        return;
    if (tri_sys_timer_set(reactor->timer.fd, deadline_ms) == 0)
        reactor->armed = deadline_ms;
}

void tri_reactor_wake(tri_reactor *reactor)
{
    tri_sys_event_set(reactor->event.fd);
}

uint64_t tri_reactor_now(void)
{
    return tri_reactor_now_ns() / 1000000;
}

uint64_t tri_reactor_now_ns(void)
{
    return tri_sys_clock_ns(CLOCK_MONOTONIC);
}
