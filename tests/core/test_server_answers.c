#define _GNU_SOURCE 1
/* Answers that do not go smoothly: slow and vanished readers, applications that fail, and what was lent for them. */
#include "serving.h"

#include "net/clock.h"
#include "server/date.h"

enum { LARGE = 12000000 };

static char large[LARGE];
static unsigned lent, released;

static void release(void *owner)
{
    released++;
    *(unsigned *)owner += 1;
}

/* Begins an answer whose body comes in loans of any size. */
static void begin(tri_exchange *exchange)
{
    tri_response response = { .status = 200 };
    CHECK(tri_exchange_respond(exchange, &response) == 0);
    CHECK(tri_exchange_started(exchange) && tri_exchange_respond(exchange, &response) == TRI_ESTATE);
}

/* Lends `n` bytes for the answer. */
static int lend(tri_exchange *exchange, size_t n, bool end)
{
    static unsigned owner;
    tri_loan loan = { .bytes = { large, n }, .release = release, .owner = &owner };
    int error = tri_exchange_write(exchange, &loan, end);
    lent += error == 0;
    return error;
}

/* A server with one exchange at work, whose client takes little at once. */
static void open_held(serving *s, client *c, const tri_limits *limits)
{
    serving_init(s, limits, app_hold);
    client_open_small(c, s, 32768);
    client_send(c, GET("/"));
    SERVE_UNTIL(s, s->n_held == 1);
    lent = released = 0;
}

/* Everything that was lent has been given back, once. */
static void close_held(serving *s, client *c)
{
    client_close(c);
    serving_fini(s);
    CHECK(lent == released);
}

static void test_back_pressure(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    begin(s.held[0]);
    CHECK(tri_exchange_writable(s.held[0]));
    unsigned n = 0;
    for (; tri_exchange_writable(s.held[0]) && n < 1000; n++)
        CHECK(lend(s.held[0], 100000, false) == 0);
    CHECK(n > 2 && n < 1000);
    tri_exchange_want(s.held[0], TRI_WANT_WRITE);
    unsigned before = s.turns;
    serve_for(&s, 50);
    CHECK(s.woken == 0 && s.turns - before < 10); /* a full socket does not make the descriptor readable */
    for (int i = 0; i < 100 && s.woken == 0; i++) {
        client_read(&c);
        serving_turn(&s, 1);
    }
    SERVE_UNTIL(&s, client_read(&c) ? s.woken == 1 : s.woken == 1);
    CHECK(tri_exchange_writable(s.held[0]) && released > 0);
    CHECK(lend(s.held[0], 10, true) == 0);
    CHECK(tri_exchange_complete(s.held[0]) && lend(s.held[0], 10, true) == TRI_ESTATE);
    size_t total = c.n;
    serving_release(&s);
    SERVE_UNTIL(&s, (client_ended(&c), total = lent, released == lent));
    CHECK(total == n + 1 && counters_of(&s).open == 1);
    close_held(&s, &c);
}

static void test_stalled_reader(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.write_ms = 100;
    open_held(&s, &c, &limits);
    begin(s.held[0]);
    CHECK(lend(s.held[0], LARGE, false) == 0);
    CHECK(!tri_exchange_writable(s.held[0]));
    tri_exchange_want(s.held[0], TRI_WANT_WRITE);
    uint64_t since = now_ms();
    while (now_ms() - since < 250) { /* slow, but not stalled */
        char some[65536];
        (void)!recv(c.fd, some, sizeof some, MSG_DONTWAIT);
        serve_for(&s, 20);
    }
    CHECK(!tri_exchange_lost(s.held[0]));
    SERVE_UNTIL(&s, tri_exchange_lost(s.held[0]));
    CHECK(s.woken == 1 && s.refusals == 1 && s.refusal.status == 0 && counters_of(&s).open == 0);
    CHECK(lend(s.held[0], 10, true) == TRI_ECLOSED && tri_exchange_writable(s.held[0]));
    CHECK(lent == 1 && released == 1);
    char some[65536];
    ssize_t got = 1;
    while (got > 0)
        got = recv(c.fd, some, sizeof some, 0);
    CHECK(got < 0 && errno == ECONNRESET); /* the kernel keeps nothing for it */
    close_held(&s, &c);
}

