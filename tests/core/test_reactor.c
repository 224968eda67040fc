#define _GNU_SOURCE 1
/* The reactor, with pipes and sockets, alone and inside another epoll set. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "net/reactor.h"

/* A reactor and a connected pair of sockets, of which the reactor knows the first. */
typedef struct fixture {
    tri_reactor *reactor;
    int pair[2];
    tri_source source;
} fixture;

static void fixture_init(fixture *self)
{
    if (tri_reactor_new(&self->reactor, tri_mem_libc()) != TRI_OK)
        abort();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, self->pair) != 0)
        abort();
    self->source = (tri_source){ self->pair[0], 0, 77 };
}

static void fixture_fini(fixture *self)
{
    tri_reactor_free(self->reactor);
    close(self->pair[0]);
    if (self->pair[1] >= 0)
        close(self->pair[1]);
}

/* What the source is ready for now; 0 for nothing. */
static unsigned ready_for(fixture *self)
{
    tri_ready ready[4];
    int n = tri_reactor_poll(self->reactor, ready, 4, 0);
    CHECK(n == 0 || (n == 1 && ready[0].source == &self->source));
    return n == 1 ? ready[0].events : 0;
}

/* Writes one byte into `fd`. */
static void put_byte(int fd)
{
    CHECK(write(fd, "x", 1) == 1);
}

static void test_interest(void)
{
    fixture f;
    fixture_init(&f);
    CHECK(ready_for(&f) == 0);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_READ) == TRI_OK);
    CHECK(f.source.interest == TRI_READ && f.source.kind == 77);
    CHECK(ready_for(&f) == 0);
    put_byte(f.pair[1]);
    CHECK(ready_for(&f) == TRI_READ);
    CHECK(ready_for(&f) == TRI_READ); /* level-triggered */
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_READ | TRI_WRITE) == TRI_OK);
    CHECK(ready_for(&f) == (TRI_READ | TRI_WRITE));
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_WRITE) == TRI_OK);
    CHECK(ready_for(&f) == TRI_WRITE);
    CHECK(tri_reactor_watch(f.reactor, &f.source, 0) == TRI_OK);
    CHECK(f.source.interest == 0 && ready_for(&f) == 0);
    CHECK(tri_reactor_watch(f.reactor, &f.source, 0) == TRI_OK);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_READ) == TRI_OK);
    CHECK(ready_for(&f) == TRI_READ);
    fixture_fini(&f);
}

/* The end of the peer's side can be waited for without reading what came before it. */
static void test_hangup(void)
{
    fixture f;
    fixture_init(&f);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_HANGUP) == TRI_OK);
    put_byte(f.pair[1]);
    CHECK(ready_for(&f) == 0);
    CHECK(shutdown(f.pair[1], SHUT_WR) == 0);
    CHECK(ready_for(&f) == TRI_HANGUP);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_READ | TRI_HANGUP) == TRI_OK);
    CHECK(ready_for(&f) == (TRI_READ | TRI_HANGUP));
    close(f.pair[1]);
    f.pair[1] = -1;
    CHECK(ready_for(&f) & TRI_FAIL);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_WRITE) == TRI_OK);
    CHECK(ready_for(&f) & TRI_FAIL);
    fixture_fini(&f);
}

/* A descriptor that cannot be watched leaves the source as it was. */
static void test_watch_errors(void)
{
    fixture f;
    fixture_init(&f);
    tri_source bad = { -1, 0, 0 };
    CHECK(tri_reactor_watch(f.reactor, &bad, TRI_READ) == TRI_ESYS && errno == EBADF);
    CHECK(bad.interest == 0);
    tri_source file = { open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0, 0 };
    CHECK(tri_reactor_watch(f.reactor, &file, TRI_READ) == TRI_ESYS && errno == EPERM);
    CHECK(file.interest == 0);
    close(file.fd);
    fixture_fini(&f);
}

