#define _GNU_SOURCE 1
/* Stopping: nothing that has reached the sockets is dropped, nothing idle holds the end up, and it comes in time. */
#include "serving.h"

enum { QUEUED = 20 };

static client clients[QUEUED];

/* Serves until the stop has ended; returns how many ms that took. */
static uint64_t drain(serving *s)
{
    uint64_t since = now_ms();
    SERVE_UNTIL(s, tri_server_drained(s->server));
    CHECK(counters_of(s).open == 0 && counters_of(s).active == 0);
    return now_ms() - since;
}

static void close_all(void)
{
    for (int i = 0; i < QUEUED; i++)
        client_close(&clients[i]);
}

/* Connections that the kernel has queued are answered, each with Connection: close. */
static void test_queued(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hello);
    for (int i = 0; i < QUEUED; i++) {
        client_open(&clients[i], &s);
        client_send(&clients[i], GET("/"));
    }
    CHECK(!tri_server_drained(s.server));
    tri_server_stop(s.server);
    tri_server_stop(s.server);
    CHECK(!tri_server_drained(s.server));
    serving_work(&s);
    CHECK(counters_of(&s).connections == QUEUED);
    for (int i = 0; i < QUEUED; i++) {
        SERVE_UNTIL(&s, client_ended(&clients[i]));
        CHECK(client_has(&clients[i], "\r\n\r\nhello") && client_has(&clients[i], "connection: close\r\n"));
        CHECK(clients[i].eof && !clients[i].reset);
    }
    CHECK(drain(&s) < 1500 && s.exchanges == QUEUED);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(s.port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) != 0 && errno == ECONNREFUSED);
    close(fd);
    close_all();
    serving_fini(&s);
}

/* Idle connections: long idle ones close at once, fresh ones in a moment, and a request that comes just then is
 * answered. */
static void test_idle(void)
{
    serving s;
    client *c = clients;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hello);
    for (int i = 0; i < 4; i++) {
        client_open(&c[i], &s);
        if (i == 1)
            serve_for(&s, 1100);
        client_send(&c[i], i == 3 ? "" : GET("/"));
        if (i < 3)
            SERVE_UNTIL(&s, client_has(&c[i], "hello"));
        if (i == 0)
            serve_for(&s, 20);
        client_forget(&c[i]);
    }
    client_send(&c[2], GET("/just-in-time"));
    tri_server_stop(s.server);
    serving_work(&s);
    SERVE_UNTIL(&s, client_ended(&c[0]));
    CHECK(c[0].eof && c[0].n == 0 && counters_of(&s).open == 3);
    client_send(&c[1], GET("/under-way"));
    client_send(&c[3], GET("/first"));
    for (int i = 1; i < 4; i++) {
        SERVE_UNTIL(&s, client_ended(&c[i]));
        CHECK(client_has(&c[i], "\r\n\r\nhello") && client_has(&c[i], "connection: close\r\n") && !c[i].reset);
    }
    CHECK(drain(&s) < 1500);
    close_all();
    serving_fini(&s);
}

/* Silent connections hold the end up for a moment only. */
static void test_silent(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hello);
    client_open(&clients[0], &s);
    client_open(&clients[1], &s);
    client_send(&clients[1], GET("/"));
    SERVE_UNTIL(&s, client_has(&clients[1], "hello"));
    tri_server_stop(s.server);
    CHECK(drain(&s) < 1500 && s.refusals == 0);
    close_all();
    serving_fini(&s);
}

/* Exchanges at work end in peace, and so do those that have arrived behind them; a head that is held back still learns
   of the end. */
static void test_at_work(void)
{
    serving s;
    client *c = clients;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    for (int i = 0; i < 3; i++) {
        client_open(&c[i], &s);
        client_send(&c[i], GET("/"));
        SERVE_UNTIL(&s, s.n_held == (unsigned)i + 1);
    }
    tri_response response = { .status = 200 };
    tri_loan loan = { .bytes = TRI_SPAN("part") };
    CHECK(tri_exchange_respond(s.held[1], &response) == 0 && tri_exchange_respond(s.held[2], &response) == 0);
    CHECK(tri_exchange_write(s.held[2], &loan, false) == 0);
    client_send(&c[0], GET("/pipelined"));
    tri_server_stop(s.server);
    serve_for(&s, 300);
    CHECK(!tri_server_drained(s.server) && counters_of(&s).open == 3);
    CHECK(answer(s.held[0], "hello") == 0 && tri_exchange_write(s.held[1], &loan, true) == 0);
    CHECK(tri_exchange_write(s.held[2], &loan, true) == 0);
    SERVE_UNTIL(&s, s.n_held == 4 && client_has(&c[0], "hello"));
    CHECK(!client_has(&c[0], "connection: close"));
    CHECK(answer(s.held[3], "pipelined") == 0);
    for (int i = 0; i < 3; i++) {
        serving_release(&s);
        SERVE_UNTIL(&s, client_ended(&c[i]));
        CHECK(c[i].eof && !c[i].reset && client_has(&c[i], "connection: close") == (i < 2));
    }
    CHECK(client_has(&c[0], "pipelined"));
    serving_release(&s);
    CHECK(drain(&s) < 1500 && s.exchanges == 4);
    close_all();
    serving_fini(&s);
}

