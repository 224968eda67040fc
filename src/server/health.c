#include "server/health.h"

/* What is to be said to a request for a path of health. */
typedef struct verdict {
    int status;
    tri_span text;
} verdict;

/* Whether the server takes requests: the application has started, nothing asks it to stop, unless others go on in its
   place, and its loop keeps up. */
static verdict readiness(const tri_server *server)
{
    if ((server->leaving || server->stopping) && !server->relieved)
        return (verdict){ 503, TRI_SPAN("stopping\n") };
    if (!server->open_to_new && !server->relieved)
        return (verdict){ 503, TRI_SPAN("not ready\n") };
    uint32_t most = server->proxies.ready_lag_ms;
    if (most != 0 && tri_server_lag_ms(server) > most)
        return (verdict){ 503, TRI_SPAN("overloaded\n") };
    return (verdict){ 200, TRI_SPAN("ok\n") };
}

/* Submits the answer, and leaves the connection to its next request. */
static int answer(tri_conn *conn, const tri_event *event, verdict say)
{
    const tri_field_out fields[] = { { TRI_SPAN("content-type"), TRI_SPAN("text/plain; charset=utf-8") },
                                     { TRI_SPAN("cache-control"), TRI_SPAN("no-store") },
                                     { TRI_SPAN("allow"), TRI_SPAN("GET, HEAD") } };
    tri_response response = { .status = say.status, .fields = fields, .n_fields = say.status == 405 ? 3 : 2 };
    tri_server_fill_response(conn->server, &response);
    response.close = conn->server->leaving && !tri_conn_has_more(conn);
    int error = conn->protocol->ops->submit_head(conn->protocol, event->stream, &response);
    if (error != 0)
        return error;
    tri_loan loan = { .bytes = say.text };
    error = conn->protocol->ops->submit_body(conn->protocol, event->stream, &loan, true);
    if (error == 0 && (conn->flags & TRI_CONN_STREAMS) && (event->head->flags & TRI_HEAD_BODY))
        error = conn->protocol->ops->reset(conn->protocol, event->stream, TRI_RESET_DONE);
    return error;
}

bool tri_health_answer(tri_conn *conn, const tri_event *event)
{
    const tri_server *server = conn->server;
    const tri_head *head = event->head;
    tri_span path = tri_head_span(head, head->path);
    verdict say = { 200, TRI_SPAN("ok\n") };
    if (path.n == 0)
        return false;
    if (tri_span_eq(path, server->proxies.ready_path))
        say = readiness(server);
    else if (!tri_span_eq(path, server->proxies.health_path))
        return false;
    if (!(head->flags & TRI_HEAD_IS_HEAD) && !tri_span_eq(tri_head_span(head, head->method), TRI_SPAN("GET")))
        say = (verdict){ 405, TRI_SPAN("method not allowed\n") };
    if (head->flags & TRI_HEAD_KEEP_ALIVE)
        conn->flags |= TRI_CONN_MORE;
    else
        conn->flags &= (uint16_t)~TRI_CONN_MORE;
    if ((head->flags & TRI_HEAD_BODY) && !(conn->flags & TRI_CONN_STREAMS)) { /* it is dropped, in its time */
        conn->body_since = tri_server_now(conn->server);
        conn->body_bytes = 0;
    }
    if (answer(conn, event, say) != 0)
        tri_conn_lose(conn, "out of memory");
    else
        tri_conn_queue_flush(conn);
    return true;
}
