/* The deadlines of a connection. One timer serves them all: it fires at the earliest, looks which one has passed, and
   is set again for the next. Moving a deadline later costs nothing until it fires. */
#include "server/internal.h"
#include "server/websocket.h"

/* Whether receive() waits for bytes that the peer owes, or an unread body is being dropped. */
static bool owes_body(const tri_conn *conn)
{
    if (conn->body_since == 0)
        return false;
    if (tri_list_empty(&conn->exchanges))
        return true;
    const tri_exchange *exchange = TRI_CONTAINER(conn->exchanges.next, tri_exchange, link);
    return (exchange->wants & TRI_WANT_READ) && !(exchange->flags & TRI_EXCHANGE_BODY_END);
}

/* Whether it is our turn, or another deadline holds: an exchange is at work, bytes wait, or a body is being dropped. */
static bool is_busy(const tri_conn *conn)
{
    if ((conn->flags & TRI_CONN_STREAMS) && tri_conn_streams_write_deadline(conn) != UINT64_MAX)
        return true;
    return !tri_list_empty(&conn->exchanges) || !tri_list_empty(&conn->resume) || !tri_list_empty(&conn->flush)
           || (conn->flags & TRI_CONN_BLOCKED) || conn->body_since != 0;
}

/* When the peer's time for heads, idling and lingering is over; UINT64_MAX while that clock stands still. */
static uint64_t own_deadline(const tri_conn *conn)
{
    return is_busy(conn) && !(conn->flags & TRI_CONN_LINGERING) ? UINT64_MAX : conn->deadline;
}

static uint64_t body_deadline(const tri_conn *conn)
{
    if (conn->flags & TRI_CONN_STREAMS)
        return UINT64_MAX; /* each has its own */
    return owes_body(conn) ? conn->body_since + conn->server->limits.body_ms : UINT64_MAX;
}

static uint64_t write_deadline(const tri_conn *conn)
{
    bool blocked = (conn->flags & TRI_CONN_BLOCKED) != 0;
    return blocked ? conn->write_since + conn->server->limits.write_ms : UINT64_MAX;
}

/* The earliest deadline of what only streams have. */
static uint64_t streams_deadline(const tri_conn *conn)
{
    if (!(conn->flags & TRI_CONN_STREAMS) || (conn->flags & (TRI_CONN_ENDING | TRI_CONN_LINGERING)))
        return UINT64_MAX;
    uint64_t due = tri_conn_streams_body_deadline(conn);
    uint64_t other = tri_conn_streams_write_deadline(conn);
    due = other < due ? other : due;
    return conn->last_at != 0 && conn->last_at < due ? conn->last_at : due;
}

