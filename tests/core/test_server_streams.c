/* Connections that have many exchanges at once, whose ends come while something else is done with the connection: time
   that is over for several, frames that are written. */
#include "scenario.h"
#include "ws_peer.h"

enum { MINUTES = 40 };

static client bomber, peer;

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    (void)before;
    return scenario_timer_set(fd, flags, when);
}

/* The client sends what was put. */
static void send_put(const client *from)
{
    CHECK(send(from->fd, streams_room.bytes, streams_room.n, MSG_NOSIGNAL) == (ssize_t)streams_room.n);
    streams_room.n = 0;
}

/* A message that uses up a turn, so that others are not read from in it. */
static void send_bomb(const client *from)
{
    tri_span frame = peer_bomb();
    CHECK(send(from->fd, frame.p, frame.n, MSG_NOSIGNAL) == (ssize_t)frame.n);
}

static void accept_all(const serving *s)
{
    tri_ws_received got;
    for (unsigned i = 0; i < s->n_held; i++) {
        if (tri_websocket_receive(s->held[i], &got) != 0 || got.type != TRI_WS_RECEIVED_CONNECT)
            continue;
        tri_websocket_take(s->held[i]);
        CHECK(tri_websocket_accept(s->held[i], NULL, 0, (tri_span){ NULL, 0 }) == 0);
    }
}

/* A server with a WebSocket over HTTP/1.1, and two on one connection of HTTP/2. */
static void meet(serving *s, const tri_limits *limits)
{
    serving_http2 = true;
    serving_meet(s, &bomber, limits, app_hold);
    client_send(&bomber, SOCKETS_HELLO(SOCKETS_DEFLATE));
    SERVE_UNTIL(s, s->n_held == 1);
    accept_all(s);
    SERVE_UNTIL(s, client_has(&bomber, "permessage-deflate"));
    client_open(&peer, s);
    streams_hello(65535);
    streams_connect(1);
    streams_connect(3);
    send_put(&peer);
    SERVE_UNTIL(s, s->n_held == 3);
    accept_all(s);
    serve_for(s, 20);
}

static void part(serving *s)
{
    client_close(&peer);
    client_close(&bomber);
    serving_fini(s);
    serving_http2 = false;
}

/* Close frames of both have come in a turn that others have used up, and the time for them is over in it. */
static void close_late(serving *s, uint32_t ms)
{
    send_bomb(&bomber);
    for (unsigned stream = 1; stream < 5; stream += 2)
        streams_frame(STREAMS_DATA, 0, stream, TRI_SPAN("\x88\x82\0\0\0\0\x03\xe8"));
    send_put(&peer);
    poll(NULL, 0, 20);
    scenario_skip(ms / 1000 + 1);
    serving_turn(s, 0);
    serving_turn(s, 0);
}

/* The closing handshakes are complete though the turn is late; nobody else refers to the exchanges. */
static void test_close_frames_of_several_in_time(void)
{
    serving s;
    tri_limits limits = short_limits();
    meet(&s, &limits);
    while (s.n_held > 1) {
        tri_exchange *exchange = s.held[--s.n_held];
        CHECK(tri_websocket_close(exchange, TRI_WS_NORMAL, (tri_span){ NULL, 0 }) == 0);
        let_go(exchange);
    }
    serving_turn(&s, 0);
    close_late(&s, limits.ws_close_ms);
    CHECK(counters_of(&s).open == 2 && counters_of(&s).active == 1 && s.refusals == 0);
    part(&s);
}

/* The same where signs of life are overdue: each is told of its peer's close frame. */
static void test_signs_of_life_of_several_in_time(void)
{
    serving s;
    tri_ws_received got;
    tri_limits limits = short_limits();
    meet(&s, &limits);
    scenario_skip(limits.ws_ping_ms / 1000 + 1);
    serving_turn(&s, 0);
    serving_turn(&s, 0);
    for (int i = 1; i < 3; i++)
        tri_exchange_want(s.held[i], TRI_WANT_READ);
    close_late(&s, limits.ws_pong_ms);
    for (int i = 1; i < 3; i++)
        CHECK(tri_websocket_receive(s.held[i], &got) == 0 && got.type == TRI_WS_RECEIVED_DISCONNECT
              && got.code == TRI_WS_NORMAL);
    part(&s);
}

/* Reads what has come of an exchange, and waits for more. */
static void read_on(tri_exchange *exchange)
{
    tri_received got = { .disconnect = false };
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    if (!got.disconnect)
        tri_exchange_want(exchange, TRI_WANT_READ | TRI_WANT_LEFT);
}

/* Takes in what has come, and forgets it. */
static void drain(client *from)
{
    while (client_read(from))
        client_forget(from);
}

/* A peer that breaks the protocol while much waits to be written, so that the session's end is made as that is: every
   application is told, and the connection does not stay. */