/* More is ready than asked for: every source has its turn all the same. */
static void test_batches(void)
{
    enum { PAIRS = 20 };
    fixture f;
    fixture_init(&f);
    int pairs[PAIRS][2];
    tri_source sources[PAIRS];
    unsigned seen = 0;
    for (int i = 0; i < PAIRS; i++) {
        CHECK(pipe2(pairs[i], O_CLOEXEC | O_NONBLOCK) == 0);
        sources[i] = (tri_source){ pairs[i][0], 0, 0 };
        CHECK(tri_reactor_watch(f.reactor, &sources[i], TRI_READ) == TRI_OK);
        put_byte(pairs[i][1]);
    }
    tri_reactor_wake(f.reactor);
    for (int round = 0; round < PAIRS; round++) {
        tri_ready ready[3];
        int n = tri_reactor_poll(f.reactor, ready, 3, 0);
        CHECK(n >= 0 && n <= 3);
        for (int i = 0; i < n; i++)
            seen |= 1u << (ready[i].source - sources);
    }
    CHECK(seen == (1u << PAIRS) - 1);
    static tri_ready many[4000];
    CHECK(tri_reactor_poll(f.reactor, many, 4000, 0) == PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    fixture_fini(&f);
}

/* Whether the reactor's descriptor is readable for an epoll set around it, within `ms`. */
static bool outer_readable(const fixture *self, int outer, int ms)
{
    struct epoll_event event;
    int n = epoll_wait(outer, &event, 1, ms);
    return n == 1 && event.data.fd == tri_reactor_fd(self->reactor);
}

/* Nested in another epoll set, as an async library does: data, the timer and a wake-up each make it readable, and
   polling ends it. */
static void test_nested(void)
{
    fixture f;
    fixture_init(&f);
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = tri_reactor_fd(f.reactor) };
    CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, event.data.fd, &event) == 0);
    CHECK(tri_reactor_watch(f.reactor, &f.source, TRI_READ) == TRI_OK);
    CHECK(!outer_readable(&f, outer, 0));
    put_byte(f.pair[1]);
    CHECK(outer_readable(&f, outer, 0));
    CHECK(ready_for(&f) == TRI_READ);
    char byte;
    CHECK(outer_readable(&f, outer, 0));
    CHECK(read(f.pair[0], &byte, 1) == 1);
    CHECK(!outer_readable(&f, outer, 0));

    tri_reactor_wake(f.reactor);
    tri_reactor_wake(f.reactor);
    CHECK(outer_readable(&f, outer, 0));
    CHECK(ready_for(&f) == 0);
    CHECK(!outer_readable(&f, outer, 0));

    uint64_t deadline = tri_reactor_now() + 30;
    tri_reactor_arm(f.reactor, deadline);
    CHECK(!outer_readable(&f, outer, 0));
    CHECK(outer_readable(&f, outer, 5000));
    CHECK(tri_reactor_now() >= deadline);
    CHECK(ready_for(&f) == 0);
    CHECK(!outer_readable(&f, outer, 0));
    close(outer);
    fixture_fini(&f);
}

/* How long a poll of at most `ms` took. */
static uint64_t poll_time(fixture *self, int ms)
{
    tri_ready ready[4];
    uint64_t start = tri_reactor_now();
    CHECK(tri_reactor_poll(self->reactor, ready, 4, ms) == 0);
    return tri_reactor_now() - start;
}

/* Arming for later does not postpone, arming for earlier does bring forward, and after it went off anything can be
   armed. */
static void test_arm(void)
{
    fixture f;
    fixture_init(&f);
    tri_reactor_arm(f.reactor, 0);
    CHECK(poll_time(&f, 20) >= 20);
    uint64_t now = tri_reactor_now();
    tri_reactor_arm(f.reactor, now + 3600000);
    tri_reactor_arm(f.reactor, now + 20);
    tri_reactor_arm(f.reactor, now + 7200000);
    tri_reactor_arm(f.reactor, 0);
    uint64_t took = poll_time(&f, 5000);
    CHECK(took >= 15 && took < 4000);
    tri_reactor_arm(f.reactor, tri_reactor_now() + 25);
    took = poll_time(&f, 5000);
    CHECK(took >= 20 && took < 4000);
    tri_reactor_arm(f.reactor, 1); /* has long passed */
    CHECK(poll_time(&f, 5000) < 4000);
    tri_reactor_arm(f.reactor, UINT64_MAX);
    CHECK(poll_time(&f, 10) >= 10);
    fixture_fini(&f);
}

