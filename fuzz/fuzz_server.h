/* A whole server, clients that send what the input describes, and applications that do with the exchanges what it
   says: requests, streams, WebSockets, stops, time that passes, memory that is refused. Whatever they do, the server
   ends when it is told to, nothing that it was lent is kept, and no memory is lost. A fuzzer that includes this says by
   what its clients' bytes go. */
#ifndef TRI_FUZZ_SERVER_H
#define TRI_FUZZ_SERVER_H

#include "fuzz.h"
#include "scenario.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include "server/access_log.h"
#include "server/forwarded.h"

enum {
    CLIENTS = 2,      /* a power of two */
    STEPS = 150,      /* of an input */
    STREAMS_MOST = 8, /* by which frames are numbered: 1, 3, ... */
    LARGE = 20000,    /* bytes of a body that is lent */
    LAST_TURNS = 200, /* in which a server whose peers are gone must have ended */
};

/* The server, who speaks to it, and what the input has left. */
typedef struct world {
    serving serving;
    fuzz_input in;
    struct sockaddr_un at;
    socklen_t at_size;
    int clients[CLIENTS];
    unsigned corks;
    unsigned last_stream;
    bool logs;
} world;

/* --- the including file's, of the client `which` --- */

/* Before the server listens. */
static void line_serve(world *self);
/* Its socket is connected, and about to be closed. */
static void line_open(world *self, unsigned which);
static void line_close(const world *self, unsigned which);
/* It sends, as far as there is room, reads what is there, and ends its side. */
static void line_put(const world *self, unsigned which, const void *bytes, size_t n);
static void line_take(const world *self, unsigned which);
static void line_end(const world *self, unsigned which);

/* What an exchange is marked with once its head is needed no more, and once a handshake was denied. */
static char headless, denied;

/* In how many polls to come the kernel tells nothing: time passes, and what has come is not read. */
static unsigned deaf_polls;
/* How small the buffers of accepted connections are, 0 for as they are. */
static int small_buffer;

/* Names and values of fields, each of which means something to some part of the server. */
static const char *const names[] = {
    "host",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "content-length",
    "transfer-encoding",
    "expect",
    "cookie",
    "te",
    "x-forwarded-for",
    "forwarded",
    "priority",
    "x",
};

static const char *const values[] = {
    "a",
    "upgrade",
    "websocket",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "13",
    "permessage-deflate",
    "chat, superchat",
    "10",
    "chunked",
    "100-continue",
    "close",
    "permessage-deflate; client_max_window_bits; server_no_context_takeover",
    "127.0.0.1, unix:",
    "for=1.2.3.4;proto=https",
    "u=0, i",
    "0",
};

static const char *const methods[] = { "GET", "POST", "CONNECT", "HEAD", "OPTIONS" };
static const char *const paths[] = { "/", "/socket?a=b", "/healthy", "/ready", "*", "" };

/* One of `texts`, or with a high byte what the input says itself. */
static tri_span choose(world *self, const char *const *texts, size_t n)
{
    unsigned which = fuzz_byte(&self->in);
    tri_span own = { NULL, 0 };
    if (which < 240)
        return (tri_span){ texts[which % n], strlen(texts[which % n]) };
    own = fuzz_text(&self->in);
    return (tri_span){ own.p, own.n < 120 ? own.n : 120 };
}

#define CHOOSE(self, texts) choose((self), (texts), sizeof(texts) / sizeof *(texts))

/* So many of the next bytes as the first of them says. */
static tri_span take_some(world *self)
{
    size_t n = fuzz_byte(&self->in);
    n = n < self->in.n ? n : self->in.n;
    tri_span some = { (const char *)self->in.p, n };
    self->in.p += n;
    self->in.n -= n;
    return some;
}

/* --- clients --- */

static void leave_client(world *self, unsigned which)
{
    if (self->clients[which] < 0)
        return;
    line_close(self, which);
    (void)close(self->clients[which]);
    self->clients[which] = -1;
}

static void connect_client(world *self, unsigned which)
{
    leave_client(self, which);
    self->clients[which] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(self->clients[which], (struct sockaddr *)&self->at, self->at_size);
    serving_turn(&self->serving, 0); /* it is accepted; read from it is in the next */
    line_open(self, which);
}

