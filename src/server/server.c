/* The server: its life, its turns and its queues. */
#include "server/tricorn.h"

#include "http/http2.h"
#include "net/clock.h"
#include "server/date.h"
#include "server/internal.h"

enum { KEEP_CONNS = 256, KEEP_EXCHANGES = 256, KEEP_SMALL = 256 };

/* Copies the ready field lines: "server: NAME", then the operator's own. */
static int keep_lines(tri_server *server, const tri_settings *settings)
{
    const tri_span name = TRI_SPAN("server: ");
    size_t server_size = settings->server.n == 0 ? 0 : name.n + settings->server.n + 2;
    server->lines_size = server_size + settings->defaults.n;
    if (server->lines_size == 0)
        return 0;
    server->lines = tri_mem_alloc(server->mem, server->lines_size);
    if (server->lines == NULL)
        return TRI_ENOMEM;
    if (server_size > 0) {
        memcpy(server->lines, name.p, name.n);
        memcpy(server->lines + name.n, settings->server.p, settings->server.n);
        memcpy(server->lines + server_size - 2, "\r\n", 2);
    }
    if (settings->defaults.n > 0)
        memcpy(server->lines + server_size, settings->defaults.p, settings->defaults.n);
    server->server_line = (tri_span){ server->lines, server_size };
    server->default_lines = (tri_span){ server->lines + server_size, settings->defaults.n };
    return 0;
}

static void init_lists(tri_server *server)
{
    tri_list_init(&server->listeners);
    tri_list_init(&server->conns);
    tri_list_init(&server->graves);
    tri_list_init(&server->ready);
    tri_list_init(&server->woken);
    tri_list_init(&server->flush);
    tri_list_init(&server->resume);
    tri_list_init(&server->later);
}

/* What the board says of this server. */
void tri_server_show_flags(tri_server *server)
{
    unsigned flags = (server->open_to_new ? TRI_BOARD_READY : 0U) | (server->leaving ? TRI_BOARD_STOPPING : 0U);
    if (server->board.own != NULL)
        tri_board_set_flags(&server->board, flags);
}

/* The board is told that this server lives, and what of it. */
static void show(tri_server *server, uint64_t now)
{
    if (server->board.own == NULL)
        return;
    tri_board_values values = { .now = now,
                                .exchanges = server->counters.exchanges,
                                .lag_ms = tri_lag_ms(&server->lag, now),
                                .open = server->counters.open,
                                .active = server->counters.active };
    tri_board_beat(&server->board, &values);
    tri_server_show_flags(server);
}

/* A turn begins: the board is told, at most once in a millisecond, and how late it is. */
static void beat(tri_server *server, bool waited)
{
    bool is_new = server->now != server->lag.turn;
    (void)tri_lag_turn(&server->lag, server->now, waited, server->counters.active > 0);
    if (is_new)
        show(server, server->now);
}

void tri_server_count_open(tri_server *server, int change)
{
    server->counters.open += (uint32_t)change;
    if (server->board.own != NULL)
        tri_board_set_open(&server->board, server->counters.open);
}

/* Brings the Date line up to the second. */
void tri_server_tick(tri_server *server)
{
    server->now = tri_reactor_now();
    int64_t second = tri_clock_wall();
    if (!server->send_date || second == server->date_second)
        return;
    server->date_second = second;
    server->date_line = (tri_span){ server->date, tri_date_line(second, server->date) };
}

/* HTTP/1.1 in C, as the protocol of a connection. */
static void init_http1(void *memory, tri_http1_shared *shared, void *context)
{
    (void)context;
    tri_http1_init(memory, shared);
}

static const tri_protocol_kind http1_kind = { sizeof(tri_http1), init_http1, NULL };

/* WebSocket frames in C. */
static void init_ws(void *memory, tri_ws_shared *shared, void *context)
{
    (void)context;
    tri_ws_init(memory, shared);
}

static const tri_ws_kind ws_kind = { sizeof(tri_ws), init_ws, NULL };

/* What WebSockets need of the settings. */
static void keep_websocket_settings(tri_server *server, const tri_settings *settings)
{
    server->deflate = settings->deflate;
    server->ws_stop_code = (uint16_t)settings->ws_stop_code;
    if (settings->websockets)
        server->ws_kind = settings->ws.init != NULL ? settings->ws : ws_kind;
    tri_ws_shared_init(&server->ws, server->mem, &server->limits, &server->chains, &server->deflate);
}

/* Bytes for whichever protocol a connection comes to speak. */
static size_t protocol_size(const tri_server *server)
{
    size_t own = server->kind.size;
    return tri_http2_version() != NULL && sizeof(tri_http2) > own ? sizeof(tri_http2) : own;
}

