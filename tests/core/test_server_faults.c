#define _GNU_SOURCE 1
/* What the machine may refuse: memory at each request for it, the kernel's attention, descriptors. What idling costs.
 */
#include "scenario.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "server/internal.h"

static unsigned epoll_calls, epoll_fail_at;

/* Refuses the `epoll_fail_at`-th change of what is watched; this goes before the C library's. */
int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (++epoll_calls == epoll_fail_at) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    (void)before;
    return scenario_timer_set(fd, flags, when);
}

/* Runs it with that request for memory refused, and as many more, or that change of what is watched; returns whether it
   came to that. */
static bool run_failing(const scenario *what, const check_mem *refused, unsigned epoll_at)
{
    static client c[SCENARIO_CLIENTS];
    serving s = { 0 };
    check_mem_init(&s.mem);
    s.mem.fail_at = refused->fail_at;
    s.mem.fail_more = refused->fail_more;
    epoll_calls = 0;
    epoll_fail_at = epoll_at;
    int error = scenario_open(&s, what);
    if (error == 0) {
        what->begin(&s, c);
        what->end(&s, c);
        CHECK(s.turns < SCENARIO_TURNS);
    }
    epoll_fail_at = 0;
    size_t requests = s.mem.requests;
    if (s.server != NULL)
        serving_fini(&s);
    CHECK(error == 0 || error == TRI_ENOMEM);
    CHECK(scenario_lent == scenario_released && s.mem.blocks_out == 0 && s.mem.bytes_out == 0);
    return requests >= refused->fail_at && epoll_calls >= epoll_at;
}

static size_t allocations;
static unsigned changes;

/* Each request for memory, and each change of what is watched, is refused in turn. */
static void test_refused(const scenario *what)
{
    static const size_t more[] = { 0, 3, SIZE_MAX };
    check_mem refused = { .fail_at = 0 };
    unsigned n = 1;
    while (run_failing(what, &refused, n))
        n++;
    CHECK(n > 10);
    changes += n - 1;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        refused.fail_at = 1;
        refused.fail_more = more[i];
        while (run_failing(what, &refused, 0))
            refused.fail_at++;
        CHECK(refused.fail_at > 20);
        allocations += refused.fail_at - 1;
    }
}

/* The number that the next descriptor will have. */
static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* A server with room for two connections, and six that wait. */
static void open_short(serving *s, client *c)
{
    tri_limits limits;
    struct rlimit most;
    check_failed = 0;
    tri_limits_default(&limits);
    serving_init(s, &limits, app_hello);
    for (int i = 0; i < 6; i++) {
        client_open(&c[i], s);
        client_send(&c[i], GET("/"));
    }
    CHECK(getrlimit(RLIMIT_NOFILE, &most) == 0);
    most.rlim_cur = (rlim_t)next_fd() + 2;
    CHECK(setrlimit(RLIMIT_NOFILE, &most) == 0);
}

/* Accepting pauses, and goes on when connections close. Runs in a process of its own. */
static int run_pausing(void)
{
    static client c[6];
    serving s;
    open_short(&s, c);
    serve_for(&s, 250);
    CHECK(counters_of(&s).open == 2 && s.exchanges == 2 && s.turns < 15); /* not a busy loop */
    CHECK(client_has(&c[0], "hello") && client_has(&c[1], "hello"));
    client_send(&c[1], GET("/")); /* those that have one are served meanwhile */
    SERVE_UNTIL(&s, s.exchanges == 3);
    for (int i = 0; i < 6; i++) {
        SERVE_UNTIL(&s, client_has(&c[i], "hello"));
        shutdown(c[i].fd, SHUT_RDWR);
    }
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    CHECK(counters_of(&s).connections == 6 && s.turns < 60);
    for (int i = 0; i < 6; i++)
        client_close(&c[i]);
    serving_fini(&s);
    return check_failed == 0 ? 0 : 1;
}

/* A stop answers those that wait, one after another. Runs in a process of its own. */
static int run_stopping(void)
{
    static client c[6];
    serving s;
    open_short(&s, c);
    tri_server_stop(s.server);
    for (int i = 0; i < 6; i++) {
        SERVE_UNTIL(&s, client_ended(&c[i]));
        CHECK(client_has(&c[i], "hello") && client_has(&c[i], "connection: close\r\n") && !c[i].reset);
        shutdown(c[i].fd, SHUT_RDWR);
    }
    SERVE_UNTIL(&s, tri_server_drained(s.server));
    CHECK(counters_of(&s).connections == 6 && s.turns < 60);
    for (int i = 0; i < 6; i++)
        client_close(&c[i]);
    serving_fini(&s);
    return check_failed == 0 ? 0 : 1;
}

/* Runs a test whose limits would hinder the others. */
static void run_apart(int (*test)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(test());
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

enum { IDLE = 1000, IDLE_MOST = 376 /* of 400 that it may cost a process, whose allocator takes its own */ };

/* An idle connection holds no buffer: with everything, it costs at most IDLE_MOST bytes. */
static void test_idle_memory(void)
{
    static client c;
    static int fds[IDLE];
    serving s;
    tri_limits limits;
    struct rlimit most = { 0, 0 };
    CHECK(getrlimit(RLIMIT_NOFILE, &most) == 0);
    most.rlim_cur = most.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &most) == 0);
    int n = most.rlim_max < 2 * IDLE + 50 ? (int)(most.rlim_max - 50) / 2 : IDLE;
    tri_limits_default(&limits);
    limits.keep_alive_ms = 60000;
    serving_init(&s, &limits, app_hello);
    size_t before = 0;
    for (int i = 0; i <= n; i++) {
        client_open(&c, &s);
        client_send(&c, i % 2 ? GET("/") : "GET / HTTP/1.1\r\n");
        if (i % 2 == 0) {
            serving_turn(&s, 20);
            client_send(&c, "Host: a\r\n\r\n");
        }
        SERVE_UNTIL(&s, client_has(&c, "hello"));
        if (i == 0)
            before = s.mem.bytes_out; /* with the pools filled; the first connection pays for itself below */
        else
            fds[i - 1] = c.fd;
        if (i == 0)
            client_close(&c);
        if (i == 0)
            SERVE_UNTIL(&s, counters_of(&s).open == 0);
    }
    CHECK(counters_of(&s).open == (uint32_t)n);
    size_t each = (s.mem.bytes_out - before + sizeof(tri_conn) + sizeof(tri_http1)) / (size_t)n;
    CHECK(each <= IDLE_MOST && sizeof(tri_conn) + sizeof(tri_http1) <= IDLE_MOST);
    printf("%zu bytes for each idle connection\n", each);
    for (int i = 0; i < n; i++)
        close(fds[i]);
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    size_t trims = s.mem.trims;
    serve_for(&s, 3 * TRI_SERVER_TRIM_MS); /* some time after the rush, nearly all is given back */
    CHECK(s.mem.trims > trims && s.mem.bytes_out < before + 256 * sizeof(tri_conn));
    trims = s.mem.trims;
    serve_for(&s, 2 * TRI_SERVER_TRIM_MS);
    CHECK(s.mem.trims == trims); /* and that is that */
    serving_fini(&s);
}

int main(void)
{
    for (int i = 0; i < SCENARIOS; i++)
        test_refused(&scenarios[i]);
    CHECK(scenario_messages > 1000);
    printf("%zu allocations\n%u faults\n", allocations, changes);
    run_apart(run_pausing);
    run_apart(run_stopping);
    test_idle_memory();
    return check_report();
}
