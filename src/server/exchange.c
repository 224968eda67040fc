/* An exchange: a request and its answers, whatever carried it. It outlives its connection while an application works on
 * it. */
#include "http/http_reason.h"
#include "server/internal.h"
#include "server/websocket.h"

/* A new exchange, zeroed. That of a WebSocket lives long, and so goes without room for its head. */
static tri_exchange *obtain(tri_server *server, bool small)
{
    size_t size = offsetof(tri_exchange, inline_head);
    tri_exchange *exchange = small ? tri_mem_alloc(server->mem, size) : tri_pool_get(&server->exchange_pool);
    if (exchange == NULL)
        return NULL;
    memset(exchange, 0, size);
    exchange->flags = small ? TRI_EXCHANGE_SMALL : 0;
    return exchange;
}

/* Gives back what obtain() gave, and the head. */
static void give_back(tri_server *server, tri_exchange *exchange)
{
    if (exchange->head != NULL && (void *)exchange->head != (void *)exchange->inline_head)
        tri_head_free(exchange->head, server->mem);
    if (exchange->tls != NULL)
        tri_tls_facts_unref(exchange->tls);
    if (exchange->flags & TRI_EXCHANGE_SMALL)
        tri_mem_free(server->mem, exchange, offsetof(tri_exchange, inline_head));
    else
        tri_pool_put(&server->exchange_pool, exchange);
}

/* Gives an exchange's memory back. */
static void free_exchange(tri_exchange *exchange)
{
    const tri_mem *mem = exchange->mem;
    tri_buf_release(&exchange->body, mem);
    if (exchange->logged != NULL)
        tri_exchange_log_forget(exchange);
    if (exchange->ws != NULL)
        tri_websocket_free(exchange);
    give_back(exchange->server, exchange);
}

void tri_exchange_ref(tri_exchange *exchange)
{
    exchange->refs++;
}

void tri_exchange_unref(tri_exchange *exchange)
{
    if (--exchange->refs > 0)
        return;
    tri_list_remove(&exchange->queue);
    free_exchange(exchange);
}

/* Copies the head, into the exchange itself when it is small. */
static int keep_head(tri_exchange *exchange, const tri_head *head)
{
    bool small = (exchange->flags & TRI_EXCHANGE_SMALL) != 0;
    if (!small && tri_head_copy_size(head) <= sizeof exchange->inline_head)
        exchange->head = tri_head_copy_into(head, exchange->inline_head);
    else
        exchange->head = tri_head_copy(head, exchange->mem);
    return exchange->head == NULL ? TRI_ENOMEM : 0;
}

/* The clock of the answer begins, if it has one. */
static void start_clock(tri_exchange *exchange)
{
    uint32_t limit = exchange->server->limits.request_ms;
    if (limit != 0 && exchange->ws == NULL)
        exchange->deadline = tri_server_now(exchange->server) + limit;
    if (exchange->deadline != 0)
        tri_conn_retime(exchange->conn);
}

/* Takes along what is known of the connection's TLS, as the exchange may outlive it. */
static int keep_tls(tri_exchange *exchange)
{
    tri_tls *tls = exchange->conn->tls;
    return tls == NULL ? 0 : tri_tls_facts_of(tls, &exchange->tls);
}

/* Makes an exchange of a head that arrived on `conn` and queues it for an application. TRI_ENOMEM. */
int tri_exchange_open(tri_conn *conn, const tri_event *event, bool websocket)
{
    tri_server *server = conn->server;
    tri_exchange *exchange = obtain(server, websocket);
    if (exchange == NULL)
        return TRI_ENOMEM;
    exchange->server = server;
    exchange->conn = conn;
    exchange->mem = server->mem;
    exchange->refs = 2; /* the connection's, and that of whoever takes it from the queue */
    exchange->stream = event->stream;
    exchange->peer = conn->peer;
    exchange->local = conn->local;
    if (keep_tls(exchange) != 0 || keep_head(exchange, event->head) != 0
        || (websocket && tri_websocket_open(exchange) != 0)) {
        give_back(server, exchange);
        return TRI_ENOMEM;
    }
    if (conn->flags & TRI_CONN_TRUSTED)
        tri_forwarded_read(exchange->head, &server->proxies.rules, &exchange->peer, &exchange->forwarded);
    if (!(exchange->head->flags & TRI_HEAD_BODY))
        exchange->flags |= TRI_EXCHANGE_BODY_END;
    if (server->log_needs & TRI_ACCESS_NEEDS_DURATION)
        exchange->began_ns = tri_reactor_now_ns();
    tri_list_append(&conn->exchanges, &exchange->link);
    if (conn->flags & TRI_CONN_STREAMS)
        conn->protocol->ops->attach(conn->protocol, exchange->stream, exchange);
    start_clock(exchange);
    tri_list_init(&exchange->queue);
    tri_list_append(&server->ready, &exchange->queue);
    server->counters.exchanges++;
    server->counters.active++;
    tri_server_work(server);
    return 0;
}

