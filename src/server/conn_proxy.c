/* What stands between a connection and its client: the header of the PROXY protocol, and whose fields are believed. */
#include "server/internal.h"
#include "server/proxy_protocol.h"

/* Whether a PROXY header may come: only from peers that are trusted. Else the connection is refused. */
bool tri_conn_proxy_begin(tri_conn *conn, const tri_listener *listener)
{
    tri_server *server = conn->server;
    if (tri_trust_has(&server->proxies.trust, &conn->peer))
        conn->flags |= TRI_CONN_TRUSTED;
    if (!listener->proxied)
        return true;
    if (!(conn->flags & TRI_CONN_TRUSTED)) {
        tri_refuse(conn, 400, "the peer may not send a PROXY header: it is not among --forwarded-allow-ips");
        return false;
    }
    conn->flags |= TRI_CONN_PROXY;
    return true;
}

/* Takes over what the header says. Fields are believed if the one who sends them is trusted: it is the proxy itself, or
   whoever it forwards. */
static void apply(tri_conn *conn, const tri_proxy_protocol *header)
{
    conn->flags |= TRI_CONN_SKIPPING;
    conn->dropped = header->skip;
    if (header->kind == TRI_PROXY_PROTOCOL_LOCAL)
        return;
    conn->flags &= (uint16_t)~TRI_CONN_TRUSTED;
    if (header->kind == TRI_PROXY_PROTOCOL_UNKNOWN)
        return;
    conn->peer = header->client;
    if (header->local.family != TRI_FAMILY_UNIX)
        conn->local = header->local; /* else there is none but the listener's own */
    if (tri_trust_has(&conn->server->proxies.trust, &conn->peer))
        conn->flags |= TRI_CONN_TRUSTED;
}

/* Reads the header from what has come, behind what is kept of it; returns how many of the bytes it took, or -1 when the
   connection was given up. */
static ptrdiff_t read_header(tri_conn *conn, const char *bytes, size_t n)
{
    tri_proxy_protocol header;
    size_t kept = tri_buf_len(&conn->in);
    size_t take = n < TRI_PROXY_PROTOCOL_MOST - kept ? n : TRI_PROXY_PROTOCOL_MOST - kept;
    tri_span piece = { bytes, kept == 0 ? n : take };
    ptrdiff_t took;
    if (kept == 0) {
        took = tri_proxy_protocol_read(bytes, n, &header);
    } else {
        if (tri_buf_append(&conn->in, conn->server->mem, piece, TRI_PROXY_PROTOCOL_MOST) != 0) {
            tri_conn_lose(conn, "out of memory");
            return -1;
        }
        took = tri_proxy_protocol_read(tri_buf_data(&conn->in), tri_buf_len(&conn->in), &header);
    }
    if (took == TRI_EAGAIN && kept == 0 && tri_buf_append(&conn->in, conn->server->mem, piece, n) != 0) {
        tri_conn_lose(conn, "out of memory");
        return -1;
    }
    if (took == TRI_EAGAIN)
        return (ptrdiff_t)n;
    if (took < 0) {
        tri_conn_lose(conn, "its first bytes are no PROXY header");
        return -1;
    }
    tri_buf_release(&conn->in, conn->server->mem);
    apply(conn, &header);
    return took - (ptrdiff_t)kept;
}

/* Takes what belongs to the PROXY header from the bytes that have come; whether any are left, which are the client's.
 */
bool tri_conn_proxy_take(tri_conn *conn, char **bytes, size_t *n)
{
    if (!(conn->flags & TRI_CONN_SKIPPING)) {
        ptrdiff_t took = read_header(conn, *bytes, *n);
        if (took < 0)
            return false;
        *bytes += took;
        *n -= (size_t)took;
    }
    if (!(conn->flags & TRI_CONN_SKIPPING))
        return false;
    size_t skip = conn->dropped < *n ? conn->dropped : *n;
    conn->dropped -= (uint32_t)skip;
    *bytes += skip;
    *n -= skip;
    if (conn->dropped == 0)
        conn->flags &= (uint16_t) ~(TRI_CONN_PROXY | TRI_CONN_SKIPPING);
    return *n > 0;
}
