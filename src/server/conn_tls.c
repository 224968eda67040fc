/* What TLS changes about a connection: its handshake, what it waits for, and bytes that are read but not asked for. */
#include "server/internal.h"

/* Begins TLS on a new connection, where the server speaks it. Returns whether the connection is still there. */
bool tri_conn_tls_begin(tri_conn *conn)
{
    if (conn->server->tls == NULL || tri_tls_new(&conn->tls, conn->server->tls, conn->source.fd) == 0)
        return true;
    tri_conn_lose(conn, "out of memory");
    return false;
}

/* Answers a client that has taken us for a server without TLS. */
static void refuse_plain(tri_conn *conn)
{
    tri_tls_free(conn->tls);
    conn->tls = NULL;
    conn->flags &= (uint16_t)~TRI_CONN_BLOCKED;
    tri_refuse(conn, 400, "plain HTTP was sent where HTTPS is spoken");
}

/* Goes on with the handshake, if there is one; returns whether requests can be read. */
bool tri_conn_tls_ready(tri_conn *conn)
{
    if (!tri_tls_is_shaking(conn->tls))
        return true;
    int error = tri_tls_handshake(conn->tls);
    if (error == TRI_EAGAIN)
        tri_conn_watch(conn);
    else if (error == TRI_EINVAL)
        refuse_plain(conn);
    else if (error != 0)
        tri_conn_lose(conn, error == TRI_EPROTO ? "the TLS handshake failed" : NULL);
    else if (tri_tls_protocol(conn->tls) == TRI_TLS_HTTP2)
        tri_conn_speak_http2(conn);
    if (error == 0 && (conn->flags & TRI_CONN_BLOCKED))
        tri_conn_flush(conn); /* what was to be told before anything could be */
    return error == 0 && !(conn->flags & TRI_CONN_CLOSED);
}

/* What the descriptor is waited for; `interest` is what the connection itself wants. */
unsigned tri_conn_tls_interest(const tri_conn *conn, unsigned interest)
{
    if (tri_tls_is_shaking(conn->tls))
        interest = TRI_READ;
    return interest | (tri_tls_wants_write(conn->tls) ? TRI_WRITE : 0U);
}

/* Sees to it that decrypted bytes are read, of which the descriptor does not tell. */
void tri_conn_tls_queue(tri_conn *conn)
{
    if (!tri_tls_has_pending(conn->tls) || !tri_list_empty(&conn->resume))
        return;
    tri_list_append(&conn->server->resume, &conn->resume);
    tri_server_work(conn->server);
}

/* Gives the connection's TLS back, after telling the peer of the end. */
void tri_conn_tls_fini(tri_conn *conn)
{
    if (conn->tls == NULL)
        return;
    tri_tls_end(conn->tls);
    tri_tls_free(conn->tls);
    conn->tls = NULL;
}