/* Takes an exchange off its connection and drops the connection's reference. */
static void detach(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    if ((conn->flags & (TRI_CONN_STREAMS | TRI_CONN_CLOSED)) == TRI_CONN_STREAMS)
        conn->protocol->ops->attach(conn->protocol, exchange->stream, NULL);
    tri_list_remove(&exchange->link);
    exchange->conn = NULL;
    tri_exchange_notify(exchange, TRI_WANT_READ | TRI_WANT_WRITE);
    tri_exchange_unref(exchange);
}

/* The connection is gone or refuses the rest: the application sees a disconnect. */
void tri_exchange_lose(tri_exchange *exchange)
{
    exchange->flags |= TRI_EXCHANGE_LOST;
    tri_exchange_notify(exchange, TRI_WANT_LEFT);
    tri_exchange_ref(exchange);
    if (exchange->ws != NULL)
        tri_websocket_lose(exchange);
    if (exchange->conn != NULL) /* else code that runs as frames are given up has lost it already */
        detach(exchange);
    tri_exchange_unref(exchange);
}

/* Queues the exchange for whoever waits for `what`. */
void tri_exchange_notify(tri_exchange *exchange, unsigned what)
{
    if (!(exchange->wants & what))
        return;
    if (exchange->wants & what & TRI_WANT_READ)
        exchange->waited_until = tri_server_now(exchange->server);
    exchange->wants &= (uint8_t)~what;
    if (tri_list_empty(&exchange->queue)) {
        tri_list_append(&exchange->server->woken, &exchange->queue);
        tri_server_work(exchange->server);
    }
}

void tri_exchange_set_user(tri_exchange *exchange, void *user)
{
    exchange->user = user;
}

void *tri_exchange_user(const tri_exchange *exchange)
{
    return exchange->user;
}

const tri_head *tri_exchange_head(const tri_exchange *exchange)
{
    return exchange->head;
}

const tri_addr *tri_exchange_peer(const tri_exchange *exchange)
{
    return &exchange->peer;
}

const tri_forwarded *tri_exchange_forwarded(const tri_exchange *exchange)
{
    return &exchange->forwarded;
}

tri_tls_facts *tri_exchange_tls(const tri_exchange *exchange)
{
    return exchange->tls;
}

const tri_addr *tri_exchange_local(const tri_exchange *exchange)
{
    return &exchange->local;
}

/* The application asks for a body that it was promised on condition. */
static void send_continue(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    if (conn == NULL || !(exchange->head->flags & TRI_HEAD_EXPECT) || (exchange->flags & TRI_EXCHANGE_STARTED))
        return;
    exchange->head->flags &= (uint16_t)~TRI_HEAD_EXPECT;
    if (conn->protocol->ops->submit_continue(conn->protocol, exchange->stream) != 0)
        tri_conn_lose(conn, "out of memory");
    else
        tri_conn_queue_flush(conn);
}