/* A half-sent head has its own deadline, and no more. */
static void test_half_sent(void)
{
    serving s;
    client *c = clients;
    tri_limits limits = short_limits();
    limits.head_ms = 500;
    limits.body_ms = 400;
    limits.linger_ms = 50;
    serving_init(&s, &limits, app_hold);
    client_open(&c[0], &s);
    client_send(&c[0], "GET / HTTP/1.1\r\n");
    client_open(&c[1], &s);
    client_send(&c[1], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123");
    client_open(&c[2], &s);
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_exchange_take(s.held[0]);
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    tri_server_stop(s.server);
    serving_work(&s);
    serve_for(&s, 100);
    client_send(&c[2], "GET / HTTP/1.1\r\n"); /* begins in time, and may take its own */
    serve_for(&s, 200);
    client_send(&c[2], "Host: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 2);
    SERVE_UNTIL(&s, tri_exchange_lost(s.held[0]));
    CHECK(answer(s.held[1], "hello") == 0);
    serving_release(&s);
    serving_release(&s);
    for (int i = 0; i < 3; i++) {
        SERVE_UNTIL(&s, client_ended(&c[i]));
        CHECK(client_has(&c[i], i < 2 ? "HTTP/1.1 408 " : "HTTP/1.1 200 ") && !c[i].reset);
    }
    CHECK(drain(&s) < 1500);
    close_all();
    serving_fini(&s);
}

/* An answer that a slow reader is still taking is not cut; the connection closes behind it. */
static void test_slow_reader(void)
{
    static char large[12000000];
    static char sink[100000];
    serving s;
    client *c = clients;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    client_open_small(&c[0], &s, 32768);
    client_send(&c[0], GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_response response = { .status = 200 };
    tri_loan loan = { .bytes = { large, sizeof large } };
    CHECK(tri_exchange_respond(s.held[0], &response) == 0 && tri_exchange_write(s.held[0], &loan, true) == 0);
    serving_release(&s);
    serve_for(&s, 1100); /* it idles, in a way */
    tri_server_stop(s.server);
    size_t total = 0;
    ssize_t got = 1;
    for (uint64_t since = now_ms(); got != 0 && now_ms() - since < SERVING_PATIENCE_MS; serving_turn(&s, 1)) {
        got = recv(c[0].fd, sink, sizeof sink, MSG_DONTWAIT);
        total += got > 0 ? (size_t)got : 0;
    }
    CHECK(got == 0 && total > sizeof large);
    CHECK(drain(&s) < 1500);
    close_all();
    serving_fini(&s);
}

/* Closing at once: exchanges at work, queued ones, connections in every state. */
static void test_close(void)
{
    serving s;
    client *c = clients;
    tri_received got;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    static const char *const sent[] = { GET("/"),           "",
                                        "GET / HT",         GET("/1") GET("/2"),
                                        "nonsense\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n" };
    for (int i = 0; i < 6; i++) {
        client_open(&c[i], &s);
        client_send(&c[i], sent[i]);
    }
    SERVE_UNTIL(&s, s.n_held == 3);
    tri_exchange_want(s.held[0], TRI_WANT_WRITE);
    client_open(&c[6], &s);
    client_send(&c[6], GET("/"));
    CHECK(tri_server_turn(s.server, 100) == 0 && tri_server_turn(s.server, 100) == 0);
    CHECK(counters_of(&s).active == 4); /* one was not given out yet */
    tri_server_close(s.server);
    CHECK(counters_of(&s).open == 0 && counters_of(&s).active == 3);
    CHECK(tri_server_next(s.server) == NULL && tri_server_next_woken(s.server) == s.held[0]);
    for (unsigned i = 0; i < 3; i++)
        CHECK(tri_exchange_lost(s.held[i]) && answer(s.held[i], "late") == TRI_ECLOSED);
    tri_exchange_take(s.held[0]);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect);
    CHECK(tri_server_turn(s.server, 0) == 0);
    tri_server_close(s.server);
    close_all();
    serving_fini(&s);
}

int main(void)
{
    test_queued();
    test_idle();
    test_silent();
    test_at_work();
    test_half_sent();
    test_slow_reader();
    test_close();
    return check_report();
}
