/* What the tests of faults let fail at each place: requests of every kind that are answered at once, and exchanges that
   wait for bodies, readers and deadlines. The clock is the scenario's own, so that no deadline takes its time. */
#ifndef TRI_TESTS_SCENARIO_H
#define TRI_TESTS_SCENARIO_H

#include "serving.h"

#include <sys/syscall.h>
#include <sys/timerfd.h>

enum { SCENARIO_CLIENTS = 6, SCENARIO_TURNS = 1000 };

typedef struct scenario {
    void (*app)(serving *self, tri_exchange *exchange);
    int send_buffer;    /* as serving_send_buffer */
    uint32_t send_high; /* as in the limits */
    bool more;          /* the clients speak HTTP/2, or open WebSockets */
    /* Opens the clients, SCENARIO_CLIENTS of them, and has them send. */
    void (*begin)(serving *s, client *c);
    /* Stops the server; the clients go. */
    void (*end)(serving *s, client *c);
} scenario;

static char scenario_large[200000];
static unsigned scenario_lent, scenario_released;
static unsigned scenario_messages; /* of WebSockets, in all runs */

static inline void scenario_release(void *owner)
{
    (void)owner;
    scenario_released++;
}

/* --- the clock --- */

static uint64_t scenario_skipped_ms;

/* These go before the C library's: time passes when the scenario says so. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += clock == CLOCK_MONOTONIC ? (time_t)(scenario_skipped_ms / 1000) : 0;
    return (int)result;
}

static inline int scenario_timer_set(int fd, int flags, const struct itimerspec *when)
{
    struct itimerspec real = *when;
    real.it_value.tv_sec -= (time_t)(scenario_skipped_ms / 1000);
    if (real.it_value.tv_sec < 0)
        real.it_value = (struct timespec){ 0, 1 };
    return (int)syscall(SYS_timerfd_settime, fd, flags, &real, NULL);
}

/* Has so many seconds pass. */
static inline void scenario_skip(unsigned seconds)
{
    scenario_skipped_ms += seconds * (uint64_t)1000;
}

/* Does something else with every request, as long as it goes well. */
static inline void at_once_app(serving *self, tri_exchange *exchange)
{
    tri_received got;
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, sizeof scenario_large }, scenario_release, NULL };
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ);
    if (self->exchanges % 3 == 0) {
        (void)!answer(exchange, "hello");
    } else if (self->exchanges != 7 && tri_exchange_respond(exchange, &response) == 0) {
        bool once = self->exchanges % 2 == 0;
        if (tri_exchange_write(exchange, &loan, once) == 0) {
            scenario_lent++;
            scenario_lent += !once && tri_exchange_write(exchange, &loan, true) == 0;
        }
    }
    let_go(exchange);
}

/* A few turns with what the clients have sent; what comes back is only taken in. */
static inline void scenario_send(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < 8; i++) {
        serving_turn(s, 0);
        while (client_read(c))
            continue;
        client_forget(c);
    }
}

/* Opens a server for it. */
static inline int scenario_open(serving *s, const scenario *what)
{
    tri_limits limits;
    tri_limits_default(&limits);
    limits.send_high = what->send_high;
    limits.send_low = what->send_high / 4;
    serving_send_buffer = what->send_buffer;
    serving_http2 = what->more;
    scenario_lent = scenario_released = 0;
    int error = serving_open(s, &limits, what->app);
    serving_send_buffer = 0;
    serving_http2 = false;
    return error;
}

/* --- answers at once --- */