/* An answer that is complete for its application goes on to a slow reader, longer than a connection may idle. */
static void test_slow_reader_of_complete_answer(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.keep_alive_ms = 40;
    open_held(&s, &c, &limits);
    begin(s.held[0]);
    CHECK(lend(s.held[0], LARGE, true) == 0);
    serving_release(&s);
    uint64_t since = now_ms();
    size_t total = 0;
    bool ended = false;
    while (!ended && now_ms() - since < SERVING_PATIENCE_MS) {
        static char some[200000];
        ssize_t got = recv(c.fd, some, sizeof some, MSG_DONTWAIT);
        total += got > 0 ? (size_t)got : 0;
        ended = got == 0;
        serve_for(&s, now_ms() - since < 150 ? 20 : 1);
    }
    CHECK(ended && total > LARGE && s.refusals == 0);
    close_held(&s, &c);
}

/* A client that sends and never reads gets no more than a bound of memory. */
static void test_endless_pipelining(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.send_high = 100000;
    serving_init(&s, &limits, app_path);
    client_open_small(&c, &s, 4096);
    char requests[20000] = "";
    for (int i = 0; i < 100; i++)
        strcat(requests, GET("/0123456789012345678901234567890123456789012345678901234567890123456789"));
    size_t quiet = 0, most = 0, sent_all = 0, n = strlen(requests);
    size_t before = s.mem.bytes_out;
    while (quiet < 20) {
        ssize_t sent = send(c.fd, requests + sent_all % n, n - sent_all % n, MSG_NOSIGNAL | MSG_DONTWAIT);
        quiet = sent > 0 ? 0 : quiet + 1;
        sent_all += sent > 0 ? (size_t)sent : 0;
        serving_turn(&s, sent > 0 ? 0 : 2);
        most = s.mem.bytes_out > most ? s.mem.bytes_out : most;
    }
    CHECK(most - before < 600000);
    unsigned answered = s.exchanges;
    SERVE_UNTIL(&s, (client_ended(&c), s.exchanges >= sent_all / (n / 100))); /* once it reads, all are served */
    CHECK(s.exchanges > answered && s.refusals == 0);
    serving_part(&s, &c);
}

static void test_reset_at_work(void)
{
    serving s;
    client c;
    tri_received got;
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    tri_exchange_take(s.held[0]);
    tri_exchange_want(s.held[0], TRI_WANT_READ | TRI_WANT_WRITE);
    client_reset(&c);
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(tri_exchange_lost(s.held[0]) && counters_of(&s).open == 0 && counters_of(&s).active == 1);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect);
    tri_response response = { .status = 200 };
    CHECK(tri_exchange_respond(s.held[0], &response) == TRI_ECLOSED);
    CHECK(lend(s.held[0], 10, true) == TRI_ECLOSED && lend(s.held[0], LARGE, true) == TRI_ECLOSED);
    tri_exchange_want(s.held[0], TRI_WANT_READ); /* does not wait for what never comes */
    serving_work(&s);
    CHECK(s.woken == 2);
    serving_release(&s);
    CHECK(counters_of(&s).active == 0);
    close_held(&s, &c);
}

/* A client that vanishes while much waits to be written: what was lent comes back. */
static void test_reset_with_loans(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    begin(s.held[0]);
    CHECK(lend(s.held[0], LARGE, false) == 0 && lend(s.held[0], 2000, false) == 0 && released == 0);
    client_reset(&c);
    SERVE_UNTIL(&s, tri_exchange_lost(s.held[0]));
    CHECK(released == 2);
    close_held(&s, &c);
}

static void app_nothing(serving *self, tri_exchange *exchange)
{
    (void)self;
    let_go(exchange);
}

static void app_head_only(serving *self, tri_exchange *exchange)
{
    (void)self;
    begin(exchange);
    let_go(exchange);
}

static void app_part(serving *self, tri_exchange *exchange)
{
    (void)self;
    begin(exchange);
    CHECK(lend(exchange, 4, false) == 0 && lend(exchange, 100000, false) == 0);
    let_go(exchange);
}

