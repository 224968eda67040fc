#define _GNU_SOURCE 1
/* Peers that break rules, come too slowly or take too slowly: refused or closed in time, and never seen by an
 * application. */
#include "serving.h"

#include "http/http_reason.h"

/* --- refusals --- */

typedef struct refused {
    const char *request;
    int status;
} refused;

/* Limits that a short request can break. */
static tri_limits narrow_limits(void)
{
    tri_limits limits = short_limits();
    limits.request_line = 100;
    limits.head = 300;
    limits.fields = 4;
    limits.body = 1000;
    limits.linger_ms = 20;
    return limits;
}

/* Sends a request that is refused, and more behind it that is never parsed. */
static void check_refused(const refused *one)
{
    serving s;
    client c;
    char expected[64];
    tri_limits limits = narrow_limits();
    serving_meet(&s, &c, &limits, app_hello);
    client_send(&c, one->request);
    client_send(&c, GET("/behind"));
    SERVE_UNTIL(&s, client_ended(&c));
    snprintf(expected, sizeof expected, "HTTP/1.1 %d %s\r\n", one->status, tri_http_reason(one->status));
    CHECK(client_has(&c, expected) && client_count(&c, "HTTP/1.1") == 1);
    CHECK(client_has(&c, "connection: close\r\n") && client_has(&c, "date: ") && c.eof && !c.reset);
    CHECK(s.exchanges == 0 && s.refusals == 1 && s.refusal.status == one->status && s.refusal.reason != NULL);
    CHECK(s.refusal.peer.family == TRI_FAMILY_IPV4 && counters_of(&s).refusals == 1);
    SERVE_UNTIL(&s, counters_of(&s).open == 0); /* lingering ends, though the client never closes */
    client_close(&c);
    serving_fini(&s);
}

static void test_refusals(void)
{
    static const refused all[] = {
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413 },
        { "GET /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 "
          "HTTP/1.1\r\n",
          414 },
        { "GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417 },
        { "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", 431 },
        { "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501 },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_refused(&all[i]);
}

/* A body that turns out wrong or too large is refused while its exchange is at work, which is then lost. */
static void test_refused_body(void)
{
    static const refused all[] = { { "x\r\n", 400 }, { "3e9\r\n", 413 } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        serving s;
        client c;
        tri_received got;
        tri_limits limits = narrow_limits();
        serving_init(&s, &limits, app_hold);
        client_open(&c, &s);
        client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        SERVE_UNTIL(&s, s.n_held == 1);
        CHECK(tri_exchange_receive(s.held[0], &got) == TRI_EAGAIN);
        tri_exchange_want(s.held[0], TRI_WANT_READ);
        tri_response response = { .status = 200 };
        client_send(&c, all[i].request);
        CHECK(tri_exchange_respond(s.held[0], &response) == 0);
        CHECK(tri_server_turn(s.server, 100) == 0); /* a head that is still held is replaced */
        SERVE_UNTIL(&s, s.woken == 1);
        CHECK(tri_exchange_lost(s.held[0]) && tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect);
        tri_loan loan = { .bytes = TRI_SPAN("late") };
        CHECK(tri_exchange_write(s.held[0], &loan, true) == TRI_ECLOSED);
        serving_release(&s);
        SERVE_UNTIL(&s, client_ended(&c));
        CHECK(client_count(&c, "HTTP/1.1") == 1 && s.refusal.status == all[i].status && !c.reset);
        client_close(&c);
        serving_fini(&s);
    }
}

/* An answer that is on its way when its request turns out wrong stays unfinished. */
static void test_refused_after_answer_began(void)
{
    serving s;
    client c;
    tri_limits limits = narrow_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_response response = { .status = 200 };
    CHECK(tri_exchange_respond(s.held[0], &response) == 0);
    tri_loan loan = { .bytes = TRI_SPAN("part") };
    CHECK(tri_exchange_write(s.held[0], &loan, false) == 0);
    client_send(&c, "x\r\n");
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, "4\r\npart\r\n") && !client_has(&c, "0\r\n\r\n") && !c.reset && s.refusal.status == 0);
    client_close(&c);
    serving_fini(&s);
}

