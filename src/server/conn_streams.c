/* What is different about a connection that carries many exchanges at once, each on a stream of its own: windows,
   deadlines, and the end of one that is not the end of the others. */
#include "server/internal.h"
#include "server/websocket.h"

/* Bytes that may wait on one stream before send() waits, and those at which it goes on. */
enum { STREAM_HIGH = 65536, STREAM_LOW = 16384 };

/* Sees to it that frames are written, and that memory that ran out ends the connection. */
static void check(tri_conn *conn, int error)
{
    if (error != 0)
        tri_conn_lose(conn, "out of memory");
    else if (conn->protocol->ops->sendable(conn->protocol) > 0)
        tri_conn_queue_flush(conn);
}

void tri_conn_streams_consumed(tri_conn *conn, uint32_t stream, size_t n)
{
    if (n > 0)
        check(conn, conn->protocol->ops->consumed(conn->protocol, stream, n));
}

bool tri_conn_streams_want_read(const tri_conn *conn)
{
    if (conn->flags & TRI_CONN_ENDING)
        return false;
    size_t waits = conn->protocol->ops->sendable(conn->protocol);
    bool full = (conn->flags & TRI_CONN_BLOCKED) && waits >= STREAM_HIGH;
    return !full && !(conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_CLOSE);
}

void tri_conn_streams_settle(tri_conn *conn)
{
    bool failed = (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_FAILED) != 0; /* the flush sees to it */
    if (failed || conn->protocol->ops->sendable(conn->protocol) > 0)
        tri_conn_queue_flush(conn);
}

bool tri_conn_streams_writable(const tri_exchange *exchange)
{
    const tri_protocol *protocol = exchange->conn->protocol;
    return protocol->ops->waiting(protocol, exchange->stream) < STREAM_HIGH;
}

/* Whether a send() that waits can go on. */
static bool is_drained(const tri_exchange *exchange)
{
    const tri_protocol *protocol = exchange->conn->protocol;
    return protocol->ops->waiting(protocol, exchange->stream) <= STREAM_LOW;
}

void tri_conn_streams_wake(tri_conn *conn)
{
    tri_list *next;
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        next = node->next;
        if ((exchange->wants & TRI_WANT_WRITE) && is_drained(exchange))
            tri_exchange_notify(exchange, TRI_WANT_WRITE);
        if (exchange->ws != NULL)
            tri_websocket_drained(exchange);
        if (conn->flags & TRI_CONN_CLOSED)
            return;
    }
}

void tri_conn_streams_reset(tri_exchange *exchange, enum tri_reset why)
{
    tri_conn *conn = exchange->conn;
    uint32_t stream = exchange->stream;
    conn->protocol->ops->send(conn->protocol);
    tri_exchange_lose(exchange);
    check(conn, conn->protocol->ops->reset(conn->protocol, stream, why));
    if (tri_list_empty(&conn->exchanges))
        tri_conn_continue(conn);
}

void tri_conn_streams_leave_body(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    const tri_head *head = exchange->head;
    bool little = head != NULL && (head->flags & TRI_HEAD_LENGTH)
                  && head->content_length - exchange->received <= exchange->server->limits.drain;
    tri_conn_streams_consumed(conn, exchange->stream, tri_buf_len(&exchange->body));
    if (!little && !(conn->flags & TRI_CONN_CLOSED))
        check(conn, conn->protocol->ops->reset(conn->protocol, exchange->stream, TRI_RESET_DONE));
}

void tri_conn_streams_took(tri_exchange *exchange)
{
    size_t n = (size_t)exchange->body_bytes;
    if (exchange->conn == NULL || !tri_websocket_wants(exchange))
        return;
    exchange->body_bytes = 0;
    tri_conn_streams_consumed(exchange->conn, exchange->stream, n);
}

void tri_conn_streams_tunnel(tri_exchange *exchange, tri_span bytes)
{
    tri_exchange_ref(exchange); /* its end may be the last that anybody wants of it */
    exchange->body_bytes += bytes.n;
    tri_websocket_recv(exchange, bytes);
    tri_conn_streams_took(exchange);
    tri_exchange_unref(exchange);
}

/* --- deadlines --- */

/* When the time is over that the peer has for a body that its application waits for; UINT64_MAX while it has any. */
static uint64_t body_deadline(const tri_exchange *exchange)
{
    bool owed = exchange->body_since != 0 && (exchange->wants & TRI_WANT_READ)
                && !(exchange->flags & TRI_EXCHANGE_BODY_END) && exchange->ws == NULL;
    return owed ? exchange->body_since + exchange->server->limits.body_ms : UINT64_MAX;
}

