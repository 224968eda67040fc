/* Answers that the core gives itself: nothing of such a request reaches an application. */
#include <stdio.h>

#include "server/internal.h"

/* Notes a refusal for the log; when too many wait, they are only counted. */
static void record(tri_server *server, const tri_addr *client, int status, const char *reason)
{
    server->counters.refusals++;
    if (server->refusal_count == TRI_SERVER_REFUSALS)
        return;
    uint32_t at = (server->refusal_head + server->refusal_count++) % TRI_SERVER_REFUSALS;
    server->refusals[at] = (tri_refusal){ *client, status, reason };
    tri_server_work(server);
}

/* Whose request is at work, or else who is at the other end. */
static const tri_addr *client_of(const tri_conn *conn)
{
    bool idle = tri_list_empty(&conn->exchanges);
    return idle ? &conn->peer : &TRI_CONTAINER(conn->exchanges.next, tri_exchange, link)->peer;
}

/* Notes for the log that the request at work, or the connection, was refused or given up. */
void tri_refuse_record(tri_conn *conn, int status, const char *reason)
{
    record(conn->server, client_of(conn), status, reason);
}

/* Submits a short answer that ends the connection. */
static int submit(tri_conn *conn, int status, const char *text)
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
    int error = conn->protocol->ops->submit_head(conn->protocol, 0, &response);
    if (error != 0)
        return error;
    tri_loan loan = { .bytes = { body, (size_t)n } };
    return conn->protocol->ops->submit_body(conn->protocol, 0, &loan, true);
}

/* Whether an answer to this connection's request is on its way to the peer, so that no other can be given. */
static bool answered(tri_conn *conn)
{
    bool begun = false;
    while (!tri_list_empty(&conn->exchanges)) {
        tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
        if (exchange->flags & TRI_EXCHANGE_WROTE)
            begun = true;
        else if (exchange->flags & TRI_EXCHANGE_STARTED)
            begun = conn->protocol->ops->submit_rollback(conn->protocol, exchange->stream) != 0;
        tri_exchange_lose(exchange);
    }
    if (begun)
        conn->flags |= TRI_CONN_CUT;
    return begun;
}

/* Refuses a client's request with `status` and ends the connection. */
static void refuse(tri_conn *conn, tri_addr client, int status, const char *reason)
{
    int error = answered(conn) ? TRI_ESTATE : submit(conn, status, NULL);
    record(conn->server, &client, error == 0 ? status : 0, reason);
    if (error == TRI_ENOMEM)
        tri_conn_close(conn);
    else
        tri_conn_end(conn);
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
    int error = submit(conn, status, text);
    record(conn->server, &conn->peer, error == 0 ? status : 0, reason);
    if (error != 0)
        tri_conn_close(conn);
    else
        tri_conn_end(conn);
}

/* The same for a request that has just arrived, and of which there is no exchange. */
void tri_refuse_head(tri_conn *conn, const tri_head *head, int status, const char *reason)
{
    tri_addr client = conn->peer;
    tri_forwarded ignored = { .port = 0 };
    if (conn->flags & TRI_CONN_TRUSTED)
        tri_forwarded_read(head, &conn->server->proxies.rules, &client, &ignored);
    if (!(conn->flags & TRI_CONN_CLOSED))
        refuse(conn, client, status, reason);
}