/* A line of fields, with its CRLF; `at` is behind it afterwards. */
static void put_line(char *line, size_t *at, tri_span name, tri_span value)
{
    memcpy(line + *at, name.p, name.n);
    *at += name.n;
    memcpy(line + *at, ": ", 2);
    *at += 2;
    if (value.n > 0)
        memcpy(line + *at, value.p, value.n);
    *at += value.n;
    memcpy(line + *at, "\r\n", 2);
    *at += 2;
}

/* A request of HTTP/1.1. */
static void put_request(world *self, unsigned which)
{
    static char head[16384];
    tri_span method = CHOOSE(self, methods), path = CHOOSE(self, paths);
    size_t n = (size_t)snprintf(head, sizeof head, "%.*s %.*s HTTP/1.%u\r\n", (int)method.n, method.p, (int)path.n,
                                path.p, fuzz_byte(&self->in) % 8 != 7);
    for (unsigned fields = fuzz_byte(&self->in) % 32; fields > 0; fields--) {
        tri_span name = CHOOSE(self, names);
        put_line(head, &n, name, CHOOSE(self, values));
    }
    memcpy(head + n, "\r\n", 2);
    line_put(self, which, head, n + 2);
}

/* A request that asks for a WebSocket, as it should be. */
static void put_handshake(world *self, unsigned which)
{
    static const char plain[] = SOCKETS_HELLO(""), deflate[] = SOCKETS_HELLO(SOCKETS_DEFLATE);
    if (fuzz_byte(&self->in) & 1)
        line_put(self, which, deflate, sizeof deflate - 1);
    else
        line_put(self, which, plain, sizeof plain - 1);
}

/* A frame of HTTP/2. */
static void put_frame(world *self, unsigned which, unsigned type, unsigned flags, unsigned stream, tri_span payload)
{
    static char frame[9 + 16384];
    const char head[9] = { 0, (char)(payload.n >> 8), (char)payload.n, (char)type, (char)flags, 0, 0, 0, (char)stream };
    memcpy(frame, head, sizeof head);
    if (payload.n > 0)
        memcpy(frame + sizeof head, payload.p, payload.n);
    line_put(self, which, frame, sizeof head + payload.n);
}

/* One of the first streams, or the next that is new. */
static unsigned choose_stream(world *self)
{
    unsigned which = fuzz_byte(&self->in);
    if (which < 128)
        return 1 + 2 * (which % STREAMS_MOST);
    self->last_stream = self->last_stream < 120 ? self->last_stream + 2 : 1;
    return self->last_stream;
}

/* A field in HPACK, as it is, which the table does not keep. */
static void put_hpack(char *block, size_t *at, tri_span name, tri_span value)
{
    block[(*at)++] = 0;
    block[(*at)++] = (char)name.n; /* at most 126, so a byte each */
    memcpy(block + *at, name.p, name.n);
    *at += name.n;
    block[(*at)++] = (char)value.n;
    if (value.n > 0)
        memcpy(block + *at, value.p, value.n);
    *at += value.n;
}

/* The head of a stream; each pseudo-header field is there unless the input says otherwise. */
static void put_stream(world *self, unsigned which)
{
    static char block[16384];
    size_t n = 0;
    unsigned stream = choose_stream(self), has = fuzz_byte(&self->in);
    put_hpack(block, &n, TRI_SPAN(":method"), CHOOSE(self, methods));
    if (!(has & 1))
        put_hpack(block, &n, TRI_SPAN(":path"), CHOOSE(self, paths));
    if (!(has & 2))
        put_hpack(block, &n, TRI_SPAN(":scheme"), TRI_SPAN("http"));
    if (!(has & 4))
        put_hpack(block, &n, TRI_SPAN(":authority"), TRI_SPAN("a"));
    if (has & 8)
        put_hpack(block, &n, TRI_SPAN(":protocol"), TRI_SPAN("websocket"));
    for (unsigned fields = fuzz_byte(&self->in) % 64; fields > 0 && n < sizeof block - 300; fields--) {
        tri_span name = CHOOSE(self, names);
        put_hpack(block, &n, name, CHOOSE(self, values));
    }
    put_frame(self, which, STREAMS_HEADERS, has & 16 ? STREAMS_LAST : STREAMS_HEAD_END, stream, (tri_span){ block, n });
}

