/* A connection's writing side and its end: what waits is written in as few calls as possible, and closing loses no
 * answer. */
#include "server/internal.h"
#include "server/websocket.h"

enum { IOV_MOST = 64 };

/* Remembers that something waits to be written: whoever corked flushes it, the socket's readiness does if it is full,
   and else the leader is woken for it. */
void tri_conn_queue_flush(tri_conn *conn)
{
    if ((conn->flags & (TRI_CONN_CLOSED | TRI_CONN_BLOCKED)) || !tri_list_empty(&conn->flush))
        return;
    tri_list_append(&conn->server->flush, &conn->flush);
    if (conn->server->corks == 0)
        tri_server_work(conn->server);
}

/* The exchanges at work lose their connection. */
static void lose_exchanges(tri_conn *conn)
{
    while (!tri_list_empty(&conn->exchanges)) {
        tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
        if ((exchange->flags & TRI_EXCHANGE_WROTE) && !(conn->flags & TRI_CONN_STREAMS))
            conn->flags |= TRI_CONN_CUT;
        tri_exchange_lose(exchange);
    }
}

/* Closes the descriptor and leaves the struct for the next turn to free: callers up the stack still look at it. */
void tri_conn_close(tri_conn *conn)
{
    tri_server *server = conn->server;
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    conn->flags |= TRI_CONN_CLOSED;
    tri_list_remove(&conn->link); /* at once: what is given back below may run code that closes all there are */
    tri_list_append(&server->graves, &conn->link);
    lose_exchanges(conn);
    tri_wheel_unset(&server->wheel, &conn->timer);
    tri_list_remove(&conn->flush);
    tri_list_remove(&conn->resume);
    int ignored = tri_reactor_watch(server->reactor, &conn->source, 0); /* closing unwatches it, too */
    (void)ignored;
    tri_conn_tls_fini(conn);
    tri_socket_close(conn->source.fd);
    conn->protocol->ops->fini(conn->protocol);
    tri_buf_release(&conn->in, server->mem);
    tri_server_count_open(server, -1);
    if (server->retry_at != 0)
        server->retry_at = server->now; /* a descriptor is free again */
    if (server->stopping)
        tri_server_work(server);
}

/* The connection is of no more use; `reason`, if there is one, goes to the log. */
void tri_conn_lose(tri_conn *conn, const char *reason)
{
    if (reason != NULL && !(conn->flags & TRI_CONN_CLOSED))
        tri_refuse_record(conn, 0, reason);
    tri_conn_close(conn);
}

/* Ends our side and reads on, so that bytes under way do not make the kernel reset what the peer has not read yet. */
static void linger(tri_conn *conn, uint32_t for_ms)
{
    if ((conn->flags & TRI_CONN_EOF) && tri_conn_tls_has_ended(conn)) {
        tri_conn_close(conn);
        return;
    }
    conn->flags |= TRI_CONN_LINGERING;
    conn->body_since = 0;
    conn->deadline = tri_server_now(conn->server) + for_ms;
    tri_buf_release(&conn->in, conn->server->mem);
    tri_conn_tls_end(conn);
    tri_conn_retime(conn);
    tri_conn_watch(conn);
}

/* Closes, once the end has gone out that TLS tells of. */
static void part(tri_conn *conn)
{
    if (tri_conn_tls_has_ended(conn))
        tri_conn_close(conn);
    else
        linger(conn, conn->server->limits.linger_ms);
}

/* Nothing more is read from this connection: what is at work is lost, what waits is written, then it closes, lingering.
 */
void tri_conn_end(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    conn->flags |= TRI_CONN_ENDING;
    lose_exchanges(conn);
    tri_list_remove(&conn->resume);
    tri_buf_release(&conn->in, conn->server->mem);
    conn->body_since = 0;
    conn->deadline = tri_server_now(conn->server) + conn->server->limits.linger_ms;
    tri_conn_queue_flush(conn);
    tri_conn_retime(conn);
    tri_conn_watch(conn);
}

/* Everything was written: closes if nothing more is to come, else the connection idles from now on. */
static void finish(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_LINGERING || !tri_list_empty(&conn->exchanges))
        return;
    unsigned state = conn->protocol->ops->state(conn->protocol);
    bool ending = (conn->flags & TRI_CONN_ENDING) != 0;
    if (ending || (state & TRI_PROTOCOL_CLOSE)) {
        bool sending = ending || (state & (TRI_PROTOCOL_LINGER | TRI_PROTOCOL_IN_BODY));
        if (sending || ((conn->flags & TRI_CONN_MORE) && !conn->server->stopping))
            linger(conn, conn->server->limits.linger_ms);
        else if (conn->flags & TRI_CONN_MORE)
            linger(conn, TRI_SERVER_INFLIGHT_MS);
        else
            part(conn);
    } else if ((conn->flags & TRI_CONN_EOF) && !tri_conn_is_ahead(conn)) {
        part(conn);
    } else if (!(conn->flags & TRI_CONN_IN_HEAD)
               && !((conn->flags & TRI_CONN_STREAMS) && tri_conn_streams_rest(conn))) {
        tri_conn_idle(conn);
    } else {
        tri_conn_retime(conn); /* a head that came while this answer waited: its clock runs from now on */
    }
}