uint64_t tri_conn_streams_body_deadline(const tri_conn *conn)
{
    uint64_t earliest = UINT64_MAX;
    for (const tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
        uint64_t deadline = body_deadline(TRI_CONTAINER(node, tri_exchange, link));
        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

/* Refuses the bodies that come too slowly; those that keep the least rate get another window. */
static void expire_bodies(tri_conn *conn)
{
    const tri_limits *limits = &conn->server->limits;
    tri_list *next;
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        next = node->next;
        if (conn->server->now < body_deadline(exchange))
            continue;
        uint64_t least = (uint64_t)limits->body_rate * limits->body_ms;
        if (exchange->body_bytes == 0 || exchange->body_bytes * 1000 < least) {
            tri_refuse_exchange(exchange, 408, "the request body came too slowly");
            return; /* the timer comes back for others */
        }
        exchange->body_since = conn->server->now;
        exchange->body_bytes = 0;
    }
}

/* The stream whose answer the peer has let wait for the longest time, or 0. */
static uint32_t stalled(const tri_conn *conn, uint64_t *since)
{
    return conn->protocol->ops->stalled(conn->protocol, since);
}

uint64_t tri_conn_streams_write_deadline(const tri_conn *conn)
{
    uint64_t since = 0;
    return stalled(conn, &since) == 0 ? UINT64_MAX : since + conn->server->limits.write_ms;
}

/* Gives up the answers that the peer does not take. */
static void expire_writes(tri_conn *conn)
{
    uint64_t since = 0;
    uint32_t stream, before = 0;
    while ((stream = stalled(conn, &since)) != 0 && conn->server->now >= since + conn->server->limits.write_ms) {
        if (stream == before) { /* it cannot even be ended */
            tri_conn_lose(conn, NULL);
            return;
        }
        before = stream;
        tri_refuse_record(conn, 0, "the peer stopped reading the answer");
        for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
            tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
            if (exchange->stream != stream)
                continue;
            tri_exchange_lose(exchange);
            break;
        }
        check(conn, conn->protocol->ops->reset(conn->protocol, stream, TRI_RESET_CANCEL));
        if (conn->flags & TRI_CONN_CLOSED)
            return;
    }
}

void tri_conn_streams_flushed(tri_conn *conn)
{
    uint64_t since;
    if (!(conn->flags & TRI_CONN_CLOSED) && stalled(conn, &since) != 0)
        tri_conn_retime(conn);
}

bool tri_conn_streams_rest(tri_conn *conn)
{
    uint64_t since;
    if (!(conn->flags & TRI_CONN_WORKED))
        return true;
    if (stalled(conn, &since) == 0)
        conn->flags &= (uint16_t)~TRI_CONN_WORKED;
    return false;
}

void tri_conn_streams_expire(tri_conn *conn)
{
    uint64_t now = conn->server->now;
    if (conn->flags & (TRI_CONN_ENDING | TRI_CONN_LINGERING))
        return;
    if (now >= tri_conn_streams_body_deadline(conn) && (conn->source.interest & TRI_READ))
        tri_conn_read_now(conn); /* what has come in time counts, however late we are */
    if (!(conn->flags & TRI_CONN_CLOSED))
        expire_bodies(conn);
    if (!(conn->flags & TRI_CONN_CLOSED))
        expire_writes(conn);
    if (!(conn->flags & TRI_CONN_CLOSED) && conn->last_at != 0 && now >= conn->last_at) {
        conn->last_at = 0;
        conn->protocol->ops->shutdown(conn->protocol);
        tri_conn_queue_flush(conn);
    }
}

/* --- the end --- */

void tri_conn_streams_leave(tri_conn *conn)
{
    if (conn->flags & (TRI_CONN_TOLD | TRI_CONN_CLOSED | TRI_CONN_ENDING | TRI_CONN_LINGERING))
        return;
    conn->flags |= TRI_CONN_TOLD;
    conn->protocol->ops->shutdown(conn->protocol);
    conn->last_at = tri_server_now(conn->server) + tri_server_inflight_ms(conn->server);
    tri_conn_queue_flush(conn);
    tri_conn_retime(conn);
}

void tri_conn_streams_end(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    conn->last_at = 0;
    if (!(conn->flags & TRI_CONN_TOLD))
        conn->protocol->ops->shutdown(conn->protocol);
    conn->flags |= TRI_CONN_TOLD;
    conn->protocol->ops->shutdown(conn->protocol);
    tri_conn_end(conn);
}