/* A frame of a WebSocket whose mask is 0, its payload cut to what fits; returns how many bytes. */
static size_t make_ws_frame(world *self, char *frame)
{
    unsigned first = fuzz_byte(&self->in);
    tri_span payload = fuzz_text(&self->in);
    size_t n = payload.n < 125 ? payload.n : 125;
    const char head[6] = { (char)first, (char)(0x80 | n), 0, 0, 0, 0 };
    memcpy(frame, head, sizeof head);
    if (n > 0)
        memcpy(frame + sizeof head, payload.p, n);
    return sizeof head + n;
}

static void put_ws_frame(world *self, unsigned which)
{
    char frame[131];
    line_put(self, which, frame, make_ws_frame(self, frame));
}

/* The same as the DATA of a stream, or what the input says. */
static void put_data(world *self, unsigned which)
{
    char frame[131];
    unsigned stream = choose_stream(self), how = fuzz_byte(&self->in);
    tri_span payload = how & 2 ? take_some(self) : (tri_span){ frame, make_ws_frame(self, frame) };
    put_frame(self, which, STREAMS_DATA, how & STREAMS_END, stream, payload);
}

static void put_any_frame(world *self, unsigned which)
{
    unsigned type = fuzz_byte(&self->in), flags = fuzz_byte(&self->in);
    unsigned stream = type & 128 ? 0 : choose_stream(self);
    put_frame(self, which, (type & 127) % 17, flags, stream, take_some(self));
}

