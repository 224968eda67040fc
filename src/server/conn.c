/* A connection's reading side: bytes from the socket go through the protocol and become exchanges and their bodies. */
#include "server/health.h"
#include "server/internal.h"
#include "server/websocket.h"

/* The exchange that an event is for, or NULL: that of its stream, or the one that a connection has at a time. */
static tri_exchange *find_exchange(tri_conn *conn, const tri_event *event)
{
    if (conn->flags & TRI_CONN_STREAMS)
        return event->user;
    return tri_list_empty(&conn->exchanges) ? NULL : TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
}

/* Whether so much waits for the peer that no further request of its is begun. */
static bool is_backlogged(const tri_conn *conn)
{
    return (conn->flags & TRI_CONN_BLOCKED)
           && conn->protocol->ops->sendable(conn->protocol) >= conn->server->limits.send_high;
}

/* Whether more bytes are wanted from the socket now. */
static bool wants_read(const tri_conn *conn)
{
    if (conn->flags & (TRI_CONN_EOF | TRI_CONN_CLOSED))
        return false;
    if (conn->flags & TRI_CONN_LINGERING)
        return true;
    if (conn->flags & TRI_CONN_STREAMS) /* each stream has a window of its own, which holds the peer back */
        return tri_conn_streams_want_read(conn);
    if (tri_buf_len(&conn->in) >= TRI_SERVER_AHEAD)
        return false;
    if (tri_list_empty(&conn->exchanges))
        return !(conn->flags & TRI_CONN_ENDING) && !is_backlogged(conn)
               && !(conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_CLOSE);
    for (const tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
        const tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        if (!(exchange->flags & TRI_EXCHANGE_BODY_END)
            && tri_buf_len(&exchange->body) >= conn->server->limits.body_buffer)
            return false;
        if (exchange->ws != NULL && !tri_websocket_wants(exchange))
            return false;
    }
    return true;
}

/* What is to be heard of a peer that is not read from while its request is at work: that it leaves. */
static unsigned awaited_end(const tri_conn *conn)
{
    if (conn->flags & (TRI_CONN_STREAMS | TRI_CONN_EOF | TRI_CONN_LINGERING))
        return 0;
    if (tri_list_empty(&conn->exchanges)) /* the next of a pipeline is about to be */
        return tri_list_empty(&conn->resume) ? 0 : conn->source.interest & (unsigned)(TRI_HANGUP | TRI_FAIL);
    const tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
    bool open = exchange->ws != NULL && tri_websocket_accepted(exchange);
    if (open || !(exchange->flags & TRI_EXCHANGE_BODY_END))
        return 0; /* what comes before its end is the application's to read first */
    return exchange->flags & TRI_EXCHANGE_PEER_ENDED ? TRI_FAIL : TRI_HANGUP;
}

/* Tells the reactor what this connection waits for; a connection that cannot be watched is given up. */
void tri_conn_watch(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    unsigned interest = wants_read(conn) ? TRI_READ : awaited_end(conn);
    interest |= (conn->flags & TRI_CONN_BLOCKED) ? TRI_WRITE : 0U;
    if (conn->tls != NULL)
        interest = tri_conn_tls_interest(conn, interest);
    if (interest != conn->source.interest && tri_reactor_watch(conn->server->reactor, &conn->source, interest) != 0)
        tri_conn_lose(conn, "the connection could not be watched");
    else if (conn->tls != NULL && wants_read(conn))
        tri_conn_tls_queue(conn);
}

/* Whether a request on this connection may become a WebSocket. */
static bool may_upgrade(const tri_conn *conn)
{
    return conn->server->ws_kind.init != NULL && conn->protocol->ops->submit_upgrade != NULL;
}

