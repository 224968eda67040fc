#define _GNU_SOURCE 1
/* Exchanges over connections that behave: one request, many, with bodies, with early answers, with an end at any time.
 */
#include "serving.h"

#include <sys/syscall.h>

static unsigned writes;

/* Counts what the server writes; these go before the C library's. */
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    writes++;
    return syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    writes++;
    return syscall(SYS_sendmsg, fd, message, flags);
}

static void test_one_get(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hello);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "\r\n\r\nhello"));
    CHECK(client_has(&c, "HTTP/1.1 200 OK\r\n") && client_has(&c, "content-length: 5\r\n"));
    CHECK(client_has(&c, "server: test\r\n") && client_has(&c, "date: ") && !client_has(&c, "connection:"));
    CHECK(!client_ended(&c));
    client_forget(&c);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "\r\n\r\nhello"));
    client_forget(&c);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, "\r\n\r\nhello") && client_has(&c, "connection: close\r\n") && !c.reset);
    tri_counters counters = counters_of(&s);
    CHECK(counters.connections == 1 && counters.exchanges == 3 && counters.open == 0 && counters.active == 0);
    client_close(&c);
    serving_fini(&s);
}

static void test_pieces(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_path);
    const char *text = GET("/piece") GET("/next");
    for (size_t i = 0; i < strlen(text); i++) {
        CHECK(send(c.fd, text + i, 1, MSG_NOSIGNAL) == 1);
        serving_turn(&s, 20);
    }
    SERVE_UNTIL(&s, client_has(&c, "[/next]"));
    CHECK(client_has(&c, "[/piece]") && s.exchanges == 2);
    client_close(&c);
    serving_fini(&s);
}

static void test_pipelined(void)
{
    serving s;
    client c;
    char request[64], all[2048] = "";
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_path);
    serve_for(&s, 20);
    for (int i = 0; i < 16; i++) {
        snprintf(request, sizeof request, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        strcat(all, request);
    }
    client_send(&c, all);
    writes = 0;
    SERVE_UNTIL(&s, client_has(&c, "[/15]"));
    CHECK(writes == 1 && c.reads == 1 && s.exchanges == 16);
    const char *at = c.in;
    for (int i = 0; i < 16 && at != NULL; i++) {
        snprintf(request, sizeof request, "[/%d]", i);
        at = strstr(at, request);
    }
    CHECK(at != NULL);
    serving_part(&s, &c);
}

/* Pipelined requests behind one that is still at work are read ahead, and answered in order. */
static void test_pipelined_behind(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, GET("/1"));
    SERVE_UNTIL(&s, s.n_held == 1);
    client_send(&c, GET("/2") "GET /3 HTTP/1.1\r\nHo");
    serve_for(&s, 20);
    client_send(&c, "st: a\r\n\r\n");
    shutdown(c.fd, SHUT_WR);
    serve_for(&s, 20);
    CHECK(s.n_held == 1);
    tri_received got;
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && !got.disconnect && !got.more);
    tri_exchange_take(s.held[0]);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect && !tri_exchange_lost(s.held[0]));
    CHECK(answer(s.held[0], "one") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_exchange_take(s.held[0]);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0
          && got.disconnect); /* the end is known, though more is to be parsed */
    CHECK(answer(s.held[0], "two") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(answer(s.held[0], "three") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(client_has(&c, "one") && client_has(&c, "two") && client_has(&c, "three") && !c.reset);
    client_close(&c);
    serving_fini(&s);
}

/* Receives what is there of the body; true once it is complete. */
static bool receive_some(tri_exchange *exchange, char *body, size_t size)
{
    tri_received got;
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect) {
        snprintf(body + strlen(body), size - strlen(body), "%.*s", (int)got.body.n, got.body.n > 0 ? got.body.p : "");
        bool more = got.more;
        tri_exchange_take(exchange);
        if (!more)
            return true;
    }
    tri_exchange_want(exchange, TRI_WANT_READ);
    return false;
}