int tri_server_new(tri_server **out, const tri_settings *settings)
{
    tri_server *server = tri_mem_zalloc(settings->mem, sizeof *server);
    if (server == NULL)
        return TRI_ENOMEM;
    server->mem = settings->mem;
    server->balance.source.fd = -1;
    server->limits = settings->limits;
    server->send_date = settings->date;
    server->http2_unasked = settings->http2_unasked && tri_http2_version() != NULL;
    server->kind = settings->http.init != NULL ? settings->http : http1_kind;
    init_lists(server);
    tri_chain_pool_init(&server->chains, server->mem);
    tri_small_init(&server->small, server->mem, KEEP_SMALL);
    keep_websocket_settings(server, settings);
    tri_pool_init(&server->conn_pool, server->mem, sizeof(tri_conn) + protocol_size(server), KEEP_CONNS);
    tri_pool_init(&server->exchange_pool, server->mem, sizeof(tri_exchange), KEEP_EXCHANGES);
    int error = tri_reactor_new(&server->reactor, server->mem);
    if (error == 0)
        error = tri_http1_shared_init(&server->http1, server->mem, &server->limits, &server->chains);
    if (error == 0)
        error = keep_lines(server, settings);
    if (error != 0) {
        tri_server_free(server);
        return error;
    }
    tri_server_tick(server);
    tri_wheel_init(&server->wheel, server->now);
    *out = server;
    return 0;
}

/* Frees the connections that were closed since the last turn. */
static void bury(tri_server *server)
{
    tri_list *node;
    while ((node = tri_list_shift(&server->graves)) != NULL)
        tri_pool_put(&server->conn_pool, TRI_CONTAINER(node, tri_conn, link));
}

void tri_server_close(tri_server *server)
{
    tri_list *node;
    if (server->balance.source.fd >= 0)
        tri_accept_forget_channel(server);
    while (!tri_list_empty(&server->listeners))
        tri_accept_close(server, TRI_CONTAINER(server->listeners.next, tri_listener, link));
    while (!tri_list_empty(&server->conns))
        tri_conn_close(TRI_CONTAINER(server->conns.next, tri_conn, link));
    while ((node = tri_list_shift(&server->ready)) != NULL) {
        server->counters.active--;
        tri_exchange_unref(TRI_CONTAINER(node, tri_exchange, queue));
    }
}

void tri_server_free(tri_server *server)
{
    tri_server_close(server);
    bury(server);
    tri_server_log_fini(server);
    tri_http1_shared_fini(&server->http1);
    tri_ws_shared_fini(&server->ws);
    tri_pool_fini(&server->exchange_pool);
    tri_pool_fini(&server->conn_pool);
    tri_chain_pool_fini(&server->chains);
    tri_small_fini(&server->small);
    tri_balance_fini(&server->balance, server->mem);
    tri_board_detach(&server->board);
    if (server->reactor != NULL)
        tri_reactor_free(server->reactor);
    tri_proxies_fini(server);
    tri_server_set_tls(server, NULL);
    tri_mem_free(server->mem, server->lines, server->lines_size);
    tri_mem_free(server->mem, server, sizeof *server);
}

void tri_server_set_tls(tri_server *server, tri_tls_context *context)
{
    if (server->tls != NULL)
        tri_tls_context_unref(server->tls);
    server->tls = context;
}

/* Accepts from a listening socket, as tri_server_listen says. */
static int listen_on(tri_server *server, int fd, uint16_t tag, tri_listener as)
{
    tri_listener *listener = tri_mem_zalloc(server->mem, sizeof *listener);
    if (listener == NULL) {
        tri_socket_close(fd);
        return TRI_ENOMEM;
    }
    *listener = as;
    listener->source = (tri_source){ .fd = fd, .kind = TRI_SOURCE_LISTENER };
    tri_listener_address(fd, &listener->address);
    if (listener->address.family == TRI_FAMILY_UNIX)
        listener->address.port = tag;
    tri_list_append(&server->listeners, &listener->link);
    int error = tri_reactor_watch(server->reactor, &listener->source, TRI_READ);
    if (error != 0)
        tri_accept_close(server, listener);
    return error;
}

int tri_server_listen(tri_server *server, int fd, uint16_t tag)
{
    return listen_on(server, fd, tag, (tri_listener){ .proxied = false });
}

int tri_server_listen_proxied(tri_server *server, int fd, uint16_t tag)
{
    return listen_on(server, fd, tag, (tri_listener){ .proxied = true });
}

int tri_server_set_proxies(tri_server *server, const tri_proxy_options *options)
{
    return tri_proxies_set(server, options);
}