/* A request's head: it becomes an exchange, unless too many are at work. */
static void on_head(tri_conn *conn, const tri_event *event)
{
    tri_server *server = conn->server;
    conn->flags = (uint16_t)((conn->flags | TRI_CONN_USED | TRI_CONN_WORKED) & ~TRI_CONN_IN_HEAD);
    conn->dropped = 0;
    conn->body_since = 0;
    if (server->proxies.paths != NULL && tri_health_answer(conn, event))
        return;
    if (server->limits.exchanges != 0 && server->counters.active >= server->limits.exchanges) {
        tri_refuse_head(conn, event, 503, "too many requests at once");
        return;
    }
    bool websocket = false;
    if ((event->head->flags & TRI_HEAD_UPGRADE) && may_upgrade(conn)) {
        const char *reason = NULL;
        int status = tri_websocket_check(event->head, &websocket, &reason);
        if (status != 0) {
            tri_refuse_head(conn, event, status, reason);
            return;
        }
    }
    if ((event->head->flags & TRI_HEAD_CONNECT) && !websocket) { /* it is for nothing else */
        tri_refuse_head(conn, event, 501, "CONNECT is not supported");
        return;
    }
    if (tri_exchange_open(conn, event, websocket) != 0)
        tri_refuse_head(conn, event, 503, "out of memory");
}

/* Bytes of a body: kept for receive(), or dropped within a bound when the answer is complete already. */
static void on_body(tri_conn *conn, const tri_event *event)
{
    tri_server *server = conn->server;
    tri_exchange *exchange = find_exchange(conn, event);
    if (exchange == NULL && (conn->flags & TRI_CONN_STREAMS)) { /* few: of more the rest was refused with the answer */
        tri_conn_streams_consumed(conn, event->stream, event->body.n);
        return;
    }
    if (!(conn->flags & TRI_CONN_STREAMS))
        conn->body_bytes += event->body.n;
    if (exchange == NULL) {
        bool beyond = event->body.n > server->limits.drain - conn->dropped;
        conn->dropped = beyond ? conn->dropped : conn->dropped + (uint32_t)event->body.n;
        if (beyond)
            tri_conn_end(conn);
        return;
    }
    if (exchange->ws != NULL) {
        if (conn->flags & TRI_CONN_STREAMS)
            tri_conn_streams_tunnel(exchange, event->body);
        else
            tri_websocket_recv(exchange, event->body);
        return;
    }
    exchange->received += event->body.n;
    exchange->body_bytes += event->body.n;
    size_t most = (size_t)server->limits.body_buffer + TRI_SERVER_READ + TRI_SERVER_AHEAD;
    if (conn->flags & TRI_CONN_STREAMS)
        most = UINT32_MAX; /* the stream's window bounds it */
    if (tri_buf_append(&exchange->body, server->mem, event->body, most) != 0) {
        tri_refuse_exchange(exchange, 503, "out of memory");
        return;
    }
    tri_exchange_notify(exchange, TRI_WANT_READ);
}

/* A body is complete. */
static void on_end(tri_conn *conn, const tri_event *event)
{
    tri_exchange *exchange = find_exchange(conn, event);
    conn->body_since = 0;
    if (exchange == NULL) {
        if (!(conn->flags & TRI_CONN_STREAMS))
            tri_conn_continue(conn);
        return;
    }
    if (exchange->ws != NULL) { /* its stream's end is what a connection's is to others */
        exchange->flags |= TRI_EXCHANGE_PEER_ENDED;
        tri_websocket_eof(exchange);
        return;
    }
    exchange->flags |= TRI_EXCHANGE_BODY_END;
    tri_exchange_notify(exchange, TRI_WANT_READ);
}

/* The peer has given a request up: its application sees a disconnect, and nobody else does. */
static void on_reset(tri_conn *conn, const tri_event *event)
{
    tri_exchange *exchange = find_exchange(conn, event);
    if (exchange == NULL)
        return;
    tri_exchange_lose(exchange);
    if (tri_list_empty(&conn->exchanges))
        tri_conn_continue(conn); /* its idle time begins, as behind an answer */
}

/* The peer broke a rule or a limit: its request is refused, or on streams the connection given up. */
static void on_reject(tri_conn *conn, const tri_event *event)
{
    tri_exchange *exchange = (conn->flags & TRI_CONN_STREAMS) ? event->user : NULL;
    if (exchange != NULL)
        tri_refuse_exchange(exchange, event->status, event->reason);
    else if ((conn->flags & TRI_CONN_STREAMS) && event->status != 0)
        tri_refuse_head(conn, event, event->status, event->reason);
    else
        tri_refuse(conn, event->status, event->reason);
}

