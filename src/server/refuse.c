/* Answers that the core gives itself: nothing of such a request reaches an application. */
#include <stdio.h>

#include "http/http_reason.h"
#include "server/internal.h"

/* Whose request is at work, or else who is at the other end. */
static const tri_addr *client_of(const tri_conn *conn)
{
    bool idle = tri_list_empty(&conn->exchanges);
    return idle ? &conn->peer : &TRI_CONTAINER(conn->exchanges.next, tri_exchange, link)->peer;
}

/* Notes for the log that the request at work, or the connection, was refused or given up. */
void tri_refuse_record(tri_conn *conn, int status, const char *reason)
{
    tri_server_refused(conn->server, client_of(conn), status, reason);
}

/* Submits a short answer that ends the connection, or the stream. */
static int submit(tri_conn *conn, uint32_t stream, int status, const char *text)
{
    char body[64];
    int n = text != NULL ? snprintf(body, sizeof body, "%s", text)
                         : snprintf(body, sizeof body, "%s\n", tri_http_reason(status));
    if (n < 0 || (size_t)n >= sizeof body)
        n = 0;
    tri_field_out type = { TRI_SPAN("content-type"), TRI_SPAN("text/plain; charset=utf-8") };
    tri_response response = { .status = status, .fields = &type, .n_fields = 1, .close = true };
    tri_server_fill_response(conn->server, &response);
    if (status == 426) /* RFC 9110 §15.5.22, RFC 6455 §4.4 */
        response.extra = TRI_SPAN("upgrade: websocket\r\nsec-websocket-version: 13\r\n");
    int error = conn->protocol->ops->submit_head(conn->protocol, stream, &response);
    if (error != 0)
        return error;
    tri_loan loan = { .bytes = { body, (size_t)n } };
    return conn->protocol->ops->submit_body(conn->protocol, stream, &loan, true);
}

/* Gives up an exchange for another answer; whether one is on its way to the peer, so that no other can be given. */
static bool displace(tri_exchange *exchange)
{
    const tri_conn *conn = exchange->conn;
    bool begun = (exchange->flags & TRI_EXCHANGE_WROTE) != 0;
    if (!begun && (exchange->flags & TRI_EXCHANGE_STARTED))
        begun = conn->protocol->ops->submit_rollback(conn->protocol, exchange->stream) != 0;
    tri_exchange_lose(exchange);
    return begun;
}

/* Whether an answer to this connection's request is on its way to the peer, so that no other can be given. */
static bool answered(tri_conn *conn)
{
    bool begun = false;
    while (!tri_list_empty(&conn->exchanges))
        begun = displace(TRI_CONTAINER(conn->exchanges.next, tri_exchange, link));
    if (begun)
        conn->flags |= TRI_CONN_CUT;
    return begun;
}

/* Refuses a client's request with `status` and ends the connection. One that has streams is ended without an answer. */
static void refuse(tri_conn *conn, tri_addr client, int status, const char *reason)
{
    if (conn->flags & TRI_CONN_STREAMS) {
        tri_server_refused(conn->server, &client, 0, reason);
        tri_conn_streams_end(conn);
        return;
    }
    int error = answered(conn) ? TRI_ESTATE : submit(conn, 0, status, NULL);
    tri_server_refused(conn->server, &client, error == 0 ? status : 0, reason);
    if (error == TRI_ENOMEM)
        tri_conn_close(conn);
    else
        tri_conn_end(conn);
}

/* Refuses the request of a stream; with `begun` its answer stays unfinished. */
static void refuse_stream(tri_conn *conn, uint32_t stream, int status, bool begun)
{
    const tri_protocol_ops *ops = conn->protocol->ops;
    int error = begun ? TRI_ESTATE : submit(conn, stream, status, NULL);
    enum tri_reset why = begun ? TRI_RESET_CANCEL : TRI_RESET_REFUSED;
    if (error != TRI_ENOMEM)
        error = ops->reset(conn->protocol, stream, error == 0 ? TRI_RESET_DONE : why);
    if (error != 0) {
        tri_conn_close(conn);
        return;
    }
    tri_conn_queue_flush(conn);
    if (tri_list_empty(&conn->exchanges))
        tri_conn_continue(conn);
}

/* Refuses the request at work with `status` and ends the connection; its application sees a disconnect. An answer that
   has begun cannot be replaced: it stays unfinished. */
void tri_refuse(tri_conn *conn, int status, const char *reason)
{
    if (!(conn->flags & TRI_CONN_CLOSED))
        refuse(conn, *client_of(conn), status, reason);
}

/* The same on a connection that has had no request, with a body of at most 63 bytes. */
void tri_refuse_text(tri_conn *conn, int status, const char *reason, const char *text)
{
    int error = submit(conn, 0, status, text);
    tri_server_refused(conn->server, &conn->peer, error == 0 ? status : 0, reason);
    if (error != 0)
        tri_conn_close(conn);
    else
        tri_conn_end(conn);
}

void tri_refuse_exchange(tri_exchange *exchange, int status, const char *reason)
{
    tri_conn *conn = exchange->conn;
    if (!(conn->flags & TRI_CONN_STREAMS)) {
        tri_refuse(conn, status, reason);
        return;
    }
    uint32_t stream = exchange->stream;
    tri_addr client = exchange->peer;
    bool begun = displace(exchange);
    tri_server_refused(conn->server, &client, begun ? 0 : status, reason);
    refuse_stream(conn, stream, status, begun);
}

/* The same for a request that has just arrived, and of which there is no exchange. */
void tri_refuse_head(tri_conn *conn, const tri_event *event, int status, const char *reason)
{
    tri_addr client = conn->peer;
    tri_forwarded ignored = { .port = 0 };
    if ((conn->flags & TRI_CONN_TRUSTED) && event->head != NULL)
        tri_forwarded_read(event->head, &conn->server->proxies.rules, &client, &ignored);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if (!(conn->flags & TRI_CONN_STREAMS)) {
        refuse(conn, client, status, reason);
        return;
    }
    tri_server_refused(conn->server, &client, status, reason);
    refuse_stream(conn, event->stream, status, false);
}