static void test_bodies(void)
{
    serving s;
    client c;
    char body[256] = "";
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(!receive_some(s.held[0], body, sizeof body) && strcmp(body, "abc") == 0);
    client_send(&c, "defg");
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(!receive_some(s.held[0], body, sizeof body) && strcmp(body, "abcdefg") == 0);
    client_send(&c, "hij" GET("/behind"));
    SERVE_UNTIL(&s, s.woken == 2);
    CHECK(receive_some(s.held[0], body, sizeof body) && strcmp(body, "abcdefghij") == 0);
    tri_received got;
    CHECK(tri_exchange_receive(s.held[0], &got) == TRI_EAGAIN);
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    CHECK(answer(s.held[0], "fine") == 0);
    CHECK(tri_exchange_complete(s.held[0]));
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect); /* the answer is complete */
    serving_work(&s);
    CHECK(s.woken == 3);
    serving_release(&s);
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(answer(s.held[0], "again") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "again"));
    client_forget(&c);
    body[0] = '\0';
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nd");
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(!receive_some(s.held[0], body, sizeof body));
    client_send(&c, "e\r\n0\r\nTrailer: x\r\n\r\n");
    SERVE_UNTIL(&s, s.woken == 4);
    CHECK(receive_some(s.held[0], body, sizeof body) && strcmp(body, "abcde") == 0);
    CHECK(answer(s.held[0], "chunked") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "chunked"));
    client_close(&c);
    serving_fini(&s);
}

static void test_continue(void)
{
    serving s;
    client c;
    char body[256] = "";
    tri_limits limits = short_limits();
    const char *head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, head);
    SERVE_UNTIL(&s, s.n_held == 1);
    serve_for(&s, 20);
    CHECK(!client_has(&c, "HTTP"));
    CHECK(!receive_some(s.held[0], body, sizeof body));
    SERVE_UNTIL(&s, client_has(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    CHECK(!receive_some(s.held[0], body, sizeof body));
    client_send(&c, "abc");
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(receive_some(s.held[0], body, sizeof body) && strcmp(body, "abc") == 0);
    CHECK(answer(s.held[0], "done") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "done"));
    CHECK(client_count(&c, "100 Continue") == 1);
    client_forget(&c);
    client_send(&c, head);
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(answer(s.held[0], "no need") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_has(&c, "no need"));
    CHECK(!client_has(&c, "100 Continue") && client_has(&c, "connection: close"));
    client_close(&c);
    serving_fini(&s);
}

/* An early answer with little body left keeps the connection. */
static void test_early_small(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hello);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    CHECK(!client_has(&c, "connection: close"));
    client_forget(&c);
    client_send(&c, "defghij" GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    client_forget(&c);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    client_forget(&c);
    client_send(&c, "c\r\n0\r\n\r\n" GET("/"));
    SERVE_UNTIL(&s, client_has(&c, "hello"));
    CHECK(!client_ended(&c) && s.exchanges == 4);
    client_close(&c);
    serving_fini(&s);
}

/* Sends `n` bytes as fast as the server takes them, until it has ended the connection. */
static void upload(serving *s, client *c, size_t n)
{
    static const char bytes[8192];
    while (n > 0 && !c->eof) {
        ssize_t sent = send(c->fd, bytes, n < sizeof bytes ? n : sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return;
        n -= sent > 0 ? (size_t)sent : 0;
        serving_turn(s, 0);
    }
}

/* An early answer with much left ends the connection, and the client reads the whole answer, then the end, without a
 * reset. */
static void test_early_large(void)
{
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3d0900\r\n",
    };
    for (int i = 0; i < 2; i++) {
        serving s;
        client c;
        tri_limits limits = short_limits();
        limits.linger_ms = 1000;
        serving_init(&s, &limits, app_hello);
        client_open(&c, &s);
        client_send(&c, heads[i]);
        upload(&s, &c, 1000000);
        SERVE_UNTIL(&s, client_ended(&c));
        CHECK(c.eof && !c.reset && client_has(&c, "\r\n\r\nhello"));
        CHECK(client_has(&c, "connection: close") == (i == 0));
        CHECK(counters_of(&s).open == 1); /* lingering: the client has not closed */
        client_close(&c);
        SERVE_UNTIL(&s, counters_of(&s).open == 0);
        serving_fini(&s);
    }
}

/* The application closes while the client goes on pipelining: the answer arrives whole. */
static void test_close_while_pipelining(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, GET("/1") GET("/2"));
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_field_out field = { TRI_SPAN("connection"), TRI_SPAN("close") };
    tri_response response = { .status = 200, .fields = &field, .n_fields = 1 };
    CHECK(tri_exchange_respond(s.held[0], &response) == 0);
    tri_loan loan = { .bytes = TRI_SPAN("last") };
    client_send(&c, GET("/3"));
    CHECK(tri_exchange_write(s.held[0], &loan, true) == 0);
    serving_release(&s);
    client_send(&c, GET("/4"));
    serve_for(&s, 20);
    client_send(&c, GET("/5"));
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.eof && !c.reset && client_has(&c, "\r\n\r\nlast") && s.exchanges == 1);
    serving_part(&s, &c);
}

static void test_half_close(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, GET("/"));
    shutdown(c.fd, SHUT_WR); /* at once */
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(answer(s.held[0], "hello") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.eof && client_has(&c, "hello"));
    client_close(&c);
    client_open(&c, &s);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    tri_received got;
    tri_exchange_take(s.held[0]);
    CHECK(tri_exchange_receive(s.held[0], &got) == TRI_EAGAIN);
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    shutdown(c.fd, SHUT_WR); /* while it is at work */
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect && !tri_exchange_lost(s.held[0]));
    unsigned before = s.turns;
    serve_for(&s, 50);
    CHECK(s.turns - before < 5); /* an end that is known does not make the descriptor readable */
    CHECK(answer(s.held[0], "hello") == 0);
    serving_release(&s);
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.eof && client_has(&c, "hello"));
    client_close(&c);
    client_open(&c, &s);
    shutdown(c.fd, SHUT_WR); /* before any request */
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(c.n == 0 && !c.reset && s.refusals == 0);
    serving_part(&s, &c);
}

/* A client that ends its side within the body of an early answer still gets that answer. */
static void test_half_close_in_dropped_body(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hello);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    shutdown(c.fd, SHUT_WR);
    SERVE_UNTIL(&s, client_ended(&c));
    CHECK(!c.reset && client_count(&c, "HTTP/1.1") == 1);
    serving_part(&s, &c);
}

/* That the peer has left is told once, to those who ask, at any time; after the answer it does not matter. */
static void test_left(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    serving_init(&s, &limits, app_hold);
    for (unsigned how = 0; how < 3; how++) {
        unsigned before = s.woken;
        client_open(&c, &s);
        client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        SERVE_UNTIL(&s, s.n_held == 1);
        tri_exchange_want(s.held[0], TRI_WANT_LEFT);
        serve_for(&s, 10);
        CHECK(s.woken == before && !tri_exchange_left(s.held[0]));
        if (how == 0)
            CHECK(shutdown(c.fd, SHUT_WR) == 0);
        else if (how == 1)
            client_close(&c);
        else
            client_reset(&c);
        SERVE_UNTIL(&s, s.woken == before + 1);
        CHECK(tri_exchange_left(s.held[0]) && !tri_exchange_timed_out(s.held[0]));
        serve_for(&s, 10);
        CHECK(s.woken == before + 1);
        tri_exchange_want(s.held[0], TRI_WANT_LEFT); /* by then it is known */
        serve_for(&s, 1);
        CHECK(s.woken == before + 2);
        serving_release(&s);
        if (how == 0)
            client_close(&c);
    }
    client_open(&c, &s);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    SERVE_UNTIL(&s, s.n_held == 1);
    unsigned before = s.woken;
    tri_exchange_want(s.held[0], TRI_WANT_LEFT);
    CHECK(answer(s.held[0], "hello") == 0);
    client_close(&c);
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    CHECK(s.woken == before && !tri_exchange_left(s.held[0]));
    serving_fini(&s);
}

/* A peer has sent more than is read ahead, and leaves: the application that waits for that is told, as it is where
   everything was read. */
static void test_leaving_behind_what_is_not_read(bool resets)
{
    static client c;
    static char more[40000];
    serving s;
    tri_received got;
    tri_limits limits = short_limits();
    serving_meet(&s, &c, &limits, app_hold);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    while (tri_exchange_receive(s.held[0], &got) == 0)
        tri_exchange_take(s.held[0]);
    tri_exchange_want(s.held[0], TRI_WANT_READ | TRI_WANT_LEFT);
    memset(more, 'x', sizeof more - 1);
    client_send(&c, more);
    serve_for(&s, 20);
    CHECK(s.woken == 0 && !tri_exchange_left(s.held[0]));
    if (resets)
        client_reset(&c);
    else
        client_close(&c);
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(tri_exchange_left(s.held[0]) && tri_exchange_lost(s.held[0]) == resets);
    CHECK(tri_exchange_receive(s.held[0], &got) == 0 && got.disconnect);
    unsigned turns = s.turns;
    serve_for(&s, 20);
    CHECK(s.turns - turns < 5); /* it is told once */
    serving_release(&s);
    serving_part(&s, &c);
}

int main(void)
{
    test_leaving_behind_what_is_not_read(true);
    test_leaving_behind_what_is_not_read(false);
    test_one_get();
    test_pieces();
    test_pipelined();
    test_pipelined_behind();
    test_bodies();
    test_continue();
    test_early_small();
    test_early_large();
    test_close_while_pipelining();
    test_half_close();
    test_half_close_in_dropped_body();
    test_left();
    return check_report();
}