static inline void at_once_begin(serving *s, client *c)
{
    static char head[6000];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nLong: %05000d\r\n\r\n", 0);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open(&c[i], s);
    scenario_send(s, &c[0], "GET / HTTP/1.1\r\nHost: a\r\nPie");
    scenario_send(s, &c[1], GET("/1") GET("/2") GET("/3") "GET /4 HT");
    scenario_send(s, &c[0], "ces: a\r\n\r\n");
    scenario_send(s, &c[1], "TP/1.1\r\nHost: a\r\n\r\n");
    scenario_send(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    scenario_send(s, &c[2], "0123456789");
    scenario_send(s, &c[3], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n");
    scenario_send(s, &c[3], "0\r\n\r\n");
    scenario_send(s, &c[4], head);
    scenario_send(s, &c[5], "nonsense\r\n\r\n");
    client_reset(&c[5]);
    for (int i = 0; i < 3; i++)
        scenario_send(s, &c[i], GET("/"));
}

static inline void at_once_end(serving *s, client *c)
{
    tri_server_stop(s->server);
    scenario_send(s, &c[4], GET("/"));
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    serving_turn(s, 0);
}

/* --- exchanges that wait --- */

enum { WAITING_LOANS = 4, WAITING_LOAN = 60000 };

/* How far the application of an exchange is: it reads a body of a known length to its end, then it writes so often. */
static char waiting_steps[1 + WAITING_LOANS];

/* Reads what is there; returns whether the answer may begin. */
static inline bool waiting_receive(tri_exchange *exchange)
{
    tri_received got;
    bool begins = !(tri_exchange_head(exchange)->flags & TRI_HEAD_LENGTH);
    while (tri_exchange_receive(exchange, &got) == 0 && !got.disconnect) {
        begins = begins || !got.more;
        tri_exchange_take(exchange);
    }
    if (!got.disconnect)
        tri_exchange_want(exchange, TRI_WANT_READ);
    return begins;
}

/* Goes on with a held exchange as far as that is possible; returns whether it is done. */
static inline bool waiting_step(tri_exchange *exchange)
{
    tri_response response = { .status = 200 };
    tri_loan loan = { { scenario_large, WAITING_LOAN }, scenario_release, NULL };
    char *step = tri_exchange_user(exchange);
    step += waiting_receive(exchange) && step == waiting_steps;
    tri_exchange_set_user(exchange, step);
    if (step == waiting_steps)
        return tri_exchange_lost(exchange);
    if (!tri_exchange_started(exchange) && tri_exchange_respond(exchange, &response) != 0)
        return true;
    while (tri_exchange_writable(exchange)) {
        bool last = step == waiting_steps + WAITING_LOANS;
        int error = tri_exchange_write(exchange, &loan, last);
        scenario_lent += error == 0;
        if (error != 0 || last)
            return true;
        tri_exchange_set_user(exchange, ++step);
    }
    tri_exchange_want(exchange, TRI_WANT_WRITE);
    return tri_exchange_lost(exchange);
}

static inline void waiting_app(serving *self, tri_exchange *exchange)
{
    tri_exchange_set_user(exchange, waiting_steps);
    app_hold(self, exchange);
}

/* A few turns, in which the applications go on. */
static inline void waiting_turns(serving *s, unsigned n)
{
    while (n-- > 0) {
        serving_turn(s, 0);
        for (unsigned i = 0; i < s->n_held; i++) {
            tri_exchange *exchange = s->held[i];
            if (!waiting_step(exchange))
                continue;
            memmove(s->held + i, s->held + i + 1, (--s->n_held - i) * sizeof *s->held);
            i--;
            let_go(exchange);
        }
    }
}

/* Sends, as far as there is room. */
static inline void waiting_send(serving *s, client *c, const char *text)
{
    (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    waiting_turns(s, 3);
}

static inline void waiting_read(serving *s, client *c)
{
    for (unsigned i = 0; i < 16; i++) {
        while (client_read(c))
            client_forget(c);
        waiting_turns(s, 2);
    }
}

static inline void waiting_begin(serving *s, client *c)
{
    static char part[16001];
    memset(part, 'x', sizeof part - 1);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open_small(&c[i], s, i == 0 ? 4096 : 0);
    waiting_send(s, &c[0], GET("/never-read"));
    waiting_send(s, &c[1], GET("/read-late") GET("/behind"));
    waiting_send(s, &c[2], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    waiting_send(s, &c[3], "GET / HTTP/1.1\r\nHo");
    waiting_send(s, &c[4], "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        waiting_send(s, &c[4], "3e80\r\n");
        waiting_send(s, &c[4], part);
        waiting_send(s, &c[4], "\r\n");
    }
    shutdown(c[4].fd, SHUT_WR);
    waiting_read(s, &c[4]);
    scenario_skip(25);
    waiting_send(s, &c[2], "dribbled");
    waiting_read(s, &c[1]);
    scenario_skip(15); /* time is up for all but one */
    waiting_read(s, &c[1]);
    client_reset(&c[4]);
    waiting_turns(s, 4);
}

static inline void waiting_end(serving *s, client *c)
{
    client_close(&c[5]);
    client_open(&c[5], s);
    waiting_send(s, &c[5], "POST /last HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
    client_close(&c[2]);
    client_open(&c[2], s);
    waiting_send(s, &c[2], GET("/slowly"));
    tri_server_stop(s->server);
    waiting_send(s, &c[5], "45");
    waiting_read(s, &c[5]);
    waiting_read(s, &c[2]);
    scenario_skip(5);
    waiting_turns(s, 4);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    waiting_turns(s, 4);
}

/* --- streams of HTTP/2 --- */

enum { STREAMS_DATA = 0, STREAMS_HEADERS = 1, STREAMS_RESET = 3, STREAMS_SETTINGS = 4, STREAMS_WINDOW = 8 };
enum { STREAMS_END = 1, STREAMS_HEAD_END = 4, STREAMS_LAST = 5 };

/* What a client is about to send. */
typedef struct streams_out {
    size_t n;
    char bytes[70000];
} streams_out;

static streams_out streams_room;

static inline void streams_put(const void *bytes, size_t n)
{
    memcpy(streams_room.bytes + streams_room.n, bytes, n);
    streams_room.n += n;
}

static inline void streams_frame(unsigned type, unsigned flags, unsigned stream, tri_span payload)
{
    const char head[] = { 0, (char)(payload.n >> 8), (char)payload.n, (char)type, (char)flags, 0,
                          0, (char)(stream >> 8),    (char)stream };
    streams_put(head, sizeof head);
    streams_put(payload.p, payload.n);
}

/* The client's preface; `window` shut is 0. */
static inline void streams_hello(unsigned window)
{
    const char settings[] = { 0, 4, 0, 0, (char)(window >> 8), (char)window };
    streams_put("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    streams_frame(STREAMS_SETTINGS, 0, 0, (tri_span){ settings, sizeof settings });
}

/* Heads in HPACK: of GET, of POST with a length of 1000, and of an extended CONNECT for a WebSocket. */
static inline void streams_get(unsigned stream)
{
    streams_frame(STREAMS_HEADERS, STREAMS_LAST, stream,
                  TRI_SPAN("\x82\x86\x84\x41\x01"
                           "a"));
}

static inline void streams_post(unsigned stream)
{
    streams_frame(STREAMS_HEADERS, STREAMS_HEAD_END, stream,
                  TRI_SPAN("\x83\x86\x84\x41\x01"
                           "a"
                           "\x5c\x04"
                           "1000"));
}

static inline void streams_connect(unsigned stream)
{
    streams_frame(STREAMS_HEADERS, STREAMS_HEAD_END, stream,
                  TRI_SPAN("\x02\x07"
                           "CONNECT"
                           "\x00\x09:protocol\x09"
                           "websocket"
                           "\x86\x84\x41\x01"
                           "a"
                           "\x00\x15sec-websocket-version\x02"
                           "13"));
}

static inline void streams_data(unsigned stream, unsigned flags, size_t n)
{
    streams_frame(STREAMS_DATA, flags, stream, (tri_span){ scenario_large, n });
}

/* A WebSocket with its exchange: every message is answered. */
static inline bool streams_socket(tri_exchange *exchange)
{
    tri_ws_received got;
    tri_loan loan = { { scenario_large, 5000 }, scenario_release, NULL };
    while (tri_websocket_receive(exchange, &got) == 0) {
        if (got.type == TRI_WS_RECEIVED_DISCONNECT)
            return true;
        bool connect = got.type == TRI_WS_RECEIVED_CONNECT;
        tri_websocket_take(exchange);
        if (connect)
            (void)!tri_websocket_accept(exchange, NULL, 0, (tri_span){ NULL, 0 });
        else
            scenario_lent += tri_websocket_send(exchange, &loan, TRI_WS_BINARY) == 0;
        scenario_messages += !connect;
    }
    tri_exchange_want(exchange, TRI_WANT_READ);
    return tri_exchange_lost(exchange);
}

/* Every third fails or is answered at once, the others are worked on. */
static inline void streams_app(serving *self, tri_exchange *exchange)
{
    if (!tri_exchange_is_websocket(exchange) && self->exchanges % 3 == 0)
        at_once_app(self, exchange);
    else if (self->n_held == SERVING_HELD)
        let_go(exchange);
    else
        waiting_app(self, exchange);
}

static inline void streams_turns(serving *s, unsigned n)
{
    while (n-- > 0) {
        serving_turn(s, 0);
        for (unsigned i = 0; i < s->n_held; i++) {
            tri_exchange *exchange = s->held[i];
            if (!(tri_exchange_is_websocket(exchange) ? streams_socket(exchange) : waiting_step(exchange)))
                continue;
            memmove(s->held + i, s->held + i + 1, (--s->n_held - i) * sizeof *s->held);
            i--;
            let_go(exchange);
        }
    }
}

/* Sends what was put, as far as there is room, and takes in what comes back. */
static inline void streams_send(serving *s, client *c)
{
    (void)!send(c->fd, streams_room.bytes, streams_room.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    streams_room.n = 0;
    for (int i = 0; i < 4; i++) {
        streams_turns(s, 2);
        while (client_read(c))
            client_forget(c);
    }
}

static inline void streams_begin(serving *s, client *c)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open(&c[i], s);
    streams_put("PRI * HT", 8);
    streams_send(s, &c[4]);
    streams_put("nonsense\r\n\r\n", 12);
    streams_send(s, &c[4]);
    for (int i = 0; i < 4; i++)
        streams_hello(i == 2 ? 0 : 65535), streams_send(s, &c[i]);
    for (unsigned stream = 1; stream < 20; stream += 2)
        streams_get(stream);
    streams_frame(STREAMS_RESET, 0, 5, TRI_SPAN("\0\0\0\x08"));
    streams_send(s, &c[0]);
    for (unsigned stream = 1; stream < 10; stream += 2)
        streams_post(stream), streams_data(stream, 0, 400);
    streams_send(s, &c[1]);
    for (unsigned stream = 1; stream < 8; stream += 2)
        streams_data(stream, STREAMS_END, 600);
    streams_send(s, &c[1]);
    for (unsigned stream = 1; stream < 8; stream += 2)
        streams_get(stream);
    streams_send(s, &c[2]);
    streams_frame(STREAMS_WINDOW, 0, 3, TRI_SPAN("\0\0\x40\0"));
    streams_send(s, &c[2]);
    streams_connect(1);
    streams_connect(3);
    streams_send(s, &c[3]);
    for (unsigned stream = 1; stream < 5; stream += 2)
        streams_frame(STREAMS_DATA, 0, stream,
                      TRI_SPAN("\x82\x84"
                               "mask"
                               "\x00\x01\x02\x03"));
    streams_frame(STREAMS_DATA, STREAMS_END, 1,
                  TRI_SPAN("\x88\x80"
                           "mask"));
    streams_send(s, &c[3]);
    scenario_skip(40); /* time is up for what nobody takes, and for what does not come */
    streams_turns(s, 4);
    streams_send(s, &c[1]);
    streams_send(s, &c[2]);
}

static inline void streams_end(serving *s, client *c)
{
    client_close(&c[5]);
    client_open(&c[5], s);
    streams_hello(65535);
    streams_post(1);
    streams_send(s, &c[5]);
    tri_server_stop(s->server);
    streams_get(3);
    streams_data(1, STREAMS_END, 1000);
    streams_send(s, &c[5]);
    scenario_skip(5);
    streams_turns(s, 4);
    streams_send(s, &c[5]);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    streams_turns(s, 4);
}

/* --- WebSockets over HTTP/1.1 --- */

/* What a handshake asks for; with the answer to it the connection is a WebSocket. */
#define SOCKETS_HELLO(more)                                                                                         \
    "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "\r\n"
#define SOCKETS_DEFLATE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

static inline void sockets_app(serving *self, tri_exchange *exchange)
{
    if (tri_exchange_is_websocket(exchange))
        app_hold(self, exchange);
    else
        at_once_app(self, exchange);
}

/* Frames of a client, whose mask is 0, as far as there is room. */
static inline void sockets_send(serving *s, client *c, tri_span frames)
{
    (void)!send(c->fd, frames.p, frames.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    streams_send(s, c);
}

static inline void sockets_ask(serving *s, client *c, const char *text)
{
    sockets_send(s, c, (tri_span){ text, strlen(text) });
}

static inline void sockets_begin(serving *s, client *c)
{
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_open_small(&c[i], s, i == 3 ? 4096 : 0);
    sockets_ask(s, &c[0], SOCKETS_HELLO(SOCKETS_DEFLATE));
    sockets_ask(s, &c[1], SOCKETS_HELLO(""));
    sockets_ask(s, &c[2], "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    sockets_ask(s, &c[3], SOCKETS_HELLO(SOCKETS_DEFLATE));
    sockets_ask(s, &c[4], SOCKETS_HELLO(""));
    sockets_ask(s, &c[5], GET("/1") GET("/2") GET("/3"));
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        sockets_send(s, &c[i], (tri_span){ "", 0 });
    sockets_send(s, &c[0], TRI_SPAN("\xc1\x87\0\0\0\0\xca\x48\xcd\xc9\xc9\x07\0\x82\x83\0\0\0\0abc"));
    sockets_send(s, &c[1], TRI_SPAN("\x01\x82\0\0\0\0ab\x89\x81\0\0\0\0p\x80\x81\0\0\0\0c"));
    for (int i = 0; i < 6; i++)
        (void)!send(c[3].fd, "\x82\x81\0\0\0\0a", 7, MSG_NOSIGNAL | MSG_DONTWAIT), streams_turns(s, 2);
    sockets_send(s, &c[4], TRI_SPAN("\xff\x81\0\0\0\0a")); /* no such frame */
    sockets_send(s, &c[1], TRI_SPAN("\x88\x82\0\0\0\0\x03\xe8"));
    scenario_skip(25); /* time for pings */
    streams_turns(s, 4);
    sockets_send(s, &c[0], TRI_SPAN("\x8a\x80\0\0\0\0\xc1\x85\0\0\0\0\x02\x06\0\0\0")); /* damaged */
    sockets_send(s, &c[3], (tri_span){ "", 0 });
}

static inline void sockets_end(serving *s, client *c)
{
    client_close(&c[5]);
    client_open(&c[5], s);
    sockets_ask(s, &c[5], SOCKETS_HELLO(SOCKETS_DEFLATE));
    sockets_send(s, &c[5], TRI_SPAN("\x81\x81\0\0\0\0a"));
    tri_server_stop(s->server);
    sockets_send(s, &c[5], TRI_SPAN("\x88\x82\0\0\0\0\x03\xe8"));
    scenario_skip(40);
    streams_turns(s, 4);
    for (int i = 0; i < SCENARIO_CLIENTS; i++)
        client_close(&c[i]);
    streams_turns(s, 4);
}

static const scenario scenarios[] = {
    { at_once_app, 0, 262144, false, at_once_begin, at_once_end },
    { waiting_app, 8192, 65536, false, waiting_begin, waiting_end },
    { sockets_app, 8192, 65536, true, sockets_begin, sockets_end },
#ifdef TRI_HTTP2
    { streams_app, 8192, 65536, true, streams_begin, streams_end },
#endif
};

enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

#endif
