/* What TLS changes about a connection: its handshake, what it waits for, bytes that are read but not asked for, and its
   end, of which the peer is told. */
#include "server/internal.h"

/* Begins TLS on a new connection, where the server speaks it. Returns whether the connection is still there. */
bool tri_conn_tls_begin(tri_conn *conn)
{
    tri_server *server = conn->server;
    if (server->tls == NULL)
        return true;
    if (!server->stopping)
        conn->deadline = server->now + server->limits.handshake_ms;
    if (tri_tls_new(&conn->tls, server->tls, conn->source.fd) == 0)
        return true;
    tri_conn_lose(conn, "out of memory");
    return false;
}

/* Goes on without TLS, with a peer that does not speak it. */
static void drop(tri_conn *conn)
{
    tri_tls_free(conn->tls);
    conn->tls = NULL;
    conn->flags &= (uint16_t)~TRI_CONN_BLOCKED;
}

/* Answers a client that has taken us for a server without TLS. */
static void refuse_plain(tri_conn *conn)
{
    static const char text[] = "This server speaks HTTPS: the address begins with https://\n";
    drop(conn);
    if (conn->flags & TRI_CONN_ENDING)
        tri_conn_flush(conn); /* it is being told something else already */
    else
        tri_refuse_text(conn, 400, "plain HTTP was sent where HTTPS is spoken", text);
}

/* The handshake has failed, and the peer was told why: the connection ends, lingering so that it reads that. */
static void refuse_handshake(tri_conn *conn)
{
    const char *reason = tri_tls_fault(conn->tls);
    reason = reason != NULL ? reason : "the TLS handshake failed";
    if (conn->flags & TRI_CONN_ENDING) { /* what waits is not for eyes that cannot decrypt */
        tri_conn_lose(conn, reason);
        return;
    }
    drop(conn);
    tri_refuse_record(conn, 0, reason);
    tri_conn_end(conn);
}

/* The handshake is complete: the clock of the first request begins, and what had to wait can be told. */
static void establish(tri_conn *conn)
{
    tri_server *server = conn->server;
    server->handshakes++;
    if (!(conn->flags & TRI_CONN_ENDING)) {
        uint32_t for_ms = server->stopping ? tri_server_inflight_ms(server) : server->limits.first_head_ms;
        conn->deadline = tri_server_now(server) + for_ms;
        tri_conn_retime(conn);
    }
    if (tri_tls_protocol(conn->tls) == TRI_TLS_HTTP2)
        tri_conn_speak_http2(conn);
    if (conn->flags & TRI_CONN_BLOCKED)
        tri_conn_flush(conn);
}

/* Acts on how far the handshake has come. */
static void take_step(tri_conn *conn)
{
    int error = tri_tls_handshake(conn->tls);
    if (error == 0)
        establish(conn);
    else if (error == TRI_EAGAIN)
        tri_conn_watch(conn);
    else if (error == TRI_EINVAL)
        refuse_plain(conn);
    else if (error == TRI_EPROTO)
        refuse_handshake(conn);
    else
        tri_conn_lose(conn, error == TRI_ENOMEM ? "out of memory" : NULL);
}

/* Reads the PROXY header, which comes before TLS begins; returns whether it has come to its end. */
static bool take_proxy_header(tri_conn *conn)
{
    char *bytes = conn->server->read;
    ptrdiff_t got = tri_socket_read(conn->source.fd, bytes, TRI_SERVER_READ);
    if (got == TRI_EAGAIN)
        return false;
    if (got <= 0) {
        tri_conn_lose(conn, got == 0 ? "it ended before its PROXY header" : NULL);
        return false;
    }
    size_t n = (size_t)got;
    if (tri_conn_proxy_take(conn, &bytes, &n) && tri_tls_feed(conn->tls, (tri_span){ bytes, n }) != 0)
        tri_conn_lose(conn, "out of memory");
    return !(conn->flags & (TRI_CONN_PROXY | TRI_CONN_CLOSED));
}

/* Goes on with the handshake, if there is one; returns whether requests can be read. Of many that go on at once the
   rest waits for the next turn, so that those who are connected have theirs. */
bool tri_conn_tls_ready(tri_conn *conn)
{
    if (!tri_tls_is_shaking(conn->tls))
        return true;
    if (conn->server->shakes >= TRI_SERVER_SHAKES) /* the descriptor stays readable */
        return false;
    if ((conn->flags & TRI_CONN_PROXY) && !take_proxy_header(conn))
        return false;
    conn->server->shakes++;
    take_step(conn);
    return conn->tls != NULL && !(conn->flags & TRI_CONN_CLOSED) && !tri_tls_is_shaking(conn->tls);
}

/* What the descriptor is waited for; `interest` is what the connection itself wants. While TLS waits for room, reading
   leads nowhere. */
unsigned tri_conn_tls_interest(const tri_conn *conn, unsigned interest)
{
    if (tri_tls_wants_write(conn->tls))
        return TRI_WRITE;
    return tri_tls_is_shaking(conn->tls) ? TRI_READ : interest;
}

/* Sees to it that decrypted bytes are read, of which the descriptor does not tell: in the next turn, after what these
   have been answered with is written and others have had theirs, as the peer may send faster than is read. */
void tri_conn_tls_queue(tri_conn *conn)
{
    if (!tri_tls_has_pending(conn->tls) || !tri_list_empty(&conn->resume))
        return;
    tri_list_append(&conn->server->later, &conn->resume);
    tri_reactor_wake(conn->server->reactor);
}

/* Whether the peer is to be told that all was said: not of an answer that was cut, nor when some of it is left. */
static bool is_orderly(tri_conn *conn)
{
    return !(conn->flags & TRI_CONN_CUT) && conn->protocol->ops->sendable(conn->protocol) == 0;
}

bool tri_conn_tls_has_ended(tri_conn *conn)
{
    return conn->tls == NULL || !is_orderly(conn) || tri_tls_end(conn->tls) == 0;
}

bool tri_conn_tls_end(tri_conn *conn)
{
    if (tri_conn_tls_has_ended(conn)) {
        conn->flags &= (uint16_t)~TRI_CONN_BLOCKED;
        tri_socket_end(conn->source.fd);
        return true;
    }
    if (!(conn->flags & TRI_CONN_BLOCKED))
        conn->write_since = tri_server_now(conn->server);
    conn->flags |= TRI_CONN_BLOCKED;
    return false;
}

/* Gives the connection's TLS back, after telling the peer of the end. */
void tri_conn_tls_fini(tri_conn *conn)
{
    if (conn->tls == NULL)
        return;
    bool ended = tri_conn_tls_has_ended(conn);
    (void)ended; /* no more can be done for a socket that is still full */
    tri_tls_free(conn->tls);
    conn->tls = NULL;
}