static void test_session_that_ends_while_it_is_written(int send_buffer)
{
    serving s;
    tri_limits limits = short_limits();
    serving_http2 = true;
    serving_send_buffer = send_buffer;
    serving_init(&s, &limits, app_hold);
    serving_send_buffer = 0;
    client_open_small(&peer, &s, send_buffer / 2);
    streams_hello(65535);
    streams_get(1);
    streams_post(3);
    streams_get(5);
    send_put(&peer);
    SERVE_UNTIL(&s, s.n_held == 3);
    scenario_lent = scenario_released = 0;
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    CHECK(tri_exchange_respond(s.held[0], &response) == 0 && tri_exchange_write(s.held[0], &loan, false) == 0);
    for (int i = 1; i < 3; i++)
        read_on(s.held[i]);
    serve_for(&s, 20);
    drain(&peer);
    streams_frame(STREAMS_WINDOW, 0, 0, TRI_SPAN("\0\x0f\0\0"));
    streams_frame(STREAMS_WINDOW, 0, 1, TRI_SPAN("\0\x0f\0\0"));
    streams_data(3, 0, 100);
    streams_frame(STREAMS_SETTINGS, 0, 0, TRI_SPAN("odd"));
    send_put(&peer);
    for (int i = 0; i < 20; i++) {
        serving_turn(&s, 5);
        read_on(s.held[1]);
        read_on(s.held[2]);
        drain(&peer);
    }
    client_close(&peer);
    for (int i = 0; i < MINUTES && counters_of(&s).open > 0; i++) {
        scenario_skip(60);
        serving_turn(&s, 0);
    }
    for (int i = 0; i < 3; i++)
        CHECK(tri_exchange_lost(s.held[i]));
    CHECK(counters_of(&s).open == 0);
    serving_fini(&s);
    CHECK(scenario_released == 1);
    serving_http2 = false;
}

/* An application goes on after the head of its answer to a HEAD, which is all that its peer gets: it is told when that
   has said goodbye and left, and nothing of the connection stays. */
static void test_goodbye_while_a_head_is_worked_on(void)
{
    serving s;
    tri_limits limits = short_limits();
    tri_response response = { .status = 200 };
    tri_loan part = { .bytes = TRI_SPAN("part") };
    serving_http2 = true;
    serving_meet(&s, &peer, &limits, app_hold);
    streams_hello(65535);
    streams_frame(STREAMS_HEADERS, STREAMS_LAST, 1,
                  TRI_SPAN("\x02\x04HEAD\x86\x84\x41\x01"
                           "a"));
    send_put(&peer);
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(tri_exchange_respond(s.held[0], &response) == 0 && tri_exchange_write(s.held[0], &part, false) == 0);
    read_on(s.held[0]);
    serve_for(&s, 20);
    CHECK(!tri_exchange_left(s.held[0]) && s.woken == 0);
    streams_frame(7, 0, 0, TRI_SPAN("\0\0\0\0\0\0\0\0"));
    send_put(&peer);
    client_close(&peer);
    SERVE_UNTIL(&s, s.woken == 1);
    CHECK(tri_exchange_left(s.held[0]) && tri_exchange_write(s.held[0], &part, false) == TRI_ECLOSED);
    SERVE_UNTIL(&s, counters_of(&s).open == 0);
    serving_fini(&s);
    serving_http2 = false;
}

/* A client that gives its only stream up after a long time keeps its connection, as if it had been answered. */
static void test_reset_of_the_only_stream(void)
{
    serving s;
    tri_limits limits = short_limits();
    serving_http2 = true;
    serving_meet(&s, &peer, &limits, app_hold);
    streams_hello(65535);
    streams_get(1);
    send_put(&peer);
    SERVE_UNTIL(&s, s.n_held == 1);
    read_on(s.held[0]);
    serve_for(&s, 20);
    for (int i = 0; i < 5; i++) {
        scenario_skip(60);
        serving_turn(&s, 0);
    }
    drain(&peer);
    streams_frame(STREAMS_RESET, 0, 1, TRI_SPAN("\0\0\0\x08"));
    send_put(&peer);
    SERVE_UNTIL(&s, tri_exchange_lost(s.held[0]));
    for (int i = 0; i < 5; i++) {
        poll(NULL, 0, 5);
        serving_turn(&s, 0);
    }
    streams_get(3);
    send_put(&peer);
    SERVE_UNTIL(&s, s.n_held == 2);
    CHECK(!client_ended(&peer));
    serving_release(&s);
    serving_release(&s);
    serving_part(&s, &peer);
    serving_http2 = false;
}

/* An answer is complete before its request is, and waits for room as the client ends its side: all of it is written. */
static void test_complete_answer_to_a_request_that_is_cut(void)
{
    serving s;
    size_t n = 0;
    tri_limits limits = short_limits();
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    serving_http2 = true;
    serving_send_buffer = 8192;
    serving_init(&s, &limits, app_hold);
    serving_send_buffer = 0;
    client_open_small(&peer, &s, 4096);
    streams_hello(65535);
    streams_frame(STREAMS_WINDOW, 0, 0, TRI_SPAN("\0\x0f\0\0"));
    streams_post(1);
    streams_frame(STREAMS_WINDOW, 0, 1, TRI_SPAN("\0\x0f\0\0"));
    send_put(&peer);
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(tri_exchange_respond(s.held[0], &response) == 0 && tri_exchange_write(s.held[0], &loan, true) == 0);
    serving_turn(&s, 0);
    shutdown(peer.fd, SHUT_WR);
    for (int i = 0; i < 1000 && !peer.eof; i++) {
        serving_turn(&s, 1);
        while (client_read(&peer)) {
            n += peer.n;
            client_forget(&peer);
        }
    }
    CHECK(n > sizeof scenario_large);
    serving_release(&s);
    serving_part(&s, &peer);
    serving_http2 = false;
}

int main(void)
{
    test_reset_of_the_only_stream();
    test_complete_answer_to_a_request_that_is_cut();
    test_goodbye_while_a_head_is_worked_on();
    test_close_frames_of_several_in_time();
    test_signs_of_life_of_several_in_time();
    test_session_that_ends_while_it_is_written(0);
    test_session_that_ends_while_it_is_written(8192);
    return check_report();
}