/* A poll without end is ended by the wake-up of another thread. */
static void *wake_later(void *reactor)
{
    usleep(20000);
    tri_reactor_wake(reactor);
    return NULL;
}

static void test_wake_from_thread(void)
{
    fixture f;
    pthread_t thread;
    fixture_init(&f);
    CHECK(pthread_create(&thread, NULL, wake_later, f.reactor) == 0);
    CHECK(poll_time(&f, -1) >= 10);
    CHECK(pthread_join(thread, NULL) == 0);
    fixture_fini(&f);
}

static tri_reactor *signalled;

static void on_alarm(int number)
{
    (void)number;
    tri_reactor_wake(signalled);
}

/* Waking from a signal handler keeps errno and ends a poll, with or without the signal interrupting it. */
static void test_wake_from_signal(void)
{
    fixture f;
    fixture_init(&f);
    signalled = f.reactor;
    struct sigaction action = { .sa_handler = on_alarm }, old;
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    errno = 12345;
    CHECK(raise(SIGUSR1) == 0);
    CHECK(errno == 12345);
    CHECK(poll_time(&f, -1) < 1000);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
    fixture_fini(&f);
}

/* Every new descriptor is closed by an exec. */
static void test_close_on_exec(void)
{
    int before = dup(0);
    close(before);
    fixture f;
    fixture_init(&f);
    for (int fd = before; fd < before + 3; fd++)
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(tri_reactor_fd(f.reactor), F_GETFD) & FD_CLOEXEC);
    fixture_fini(&f);
    CHECK(fcntl(before, F_GETFD) == -1);
    tri_reactor_free(NULL);
}

static void test_out_of_memory(void)
{
    check_mem mem;
    check_mem_init(&mem);
    mem.fail_at = 1;
    tri_reactor *reactor = (tri_reactor *)&mem;
    CHECK(tri_reactor_new(&reactor, &mem.mem) == TRI_ENOMEM && reactor == NULL);
    CHECK(tri_reactor_new(&reactor, &mem.mem) == TRI_OK);
    tri_reactor_free(reactor);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* In a child with `spare` descriptors to go: 0 if making a reactor fails cleanly. */
static int child_out_of_descriptors(int spare)
{
    check_mem mem;
    check_mem_init(&mem);
    int lowest = dup(0);
    close(lowest);
    struct rlimit limit = { (rlim_t)(lowest + spare), (rlim_t)(lowest + spare) };
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    tri_reactor *reactor;
    if (tri_reactor_new(&reactor, &mem.mem) != TRI_EMFILE || reactor != NULL || mem.blocks_out != 0)
        return 3;
    int again = dup(0);
    return again == lowest || spare == 0 ? 0 : 4;
}

static void test_out_of_descriptors(void)
{
    for (int spare = 0; spare < 3; spare++) {
        pid_t child = fork();
        if (child == 0)
            _exit(child_out_of_descriptors(spare));
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void test_clock(void)
{
    uint64_t a = tri_reactor_now_ns(), ms = tri_reactor_now(), b = tri_reactor_now_ns();
    CHECK(a > 0 && a <= b);
    CHECK(a / 1000000 <= ms && ms <= b / 1000000);
}

int main(void)
{
    test_interest();
    test_hangup();
    test_watch_errors();
    test_batches();
    test_nested();
    test_arm();
    test_wake_from_thread();
    test_wake_from_signal();
    test_close_on_exec();
    test_out_of_memory();
    test_out_of_descriptors();
    test_clock();
    return check_report();
}
