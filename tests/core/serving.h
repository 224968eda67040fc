/* A server on the loopback interface, run in turns by the test itself, with applications in C and clients beside it. */
#ifndef TRI_TESTS_SERVING_H
#define TRI_TESTS_SERVING_H

#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "net/listener.h"
#include "net/reactor.h"
#include "server/tricorn.h"

enum { SERVING_HELD = 64, SERVING_PATIENCE_MS = 3000, CLIENT_BYTES = 1 << 17 };

typedef struct serving serving;

struct serving {
    check_mem mem;
    tri_server *server;
    uint16_t port;
    /* What is done with an exchange that arrives; it owns the reference. */
    void (*app)(serving *self, tri_exchange *exchange);
    tri_exchange *held[SERVING_HELD]; /* by the applications that keep theirs */
    unsigned n_held;
    unsigned exchanges; /* that tri_server_next has given */
    unsigned woken;     /* that tri_server_next_woken has given */
    unsigned turns;
    tri_refusal refusal; /* the last */
    unsigned refusals;
    uint64_t left_out; /* others, of which one of these counted the number */
};

/* How many bytes the kernel holds for each peer; 0 leaves that to it. */
static int serving_send_buffer;
/* Whether clients may begin with HTTP/2, and open WebSockets. */
static bool serving_http2;

/* Answers with a short text. */
static inline int answer(tri_exchange *exchange, const char *text)
{
    tri_field_out type = { TRI_SPAN("content-type"), TRI_SPAN("text/plain") };
    tri_response response = { .status = 200, .fields = &type, .n_fields = 1 };
    int error = tri_exchange_respond(exchange, &response);
    if (error != 0)
        return error;
    tri_loan loan = { .bytes = { text, strlen(text) } };
    return tri_exchange_write(exchange, &loan, true);
}

/* The application is done with its exchange. */
static inline void let_go(tri_exchange *exchange)
{
    tri_exchange_done(exchange);
    tri_exchange_unref(exchange);
}

/* An application that answers at once. */
static inline void app_hello(serving *self, tri_exchange *exchange)
{
    (void)self;
    (void)!answer(exchange, "hello");
    let_go(exchange);
}

/* An application that answers with the path. */
static inline void app_path(serving *self, tri_exchange *exchange)
{
    char text[256];
    const tri_head *head = tri_exchange_head(exchange);
    (void)self;
    snprintf(text, sizeof text, "[%.*s]", (int)head->path.n, head->base + head->path.at);
    (void)!answer(exchange, text);
    let_go(exchange);
}

/* An application that keeps the exchange for the test to work on. */
static inline void app_hold(serving *self, tri_exchange *exchange)
{
    if (self->n_held == SERVING_HELD)
        abort();
    self->held[self->n_held++] = exchange;
}

/* Lets go of the exchange that has been held longest. */
static inline void serving_release(serving *self)
{
    tri_exchange *first = self->held[0];
    memmove(self->held, self->held + 1, --self->n_held * sizeof *self->held);
    let_go(first);
}

static inline tri_limits short_limits(void)
{
    tri_limits limits;
    tri_limits_default(&limits);
    return limits;
}

/* Opens a server that listens on a free port of 127.0.0.1. Returns 0 or what failed. */
static inline int serving_open(serving *self, const tri_limits *limits, void (*app)(serving *, tri_exchange *))
{
    self->app = app;
    const tri_settings settings = { .mem = &self->mem.mem,
                                    .limits = *limits,
                                    .server = TRI_SPAN("test"),
                                    .date = true,
                                    .http2_unasked = serving_http2,
                                    .websockets = serving_http2,
                                    .deflate = { serving_http2, false, false, 12, 2, 5, 0, 16 },
                                    .ws_stop_code = 1012 };
    int error = tri_server_new(&self->server, &settings);
    if (error != 0)
        return error;
    int fds[TRI_LISTENER_MAX];
    if (tri_listener_tcp("127.0.0.1", 0, 128, fds) != 1)
        abort();
    if (serving_send_buffer > 0)
        (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &serving_send_buffer, sizeof serving_send_buffer);
    tri_addr address;
    tri_listener_address(fds[0], &address);
    self->port = address.port;
    return tri_server_listen(self->server, fds[0], 0);
}

static inline void serving_init(serving *self, const tri_limits *limits, void (*app)(serving *, tri_exchange *))
{
    memset(self, 0, sizeof *self);
    check_mem_init(&self->mem);
    CHECK(serving_open(self, limits, app) == 0);
}

/* Ends the server; nothing may be left of it. */
static inline void serving_fini(serving *self)
{
    while (self->n_held > 0)
        serving_release(self);
    tri_counters counters;
    tri_server_close(self->server);
    tri_server_counters(self->server, &counters);
    CHECK(counters.open == 0 && counters.active == 0);
    tri_server_free(self->server);
    CHECK(self->mem.blocks_out == 0 && self->mem.bytes_out == 0);
}

