/* WebSockets whose peers do not wait for the answer: what comes right behind the handshake is parsed within the call
   that accepts, and may end the connection there. */
#include "scenario.h"

#include "ws/ws.h"

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    (void)before;
    return scenario_timer_set(fd, flags, when);
}

/* A server with a client that has sent a handshake and `behind` in one piece; the application has not answered. */
static void ask(serving *s, client *c, tri_span behind)
{
    static char bytes[4096];
    static const char hello[] = SOCKETS_HELLO("");
    tri_limits limits = short_limits();
    serving_http2 = true;
    serving_meet(s, c, &limits, app_hold);
    serving_http2 = false;
    memcpy(bytes, hello, sizeof hello - 1);
    memcpy(bytes + sizeof hello - 1, behind.p, behind.n);
    CHECK(send(c->fd, bytes, sizeof hello - 1 + behind.n, MSG_NOSIGNAL) > (ssize_t)behind.n);
    SERVE_UNTIL(s, s->n_held == 1);
    tri_ws_received got;
    CHECK(tri_websocket_receive(s->held[0], &got) == 0 && got.type == TRI_WS_RECEIVED_CONNECT);
    tri_websocket_take(s->held[0]);
}

/* Accepts, at once or with what else a turn brings, while another task of the application waits for messages or none
   does; returns the code that it is told then. */
static int accept_told(serving *s, bool corked, bool awaited)
{
    tri_ws_received got;
    if (awaited)
        tri_exchange_want(s->held[0], TRI_WANT_READ);
    if (corked)
        tri_server_cork(s->server);
    CHECK(tri_websocket_accept(s->held[0], NULL, 0, (tri_span){ NULL, 0 }) == 0);
    if (corked)
        tri_server_uncork(s->server);
    tri_server_flush(s->server);
    while (tri_websocket_receive(s->held[0], &got) == 0 && got.type == TRI_WS_RECEIVED_MESSAGE)
        tri_websocket_take(s->held[0]);
    return got.type == TRI_WS_RECEIVED_DISCONNECT ? got.code : 0;
}

/* What a peer sends behind its handshake, what the application is told of it, and what the peer is. */
typedef struct behind {
    tri_span bytes;
    int told;
    const char *answer;
} behind;

static const behind cases[] = {
    { TRI_SPAN("\xff\x81\0\0\0\0ahhhhhh"), TRI_WS_PROTOCOL_ERROR, "\x03\xea" },
    { TRI_SPAN("\x88\x82\0\0\0\0\x03\xe9 and more than that"), 1001, "\x88\x02\x03\xe9" },
    { TRI_SPAN("\x81\x81\0\0\0\0a\x81\x81\0\0\0\0\xff\x81\x81\0\0\0\0a"), TRI_WS_INVALID_DATA, "\x03\xef" },
};

static void test_ends_within_accept(bool corked, bool awaited)
{
    static client c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        serving s;
        ask(&s, &c, cases[i].bytes);
        CHECK(accept_told(&s, corked, awaited) == cases[i].told);
        SERVE_UNTIL(&s, client_has(&c, cases[i].answer));
        SERVE_UNTIL(&s, client_ended(&c));
        serving_release(&s);
        serving_part(&s, &c);
    }
}

/* The same when the server stops before anything was written. */
static void test_ends_within_accept_and_the_server_stops(void)
{
    static client c;
    serving s;
    ask(&s, &c, cases[0].bytes);
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    tri_server_cork(s.server);
    CHECK(tri_websocket_accept(s.held[0], NULL, 0, (tri_span){ NULL, 0 }) == 0);
    tri_server_stop(s.server); /* looks at what is left to be parsed */
    tri_server_uncork(s.server);
    serving_release(&s);
    SERVE_UNTIL(&s, client_ended(&c));
    client_close(&c);
    SERVE_UNTIL(&s, tri_server_drained(s.server));
    serving_fini(&s);
}

/* --- frames that fail to make a pong --- */

static tri_ws_ops failing;

static int fail_to_pong(tri_ws_protocol *protocol, tri_chain *out, tri_span payload)
{
    (void)protocol, (void)out, (void)payload;
    return TRI_EPROTO;
}

static void init_failing(void *memory, tri_ws_shared *shared, void *context)
{
    (void)context;
    tri_ws *ws = memory;
    tri_ws_init(memory, shared);
    failing = *ws->protocol.ops;
    failing.submit_pong = fail_to_pong;
    ws->protocol.ops = &failing;
}

/* A server whose sockets' frames fail so, and write little at once. */
static void open_failing(serving *s)
{
    int fds[TRI_LISTENER_MAX], small = 100000;
    tri_addr address;
    memset(s, 0, sizeof *s);
    check_mem_init(&s->mem);
    s->app = app_hold;
    tri_settings settings = { .mem = &s->mem.mem, .websockets = true, .ws = { sizeof(tri_ws), init_failing, NULL } };
    tri_limits_default(&settings.limits);
    settings.limits.send_high = 65536;
    settings.limits.send_low = 16384;
    CHECK(tri_server_new(&s->server, &settings) == 0 && tri_listener_tcp("127.0.0.1", 0, 16, fds) == 1);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    tri_listener_address(fds[0], &address);
    s->port = address.port;
    CHECK(tri_server_listen(s->server, fds[0], 0) == 0);
}

/* A pong that had to wait for room fails when that is there: the application is told, and others are served. */
static void test_pong_fails_that_waited(void)
{
    static client c;
    serving s;
    tri_ws_received got;
    open_failing(&s);
    client_open_small(&c, &s, 60000);
    client_send(&c, SOCKETS_HELLO(""));
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(tri_websocket_receive(s.held[0], &got) == 0);
    tri_websocket_take(s.held[0]);
    CHECK(tri_websocket_accept(s.held[0], NULL, 0, (tri_span){ NULL, 0 }) == 0);
    scenario_lent = scenario_released = 0;
    while (tri_exchange_writable(s.held[0])) {
        tri_loan loan = { { scenario_large, 60000 }, scenario_release, NULL };
        CHECK(tri_websocket_send(s.held[0], &loan, TRI_WS_BINARY) == 0);
        scenario_lent++;
    }
    tri_exchange_want(s.held[0], TRI_WANT_READ);
    CHECK(send(c.fd, "\x89\x80\0\0\0\0", 6, MSG_NOSIGNAL) == 6);
    serve_for(&s, 20);
    CHECK(s.refusals == 0);
    for (int i = 0; i < 100 && s.refusals == 0; i++) {
        while (client_read(&c))
            client_forget(&c);
        serve_for(&s, 5);
    }
    CHECK(s.refusals == 1 && tri_websocket_receive(s.held[0], &got) == 0);
    CHECK(got.type == TRI_WS_RECEIVED_DISCONNECT && got.code == TRI_WS_INTERNAL);
    SERVE_UNTIL(&s, client_ended(&c));
    serving_release(&s);
    serving_part(&s, &c);
    CHECK(scenario_lent == scenario_released);
}

int main(void)
{
    for (int i = 0; i < 4; i++)
        test_ends_within_accept(i & 1, i & 2);
    test_ends_within_accept_and_the_server_stops();
    test_pong_fails_that_waited();
    return check_report();
}