static void put_preface(const world *self, unsigned which)
{
    line_put(self, which, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
}

/* --- applications --- */

/* Errors are told, and are of those that are. */
static int told(int error)
{
    HOLDS(error == 0 || error == TRI_EAGAIN || error == TRI_ENOMEM || error == TRI_ECLOSED || error == TRI_ESTATE
          || error == TRI_EINVAL);
    return error;
}

static tri_loan make_loan(unsigned size)
{
    return (tri_loan){ { scenario_large, size % 4 == 3 ? LARGE : size % 4 * 300 }, scenario_release, NULL };
}

static unsigned make_fields(world *self, tri_field_out *out)
{
    unsigned n = fuzz_byte(&self->in) % 4;
    for (unsigned i = 0; i < n; i++) {
        out[i].name = CHOOSE(self, names);
        out[i].value = CHOOSE(self, values);
    }
    return n;
}

/* What an application does with an exchange of HTTP, beside what either kind may. */
static void act_http(world *self, tri_exchange *exchange, unsigned what)
{
    static const int statuses[] = { 200, 204, 304, 404, 500, 205 };
    tri_field_out fields[4];
    tri_received got;
    if (what == 0) {
        if (told(tri_exchange_receive(exchange, &got)) == 0)
            tri_exchange_take(exchange);
    } else if (what == 1) {
        tri_response response = { .status = statuses[fuzz_byte(&self->in) % 6], .fields = fields };
        response.n_fields = make_fields(self, fields);
        (void)told(tri_exchange_respond(exchange, &response));
    } else if (what < 6) {
        unsigned how = fuzz_byte(&self->in);
        tri_loan loan = make_loan(how >> 1);
        scenario_lent += told(tri_exchange_write(exchange, &loan, how & 1)) == 0;
    } else {
        (void)tri_exchange_dismissed(exchange);
        (void)tri_exchange_timed_out(exchange);
        HOLDS(!tri_exchange_complete(exchange) || tri_exchange_started(exchange));
        HOLDS(tri_exchange_failure(exchange) >= 500);
    }
}

/* Sends a frame that is made for several sockets. */
static void send_shared(world *self, tri_exchange *exchange)
{
    static const char frame[] = "\x81\5hello";
    static char whole[2 + 125]; /* short, and so copied */
    tri_span packed;
    tri_loan loan = { { frame, sizeof frame - 1 }, scenario_release, NULL };
    int bits = tri_websocket_shares(exchange, 5);
    if (bits < 0)
        return;
    if (bits > 0) {
        if (told(tri_server_deflate(self->serving.server, (unsigned)bits, TRI_SPAN("hello"), &packed)) != 0)
            return;
        HOLDS(packed.n < 126);
        whole[0] = (char)0xc1;
        whole[1] = (char)packed.n;
        memcpy(whole + 2, packed.p, packed.n);
        loan.bytes = (tri_span){ whole, 2 + packed.n };
    }
    scenario_lent += told(tri_websocket_send_shared(exchange, &loan, bits > 0)) == 0;
}

/* What an application does with a WebSocket. */
static void act_websocket(world *self, tri_exchange *exchange, unsigned what)
{
    tri_ws_received got;
    tri_field_out fields[4];
    unsigned how = fuzz_byte(&self->in);
    if (what == 0) {
        if (told(tri_websocket_receive(exchange, &got)) == 0 && got.type != TRI_WS_RECEIVED_DISCONNECT)
            tri_websocket_take(exchange);
    } else if (what < 3) {
        unsigned n = make_fields(self, fields);
        tri_span subprotocol = how & 1 ? TRI_SPAN("chat") : (tri_span){ NULL, 0 };
        if (told(tri_websocket_accept(exchange, fields, n, subprotocol)) == 0 && (how & 2)) {
            tri_exchange_set_user(exchange, &headless);
            tri_websocket_drop_head(exchange);
        }
    } else if (what == 3) {
        tri_loan loan = make_loan(how >> 1);
        scenario_lent += told(tri_websocket_send(exchange, &loan, how & 1 ? TRI_WS_TEXT : TRI_WS_BINARY)) == 0;
    } else if (what == 4) {
        (void)told(tri_websocket_close(exchange, 1000 + (int)how % 16, TRI_SPAN("over")));
    } else if (what == 5) {
        send_shared(self, exchange);
    } else if (told(tri_websocket_deny(exchange)) == 0) {
        tri_exchange_set_user(exchange, &denied);
        act_http(self, exchange, 1);
        act_http(self, exchange, 2);
    }
}

/* An application returns; what was asked of it is logged in one line. */
static void end_exchange(world *self, unsigned which)
{
    serving *s = &self->serving;
    tri_exchange *exchange = s->held[which];
    tri_span line;
    memmove(s->held + which, s->held + which + 1, (--s->n_held - which) * sizeof *s->held);
    if (self->logs && tri_exchange_user(exchange) != &headless && tri_exchange_log_line(exchange, 200, &line))
        HOLDS(line.n > 1 && memchr(line.p, '\n', line.n) == line.p + line.n - 1);
    let_go(exchange);
}

/* What the input says is done with an exchange that it names. */
static void act(world *self)
{
    serving *s = &self->serving;
    unsigned which = fuzz_byte(&self->in), what = fuzz_byte(&self->in) % 10;
    if (s->n_held == 0)
        return;
    tri_exchange *exchange = s->held[which % s->n_held];
    if (what == 9) {
        end_exchange(self, which % s->n_held);
    } else if (what == 8) {
        tri_exchange_want(exchange, 1U << fuzz_byte(&self->in) % 4);
    } else if (what == 7) {
        tri_exchange_unwant(exchange, 1U << fuzz_byte(&self->in) % 4);
        (void)tri_exchange_writable(exchange);
        HOLDS(!tri_exchange_lost(exchange) || tri_exchange_left(exchange));
        if (tri_exchange_is_websocket(exchange))
            HOLDS(!tri_websocket_is_open(exchange) || !tri_exchange_lost(exchange));
    } else if (tri_exchange_is_websocket(exchange) && tri_exchange_user(exchange) != &denied) {
        act_websocket(self, exchange, what);
    } else {
        act_http(self, exchange, what);
    }
}

/* Keeps what arrives, as long as there is room. */
static void app(serving *self, tri_exchange *exchange)
{
    if (self->n_held == SERVING_HELD)
        let_go(exchange);
    else
        app_hold(self, exchange);
}

/* --- a server's life --- */

/* What is done to the server itself. */
static void manage(world *self)
{
    tri_server *server = self->serving.server;
    check_mem *mem = &self->serving.mem;
    unsigned what = fuzz_byte(&self->in) % 16;
    if (what == 0) {
        tri_server_stop(server);
    } else if (what == 1) {
        tri_server_dismiss(server);
    } else if (what == 2) {
        tri_server_leave(server);
    } else if (what == 3) {
        tri_server_limit(server, 2);
    } else if (what == 4) {
        tri_server_set_ready(server, fuzz_byte(&self->in) & 1);
    } else if (what == 5) {
        tri_server_cork(server);
        self->corks++;
    } else if (what == 6) {
        if (self->corks > 0 && self->corks-- > 0)
            tri_server_uncork(server);
        tri_server_flush(server);
    } else if (what == 7) {
        deaf_polls = 1 + fuzz_byte(&self->in) % 2;
    } else if (what == 8) {
        tri_server_sleep(server, true);
    } else if (what == 9) {
        unsigned how = fuzz_byte(&self->in);
        mem->fail_at = mem->requests + 1 + how % 16;
        mem->fail_more = how & 16 ? 3 : 0;
    } else {
        scenario_skip(1U << fuzz_byte(&self->in) % 8);
    }
}

/* One step. */
static void step(world *self)
{
    unsigned what = fuzz_byte(&self->in), which = what >> 4 & (CLIENTS - 1);
    static void (*const puts[])(world *, unsigned) = { put_request, put_handshake, put_stream,
                                                       put_data,    put_ws_frame,  put_any_frame };
    switch (what % 16) {
    case 6: {
        tri_span raw = take_some(self);
        line_put(self, which, raw.p, raw.n);
        break;
    }
    case 7:
        put_preface(self, which);
        break;
    case 8:
        line_take(self, which);
        break;
    case 9:
        line_end(self, which);
        break;
    case 10:
        connect_client(self, which);
        break;
    case 11:
        manage(self);
        break;
    case 12:
        serving_turn(&self->serving, 0);
        break;
    case 13:
    case 14:
    case 15:
        act(self);
        return; /* so that some may be done between turns */
    default:
        puts[what % 16](self, which);
    }
    if (!(what & 128)) /* else the next bytes come in one piece with these */
        serving_turn(&self->serving, 0);
}

/* What its applications read of an exchange is taken, and they wait for its end. */
static void await_end(tri_exchange *exchange)
{
    tri_received got = { .disconnect = false };
    tri_ws_received came = { .type = TRI_WS_RECEIVED_MESSAGE };
    bool socket = tri_exchange_is_websocket(exchange) && tri_exchange_user(exchange) != &denied;
    while (socket && tri_websocket_receive(exchange, &came) == 0 && came.type != TRI_WS_RECEIVED_DISCONNECT)
        tri_websocket_take(exchange);
    while (!socket && tri_exchange_receive(exchange, &got) == 0 && !got.disconnect)
        tri_exchange_take(exchange);
    tri_exchange_want(exchange, TRI_WANT_READ | TRI_WANT_LEFT);
}

/* The peers go: whoever is at work is told. */
static void leave_server(world *self)
{
    serving *s = &self->serving;
    for (; self->corks > 0; self->corks--)
        tri_server_uncork(s->server);
    for (unsigned i = 0; i < CLIENTS; i++)
        leave_client(self, i);
    s->mem.fail_at = 0;
    for (unsigned turns = 0; turns < LAST_TURNS / 4; turns++) {
        for (unsigned i = 0; i < s->n_held; i++)
            await_end(s->held[i]);
        scenario_skip(60);
        serving_turn(s, 0);
    }
    for (unsigned i = 0; i < s->n_held; i++)
        HOLDS(tri_exchange_left(s->held[i]) || tri_exchange_complete(s->held[i]));
}

/* A listener at a name that the kernel chooses. */
static int listen_somewhere(world *self)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    self->at.sun_family = AF_UNIX;
    self->at_size = sizeof self->at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&self->at, sizeof self->at.sun_family) != 0 || listen(fd, 16) != 0
        || getsockname(fd, (struct sockaddr *)&self->at, &self->at_size) != 0)
        abort();
    return fd;
}