static void on_event(tri_conn *conn, const tri_event *event)
{
    switch (event->type) {
    case TRI_EVENT_HEAD:
        on_head(conn, event);
        break;
    case TRI_EVENT_BODY:
        on_body(conn, event);
        break;
    case TRI_EVENT_END:
        on_end(conn, event);
        break;
    case TRI_EVENT_REJECT:
        on_reject(conn, event);
        break;
    case TRI_EVENT_RESET:
        on_reset(conn, event);
        break;
    case TRI_EVENT_NONE:
        break;
    }
}

/* Whether nothing more is parsed, and what was read ahead has been given back. */
static bool is_deaf(const tri_conn *conn)
{
    return (conn->flags & (TRI_CONN_CLOSED | TRI_CONN_ENDING | TRI_CONN_LINGERING)) != 0;
}

/* Handles every event that the protocol has; returns whether there was one. */
static bool pull_events(tri_conn *conn)
{
    bool any = false;
    while (!is_deaf(conn)) {
        tri_event event;
        conn->protocol->ops->next_event(conn->protocol, &event);
        if (event.type == TRI_EVENT_NONE || is_deaf(conn))
            break; /* a parser in Python may have run code that ended the connection */
        any = true;
        on_event(conn, &event);
    }
    return any;
}

/* Whether something of a further request waits: bytes that are not parsed yet, or what a parser that is ahead has of
 * them. */
bool tri_conn_is_ahead(const tri_conn *conn)
{
    return tri_buf_len(&conn->in) > 0 || (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_AHEAD);
}

/* Gives bytes to the protocol until it takes no more; returns how many it took. */
static size_t feed(tri_conn *conn, char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        if (is_deaf(conn))
            return n;
        ptrdiff_t took = conn->protocol->ops->recv(conn->protocol, bytes + done, n - done);
        if (took < 0) {
            tri_conn_lose(conn, "out of memory");
            return n;
        }
        done += (size_t)took;
        if (!pull_events(conn) && took == 0)
            break;
    }
    return done;
}

/* Feeds what was read ahead, behind what the protocol has of it already. */
static void feed_ahead(tri_conn *conn)
{
    pull_events(conn);
    size_t took = feed(conn, tri_buf_data(&conn->in), tri_buf_len(&conn->in));
    if (is_deaf(conn))
        return;                           /* the buffer was released */
    size_t left = tri_buf_len(&conn->in); /* less only if the last answer was completed: then none is wanted */
    tri_buf_consume(&conn->in, took < left ? took : left);
    if (conn->ahead != UINT32_MAX)
        conn->ahead -= took < conn->ahead ? (uint32_t)took : conn->ahead;
    if (tri_buf_len(&conn->in) == 0)
        tri_buf_release(&conn->in, conn->server->mem);
}

/* After bytes were parsed: the head's deadline starts with its first byte and is not moved by the next ones. */
static void settle(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    unsigned state = conn->protocol->ops->state(conn->protocol);
    bool in_head = (state & TRI_PROTOCOL_IN_HEAD) || ((conn->flags & TRI_CONN_CHOOSING) && tri_buf_len(&conn->in) > 0);
    if (in_head && !(conn->flags & TRI_CONN_IN_HEAD)) {
        uint64_t deadline = tri_server_now(conn->server) + conn->server->limits.head_ms;
        if ((conn->flags & TRI_CONN_USED) || conn->server->stopping || deadline < conn->deadline)
            conn->deadline = deadline;
        conn->flags |= TRI_CONN_IN_HEAD;
    }
    if (conn->flags & TRI_CONN_STREAMS)
        tri_conn_streams_settle(conn);
    if (tri_list_empty(&conn->exchanges)) {
        bool over = (state & TRI_PROTOCOL_CLOSE) || (conn->flags & (TRI_CONN_EOF | TRI_CONN_ENDING));
        if (over && tri_list_empty(&conn->flush) && tri_list_empty(&conn->resume))
            tri_conn_queue_flush(conn);
        tri_conn_retime(conn);
    }
    tri_conn_watch(conn);
}