int tri_server_fd(const tri_server *server)
{
    return tri_reactor_fd(server->reactor);
}

/* Acts on one descriptor. */
static void dispatch(tri_server *server, const tri_ready *ready)
{
    if (ready->source->kind == TRI_SOURCE_LISTENER) {
        tri_accept_ready(server, TRI_CONTAINER(ready->source, tri_listener, source));
        return;
    }
    if (ready->source->kind == TRI_SOURCE_CHANNEL) {
        tri_accept_handed(server);
        return;
    }
    tri_conn *conn = TRI_CONTAINER(ready->source, tri_conn, source);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if ((ready->events & TRI_WRITE) && conn->tls != NULL && tri_tls_wants_write(conn->tls))
        tri_conn_readable(conn);
    else if (ready->events & TRI_WRITE)
        tri_conn_flush(conn);
    if (!(conn->flags & TRI_CONN_CLOSED) && (ready->events & TRI_READ) && (conn->source.interest & TRI_READ))
        tri_conn_readable(conn);
    else if (!(conn->flags & TRI_CONN_CLOSED) && (ready->events & TRI_FAIL))
        tri_conn_lose(conn, NULL);
    else if (!(conn->flags & TRI_CONN_CLOSED) && (ready->events & TRI_HANGUP))
        tri_conn_hung_up(conn);
}

/* Fires the timers that are due. */
static void fire_timers(tri_server *server)
{
    tri_list due;
    tri_list *node;
    tri_list_init(&due);
    tri_wheel_advance(&server->wheel, server->now, &due);
    while ((node = tri_list_shift(&due)) != NULL) {
        tri_timer *timer = TRI_CONTAINER(node, tri_timer, link);
        tri_conn_timeout(TRI_CONTAINER(timer, tri_conn, timer));
    }
    tri_accept_resume(server);
    tri_server_tell_last(server);
    tri_server_trim(server);
}

/* The earlier of two deadlines, of which 0 is none. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Sees to it that the descriptor becomes readable at the next deadline. */
static void arm(tri_server *server)
{
    uint64_t next = tri_wheel_next(&server->wheel);
    next = earlier(next, earlier(server->lag.due, server->log_at));
    next = earlier(next, server->refusals.tell_at);
    tri_reactor_arm(server->reactor, earlier(next, earlier(server->retry_at, server->trim_at)));
}

/* What was put off comes first, once, in the order in which it was, as far as this turn's share goes. */
static void go_on_later(tri_server *server)
{
    tri_list due;
    tri_list_init(&due);
    tri_list_take(&due, &server->later);
    server->ws.inflated = 0;
    while (server->ws.inflated < TRI_SERVER_INFLATED && !tri_list_empty(&due))
        tri_conn_go_on(TRI_CONTAINER(tri_list_shift(&due), tri_conn, resume));
    if (!tri_list_empty(&due))
        tri_reactor_wake(server->reactor);
    tri_list_take(&due, &server->later); /* behind those that have waited longer */
    tri_list_take(&server->later, &due);
}

int tri_server_turn(tri_server *server, int timeout_ms)
{
    tri_ready ready[TRI_SERVER_EVENTS];
    bool waited = server->asleep;
    server->asleep = false;
    server->shakes = 0;
    bury(server);
    if (timeout_ms != 0)
        arm(server);
    int n = tri_reactor_poll(server->reactor, ready, TRI_SERVER_EVENTS, timeout_ms);
    if (n < 0)
        return n;
    tri_server_tick(server);
    if (server->lag.on)
        beat(server, waited || timeout_ms != 0);
    server->corks++;
    go_on_later(server);
    for (int i = 0; i < n; i++)
        dispatch(server, &ready[i]);
    fire_timers(server);
    server->corks--;
    return 0;
}

/* The next of a pipeline whose exchange before it is complete: taken before what others have sent, so that the answers
   leave in one write, but only so many in a row. */
static tri_list *next_pipelined(tri_server *server)
{
    tri_list *waiting;
    while ((server->in_row < TRI_SERVER_IN_ROW || tri_list_empty(&server->ready))
           && (waiting = tri_list_shift(&server->resume)) != NULL) {
        tri_list *last = server->ready.prev;
        tri_conn_resume(TRI_CONTAINER(waiting, tri_conn, resume));
        if (server->ready.prev == last)
            continue;
        server->in_row++;
        tri_list *node = server->ready.prev;
        tri_list_remove(node);
        return node;
    }
    server->in_row = 0;
    return tri_list_shift(&server->ready);
}