/* Limits that an input of this size reaches. */
static void choose_limits(tri_limits *limits, unsigned choice)
{
    tri_limits_default(limits);
    limits->send_high = choice & 1 ? 1000 : 65536;
    limits->send_low = choice & 1 ? 200 : 16384;
    limits->ws_message = choice & 2 ? 300 : 1 << 20;
    limits->ws_queue = choice & 4 ? 1 : 32;
    limits->body = choice & 8 ? 100 : 0;
    limits->exchanges = choice & 16 ? 3 : 0;
    limits->request_ms = choice & 32 ? 5000 : 0;
    limits->connections = choice & 64 ? 1 : 0;
    limits->ws_handshake_ms = choice & 128 ? 3000 : 0;
}

/* More of them. */
static void choose_h2_limits(tri_limits *limits, unsigned choice)
{
    limits->h2_streams = choice & 2 ? 2 : 100;
    limits->h2_window = choice & 4 ? 100 : 65535;
    limits->h2_resets = choice & 8 ? 2 : 100;
    limits->h2_pings = limits->h2_settings = choice & 16 ? 2 : 100;
    limits->h2_queue = choice & 32 ? 3 : 1000;
    limits->body_buffer = choice & 64 ? 50 : 65536;
    small_buffer = choice & 1 ? 1 : 0; /* the least that there is */
}

