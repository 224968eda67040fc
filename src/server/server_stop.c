/* The stop of a server: what has arrived is answered, and no connection is closed on a request that is under way. */
#include "server/internal.h"
#include "server/websocket.h"

/* At a stop, tells the exchanges of a connection. */
static void stop_exchanges(tri_conn *conn)
{
    tri_list *next;
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        next = node->next;
        if (exchange->ws != NULL)
            tri_websocket_stop(exchange);
        else
            tri_exchange_dismiss(exchange);
        if (conn->flags & TRI_CONN_CLOSED)
            return;
    }
}

/* At a stop: a connection that has a request at work goes on until what has arrived behind it is answered, too. */
static void stop_busy(tri_conn *conn)
{
    if ((conn->source.interest & TRI_READ) && !(conn->flags & TRI_CONN_LINGERING))
        tri_conn_readable(conn);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    tri_conn_count_ahead(conn);
    if (!tri_conn_has_more(conn))
        conn->protocol->ops->shutdown(conn->protocol);
    stop_exchanges(conn);
}

/* At a stop, of a connection that has streams: what has arrived is taken, and what is under way for a moment; whoever
   is at work goes on to the end. */
static void stop_streams(tri_server *server, tri_conn *conn)
{
    bool idle = tri_list_empty(&conn->exchanges) && !(conn->flags & TRI_CONN_IN_HEAD);
    uint64_t idle_for = server->now + server->limits.keep_alive_ms - conn->deadline;
    bool stale = idle && (conn->flags & TRI_CONN_USED) && idle_for > TRI_SERVER_RECENT_MS;
    if (conn->source.interest & TRI_READ)
        tri_conn_readable(conn);
    if (conn->flags & (TRI_CONN_CLOSED | TRI_CONN_ENDING | TRI_CONN_LINGERING))
        return;
    tri_conn_streams_leave(conn);
    if (stale && tri_list_empty(&conn->exchanges))
        tri_conn_streams_end(conn);
    else
        stop_exchanges(conn);
}

/* At a stop: serves what has arrived on an idle connection, and closes it if nothing is likely to be under way. Only
   the last answer of a connection says close. */
static void stop_conn(tri_server *server, tri_conn *conn)
{
    if (conn->flags & TRI_CONN_STREAMS) {
        stop_streams(server, conn);
        return;
    }
    const unsigned not_idle = TRI_CONN_LINGERING | TRI_CONN_ENDING | TRI_CONN_IN_HEAD | TRI_CONN_BLOCKED | TRI_CONN_EOF;
    bool idle = tri_list_empty(&conn->exchanges) && tri_list_empty(&conn->resume) && !(conn->flags & not_idle);
    if (!idle || (conn->protocol->ops->state(conn->protocol) & TRI_PROTOCOL_IN_BODY)) {
        stop_busy(conn);
        return;
    }
    uint64_t idle_for = server->now + server->limits.keep_alive_ms - conn->deadline;
    bool stale = (conn->flags & TRI_CONN_USED) && idle_for > TRI_SERVER_RECENT_MS;
    tri_conn_readable(conn);
    if (!(conn->flags & TRI_CONN_CLOSED) && !tri_conn_has_more(conn))
        conn->protocol->ops->shutdown(conn->protocol);
    bool quiet = tri_list_empty(&conn->exchanges) && tri_list_empty(&conn->flush) && tri_list_empty(&conn->resume);
    if (!quiet || (conn->flags & (not_idle | TRI_CONN_CLOSED)))
        return;
    if (stale) {
        tri_conn_close(conn);
        return;
    }
    conn->deadline = server->now + tri_server_inflight_ms(server);
    tri_conn_retime(conn);
}

void tri_server_dismiss(tri_server *server)
{
    server->dismissing = true;
}

void tri_server_leave(tri_server *server)
{
    server->leaving = true;
}

uint32_t tri_server_inflight_ms(const tri_server *server)
{
    return server->relieved ? TRI_SERVER_RELIEVED_MS : TRI_SERVER_INFLIGHT_MS;
}

void tri_server_relieve(tri_server *server)
{
    server->relieved = true;
}

void tri_server_stop(tri_server *server)
{
    if (server->stopping)
        return;
    server->leaving = true;
    server->open_to_new = false;
    tri_server_show_flags(server);
    tri_server_tick(server);
    server->corks++;
    tri_accept_drain(server);
    server->stopping = true;
    tri_list rest;
    tri_list_init(&rest);
    tri_list_take(&rest, &server->conns);
    while (!tri_list_empty(&rest)) {
        tri_conn *conn = TRI_CONTAINER(rest.next, tri_conn, link);
        tri_list_remove(&conn->link);
        tri_list_append(&server->conns, &conn->link);
        stop_conn(server, conn);
    }
    server->corks--;
    tri_server_work(server);
    tri_reactor_wake(server->reactor);
}

bool tri_server_drained(const tri_server *server)
{
    bool accepting = !tri_list_empty(&server->listeners);
    return server->stopping && !accepting && server->counters.open == 0 && server->counters.active == 0;
}