tri_exchange *tri_server_next(tri_server *server)
{
    tri_list *node = next_pipelined(server);
    return node == NULL ? NULL : TRI_CONTAINER(node, tri_exchange, queue);
}

tri_exchange *tri_server_next_woken(tri_server *server)
{
    tri_list *node = tri_list_shift(&server->woken);
    return node == NULL ? NULL : TRI_CONTAINER(node, tri_exchange, queue);
}

bool tri_server_pending(const tri_server *server)
{
    return !tri_list_empty(&server->ready) || !tri_list_empty(&server->resume) || !tri_list_empty(&server->woken)
           || !tri_list_empty(&server->flush) || server->refusals.n > 0;
}

unsigned tri_server_waiting(const tri_server *server, unsigned most)
{
    unsigned n = 0;
    for (const tri_list *node = server->ready.next; node != &server->ready && n < most; node = node->next)
        n++;
    return n;
}

void tri_server_cork(tri_server *server)
{
    server->corks++;
}

void tri_server_uncork(tri_server *server)
{
    server->corks--;
}

void tri_server_flush(tri_server *server)
{
    if (tri_list_empty(&server->flush))
        return;
    tri_server_tick(server); /* applications may have taken long: idle times begin now */
    server->corks++;
    while (!tri_list_empty(&server->flush))
        tri_conn_flush(TRI_CONTAINER(server->flush.next, tri_conn, flush));
    server->corks--;
}

void tri_server_sleep(tri_server *server, bool asleep)
{
    server->asleep = asleep;
    if (asleep && server->lag.on)
        tri_lag_wait(&server->lag, tri_reactor_now(), server->counters.active > 0);
    if (asleep)
        arm(server);
    if (asleep && tri_server_pending(server))
        tri_server_work(server);
}

void tri_server_set_ready(tri_server *server, bool ready)
{
    server->open_to_new = ready;
    show(server, tri_reactor_now()); /* the first turn may come later than the first connection, to another worker */
}

void tri_server_measure(tri_server *server)
{
    tri_lag_start(&server->lag, tri_reactor_now());
    arm(server);
}

int tri_server_report(tri_server *server, int fd, unsigned slot)
{
    int error = tri_board_attach(&server->board, fd, slot);
    if (error != 0)
        return error;
    tri_server_show_flags(server);
    tri_server_measure(server);
    return 0;
}

int tri_server_balance(tri_server *server, int receive, const int *channels, unsigned n)
{
    if (server->balance.n != 0 || server->balance.source.fd >= 0)
        return TRI_ESTATE;
    int error = tri_balance_init(&server->balance, server->mem, receive, channels, n);
    if (error != 0)
        return error;
    server->balance.source.kind = TRI_SOURCE_CHANNEL;
    if (receive >= 0)
        error = tri_reactor_watch(server->reactor, &server->balance.source, TRI_READ);
    if (error != 0)
        tri_balance_fini(&server->balance, server->mem);
    return error;
}

uint64_t tri_server_lag_ms(const tri_server *server)
{
    return tri_lag_ms(&server->lag, server->now);
}

void tri_server_wake(tri_server *server)
{
    tri_reactor_wake(server->reactor);
}

/* There is something to do: wakes whoever sleeps on the descriptor. The last turn may be long ago. */
void tri_server_work(tri_server *server)
{
    if (!server->asleep)
        return;
    tri_server_tick(server);
    server->asleep = false;
    tri_reactor_wake(server->reactor);
}

/* Milliseconds: the turn's own time within a turn or batch, else the clock's. */
uint64_t tri_server_now(tri_server *server)
{
    if (server->corks == 0 || server->asleep)
        server->now = tri_reactor_now();
    return server->now;
}

/* Adds what the operator wants in every answer. */
void tri_server_fill_response(tri_server *server, tri_response *response)
{
    if (server->asleep)
        tri_server_tick(server);
    response->date = server->date_line;
    response->server = server->server_line;
    response->defaults = server->default_lines;
}

void tri_server_limit(tri_server *server, uint64_t exchanges)
{
    server->most = exchanges == 0 ? 0 : server->counters.exchanges + exchanges;
}

bool tri_server_limit_reached(const tri_server *server)
{
    return server->most != 0 && server->counters.exchanges >= server->most;
}

int tri_server_deflate(tri_server *server, unsigned bits, tri_span message, tri_span *out)
{
    return tri_ws_deflate_alone(&server->ws.deflate, bits, message, out);
}

void tri_server_counters(const tri_server *server, tri_counters *out)
{
    uint64_t lag_ms = tri_lag_ms(&server->lag, tri_reactor_now());
    *out = server->counters;
    out->lag_ms = lag_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)lag_ms;
}