static void test_too_many(void)
{
    static client c[4];
    serving s;
    tri_limits limits = short_limits();
    limits.exchanges = 1;
    limits.connections = 3;
    limits.linger_ms = 50;
    serving_init(&s, &limits, app_hold);
    client_open(&c[0], &s);
    client_send(&c[0], GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    client_open(&c[1], &s);
    client_send(&c[1], GET("/"));
    SERVE_UNTIL(&s, client_ended(&c[1]));
    CHECK(client_has(&c[1], "HTTP/1.1 503 ") && c[1].eof && s.exchanges == 1 && s.refusal.status == 503);
    client_close(&c[1]);
    SERVE_UNTIL(&s, counters_of(&s).open == 1);
    CHECK(answer(s.held[0], "hello") == 0);
    serving_release(&s);
    client_open(&c[1], &s);
    client_send(&c[1], GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    client_open(&c[2], &s);
    SERVE_UNTIL(&s, counters_of(&s).open == 3);
    client_open(&c[3], &s);
    client_send(&c[3], GET("/"));
    SERVE_UNTIL(&s, client_ended(&c[3]));
    CHECK(client_has(&c[3], "HTTP/1.1 503 ") && c[3].eof && !c[3].reset && s.refusals == 2);
    for (int i = 0; i < 4; i++)
        client_close(&c[i]);
    SERVE_UNTIL(&s, counters_of(&s).open == 1); /* its exchange is still at work, and may write */
    serving_release(&s);
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    CHECK(counters_of(&s).active == 0 && counters_of(&s).connections == 5);
    serving_fini(&s);
}

/* Opens a server that bears one connection, and has 99 refused. */
static void begin_flood(serving *s, client c[100])
{
    tri_limits limits = short_limits();
    limits.connections = 1;
    serving_init(s, &limits, app_hello);
    for (int i = 0; i < 100; i++)
        client_open(&c[i], s);
    SERVE_UNTIL(s, counters_of(s).connections == 100);
    serving_work(s);
    CHECK(counters_of(s).refusals == 99);
}

static void end_flood(serving *s, client c[100])
{
    for (int i = 0; i < 100; i++)
        client_close(&c[i]);
    SERVE_UNTIL(s, counters_of(s).open == 0);
    serving_fini(s);
}

/* Of a flood, only some are told: the others are closed, and lingering does not hold their descriptors. */
static void test_flood(void)
{
    static client c[100];
    serving s;
    begin_flood(&s, c);
    CHECK(counters_of(&s).open == 65);
    end_flood(&s, c);
}

/* The log has a message for each of the first; those that follow are counted by one a second. */
static void test_log_of_a_flood(void)
{
    static client c[100];
    serving s;
    uint64_t began = now_ms();
    begin_flood(&s, c);
    CHECK(s.refusals >= 64 && s.refusals <= 64 + (now_ms() - began) / 1000);
    SERVE_UNTIL(&s, s.refusals + s.left_out == 99);
    CHECK(s.refusals > 64 && s.refusals <= 64 + (now_ms() - began) / 1000);
    CHECK(s.left_out > 0 && s.refusal.reason != NULL && s.refusal.peer.family == TRI_FAMILY_IPV4);
    unsigned told = s.refusals;
    serve_for(&s, 1);
    CHECK(s.refusals == told && !tri_server_last_refusal(s.server, &s.refusal));
    end_flood(&s, c);
}

/* At the end none is left out, though its second is not over. */
static void test_log_of_a_flood_at_the_end(void)
{
    static client c[100];
    serving s;
    begin_flood(&s, c);
    tri_refusal last;
    while (tri_server_last_refusal(s.server, &last)) {
        s.refusals++;
        s.left_out += last.more;
    }
    CHECK(s.refusals + s.left_out == 99);
    end_flood(&s, c);
}

/* --- deadlines of the peer's --- */

/* Sends `text` byte by byte, one every `ms`, until the server ends the connection or the text is through. */
static void dribble(serving *s, client *c, const char *text, uint64_t ms)
{
    for (; *text != '\0' && !client_ended(c); text++) {
        if (send(c->fd, text, 1, MSG_NOSIGNAL) != 1)
            return;
        serve_for(s, ms);
    }
}

static void test_head_deadlines(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.first_head_ms = 60;
    limits.head_ms = 120;
    limits.linger_ms = 50;
    serving_init(&s, &limits, app_hello);
    client_open(&c, &s); /* silent */
    uint64_t since = now_ms();
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.n == 0 && s.refusals == 0 && now_ms() - since >= 60 && now_ms() - since < 1000);
    client_close(&c);
    client_open(&c, &s); /* slow from the start */
    since = now_ms();
    dribble(&s, &c, GET("/"), 10);
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, "HTTP/1.1 408 ") && s.refusals == 1 && s.exchanges == 0);
    CHECK(now_ms() - since >= 60 && now_ms() - since < 1000);
    client_close(&c);
    client_open(&c, &s);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    client_forget(&c);
    serve_for(&s, 80); /* the first deadline no longer counts */
    since = now_ms();
    dribble(&s, &c, GET("/"), 10); /* slow later: no byte moves the deadline */
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, "HTTP/1.1 408 ") && s.refusals == 2 && s.exchanges == 1);
    CHECK(now_ms() - since >= 120 && now_ms() - since < 1000);
    serving_part(&s, &c);
}