/* Does what waits without a turn. */
static inline void serving_work(serving *self)
{
    tri_exchange *exchange;
    while (tri_server_pending(self->server)) {
        while (tri_server_next_woken(self->server) != NULL)
            self->woken++;
        while (tri_server_next_refusal(self->server, &self->refusal)) {
            self->refusals++;
            self->left_out += self->refusal.more;
        }
        tri_server_cork(self->server);
        while ((exchange = tri_server_next(self->server)) != NULL) {
            self->exchanges++;
            self->app(self, exchange);
        }
        tri_server_uncork(self->server);
        tri_server_flush(self->server);
    }
}

/* A turn that waits at most `ms`, as a library would: asleep, for the descriptor; and what it brought. */
static inline void serving_turn(serving *self, int ms)
{
    serving_work(self);
    tri_server_sleep(self->server, true);
    struct pollfd wanted = { tri_server_fd(self->server), POLLIN, 0 };
    if (poll(&wanted, 1, ms) <= 0 && ms > 0)
        return;
    self->turns++;
    CHECK(tri_server_turn(self->server, 0) == 0);
    serving_work(self);
}

static inline uint64_t now_ms(void)
{
    return tri_reactor_now();
}

/* Serves for `ms`. */
static inline void serve_for(serving *self, uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    for (uint64_t now = now_ms(); now < end; now = now_ms())
        serving_turn(self, (int)(end - now));
}

/* Serves until `condition` holds, which is checked; given up after a while. */
#define SERVE_UNTIL(self, condition)                        \
    do {                                                    \
        uint64_t give_up_ = now_ms() + SERVING_PATIENCE_MS; \
        while (!(condition) && now_ms() < give_up_)         \
            serving_turn((self), 20);                       \
        CHECK(condition);                                   \
    } while (0)

static inline tri_counters counters_of(const serving *self)
{
    tri_counters counters;
    tri_server_counters(self->server, &counters);
    return counters;
}

/* --- clients --- */

typedef struct client {
    int fd;
    size_t n;     /* bytes received */
    size_t reads; /* in as many pieces */
    bool eof;
    bool reset;
    char in[CLIENT_BYTES + 1]; /* the first of them, terminated */
} client;

/* A connection to the server, its receive buffer made small if `buffer` is not 0. */
static inline void client_open_small(client *self, const serving *to, int buffer)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(to->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    memset(self, 0, offsetof(client, in) + 1);
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (buffer > 0)
        (void)setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    CHECK(connect(self->fd, (struct sockaddr *)&at, sizeof at) == 0);
}

static inline void client_open(client *self, const serving *to)
{
    client_open_small(self, to, 0);
}

static inline void client_close(client *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

/* Closes with a reset. */
static inline void client_reset(client *self)
{
    struct linger now = { 1, 0 };
    (void)setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(self);
}

static inline void client_send(client *self, const char *text)
{
    CHECK(send(self->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Reads once, without waiting; false when there is nothing, or no more will come. */
static inline bool client_read(client *self)
{
    static char sink[CLIENT_BYTES];
    bool room = self->n < CLIENT_BYTES;
    ssize_t got = room ? recv(self->fd, self->in + self->n, CLIENT_BYTES - self->n, MSG_DONTWAIT)
                       : recv(self->fd, sink, sizeof sink, MSG_DONTWAIT);
    if (got <= 0) {
        self->eof = self->eof || got == 0;
        self->reset = self->reset || (got < 0 && errno != EAGAIN);
        return false;
    }
    self->reads++;
    self->n += (size_t)got;
    if (room)
        self->in[self->n] = '\0';
    return true;
}

/* How often `part` was received. */
static inline unsigned client_count(const client *self, const char *part)
{
    unsigned count = 0;
    for (const char *at = self->in; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

static inline bool client_has(client *self, const char *part)
{
    while (client_read(self))
        continue;
    return client_count(self, part) > 0;
}

static inline bool client_ended(client *self)
{
    while (client_read(self))
        continue;
    return self->eof || self->reset;
}

/* Forgets what was received. */
static inline void client_forget(client *self)
{
    self->n = 0;
    self->reads = 0;
    self->in[0] = '\0';
}

/* A server and its first client. */
static inline void serving_meet(serving *self, client *first, const tri_limits *limits,
                                void (*app)(serving *, tri_exchange *))
{
    serving_init(self, limits, app);
    client_open(first, self);
}

/* The last client leaves, and the server ends once it has closed the connection, too. */
static inline void serving_part(serving *self, client *last)
{
    client_close(last);
    SERVE_UNTIL(self, counters_of(self).open == 0);
    serving_fini(self);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif
