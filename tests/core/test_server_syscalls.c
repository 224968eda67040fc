#define _GNU_SOURCE 1
/* Every system call of a server at work fails in turn, with each errno that the kernel may give, or does less than
   asked: the server lives, loses nothing that it holds, does not spin, and serves the next client. */
#include "scenario.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

enum call {
    RECV,
    SEND,
    SENDMSG,
    ACCEPT,
    EPOLL_WAIT,
    EPOLL_CTL,
    SHUTDOWN,
    CLOSE,
    GETSOCKNAME,
    SETSOCKOPT,
    TIMER_SET,
    EPOLL_NEW,
    TIMER_NEW,
    EVENT_NEW,
    CALLS
};

enum { SHORT = -1, TURNS_MOST = 600 };

static client clients[SCENARIO_CLIENTS];
static client probe;

static unsigned exchanges_without; /* of the scenario when nothing fails */

/* The fault that is set, and how often each call was made. */
static struct {
    enum call call;
    unsigned at; /* from 1 on; 0 for none */
    int error;   /* an errno, or SHORT */
    unsigned made[CALLS];
} fault;

/* Whether a descriptor is a client's, which nothing happens to. */
static bool is_client(int fd)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        if (clients[i].fd == fd)
            return true;
    return probe.fd == fd;
}

/* Whether this call is the one that fails. */
static bool is_hit(enum call call)
{
    return ++fault.made[call] == fault.at && fault.call == call;
}

/* As is_hit, for one that fails altogether; errno is set then. */
static bool fails(enum call call)
{
    if (!is_hit(call))
        return false;
    errno = fault.error;
    return true;
}

/* --- these go before the C library's --- */

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    bool hit = !is_client(fd) && is_hit(RECV);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_recvfrom, fd, bytes, hit && n > 1 ? 1 : n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    bool hit = !is_client(fd) && is_hit(SEND);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, hit && n > 1 ? 1 : n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    bool hit = is_hit(SENDMSG);
    if (hit && fault.error != SHORT) {
        errno = fault.error;
        return -1;
    }
    if (hit)
        return syscall(SYS_sendto, fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len > 0, flags, NULL, 0);
    return syscall(SYS_sendmsg, fd, message, flags);
}

int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    return fails(ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, peer, size, flags);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    return fails(EPOLL_WAIT) ? -1 : (int)syscall(SYS_epoll_wait, epoll, events, max, timeout);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return fails(EPOLL_CTL) ? -1 : (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

int shutdown(int fd, int how)
{
    return !is_client(fd) && fails(SHUTDOWN) ? -1 : (int)syscall(SYS_shutdown, fd, how);
}

/* The descriptor is gone, whatever close() says. */
int close(int fd)
{
    bool hit = !is_client(fd) && is_hit(CLOSE);
    int result = (int)syscall(SYS_close, fd);
    if (!hit)
        return result;
    errno = fault.error;
    return -1;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    return fails(GETSOCKNAME) ? -1 : (int)syscall(SYS_getsockname, fd, address, size);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    return !is_client(fd) && fails(SETSOCKOPT) ? -1 : (int)syscall(SYS_setsockopt, fd, level, option, value, size);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    return fails(TIMER_SET) ? -1 : (int)syscall(SYS_timerfd_settime, fd, flags, when, before);
}

int epoll_create1(int flags)
{
    return fails(EPOLL_NEW) ? -1 : (int)syscall(SYS_epoll_create1, flags);
}

int timerfd_create(int clock, int flags)
{
    return fails(TIMER_NEW) ? -1 : (int)syscall(SYS_timerfd_create, clock, flags);
}

int eventfd(unsigned int count, int flags)
{
    return fails(EVENT_NEW) ? -1 : (int)syscall(SYS_eventfd2, count, flags);
}

/* --- what is tried --- */

static const struct {
    enum call call;
    int errors[9];
} plausible[] = {
    { RECV, { SHORT, EINTR, EAGAIN, ECONNRESET, ETIMEDOUT, ENOMEM } },
    { SEND, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM } },
    { SENDMSG, { SHORT, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM } },
    { ACCEPT, { EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPROTO } },
    { EPOLL_WAIT, { EINTR } },
    { EPOLL_CTL, { ENOMEM, ENOSPC } },
    { SHUTDOWN, { ENOTCONN } },
    { CLOSE, { EINTR, EIO } },
    { GETSOCKNAME, { ENOBUFS } },
    { SETSOCKOPT, { ENOMEM } },
    { TIMER_SET, { EINVAL } },
};

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static void clear_clients(void)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        clients[i].fd = -1;
    probe.fd = -1;
}

/* Whatever has failed, somebody who comes now is served. */
static void serve_another(serving *s)
{
    s->app = app_hello;
    client_open(&probe, s);
    client_send(&probe, GET("/"));
    SERVE_UNTIL(s, client_has(&probe, "hello"));
    client_close(&probe);
    s->app = scenario_app;
}

/* Runs the scenario with that fault; returns whether it came to it. */
static bool run_faulty(enum call call, int error, unsigned at)
{
    serving s;
    tri_limits limits;
    tri_limits_default(&limits);
    clear_clients();
    unsigned before = count_descriptors();
    scenario_lent = scenario_released = 0;
    memset(&fault, 0, sizeof fault);
    serving_init(&s, &limits, scenario_app);
    memset(fault.made, 0, sizeof fault.made);
    fault.call = call;
    fault.error = error;
    fault.at = at;
    scenario_begin(&s, clients);
    bool reached = fault.made[call] >= at;
    fault.at = 0;
    if (error == 0)
        exchanges_without = s.exchanges;
    if (error == SHORT || error == EINTR || error == EAGAIN)
        CHECK(s.exchanges == exchanges_without); /* what is only put off loses no request */
    serve_another(&s);
    scenario_end(&s, clients);
    serving_fini(&s);
    CHECK(scenario_lent == scenario_released);
    CHECK(count_descriptors() == before);
    CHECK(s.turns < TURNS_MOST);
    if (check_failed > 0)
        fprintf(stderr, "call %d, errno %d, the %u-th time\n", (int)call, error, at);
    return reached;
}

static void test_each_call(void)
{
    CHECK(!run_faulty(RECV, 0, UINT32_MAX) && exchanges_without > 8);
    for (size_t i = 0; i < sizeof plausible / sizeof *plausible; i++) {
        for (const int *error = plausible[i].errors; *error != 0 && check_failed == 0; error++) {
            unsigned at = 1;
            while (run_faulty(plausible[i].call, *error, at) && check_failed == 0)
                at++;
            CHECK(at > 1); /* the scenario makes this call */
        }
    }
}

/* A server that cannot be made says so, and leaves nothing. */
static void test_no_server(void)
{
    static const enum call calls[] = { EPOLL_NEW, TIMER_NEW, EVENT_NEW };
    tri_limits limits;
    tri_limits_default(&limits);
    clear_clients();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned before = count_descriptors();
        serving s = { 0 };
        check_mem_init(&s.mem);
        memset(&fault, 0, sizeof fault);
        fault.call = calls[i];
        fault.error = EMFILE;
        fault.at = 1;
        int error = serving_open(&s, &limits, app_hello);
        CHECK((error == TRI_EMFILE || error == TRI_ESYS) && errno == EMFILE);
        CHECK(s.server == NULL && s.mem.blocks_out == 0);
        CHECK(count_descriptors() == before);
    }
}

int main(void)
{
    test_no_server();
    test_each_call();
    return check_report();
}