/* The peer has ended its side: an unfinished request is refused, finished ones are still answered. */
static void on_eof(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_PROXY) {
        tri_conn_lose(conn, "it ended before its PROXY header");
        return;
    }
    if (conn->flags & TRI_CONN_CHOOSING) { /* it is none of HTTP/2's, whatever it is */
        conn->flags &= (uint16_t)~TRI_CONN_CHOOSING;
        feed_ahead(conn);
    }
    bool parsed_later = !tri_list_empty(&conn->exchanges) || !tri_list_empty(&conn->resume) || is_backlogged(conn);
    conn->flags |= TRI_CONN_EOF;
    if (!parsed_later)
        tri_buf_release(&conn->in, conn->server->mem); /* a parser has not taken it, and waits for more in vain */
    if (!tri_conn_is_ahead(conn)) {                    /* else the end is told behind what was read ahead */
        if (conn->protocol->ops->recv_eof(conn->protocol) != 0) {
            tri_conn_lose(conn, "out of memory");
            return;
        }
        pull_events(conn);
    }
    tri_list *next;
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        next = node->next;
        exchange->flags |= TRI_EXCHANGE_PEER_ENDED;
        tri_exchange_notify(exchange, TRI_WANT_READ | TRI_WANT_LEFT);
        if (exchange->ws != NULL)
            tri_websocket_eof(exchange);
        if (conn->flags & TRI_CONN_CLOSED)
            return;
    }
}

/* Whether a WebSocket's handshake is at work: its client is to wait for the answer (RFC 6455 §4.1). */
static bool awaits_accept(const tri_conn *conn)
{
    if (tri_list_empty(&conn->exchanges))
        return false;
    const tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
    return exchange->ws != NULL && tri_websocket_is_undecided(exchange);
}

/* Bytes of a request behind the one at work: kept for later, parsed now if that is possible. */
static void take_bytes(tri_conn *conn, char *bytes, size_t n)
{
    size_t took = 0;
    if ((conn->flags & TRI_CONN_PROXY) && !tri_conn_proxy_take(conn, &bytes, &n))
        return;
    if ((conn->flags & TRI_CONN_CHOOSING) && !tri_conn_choose(conn, bytes, n))
        return;
    if (tri_buf_len(&conn->in) == 0)
        took = feed(conn, bytes, n);
    if (took == n)
        return;
    if (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_CLOSE)
        return; /* nothing behind the last request is parsed */
    tri_span rest = { bytes + took, n - took };
    if (tri_buf_append(&conn->in, conn->server->mem, rest, TRI_SERVER_AHEAD + TRI_SERVER_READ) != 0)
        tri_conn_lose(conn, "out of memory");
    else if (tri_buf_len(&conn->in) >= TRI_SERVER_AHEAD && awaits_accept(conn))
        tri_refuse(conn, 400, "too much came before the WebSocket was accepted");
    else if (tri_list_empty(&conn->exchanges))
        feed_ahead(conn);
    if (conn->server->stopping)
        tri_conn_count_ahead(conn);
}

void tri_conn_count_ahead(tri_conn *conn)
{
    if (conn->ahead == UINT32_MAX)
        conn->ahead = (uint32_t)tri_buf_len(&conn->in);
}

/* Whether a whole head waits behind the request at work, and had arrived before the server was to stop. */
bool tri_conn_has_more(const tri_conn *conn)
{
    size_t n = tri_buf_len(&conn->in);
    n = n < conn->ahead ? n : conn->ahead;
    if (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_READY)
        return true;
    return n > 0 && memmem(tri_buf_data(&conn->in), n, "\r\n\r\n", 4) != NULL;
}

