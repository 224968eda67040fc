/* Which protocol a connection speaks: that of the server's settings, or HTTP/2 where the client says so by its first
   bytes, or has said so when TLS began. */
#include "http/http2.h"
#include "server/internal.h"

void tri_conn_speak_http2(tri_conn *conn)
{
    tri_server *server = conn->server;
    conn->flags = (uint16_t)((conn->flags | TRI_CONN_STREAMS) & ~TRI_CONN_CHOOSING);
    conn->protocol->ops->fini(conn->protocol);
    tri_http2 *http2 = (tri_http2 *)(void *)conn->memory;
    tri_http2_init(http2, &server->small.mem, &server->limits, &server->chains, &server->now);
    conn->protocol = &http2->protocol;
    if (conn->flags & TRI_CONN_ENDING) /* it was refused before it had spoken: it is told in its own protocol */
        tri_conn_streams_end(conn);
}

/* Whether a connection begins with a line that is of no version of HTTP. */
static bool is_no_http(const char *bytes, size_t n)
{
    const char *end = memchr(bytes, '\n', n);
    return end != NULL && bytes[0] != '\r' && memmem(bytes, (size_t)(end - bytes), "HTTP/", 5) == NULL;
}

bool tri_conn_choose(tri_conn *conn, const char *bytes, size_t n)
{
    const tri_span preface = TRI_SPAN(TRI_HTTP2_PREFACE);
    size_t kept = tri_buf_len(&conn->in); /* which the preface began with */
    size_t most = preface.n - kept < n ? preface.n - kept : n;
    if (memcmp(preface.p + kept, bytes, most) != 0) {
        conn->flags &= (uint16_t)~TRI_CONN_CHOOSING;
        if (kept > 0 || !is_no_http(bytes, n))
            return true;
        tri_refuse_record(conn, 0, "it begins as no version of HTTP does"); /* in which it could be told */
        tri_conn_end(conn);
        return false;
    }
    if (kept + most == preface.n) {
        tri_conn_speak_http2(conn);
        return true;
    }
    if (tri_buf_append(&conn->in, conn->server->mem, (tri_span){ bytes, n }, preface.n) != 0)
        tri_conn_lose(conn, "out of memory");
    return false;
}