int tri_exchange_receive(tri_exchange *exchange, tri_received *out)
{
    size_t n = tri_buf_len(&exchange->body);
    bool ended = (exchange->flags & TRI_EXCHANGE_BODY_END) != 0;
    bool complete = (exchange->flags & TRI_EXCHANGE_COMPLETE) != 0;
    exchange->flags |= TRI_EXCHANGE_READ;
    *out = (tri_received){ 0 };
    if (!complete && (n > 0 || (ended && !(exchange->flags & TRI_EXCHANGE_END_TAKEN)))) {
        out->body = (tri_span){ tri_buf_data(&exchange->body), n };
        out->more = !ended;
        return 0;
    }
    if (complete || (exchange->flags & (TRI_EXCHANGE_LOST | TRI_EXCHANGE_PEER_ENDED))) {
        out->disconnect = true;
        return 0;
    }
    if (exchange->server->dismissing && exchange->server->stopping && (exchange->flags & TRI_EXCHANGE_END_TAKEN)) {
        exchange->flags |= TRI_EXCHANGE_DISMISSED;
        out->disconnect = true;
        return 0;
    }
    send_continue(exchange);
    out->disconnect = (exchange->flags & TRI_EXCHANGE_LOST) != 0;
    return out->disconnect ? 0 : TRI_EAGAIN;
}

void tri_exchange_take(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    size_t n = tri_buf_len(&exchange->body);
    bool full = conn != NULL && n >= exchange->server->limits.body_buffer;
    tri_buf_release(&exchange->body, exchange->mem);
    if (exchange->flags & TRI_EXCHANGE_BODY_END)
        exchange->flags |= TRI_EXCHANGE_END_TAKEN;
    if (conn != NULL && (conn->flags & TRI_CONN_STREAMS))
        tri_conn_streams_consumed(conn, exchange->stream, n);
    else if (full)
        tri_conn_watch(conn);
}

/* Starts the clock of a body that is waited for, or lets it go on: it stands while nobody waits. */
static void wait_for_body(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    bool own = (conn->flags & TRI_CONN_STREAMS) != 0;
    uint64_t *since = own ? &exchange->body_since : &conn->body_since;
    uint64_t *bytes = own ? &exchange->body_bytes : &conn->body_bytes;
    uint64_t now = tri_reactor_now();
    if (*since == 0) {
        *since = now;
        *bytes = 0;
    } else if (now > exchange->waited_until) {
        *since += now - exchange->waited_until;
    }
    tri_conn_retime(conn);
}

void tri_exchange_unwant(tri_exchange *exchange, unsigned want)
{
    if (exchange->wants & want & TRI_WANT_READ)
        exchange->waited_until = tri_reactor_now();
    exchange->wants &= (uint8_t)~want;
}

void tri_exchange_want(tri_exchange *exchange, unsigned want)
{
    unsigned fresh = want & ~(unsigned)exchange->wants;
    exchange->wants |= (uint8_t)want;
    if (tri_exchange_left(exchange))
        tri_exchange_notify(exchange, TRI_WANT_LEFT);
    if (tri_exchange_timed_out(exchange))
        tri_exchange_notify(exchange, TRI_WANT_TIMEOUT);
    if (exchange->conn == NULL)
        tri_exchange_notify(exchange, want);
    else if ((fresh & TRI_WANT_READ) && !(exchange->flags & TRI_EXCHANGE_BODY_END))
        wait_for_body(exchange);
}

/* Whether so much of a body that nobody has asked for is still to come that the connection is better closed. */
static bool abandons_body(const tri_exchange *exchange)
{
    if (exchange->flags & (TRI_EXCHANGE_BODY_END | TRI_EXCHANGE_READ) || !(exchange->head->flags & TRI_HEAD_LENGTH))
        return false;
    return exchange->head->content_length - exchange->received > exchange->server->limits.drain;
}

int tri_exchange_respond(tri_exchange *exchange, const tri_response *response)
{
    tri_conn *conn = exchange->conn;
    if (exchange->flags & (TRI_EXCHANGE_STARTED | TRI_EXCHANGE_COMPLETE))
        return TRI_ESTATE;
    if (conn == NULL)
        return TRI_ECLOSED;
    tri_response full = *response;
    tri_server_fill_response(exchange->server, &full);
    if ((conn->flags & TRI_CONN_STREAMS) && exchange->server->leaving)
        tri_conn_streams_leave(conn);
    full.close = full.close || abandons_body(exchange) || (exchange->server->leaving && !tri_conn_has_more(conn));
    int error = conn->protocol->ops->submit_head(conn->protocol, exchange->stream, &full);
    if (error == TRI_ENOMEM)
        tri_conn_lose(conn, "out of memory");
    if (error != 0)
        return error;
    exchange->flags |= TRI_EXCHANGE_STARTED;
    if (exchange->server->log_sent > 0)
        tri_exchange_log_head(exchange, response);
    tri_conn_queue_flush(conn);
    return 0;
}