/* Gives a waiting send() its wake-up once the peer has taken enough. */
static void wake_writers(tri_conn *conn)
{
    if (conn->protocol->ops->sendable(conn->protocol) > conn->server->limits.send_low)
        return;
    if (conn->flags & TRI_CONN_STREAMS) {
        tri_conn_streams_wake(conn);
        return;
    }
    if (tri_list_empty(&conn->exchanges))
        return;
    tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link); /* there is one at a time */
    tri_exchange_notify(exchange, TRI_WANT_WRITE);
    if (exchange->ws != NULL)
        tri_websocket_drained(exchange);
}

/* Notes whether the socket takes more; the deadline of a stalled reader starts when it first takes nothing. */
static void set_blocked(tri_conn *conn, bool blocked, bool progress)
{
    if (blocked) {
        if (!(conn->flags & TRI_CONN_BLOCKED) || progress) {
            conn->write_since = tri_reactor_now();
            conn->unsent = tri_socket_unsent(conn->source.fd);
        }
        conn->flags |= TRI_CONN_BLOCKED;
        tri_conn_retime(conn);
    } else {
        conn->flags &= (uint16_t)~TRI_CONN_BLOCKED;
    }
    tri_conn_watch(conn);
}

/* Bytes that can be written. Of streams, only so many are put into the chain at once. */
static size_t next_bytes(tri_conn *conn)
{
    if (conn->flags & TRI_CONN_STREAMS)
        conn->protocol->ops->send(conn->protocol);
    return conn->protocol->ops->sendable(conn->protocol);
}

/* Writes until the chain is empty or the socket is full; TRI_ECLOSED or TRI_ESYS when the connection is gone. */
static int write_out(tri_conn *conn, bool *progress)
{
    tri_chain *chain = conn->protocol->ops->send(conn->protocol);
    size_t left;
    while ((left = next_bytes(conn)) > 0) {
        struct iovec iov[IOV_MOST];
        int n = tri_chain_iov(chain, iov, IOV_MOST, left);
        size_t offered = 0;
        for (int i = 0; i < n; i++)
            offered += iov[i].iov_len;
        ptrdiff_t wrote =
            conn->tls != NULL ? tri_tls_writev(conn->tls, iov, n) : tri_socket_writev(conn->source.fd, iov, n);
        if (wrote < 0)
            return (int)wrote;
        *progress = true;
        tri_chain_consume(chain, &conn->server->chains, (size_t)wrote);
        if ((size_t)wrote < offered)
            return TRI_EAGAIN;
    }
    return 0;
}

/* Lets go of heads that were held back: their applications have suspended before the first bytes of a body, and the
   peer is to see that it is answered. */
static void release_heads(tri_conn *conn)
{
    const tri_loan nothing = { { NULL, 0 }, NULL, NULL };
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        if ((exchange->flags & (TRI_EXCHANGE_STARTED | TRI_EXCHANGE_WROTE)) != TRI_EXCHANGE_STARTED)
            continue;
        tri_exchange_ref(exchange);
        int error = conn->protocol->ops->submit_body(conn->protocol, exchange->stream, &nothing, false);
        bool gone = exchange->conn == NULL; /* by code of a protocol in Python, whose connections have no others */
        if (error == 0 && !gone)
            exchange->flags |= TRI_EXCHANGE_WROTE;
        tri_exchange_unref(exchange);
        if (error == TRI_ENOMEM)
            tri_conn_lose(conn, "out of memory");
        if (gone || error == TRI_ENOMEM)
            return;
    }
}

/* The socket has room for the rest of our end. */
static void go_on_ending(tri_conn *conn)
{
    if (tri_conn_tls_end(conn) && (conn->flags & TRI_CONN_EOF))
        tri_conn_close(conn);
    else
        tri_conn_watch(conn);
}

/* Whether its streams can no longer be answered: nothing that comes would tell of it. */
static bool has_failed(const tri_conn *conn)
{
    return (conn->flags & TRI_CONN_STREAMS) && (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_FAILED);
}

/* Writes what waits, then closes the connection if that was its last. */
void tri_conn_flush(tri_conn *conn)
{
    tri_list_remove(&conn->flush);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if ((conn->flags & TRI_CONN_LINGERING) && conn->tls != NULL) {
        go_on_ending(conn);
        return;
    }
    release_heads(conn);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    bool progress = false;
    int error = write_out(conn, &progress);
    bool failed = has_failed(conn);
    if (failed || (error != 0 && error != TRI_EAGAIN)) {
        tri_conn_lose(conn, failed ? "out of memory" : NULL);
        return;
    }
    if (error == TRI_EAGAIN || (conn->flags & TRI_CONN_BLOCKED))
        set_blocked(conn, error == TRI_EAGAIN, progress);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    wake_writers(conn);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if (error == 0 && conn->protocol->ops->sendable(conn->protocol) == 0)
        finish(conn);
    tri_conn_queue_resume(conn);
    if (conn->flags & TRI_CONN_STREAMS)
        tri_conn_streams_flushed(conn);
}