/* An application that returns without an answer, or with the head of one, gives a 500. */
static void test_no_answer(void)
{
    void (*const apps[])(serving *, tri_exchange *) = { app_nothing, app_head_only };
    for (int i = 0; i < 2; i++) {
        serving s;
        client c;
        tri_limits limits = short_limits();
        serving_init(&s, &limits, apps[i]);
        client_open(&c, &s);
        client_send(&c, GET("/"));
        SERVE_UNTIL(&s, client_ended(&c));
        CHECK(client_has(&c, "HTTP/1.1 500 Internal Server Error\r\n") && client_count(&c, "HTTP/1.1") == 1);
        CHECK(client_has(&c, "connection: close\r\n") && client_has(&c, "\r\n\r\nInternal Server Error"));
        CHECK(counters_of(&s).active == 0 && !c.reset);
        client_close(&c);
        serving_fini(&s);
    }
}

static void test_part_of_an_answer(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_part);
    lent = released = 0;
    client_open(&c, &s);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.eof && !c.reset && client_has(&c, "transfer-encoding: chunked") && c.n > 60000);
    CHECK(c.n < 5 || memcmp(c.in + c.n - 5, "0\r\n\r\n", 5) != 0);
    CHECK(lent == 2 && released == 2 && counters_of(&s).active == 0);
    serving_part(&s, &c);
}

/* What an application may not send is refused and takes nothing; it can do better, or gets its 500. */
static void test_invalid(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    tri_field_out evil = { TRI_SPAN("x"), TRI_SPAN("a\r\nb: c") };
    tri_response response = { .status = 200, .fields = &evil, .n_fields = 1 };
    CHECK(tri_exchange_respond(s.held[0], &response) == TRI_EINVAL && !tri_exchange_started(s.held[0]));
    CHECK(lend(s.held[0], 5, true) == TRI_ESTATE);
    tri_field_out length = { TRI_SPAN("content-length"), TRI_SPAN("5") };
    response.fields = &length;
    CHECK(tri_exchange_respond(s.held[0], &response) == 0);
    CHECK(lend(s.held[0], 6, false) == TRI_EINVAL && lend(s.held[0], 4, true) == TRI_EINVAL);
    CHECK(lend(s.held[0], 5, true) == 0 && lent == 1 && released == 1);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "content-length: 5\r\n"));
    close_held(&s, &c);
}

/* A head is held back for the body within a step, and no longer: a client sees that it is answered. */
static void test_head_alone(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    tri_server_sleep(s.server, true);
    begin(s.held[0]); /* by a task of its own, while the leader sleeps: it is woken */
    CHECK(!client_has(&c, "HTTP"));
    CHECK(tri_server_turn(s.server, 1000) == 0);
    serving_work(&s);
    CHECK(client_has(&c, "HTTP/1.1 200 OK\r\n") && client_has(&c, "transfer-encoding: chunked\r\n"));
    CHECK(lend(s.held[0], 5, true) == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, !client_ended(&c) && memcmp(c.in + c.n - 5, "0\r\n\r\n", 5) == 0);
    close_held(&s, &c);
}

/* The Date of an answer that is given while the leader sleeps is that of the answer. */
static void test_date_is_fresh(void)
{
    serving s;
    client c;
    char line[TRI_DATE_LINE + 1] = "";
    tri_limits limits = short_limits();
    open_held(&s, &c, &limits);
    tri_server_sleep(s.server, true);
    usleep(1100000);
    int64_t second = tri_clock_wall();
    tri_server_cork(s.server);
    CHECK(answer(s.held[0], "hello") == 0);
    tri_server_uncork(s.server);
    serving_release(&s);
    tri_server_flush(s.server);
    tri_date_line(second, line);
    bool same = client_has(&c, line);
    tri_date_line(second + 1, line);
    CHECK(same || client_has(&c, line));
    close_held(&s, &c);
}

int main(void)
{
    test_head_alone();
    test_date_is_fresh();
    test_back_pressure();
    test_stalled_reader();
    test_slow_reader_of_complete_answer();
    test_endless_pipelining();
    test_reset_at_work();
    test_reset_with_loans();
    test_no_answer();
    test_part_of_an_answer();
    test_invalid();
    return check_report();
}
