/* WebSockets whose peers do not wait for the answer: what comes right behind the handshake is parsed within the call
   that accepts, and may end the connection there. */
#include "scenario.h"

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

int main(void)
{
    for (int i = 0; i < 4; i++)
        test_ends_within_accept(i & 1, i & 2);
    test_ends_within_accept_and_the_server_stops();
    return check_report();
}