/* Has lines made for the access log, in some format, unless memory is refused. */
static int open_log(world *self, unsigned choice)
{
    static const char *const formats[] = { "uvicorn", "json", "combined", "%(h)s %({cookie}i)s %({x}o)s %(U)s?%(q)s" };
    tri_access_fault fault;
    const tri_access_config config = { .format = { formats[choice % 4], strlen(formats[choice % 4]) },
                                       .library = TRI_SPAN("c") };
    int error = tri_server_log_open(self->serving.server, &config, -1, 0, &fault);
    HOLDS(error == 0 || error == TRI_ENOMEM);
    self->logs = error == 0;
    return error;
}

/* Opens the server, unless memory is refused. */
static int open_server(world *self)
{
    serving *s = &self->serving;
    unsigned how = fuzz_byte(&self->in), refused = fuzz_byte(&self->in);
    tri_settings settings = { .mem = &s->mem.mem,
                              .server = TRI_SPAN("fuzz"),
                              .date = how & 1,
                              .http2_unasked = true,
                              .websockets = (how & 2) == 0,
                              .deflate = { (how & 4) != 0, false, (how & 8) != 0, 12, 2, 5, 0, 16 },
                              .ws_stop_code = 1012 };
    const tri_proxy_options proxies = { .allow = TRI_SPAN("*"),
                                        .fields = how & 16 ? UINT32_MAX : 0,
                                        .health_path = TRI_SPAN("/healthy"),
                                        .ready_path = TRI_SPAN("/ready") };
    choose_limits(&settings.limits, fuzz_byte(&self->in));
    choose_h2_limits(&settings.limits, fuzz_byte(&self->in));
    s->app = app;
    s->mem.fail_at = how & 128 ? 1 + refused : 0;
    int fd = listen_somewhere(self), error = tri_server_new(&s->server, &settings);
    if (error == 0)
        error = tri_server_set_proxies(s->server, &proxies);
    if (error == 0 && (how & 64))
        error = open_log(self, refused);
    if (error == 0)
        line_serve(self);
    if (error == 0)
        return how & 32 ? tri_server_listen_proxied(s->server, fd, 1) : tri_server_listen(s->server, fd, 1);
    (void)close(fd);
    return error;
}

/* The applications return, and time passes: the server has ended then. */
static void end_server(world *self)
{
    serving *s = &self->serving;
    unsigned turns = 0;
    tri_server_stop(s->server);
    for (; !tri_server_drained(s->server) && turns < LAST_TURNS; turns++) {
        while (s->n_held > 0)
            end_exchange(self, 0);
        scenario_skip(60);
        serving_turn(s, 0);
    }
    HOLDS(turns < LAST_TURNS);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    (void)before;
    return scenario_timer_set(fd, flags, when);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    if (deaf_polls > 0 && deaf_polls-- > 0)
        return 0;
    return (int)syscall(SYS_epoll_wait, epoll, events, max, timeout);
}

int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    int made = (int)syscall(SYS_accept4, fd, peer, size, flags);
    if (made >= 0 && small_buffer > 0)
        (void)setsockopt(made, SOL_SOCKET, SO_SNDBUF, &small_buffer, sizeof small_buffer);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world self = { .in = { data, size }, .last_stream = UINT32_MAX };
    check_mem_init(&self.serving.mem);
    scenario_lent = scenario_released = 0;
    deaf_polls = 0;
    if (open_server(&self) == 0) {
        for (unsigned i = 0; i < CLIENTS; i++)
            self.clients[i] = -1, connect_client(&self, i);
        for (unsigned steps = 0; steps < STEPS && self.in.n > 0; steps++)
            step(&self);
        leave_server(&self);
        end_server(&self);
    }
    if (self.serving.server != NULL)
        serving_fini(&self.serving);
    HOLDS(check_failed == 0 && scenario_lent == scenario_released);
    HOLDS(self.serving.mem.blocks_out == 0 && self.serving.mem.bytes_out == 0);
    return 0;
}

#endif