/* Bytes from the peer, as tri_socket_read gives them. */
static ptrdiff_t read_bytes(tri_conn *conn, char *bytes, size_t n)
{
    return conn->tls != NULL ? tri_tls_read(conn->tls, bytes, n) : tri_socket_read(conn->source.fd, bytes, n);
}

enum read_outcome { READ_NOTHING, READ_SOME, READ_FULL };

/* One read, parsed at once; whether it filled the buffer, so that there is likely to be more. */
static enum read_outcome read_once(tri_conn *conn)
{
    tri_server *server = conn->server;
    ptrdiff_t n = read_bytes(conn, server->read, TRI_SERVER_READ);
    if (n == TRI_EAGAIN) {
        if (conn->tls != NULL)
            tri_conn_watch(conn); /* a record may be incomplete, or wait for room */
        return READ_NOTHING;
    }
    if (conn->flags & TRI_CONN_LINGERING) {
        if (n <= 0)
            tri_conn_close(conn);
        else if (conn->tls != NULL)
            tri_conn_watch(conn);
        return READ_NOTHING;
    }
    if (n < 0) {
        const char *fault = conn->tls != NULL ? tri_tls_fault(conn->tls) : NULL;
        tri_conn_lose(conn, n == TRI_ENOMEM ? "out of memory" : fault);
        return READ_NOTHING;
    }
    if (n == 0)
        on_eof(conn);
    else
        take_bytes(conn, server->read, (size_t)n);
    return n == TRI_SERVER_READ && wants_read(conn) ? READ_FULL : READ_SOME;
}

/* Whether enough was inflated in this turn: few bytes may become many, and who sends no messages is not to wait. */
static bool has_inflated(const tri_server *server)
{
    return server->ws.inflated >= TRI_SERVER_INFLATED;
}

/* Whether a connection has a WebSocket, or a stream that is one. */
static bool has_websocket(const tri_conn *conn)
{
    for (const tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next)
        if (TRI_CONTAINER(node, tri_exchange, link)->ws != NULL)
            return true;
    return false;
}

/* Leaves the rest to the next turns, behind what was left before. */
static void put_off(tri_conn *conn)
{
    if (tri_list_empty(&conn->resume))
        tri_list_append(&conn->server->later, &conn->resume);
    tri_reactor_wake(conn->server->reactor); /* the descriptor may not tell of it, or not be watched by then */
}

/* Reads and parses what has come, whatever was inflated in this turn. */
void tri_conn_read_now(tri_conn *conn)
{
    if (conn->tls != NULL && !tri_conn_tls_ready(conn))
        return;
    enum read_outcome outcome = read_once(conn);
    if (outcome == READ_NOTHING)
        return;
    for (unsigned reads = 1; reads < TRI_SERVER_READS && outcome == READ_FULL && !has_inflated(conn->server); reads++)
        outcome = read_once(conn);
    settle(conn);
}

/* The socket is readable: that is read, but of WebSockets only so much before others have their turn. */
void tri_conn_readable(tri_conn *conn)
{
    if (has_inflated(conn->server) && has_websocket(conn))
        put_off(conn);
    else
        tri_conn_read_now(conn);
}

/* The peer has ended its side behind bytes that wait to be read: whose request is at work is told. */
void tri_conn_hung_up(tri_conn *conn)
{
    if (tri_list_empty(&conn->exchanges) || awaited_end(conn) != TRI_HANGUP) {
        tri_conn_watch(conn);
        return;
    }
    tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
    exchange->flags |= TRI_EXCHANGE_PEER_ENDED;
    tri_exchange_notify(exchange, TRI_WANT_READ | TRI_WANT_LEFT);
    if (exchange->ws != NULL)
        tri_websocket_eof(exchange);
    tri_conn_watch(conn);
}

/* Its turn has come, after it was put off. */
void tri_conn_go_on(tri_conn *conn)
{
    if (wants_read(conn))
        tri_conn_read_now(conn);
    else
        settle(conn);
    if (!(conn->flags & TRI_CONN_CLOSED))
        tri_conn_queue_resume(conn); /* what was read ahead meanwhile */
}

