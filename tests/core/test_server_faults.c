#define _GNU_SOURCE 1
/* What the machine may refuse: memory at each request for it, the kernel's attention, descriptors. What idling costs.
 */
#include "serving.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

static char large[200000];
static unsigned lent, released;

static void release(void *owner)
{
    (void)owner;
    released++;
}

/* An application that does something else with every request, as long as it goes well. */
static void app_varied(serving *self, tri_exchange *exchange)
{
    tri_received got;
    tri_response response = { .status = 200 };
    tri_loan loan = { { large, sizeof large }, release, NULL };
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ);
    if (self->exchanges % 3 == 0) {
        (void)!answer(exchange, "hello");
    } else if (self->exchanges != 7 && tri_exchange_respond(exchange, &response) == 0) {
        bool once = self->exchanges % 2 == 0;
        if (tri_exchange_write(exchange, &loan, once) == 0) {
            lent++;
            lent += !once && tri_exchange_write(exchange, &loan, true) == 0;
        }
    }
    let_go(exchange);
}

/* A few turns with what the clients have sent; what comes back is only taken in. */
static void exchange_some(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < 8; i++) {
        serving_turn(s, 0);
        while (client_read(c))
            continue;
        client_forget(c);
    }
}

/* Requests of every kind over several connections. */
static void run_scenario(serving *s)
{
    static client c[6];
    static char head[6000];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nLong: %05000d\r\n\r\n", 0);
    for (int i = 0; i < 6; i++)
        client_open(&c[i], s);
    exchange_some(s, &c[0], "GET / HTTP/1.1\r\nHost: a\r\nPie");
    exchange_some(s, &c[1], GET("/1") GET("/2") GET("/3") "GET /4 HT");
    exchange_some(s, &c[0], "ces: a\r\n\r\n");
    exchange_some(s, &c[1], "TP/1.1\r\nHost: a\r\n\r\n");
    exchange_some(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    exchange_some(s, &c[2], "0123456789");
    exchange_some(s, &c[3], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
    exchange_some(s, &c[3], "0\r\n\r\n");
    exchange_some(s, &c[4], head);
    exchange_some(s, &c[5], "nonsense\r\n\r\n");
    client_reset(&c[5]);
    for (int i = 0; i < 3; i++)
        exchange_some(s, &c[i], GET("/"));
    tri_server_stop(s->server);
    exchange_some(s, &c[4], GET("/"));
    for (int i = 0; i < 6; i++)
        client_close(&c[i]);
    serving_turn(s, 0);
}

/* Runs it with that request for memory, or change of what is watched, refused; returns whether it came to that. */
static bool run_failing(unsigned memory_at, unsigned epoll_at)
{
    serving s = { 0 };
    tri_limits limits;
    tri_limits_default(&limits);
    check_mem_init(&s.mem);
    s.mem.fail_at = memory_at;
    epoll_calls = lent = released = 0;
    epoll_fail_at = epoll_at;
    int error = serving_open(&s, &limits, app_varied);
    if (error == 0)
        run_scenario(&s);
    epoll_fail_at = 0;
    if (s.server != NULL)
        serving_fini(&s);
    CHECK(error == 0 || error == TRI_ENOMEM);
    CHECK(lent == released && s.mem.blocks_out == 0 && s.mem.bytes_out == 0);
    return s.mem.requests >= memory_at && epoll_calls >= epoll_at;
}

static void test_refused(void)
{
    unsigned n = 1;
    while (run_failing(n, 0))
        n++;
    CHECK(n > 20);
    n = 1;
    while (run_failing(0, n))
        n++;
    CHECK(n > 10);
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

enum { IDLE = 1000, IDLE_MOST = 400 };

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
    size_t each = (s.mem.bytes_out - before + sizeof(tri_conn)) / (size_t)n;
    CHECK(each <= IDLE_MOST && sizeof(tri_conn) <= IDLE_MOST);
    printf("%zu bytes for each idle connection\n", each);
    for (int i = 0; i < n; i++)
        close(fds[i]);
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    serving_fini(&s);
}

int main(void)
{
    test_refused();
    run_apart(run_pausing);
    run_apart(run_stopping);
    test_idle_memory();
    return check_report();
}