/* The earliest deadline of an answer, or of what a WebSocket waits for. */
static uint64_t request_deadline(const tri_conn *conn)
{
    uint64_t earliest = UINT64_MAX;
    for (const tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
        uint64_t deadline = TRI_CONTAINER(node, tri_exchange, link)->deadline;
        earliest = deadline != 0 && deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

/* The first whose time is over, NULL if there is none. */
static tri_exchange *find_late(const tri_conn *conn)
{
    for (tri_list *node = conn->exchanges.next; node != &conn->exchanges; node = node->next) {
        tri_exchange *exchange = TRI_CONTAINER(node, tri_exchange, link);
        if (exchange->deadline != 0 && conn->server->now >= exchange->deadline)
            return exchange;
    }
    return NULL;
}

/* Tells those who are late, each of which has no deadline or a later one then. What has come may be read for one of
   them, and end any other. */
static void expire_requests(tri_conn *conn)
{
    tri_exchange *exchange;
    while (!(conn->flags & TRI_CONN_CLOSED) && (exchange = find_late(conn)) != NULL) {
        if (exchange->ws != NULL)
            tri_websocket_expire(exchange);
        else
            tri_exchange_expire(exchange);
    }
}

/* The connection has nothing to do from now on; when the server stops, it is only given time for what is under way. */
void tri_conn_idle(tri_conn *conn)
{
    tri_server *server = conn->server;
    uint32_t idle_ms = server->stopping ? tri_server_inflight_ms(server) : server->limits.keep_alive_ms;
    conn->deadline = tri_server_now(server) + idle_ms;
    tri_conn_retime(conn);
}

/* Sees to it that the timer fires no later than the earliest deadline. */
void tri_conn_retime(tri_conn *conn)
{
    uint64_t due = own_deadline(conn);
    uint64_t other = body_deadline(conn);
    due = other < due ? other : due;
    other = write_deadline(conn);
    due = other < due ? other : due;
    other = request_deadline(conn);
    due = other < due ? other : due;
    other = streams_deadline(conn);
    due = other < due ? other : due;
    if (due == UINT64_MAX || (conn->flags & TRI_CONN_CLOSED))
        return;
    if (conn->timer.deadline != 0 && due >= conn->timer.deadline)
        return;
    tri_wheel_set(&conn->server->wheel, &conn->timer, due);
    if (conn->server->asleep)
        tri_reactor_arm(conn->server->reactor, tri_wheel_next(&conn->server->wheel));
}

/* The body's window has passed: a peer that kept the least rate gets another. */
static bool body_stalled(tri_conn *conn)
{
    const tri_limits *limits = &conn->server->limits;
    if (conn->body_bytes == 0 || conn->body_bytes * 1000 < (uint64_t)limits->body_rate * limits->body_ms)
        return true;
    conn->body_since = conn->server->now;
    conn->body_bytes = 0;
    return false;
}

/* The write's window has passed: a peer that took some of what the kernel holds gets another. */
static bool write_stalled(tri_conn *conn)
{
    uint32_t unsent = tri_socket_unsent(conn->source.fd);
    if (unsent >= conn->unsent)
        return true;
    conn->unsent = unsent;
    conn->write_since = conn->server->now;
    return false;
}

/* Closes what has been idle for too long, or has lingered. */
static void forsake(tri_conn *conn)
{
    tri_socket_forsake(conn->source.fd, conn->server->limits.write_ms);
    tri_conn_close(conn);
}

/* The time is over for what the peer was to send, or for the connection to idle. */
static void end_late(tri_conn *conn)
{
    bool ending = (conn->flags & (TRI_CONN_LINGERING | TRI_CONN_ENDING)) != 0;
    if (conn->flags & TRI_CONN_PROXY)
        tri_conn_lose(conn, "its PROXY header did not come in time");
    else if (conn->tls != NULL && tri_tls_is_shaking(conn->tls))
        tri_conn_lose(conn, conn->server->stopping ? NULL : "the TLS handshake was not over in time");
    else if ((conn->flags & TRI_CONN_IN_HEAD) && !ending)
        tri_refuse(conn, 408, "the request head came too slowly");
    else if ((conn->flags & TRI_CONN_STREAMS) && !ending)
        tri_conn_streams_end(conn);
    else
        forsake(conn);
}

/* The timer fired: acts on the deadline that has passed, if one has. */
void tri_conn_timeout(tri_conn *conn)
{
    uint64_t now = conn->server->now;
    if (now >= request_deadline(conn))
        expire_requests(conn);
    if (conn->flags & TRI_CONN_STREAMS)
        tri_conn_streams_expire(conn);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if (now >= write_deadline(conn) && write_stalled(conn)) {
        tri_socket_discard(conn->source.fd);
        tri_conn_lose(conn, "the peer stopped reading the answer");
        return;
    }
    if (now >= body_deadline(conn) && (conn->source.interest & TRI_READ))
        tri_conn_readable(conn);
    if (now >= body_deadline(conn) && body_stalled(conn)) {
        tri_refuse(conn, 408, "the request body came too slowly");
        return;
    }
    if (now >= own_deadline(conn) && !(conn->flags & (TRI_CONN_LINGERING | TRI_CONN_ENDING | TRI_CONN_EOF)))
        tri_conn_readable(conn); /* what has arrived in time is served, however late we are */
    if (now >= own_deadline(conn))
        end_late(conn);
    else
        tri_conn_retime(conn);
}