/* An exchange before them is complete: the bytes that were read ahead are parsed. */
void tri_conn_resume(tri_conn *conn)
{
    if (!(conn->flags & TRI_CONN_LINGERING))
        feed_ahead(conn);
    if (!(conn->flags & TRI_CONN_CLOSED) && (conn->flags & TRI_CONN_EOF))
        on_eof(conn);
    settle(conn);
}

/* Sees to it that what was read ahead is parsed, unless that must wait for an exchange or for the peer. */
void tri_conn_queue_resume(tri_conn *conn)
{
    tri_server *server = conn->server;
    bool waits = !(conn->flags & TRI_CONN_STREAMS) && !tri_list_empty(&conn->exchanges); /* streams do for no other */
    if (waits || !tri_list_empty(&conn->resume) || !tri_conn_is_ahead(conn))
        return;
    if (is_deaf(conn) || (conn->flags & TRI_CONN_PROXY) || is_backlogged(conn))
        return;
    tri_list_append(&server->resume, &conn->resume);
    tri_server_work(server);
}

/* An answer is complete, or an unread body has been dropped: the connection waits for the next request. */
void tri_conn_continue(tri_conn *conn)
{
    tri_server *server = conn->server;
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    conn->flags &= (uint16_t)~TRI_CONN_IN_HEAD;
    unsigned state = conn->protocol->ops->state(conn->protocol);
    if (state & TRI_PROTOCOL_CLOSE) {
        tri_buf_consume(&conn->in, tri_buf_len(&conn->in)); /* its memory stays: it may be what is being parsed */
        tri_conn_queue_flush(conn);
    } else if (state & TRI_PROTOCOL_IN_BODY) {
        conn->body_since = tri_server_now(server);
        conn->body_bytes = 0;
    } else {
        tri_conn_queue_resume(conn);
    }
    tri_conn_idle(conn);
    tri_conn_watch(conn);
}

/* Fills a new connection's struct. */
static void init_conn(tri_conn *conn, tri_server *server, int fd, const tri_addr *peer)
{
    memset(conn, 0, offsetof(tri_conn, memory));
    conn->source = (tri_source){ .fd = fd, .kind = TRI_SOURCE_CONN };
    tri_list_init(&conn->flush);
    tri_list_init(&conn->resume);
    tri_list_init(&conn->exchanges);
    tri_timer_init(&conn->timer);
    conn->server = server;
    conn->ahead = UINT32_MAX;
    conn->peer = *peer;
    conn->deadline = server->now + (server->stopping ? tri_server_inflight_ms(server) : server->limits.first_head_ms);
    server->kind.init(conn->memory, &server->http1, server->kind.context);
    conn->protocol = (tri_protocol *)(void *)conn->memory;
    tri_list_append(&server->conns, &conn->link);
}

/* Takes over an accepted descriptor. One that would be over the limit gets a 503, or is closed if many just got that.
 */
void tri_conn_open(tri_server *server, int fd, const tri_addr *peer, const tri_listener *listener)
{
    tri_conn *conn = tri_pool_get(&server->conn_pool);
    if (conn == NULL) {
        tri_socket_close(fd);
        return;
    }
    init_conn(conn, server, fd, peer);
    if (listener->address.family == TRI_FAMILY_UNIX)
        conn->local = listener->address;
    else
        tri_socket_local(fd, &conn->local);
    server->counters.connections++;
    tri_server_count_open(server, 1);
    if (!tri_conn_tls_begin(conn))
        return;
    if (server->http2_unasked && conn->tls == NULL)
        conn->flags |= TRI_CONN_CHOOSING;
    if (server->limits.connections != 0 && server->counters.open > server->limits.connections) {
        if (server->counters.open - server->limits.connections > TRI_SERVER_ACCEPTS) {
            tri_conn_lose(conn, "too many connections"); /* enough are being told */
            return;
        }
        tri_refuse(conn, 503, "too many connections");
        return;
    }
    if (!tri_conn_proxy_begin(conn, listener))
        return;
    tri_conn_retime(conn);
    tri_conn_watch(conn);
}