static void test_keep_alive(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.keep_alive_ms = 120;
    serving_meet(&s, &c, &limits, app_hello);
    for (int i = 0; i < 3; i++) { /* each answer starts it anew */
        client_send(&c, GET("/"));
        SERVE_UNTIL(&s, client_has(&c, "hello"));
        client_forget(&c);
        serve_for(&s, 50);
    }
    uint64_t since = now_ms();
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.eof && c.n == 0 && s.refusals == 0 && now_ms() - since >= 60 && now_ms() - since < 1000);
    client_close(&c);
    client_open(&c, &s); /* a server that comes late still serves what came in time */
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    client_forget(&c);
    client_send(&c, GET("/"));
    usleep(150000);
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    serving_part(&s, &c);
}

/* A slow application does not use up its client's idle time. */
static void test_keep_alive_after_slow_application(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.keep_alive_ms = 150;
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_server_sleep(s.server, true); /* as the leader does while other tasks run */
    usleep(170000);
    tri_server_cork(s.server);
    CHECK(answer(s.held[0], "hello") == 0);
    tri_server_uncork(s.server);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    serve_for(&s, 30);
    CHECK(!client_ended(&c));
    client_forget(&c);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_server_cork(s.server);
    usleep(170000); /* or while it blocks the loop */
    CHECK(answer(s.held[0], "hello") == 0);
    tri_server_uncork(s.server);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    serve_for(&s, 30);
    CHECK(!client_ended(&c));
    SERVE_UNTIL(&s, client_ended(&c));
    client_close(&c);
    serving_fini(&s);
}

/* Takes what is there of a body, and waits for more. */
static void take_and_want(tri_exchange *exchange)
{
    tri_received got;
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ);
}

/* Uploads `each` bytes every 10 ms for `ms` and reads them on the other side. */
static void trickle(serving *s, client *c, size_t each, uint64_t ms)
{
    static const char bytes[1000];
    for (uint64_t end = now_ms() + ms; now_ms() < end && !client_ended(c);) {
        if (each > 0 && send(c->fd, bytes, each, MSG_NOSIGNAL) < 0)
            return;
        for (int i = 0; i < 10; i++) {
            serve_for(s, 1);
            if (s->n_held > 0 && !tri_exchange_lost(s->held[0]))
                take_and_want(s->held[0]);
        }
    }
}

static void test_body_deadlines(void)
{
    static const size_t too_slow[] = { 0, 1 };
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.body_ms = 120;
    limits.body_rate = 500;
    limits.linger_ms = 50;
    serving_init(&s, &limits, app_hold);
    for (unsigned i = 0; i < 2; i++) {
        client_open(&c, &s);
        client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        SERVE_UNTIL(&s, s.n_held == 1);
        serve_for(&s, 150); /* nobody waits for it: no hurry */
        CHECK(!tri_exchange_lost(s.held[0]));
        take_and_want(s.held[0]);
        trickle(&s, &c, 50, 250); /* fast enough */
        CHECK(!tri_exchange_lost(s.held[0]) && s.refusals == i);
        CHECK(send(c.fd, "?", 1, MSG_NOSIGNAL) == 1);
        serve_for(&s, 150); /* the application was given that byte and is busy */
        take_and_want(s.held[0]);
        serve_for(&s, 20);
        CHECK(!tri_exchange_lost(s.held[0]));
        trickle(&s, &c, too_slow[i], 1000);
        CHECK(tri_exchange_lost(s.held[0]) && s.refusals == i + 1 && s.refusal.status == 408);
        SERVE_UNTIL(&s, client_ended(&c));
        CHECK(client_has(&c, "HTTP/1.1 408 ") && client_has(&c, "connection: close") && !c.reset);
        serving_release(&s);
        client_close(&c);
        SERVE_UNTIL(&s, counters_of(&s).open == 0);
    }
    serving_fini(&s);
}