/* The answer is complete: the connection goes on without this exchange. */
static void complete(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    exchange->flags |= TRI_EXCHANGE_COMPLETE;
    unsigned ended = exchange->ws != NULL ? TRI_EXCHANGE_PEER_ENDED : TRI_EXCHANGE_BODY_END;
    if ((conn->flags & TRI_CONN_STREAMS) && !(exchange->flags & ended))
        tri_conn_streams_leave_body(exchange);
    if (conn->flags & TRI_CONN_CLOSED)
        return;
    if (exchange->head == NULL || (exchange->head->flags & TRI_HEAD_KEEP_ALIVE))
        conn->flags |= TRI_CONN_MORE;
    else
        conn->flags &= (uint16_t)~TRI_CONN_MORE;
    detach(exchange);
    if (!(conn->flags & TRI_CONN_STREAMS) || tri_list_empty(&conn->exchanges))
        tri_conn_continue(conn);
}

void tri_exchange_end(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    const tri_loan nothing = { { NULL, 0 }, NULL, NULL };
    int error = conn->protocol->ops->submit_body(conn->protocol, exchange->stream, &nothing, true);
    tri_conn_queue_flush(conn); /* nothing else may come of it that would have the end written */
    if (error == 0)
        complete(exchange);
    else if (error != TRI_ECLOSED) /* of its stream's end it is about to hear */
        tri_conn_lose(conn, "out of memory");
}

tri_chain *tri_exchange_tunnel(const tri_exchange *exchange)
{
    tri_protocol *protocol = exchange->conn->protocol;
    return protocol->ops->tunnel(protocol, exchange->stream);
}

size_t tri_exchange_waiting(const tri_exchange *exchange)
{
    const tri_conn *conn = exchange->conn;
    size_t n = conn->protocol->ops->sendable(conn->protocol);
    return (conn->flags & TRI_CONN_STREAMS) ? n + conn->protocol->ops->waiting(conn->protocol, exchange->stream) : n;
}

/* Whether the peer has left after all that it gets of a HEAD's answer: no write would ever find out. */
static bool has_left_head(const tri_exchange *exchange)
{
    const unsigned both = TRI_EXCHANGE_PEER_ENDED | TRI_EXCHANGE_WROTE;
    return (exchange->flags & both) == both && (exchange->head->flags & TRI_HEAD_IS_HEAD);
}

int tri_exchange_write(tri_exchange *exchange, const tri_loan *loan, bool end)
{
    tri_conn *conn = exchange->conn;
    if (conn == NULL)
        return (exchange->flags & TRI_EXCHANGE_COMPLETE) ? TRI_ESTATE : TRI_ECLOSED;
    if (!end && has_left_head(exchange))
        return TRI_ECLOSED;
    size_t n = loan->bytes.n; /* which submit_body may give back */
    int error = conn->protocol->ops->submit_body(conn->protocol, exchange->stream, loan, end);
    if (error == TRI_ENOMEM)
        tri_conn_lose(conn, "out of memory");
    if (error != 0)
        return error;
    if (exchange->conn == NULL)
        return 0; /* giving back what the loan held has run code that lost the connection, or ended the answer */
    tri_server *server = exchange->server;
    exchange->flags |= TRI_EXCHANGE_WROTE;
    exchange->sent += n;
    tri_conn_queue_flush(conn);
    if (end)
        complete(exchange);
    bool much = conn->protocol->ops->sendable(conn->protocol) >= TRI_SERVER_FLUSH;
    bool blocked = (conn->flags & TRI_CONN_BLOCKED) != 0;
    if (!blocked && (server->corks == 0 || much))
        tri_conn_flush(conn);
    return 0;
}