/* The rest of a body that is dropped has the same deadline; the idle time does not cut it. */
static void test_dropped_body_deadline(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.body_ms = 100;
    limits.body_rate = 0;
    limits.keep_alive_ms = 30;
    limits.linger_ms = 50;
    serving_meet(&s, &c, &limits, app_hello);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n");
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    trickle(&s, &c, 10, 200);
    CHECK(!client_ended(&c));
    uint64_t since = now_ms();
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(now_ms() - since > 20 && c.eof && client_count(&c, "HTTP/1.1") == 1);
    CHECK(s.refusals == 1 && s.refusal.status == 0); /* the answer was given long ago */
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    client_close(&c);
    serving_fini(&s);
}

/* The time of an answer is told once, to those who ask, and whoever does not answer then is answered for: with 504, or
   by the end of the connection within an answer. */
static void test_request_deadline(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.request_ms = 100;
    limits.linger_ms = 50;
    serving_init(&s, &limits, app_hold);
    for (unsigned begun = 0; begun < 2; begun++) {
        client_open(&c, &s);
        uint64_t since = now_ms();
        client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        SERVE_UNTIL(&s, s.n_held == 1);
        tri_response response = { .status = 200 };
        tri_loan loan = { .bytes = TRI_SPAN("part") };
        if (begun) {
            CHECK(tri_exchange_respond(s.held[0], &response) == 0);
            CHECK(tri_exchange_write(s.held[0], &loan, false) == 0);
        }
        tri_exchange_want(s.held[0], TRI_WANT_TIMEOUT);
        CHECK(!tri_exchange_timed_out(s.held[0]));
        SERVE_UNTIL(&s, s.woken == begun + 1);
        CHECK(now_ms() - since >= 95 && now_ms() - since < 1000 && tri_exchange_timed_out(s.held[0]));
        CHECK(!tri_exchange_left(s.held[0]) && !tri_exchange_lost(s.held[0]));
        serve_for(&s, 150);
        CHECK(s.woken == begun + 1 && !client_ended(&c));
        serving_release(&s);
        SERVE_UNTIL(&s, client_ended(&c));
        if (begun)
            CHECK(client_has(&c, "4\r\npart\r\n") && !client_has(&c, "0\r\n\r\n"));
        else
            CHECK(client_has(&c, "HTTP/1.1 504 ") && client_has(&c, "Gateway Timeout") && c.eof);
        client_close(&c);
    }
    serving_fini(&s);
}

/* The time ends with the answer, not with the application; who asks when it is over is told at once. */
static void test_request_deadline_of_others(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    limits.request_ms = 80;
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_exchange_want(s.held[0], TRI_WANT_TIMEOUT);
    CHECK(answer(s.held[0], "hello") == 0);
    serve_for(&s, 60);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 2);
    serve_for(&s, 50);
    CHECK(s.woken == 0 && !tri_exchange_timed_out(s.held[0]) && !tri_exchange_timed_out(s.held[1]));
    SERVE_UNTIL(&s, tri_exchange_timed_out(s.held[1]));
    CHECK(s.woken == 0 && !tri_exchange_timed_out(s.held[0]));
    tri_exchange_want(s.held[1], TRI_WANT_TIMEOUT);
    serve_for(&s, 1);
    CHECK(s.woken == 1);
    client_close(&c);
    serving_fini(&s);
}

int main(void)
{
    test_refusals();
    test_refused_body();
    test_refused_after_answer_began();
    test_too_many();
    test_flood();
    test_log_of_a_flood();
    test_log_of_a_flood_at_the_end();
    test_head_deadlines();
    test_keep_alive();
    test_keep_alive_after_slow_application();
    test_body_deadlines();
    test_dropped_body_deadline();
    test_request_deadline();
    test_request_deadline_of_others();
    return check_report();
}