bool tri_exchange_writable(const tri_exchange *exchange)
{
    const tri_conn *conn = exchange->conn;
    if (conn == NULL)
        return true;
    if ((conn->flags & TRI_CONN_STREAMS) && !tri_conn_streams_writable(exchange))
        return false;
    return !(conn->flags & TRI_CONN_BLOCKED)
           || conn->protocol->ops->sendable(conn->protocol) < exchange->server->limits.send_high;
}

bool tri_exchange_lost(const tri_exchange *exchange)
{
    return (exchange->flags & TRI_EXCHANGE_LOST) != 0;
}

bool tri_exchange_left(const tri_exchange *exchange)
{
    return (exchange->flags & (TRI_EXCHANGE_LOST | TRI_EXCHANGE_PEER_ENDED)) != 0;
}

bool tri_exchange_dismissed(const tri_exchange *exchange)
{
    return (exchange->flags & TRI_EXCHANGE_DISMISSED) != 0;
}

void tri_exchange_dismiss(tri_exchange *exchange)
{
    if (exchange->server->dismissing && (exchange->flags & TRI_EXCHANGE_END_TAKEN))
        tri_exchange_notify(exchange, TRI_WANT_READ);
}

bool tri_exchange_timed_out(const tri_exchange *exchange)
{
    return (exchange->flags & TRI_EXCHANGE_TIMED_OUT) != 0;
}

void tri_exchange_expire(tri_exchange *exchange)
{
    exchange->deadline = 0;
    exchange->flags |= TRI_EXCHANGE_TIMED_OUT;
    tri_exchange_notify(exchange, TRI_WANT_TIMEOUT);
}

bool tri_exchange_is_websocket(const tri_exchange *exchange)
{
    return exchange->ws != NULL;
}

bool tri_exchange_started(const tri_exchange *exchange)
{
    return (exchange->flags & TRI_EXCHANGE_STARTED) != 0;
}

bool tri_exchange_complete(const tri_exchange *exchange)
{
    return (exchange->flags & TRI_EXCHANGE_COMPLETE) != 0;
}

int tri_exchange_failure(const tri_exchange *exchange)
{
    if (tri_exchange_timed_out(exchange))
        return 504;
    return tri_exchange_dismissed(exchange) ? 503 : 500;
}

/* Puts a 500, 503 or 504 in the place of an answer that was not given. */
static int answer_failure(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    if (exchange->flags & TRI_EXCHANGE_STARTED) {
        if (conn->protocol->ops->submit_rollback(conn->protocol, exchange->stream) != 0)
            return TRI_ESTATE;
        exchange->flags &= (uint16_t)~TRI_EXCHANGE_STARTED;
    }
    tri_field_out type = { TRI_SPAN("content-type"), TRI_SPAN("text/plain; charset=utf-8") };
    int status = tri_exchange_failure(exchange);
    tri_response response = { .status = status, .fields = &type, .n_fields = 1, .close = true };
    int error = tri_exchange_respond(exchange, &response);
    if (error != 0)
        return error;
    const char *reason = tri_http_reason(status);
    tri_loan loan = { .bytes = { reason, strlen(reason) } };
    return tri_exchange_write(exchange, &loan, true);
}

void tri_exchange_done(tri_exchange *exchange)
{
    tri_conn *conn = exchange->conn;
    if (exchange->flags & TRI_EXCHANGE_DONE)
        return;
    exchange->flags |= TRI_EXCHANGE_DONE;
    exchange->server->counters.active--;
    if (exchange->server->stopping)
        tri_server_work(exchange->server);
    if (exchange->ws != NULL && tri_websocket_deny(exchange) != 0) {
        tri_websocket_done(exchange);
        return;
    }
    if (conn == NULL)
        return;
    if (!(exchange->flags & TRI_EXCHANGE_WROTE) && answer_failure(exchange) == 0)
        return;
    if (exchange->conn == NULL)
        return; /* the attempt has ended it */
    if (conn->flags & TRI_CONN_STREAMS)
        tri_conn_streams_reset(exchange, TRI_RESET_FAILED);
    else
        tri_conn_end(conn);
}
