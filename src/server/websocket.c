/* An exchange that has become a WebSocket: its handshake, the messages that wait for the application, and its end. What
   reads and writes the frames is reached through ws/protocol.h, and what carries them through http/protocol.h. */
#include "server/websocket.h"

enum {
    STATE_HANDSHAKE, /* the application has not answered yet */
    STATE_DENIED,    /* it is answered as any request is */
    STATE_OPEN,
    STATE_CLOSING, /* our close frame was sent: the peer's is awaited */
    STATE_CLOSED,
};

enum flag {
    FLAG_CONNECT_TAKEN = 1, /* the application knows of it */
    FLAG_ENDED = 2,         /* the application is told of the end, once it has had the messages */
    FLAG_DEAF = 4,          /* further messages are of no use to it */
    FLAG_PONG_DUE = 8,      /* `pong` is to be sent when the peer takes it */
    FLAG_PINGED = 16,       /* `due` is when a sign of life is overdue */
    FLAG_LEAVING = 32,      /* the server stops: it is closed as soon as it is open */
    FLAG_EOF = 64,          /* the peer has ended its side */
    FLAG_FEEDING = 128,     /* bytes are being parsed */
    FLAG_OVER = 256,        /* the peer has sent its last: `code` and `reason` are to be answered */
    FLAG_UNANSWERED = 512,  /* it ended without the peer's close frame, which never came or not in time */
};

enum {
    PONGS_WAITING = 4096, /* bytes that wait for the peer, from which on only the last ping is answered */
    ANSWER_MS = 1000,     /* in which the application may still answer what came before the peer's close frame */
};

typedef struct tri_websocket {
    tri_list messages;
    size_t bytes; /* that their memory takes */
    uint32_t n_messages;
    uint32_t controls;       /* control frames since `controls_since` */
    uint64_t controls_since; /* ms */
    char *reason;            /* of the end */
    uint16_t code;
    uint16_t flags;
    uint8_t reason_n;
    uint8_t state;
    tri_buf pong;
    tri_ws_protocol *protocol; /* made in `memory` */
    _Alignas(8) char memory[];
} tri_websocket;

static size_t size_of(const tri_server *server)
{
    return sizeof(tri_websocket) + server->ws_kind.size;
}

static bool is_over(const tri_websocket *ws)
{
    return ws->state == STATE_CLOSED;
}

/* Sets the exchange's deadline, 0 ms for none. */
static void set_due(tri_exchange *exchange, uint32_t in_ms)
{
    exchange->deadline = in_ms == 0 ? 0 : tri_server_now(exchange->server) + in_ms;
    if (exchange->conn != NULL)
        tri_conn_retime(exchange->conn);
}

int tri_websocket_open(tri_exchange *exchange)
{
    tri_server *server = exchange->server;
    tri_websocket *ws = tri_mem_zalloc(server->mem, size_of(server));
    if (ws == NULL)
        return TRI_ENOMEM;
    tri_list_init(&ws->messages);
    server->ws_kind.init(ws->memory, &server->ws, server->ws_kind.context);
    ws->protocol = (tri_ws_protocol *)(void *)ws->memory;
    ws->flags = server->stopping ? FLAG_LEAVING : 0;
    exchange->ws = ws;
    set_due(exchange, server->limits.ws_handshake_ms);
    return 0;
}

static void free_messages(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    tri_list *node;
    while ((node = tri_list_shift(&ws->messages)) != NULL)
        tri_ws_message_free(TRI_CONTAINER(node, tri_ws_message, link), exchange->mem);
    ws->n_messages = 0;
    ws->bytes = 0;
}

void tri_websocket_free(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    free_messages(exchange);
    ws->protocol->ops->fini(ws->protocol);
    tri_buf_release(&ws->pong, exchange->mem);
    tri_mem_free(exchange->mem, ws->reason, ws->reason_n);
    tri_mem_free(exchange->mem, ws, size_of(exchange->server));
    exchange->ws = NULL;
}

/* --- its end --- */

/* Notes how it ended; the first that is known of it counts. */
static void note_end(tri_exchange *exchange, int code, tri_span reason)
{
    tri_websocket *ws = exchange->ws;
    if (ws->code != 0)
        return;
    ws->code = (uint16_t)code;
    ws->reason = reason.n == 0 ? NULL : tri_mem_alloc(exchange->mem, reason.n);
    if (ws->reason == NULL)
        return; /* without memory it goes without */
    memcpy(ws->reason, reason.p, reason.n);
    ws->reason_n = (uint8_t)reason.n;
}

/* The application is told of the end. */
static void tell_end(tri_exchange *exchange, int code, tri_span reason)
{
    note_end(exchange, code, reason);
    exchange->ws->flags |= FLAG_ENDED;
    tri_exchange_notify(exchange, TRI_WANT_READ | TRI_WANT_WRITE);
}

/* Nothing more goes either way: what waits is written, then the connection ends. */
static void finish(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    ws->state = STATE_CLOSED;
    exchange->deadline = 0;
    tri_buf_release(&exchange->body, exchange->mem);
    tri_buf_release(&ws->pong, exchange->mem);
    ws->flags &= (uint16_t)~FLAG_PONG_DUE;
    ws->protocol->ops->fini(ws->protocol); /* which may run code that ends the connection */
    if (exchange->conn != NULL)
        tri_exchange_end(exchange);
}

/* Appends a close frame; false when the connection had to be given up for it. */
static bool write_close(tri_exchange *exchange, int code, tri_span reason)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    tri_chain *out = tri_exchange_tunnel(exchange);
    if (out == NULL)
        return false;
    int error = ws->protocol->ops->submit_close(ws->protocol, out, code, reason);
    if (error == TRI_ENOMEM || (error != 0 && !(conn->flags & TRI_CONN_STREAMS))) {
        tri_conn_lose(conn, error == TRI_ENOMEM ? "out of memory" : "the WebSocket protocol failed");
        return false;
    }
    if (error != 0) {
        tri_refuse_record(conn, 0, "the WebSocket protocol failed");
        tri_conn_streams_reset(exchange, TRI_RESET_FAILED);
        return false;
    }
    tri_conn_queue_flush(conn);
    return true;
}

/* Sends our close frame and awaits the peer's. */
static void begin_close(tri_exchange *exchange, int code, tri_span reason)
{
    tri_websocket *ws = exchange->ws;
    ws->state = STATE_CLOSING;
    ws->flags &= (uint16_t)~FLAG_PINGED;
    if (!write_close(exchange, code, reason))
        return;
    if (ws->flags & FLAG_OVER)
        finish(exchange);
    else
        set_due(exchange, exchange->server->limits.ws_close_ms);
}

/* The peer's close frame, or what it did wrong, is answered; that was it. */
static void answer_end(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    ws->flags &= (uint16_t)~FLAG_OVER;
    tell_end(exchange, ws->code, (tri_span){ NULL, 0 });
    if (ws->state == STATE_OPEN && !write_close(exchange, ws->code, (tri_span){ ws->reason, ws->reason_n }))
        return;
    if (exchange->conn != NULL)
        finish(exchange);
}

/* The peer has sent its last. An application that is at what came before it may still answer that. */
static void on_last(tri_exchange *exchange, int code, tri_span reason)
{
    tri_websocket *ws = exchange->ws;
    note_end(exchange, code, reason);
    ws->flags = (uint16_t)((ws->flags | FLAG_OVER) & ~FLAG_PINGED);
    bool waits = (exchange->wants & TRI_WANT_READ) != 0 && tri_list_empty(&ws->messages);
    if (waits || ws->state != STATE_OPEN)
        answer_end(exchange);
    else
        set_due(exchange, ANSWER_MS);
}

/* The peer is at fault: the log gets a line. One that does not read either is not waited for. `reason` is static and
   terminated. */
static void fail(tri_exchange *exchange, int code, tri_span reason)
{
    tri_conn *conn = exchange->conn;
    if (conn != NULL)
        tri_refuse_record(conn, 0, reason.p);
    bool stream = conn != NULL && (conn->flags & TRI_CONN_STREAMS);
    bool stuck = stream ? !tri_conn_streams_writable(exchange) : conn != NULL && (conn->flags & TRI_CONN_BLOCKED);
    if (!stuck) {
        on_last(exchange, code, reason);
        return;
    }
    note_end(exchange, code, reason);
    if (stream) {
        tri_conn_streams_reset(exchange, TRI_RESET_CANCEL);
        return;
    }
    tri_socket_discard(conn->source.fd);
    tri_conn_close(conn);
}

/* What was to be sent could not be made. */
static void on_unsent(tri_exchange *exchange, int error)
{
    if (exchange->conn == NULL)
        return;
    if (error == TRI_EPROTO)
        fail(exchange, TRI_WS_INTERNAL, TRI_SPAN("the WebSocket's code failed"));
    else if (error == TRI_ENOMEM)
        tri_conn_lose(exchange->conn, "out of memory");
}

/* --- what arrives --- */

/* The bytes that a message takes while it waits: small ones are many, and have a cost of their own. */
static size_t weight_of(const tri_ws_message *message)
{
    return sizeof *message + message->room;
}

static bool is_full(const tri_exchange *exchange)
{
    const tri_websocket *ws = exchange->ws;
    const tri_limits *limits = &exchange->server->limits;
    return ws->n_messages >= limits->ws_queue || ws->bytes >= limits->ws_queue_bytes;
}

static void on_message(tri_exchange *exchange, tri_ws_message *message)
{
    tri_websocket *ws = exchange->ws;
    if (ws->flags & FLAG_DEAF) {
        tri_ws_message_free(message, exchange->mem);
        return;
    }
    tri_list_append(&ws->messages, &message->link);
    ws->n_messages++;
    ws->bytes += weight_of(message);
    tri_exchange_notify(exchange, TRI_WANT_READ);
}

/* Answers a ping; while the peer does not read, only the last one (RFC 6455 §5.5.3). */
static void on_ping(tri_exchange *exchange, tri_span payload)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    int error;
    if (ws->state != STATE_OPEN)
        return;
    if (tri_exchange_waiting(exchange) < PONGS_WAITING && !(ws->flags & FLAG_PONG_DUE)) {
        tri_chain *out = tri_exchange_tunnel(exchange);
        if (out == NULL)
            return;
        error = ws->protocol->ops->submit_pong(ws->protocol, out, payload);
        tri_conn_queue_flush(conn);
    } else {
        tri_buf_consume(&ws->pong, tri_buf_len(&ws->pong));
        error = tri_buf_append(&ws->pong, exchange->mem, payload, TRI_WS_CONTROL_MOST);
        ws->flags |= FLAG_PONG_DUE;
    }
    if (error != 0)
        on_unsent(exchange, error);
}

void tri_websocket_drained(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    if (!(ws->flags & FLAG_PONG_DUE) || ws->state != STATE_OPEN
        || tri_exchange_waiting(exchange) > exchange->server->limits.send_low)
        return;
    tri_chain *out = tri_exchange_tunnel(exchange);
    if (out == NULL)
        return;
    tri_exchange_ref(exchange);
    ws->flags &= (uint16_t)~FLAG_PONG_DUE;
    tri_span payload = { tri_buf_data(&ws->pong), tri_buf_len(&ws->pong) };
    int error = ws->protocol->ops->submit_pong(ws->protocol, out, payload);
    tri_buf_release(&ws->pong, exchange->mem);
    if (error != 0)
        on_unsent(exchange, error);
    else
        tri_conn_queue_flush(conn);
    tri_exchange_unref(exchange);
}

/* Counts a control frame; whether there were too many of them in a second. */
static bool floods(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    uint64_t now = tri_server_now(exchange->server);
    if (now - ws->controls_since >= 1000) {
        ws->controls_since = now;
        ws->controls = 0;
    }
    uint32_t most = exchange->server->limits.ws_controls;
    return ++ws->controls > most && most != 0;
}

static void on_event(tri_exchange *exchange, const tri_ws_event *event)
{
    bool control = event->type == TRI_WS_EVENT_PING || event->type == TRI_WS_EVENT_PONG;
    if (control && floods(exchange)) {
        fail(exchange, TRI_WS_POLICY, TRI_SPAN("too many control frames in a second"));
        return;
    }
    switch (event->type) {
    case TRI_WS_EVENT_MESSAGE:
        on_message(exchange, event->message);
        break;
    case TRI_WS_EVENT_PING:
        on_ping(exchange, event->payload);
        break;
    case TRI_WS_EVENT_CLOSE:
        on_last(exchange, event->code, event->payload);
        break;
    case TRI_WS_EVENT_FAIL:
        fail(exchange, event->code, event->payload);
        break;
    case TRI_WS_EVENT_PONG: /* a sign of life like any other bytes */
    case TRI_WS_EVENT_NONE:
        break;
    }
}

/* Whether bytes may be parsed now: the messages that they make have room, and somebody is there to get them. */
static bool may_parse(const tri_exchange *exchange)
{
    const tri_websocket *ws = exchange->ws;
    return exchange->conn != NULL && !is_over(ws) && !is_full(exchange) && !(ws->flags & FLAG_OVER);
}

/* Parses bytes until the queue is full; returns how many were taken. */
static size_t feed(tri_exchange *exchange, char *bytes, size_t n)
{
    tri_websocket *ws = exchange->ws;
    size_t done = 0;
    ws->flags |= FLAG_FEEDING;
    while (done < n && may_parse(exchange)) {
        ptrdiff_t took = ws->protocol->ops->recv(ws->protocol, bytes + done, n - done);
        if (took < 0) {
            tri_conn_lose(exchange->conn, "out of memory");
            break;
        }
        done += (size_t)took;
        for (;;) {
            tri_ws_event event;
            ws->protocol->ops->next_event(ws->protocol, &event);
            if (event.type == TRI_WS_EVENT_NONE)
                break;
            if (!is_over(ws))
                on_event(exchange, &event);
            else if (event.type == TRI_WS_EVENT_MESSAGE)
                tri_ws_message_free(event.message, exchange->mem);
        }
    }
    ws->flags &= (uint16_t)~FLAG_FEEDING;
    return is_over(ws) || (ws->flags & FLAG_OVER) ? n : done;
}

/* Nothing more comes from the peer, and everything was parsed. */
static void on_end_of_input(tri_exchange *exchange)
{
    if (exchange->ws->flags & FLAG_OVER)
        return; /* it is about to be answered */
    tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
    if (is_over(exchange->ws))
        return;
    exchange->ws->flags |= FLAG_UNANSWERED;
    finish(exchange);
}

/* Takes bytes of the tunnel. */
static void take_bytes(tri_exchange *exchange, tri_span bytes)
{
    tri_websocket *ws = exchange->ws;
    if (is_over(ws) || ws->state == STATE_DENIED || (ws->flags & FLAG_OVER))
        return;
    if (ws->flags & FLAG_PINGED) { /* the peer lives */
        ws->flags &= (uint16_t)~FLAG_PINGED;
        set_due(exchange, exchange->server->limits.ws_ping_ms);
    }
    size_t took = 0;
    if (tri_buf_len(&exchange->body) == 0)
        took = feed(exchange, (char *)(uintptr_t)bytes.p, bytes.n);
    tri_span rest = { bytes.p + took, bytes.n - took };
    if (rest.n == 0 || exchange->conn == NULL)
        return;
    bool stream = (exchange->conn->flags & TRI_CONN_STREAMS) != 0; /* its window bounds what comes */
    size_t most = stream ? UINT32_MAX : TRI_SERVER_READ + TRI_SERVER_AHEAD;
    if (tri_buf_append(&exchange->body, exchange->mem, rest, most) != 0)
        tri_conn_lose(exchange->conn, "out of memory");
}

void tri_websocket_recv(tri_exchange *exchange, tri_span bytes)
{
    tri_exchange_ref(exchange); /* its end may be the last that anybody wants of it; here and below */
    take_bytes(exchange, bytes);
    tri_exchange_unref(exchange);
}

/* Parses the bytes that wait; they are out of everybody's reach meanwhile. */
static void feed_body(tri_exchange *exchange)
{
    tri_buf held = exchange->body;
    exchange->body = (tri_buf){ 0 };
    tri_buf_consume(&held, feed(exchange, tri_buf_data(&held), tri_buf_len(&held)));
    if (tri_buf_len(&held) > 0 && exchange->conn != NULL)
        exchange->body = held;
    else
        tri_buf_release(&held, exchange->mem);
}

/* Parses what had to wait for room in the queue. */
static void feed_waiting(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    if (ws->flags & FLAG_FEEDING)
        return;
    if (tri_buf_len(&exchange->body) > 0 && may_parse(exchange))
        feed_body(exchange);
    if (exchange->conn == NULL)
        return;
    if ((ws->flags & FLAG_EOF) && tri_buf_len(&exchange->body) == 0)
        on_end_of_input(exchange);
    if (exchange->conn != NULL && (exchange->conn->flags & TRI_CONN_STREAMS))
        tri_conn_streams_took(exchange);
    else if (exchange->conn != NULL)
        tri_conn_watch(exchange->conn);
}

bool tri_websocket_wants(const tri_exchange *exchange)
{
    const tri_websocket *ws = exchange->ws;
    bool open = ws->state == STATE_OPEN || ws->state == STATE_CLOSING;
    return !open || (ws->flags & FLAG_OVER) || (tri_buf_len(&exchange->body) == 0 && !is_full(exchange));
}

void tri_websocket_eof(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    tri_exchange_ref(exchange);
    ws->flags |= FLAG_EOF;
    if (ws->state == STATE_HANDSHAKE || ws->state == STATE_DENIED)
        tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
    else if (tri_buf_len(&exchange->body) == 0 && !(ws->flags & FLAG_FEEDING))
        on_end_of_input(exchange);
    tri_exchange_unref(exchange);
}

void tri_websocket_lose(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    exchange->deadline = 0;
    if (ws->state != STATE_DENIED)
        ws->state = STATE_CLOSED;
    tri_buf_release(&exchange->body, exchange->mem);
    tri_buf_release(&ws->pong, exchange->mem);
    ws->protocol->ops->fini(ws->protocol);
    tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
}

/* --- time --- */

/* A ping is due, or the sign of life after one is overdue. A peer that we do not listen to gets more time. */
static void keep_alive(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    const tri_limits *limits = &exchange->server->limits;
    if (ws->flags & FLAG_PINGED) {
        if (!tri_websocket_wants(exchange)) {
            set_due(exchange, limits->ws_pong_ms);
            return;
        }
        if (conn->source.interest & TRI_READ)
            tri_conn_read_now(conn); /* what has come in time counts, however late we are */
        if ((ws->flags & FLAG_PINGED) && ws->state == STATE_OPEN)
            fail(exchange, TRI_WS_INTERNAL, TRI_SPAN("keepalive ping timeout"));
        return;
    }
    tri_chain *out = tri_exchange_tunnel(exchange);
    if (out == NULL)
        return;
    int error = ws->protocol->ops->submit_ping(ws->protocol, out, (tri_span){ NULL, 0 });
    if (error != 0) {
        on_unsent(exchange, error);
        return;
    }
    tri_conn_queue_flush(conn);
    if (limits->ws_pong_ms != 0)
        ws->flags |= FLAG_PINGED;
    set_due(exchange, limits->ws_pong_ms != 0 ? limits->ws_pong_ms : limits->ws_ping_ms);
}

/* The peer's close frame is overdue. */
static void end_unanswered(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    if (exchange->conn->source.interest & TRI_READ)
        tri_conn_read_now(exchange->conn); /* as in keep_alive */
    if (ws->state != STATE_CLOSING || exchange->conn == NULL)
        return;
    ws->flags |= FLAG_UNANSWERED;
    tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
    finish(exchange);
}

void tri_websocket_expire(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    tri_exchange_ref(exchange);
    exchange->deadline = 0;
    if (ws->flags & FLAG_OVER) {
        answer_end(exchange);
    } else if (ws->state == STATE_OPEN) {
        keep_alive(exchange);
    } else if (ws->state == STATE_CLOSING) {
        end_unanswered(exchange);
    } else if (ws->state == STATE_HANDSHAKE) {
        tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
        tri_refuse_exchange(exchange, 504, "the application did not accept the WebSocket in time");
    }
    tri_exchange_unref(exchange);
}

void tri_websocket_stop(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    ws->flags |= FLAG_LEAVING;
    if (ws->state != STATE_OPEN)
        return;
    tri_exchange_ref(exchange);
    if (ws->code == 0) /* else the peer has ended it already */
        ws->code = exchange->server->ws_stop_code;
    begin_close(exchange, ws->code, (tri_span){ NULL, 0 });
    tri_exchange_unref(exchange);
}

/* --- the application --- */

bool tri_websocket_accepted(const tri_exchange *exchange)
{
    return exchange->ws->state >= STATE_OPEN && (exchange->flags & TRI_EXCHANGE_STARTED);
}

bool tri_websocket_is_open(const tri_exchange *exchange)
{
    return exchange->ws->state == STATE_OPEN;
}

bool tri_websocket_broken(const tri_exchange *exchange)
{
    const tri_websocket *ws = exchange->ws;
    return tri_exchange_lost(exchange) || ws->code == TRI_WS_ABNORMAL || (ws->flags & FLAG_UNANSWERED) != 0;
}

bool tri_websocket_is_undecided(const tri_exchange *exchange)
{
    return exchange->ws->state == STATE_HANDSHAKE;
}

void tri_websocket_drop_head(tri_exchange *exchange)
{
    tri_head_free(exchange->head, exchange->mem);
    exchange->head = NULL;
}

int tri_websocket_receive(tri_exchange *exchange, tri_ws_received *out)
{
    tri_websocket *ws = exchange->ws;
    *out = (tri_ws_received){ .type = TRI_WS_RECEIVED_CONNECT };
    if (!(ws->flags & FLAG_CONNECT_TAKEN))
        return 0;
    if (!tri_list_empty(&ws->messages)) {
        out->type = TRI_WS_RECEIVED_MESSAGE;
        out->message = TRI_CONTAINER(ws->messages.next, tri_ws_message, link);
        return 0;
    }
    if (ws->flags & FLAG_OVER)
        answer_end(exchange);
    if (!(ws->flags & FLAG_ENDED) && exchange->conn != NULL)
        return TRI_EAGAIN; /* without a connection nothing can come any more */
    out->type = TRI_WS_RECEIVED_DISCONNECT;
    out->code = ws->code != 0 ? ws->code : TRI_WS_ABNORMAL;
    out->reason = (tri_span){ ws->reason, ws->reason_n };
    return 0;
}

void tri_websocket_take(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    if (!(ws->flags & FLAG_CONNECT_TAKEN)) {
        ws->flags |= FLAG_CONNECT_TAKEN;
        return;
    }
    tri_list *node = tri_list_shift(&ws->messages);
    if (node == NULL)
        return;
    bool was_full = is_full(exchange);
    tri_ws_message *message = TRI_CONTAINER(node, tri_ws_message, link);
    ws->n_messages--;
    ws->bytes -= weight_of(message);
    tri_ws_message_free(message, exchange->mem);
    if (was_full || (ws->flags & FLAG_EOF))
        feed_waiting(exchange);
}

int tri_websocket_accept(tri_exchange *exchange, const tri_field_out *fields, size_t n, tri_span subprotocol)
{
    tri_websocket *ws = exchange->ws;
    if (is_over(ws) || exchange->conn == NULL || (ws->flags & FLAG_ENDED))
        return TRI_ECLOSED;
    if (ws->state != STATE_HANDSHAKE)
        return TRI_ESTATE;
    int error = tri_websocket_submit(exchange, ws->protocol, fields, n, subprotocol);
    if (error == TRI_ENOMEM)
        tri_conn_lose(exchange->conn, "out of memory");
    if (error == TRI_EPROTO && exchange->conn != NULL) {
        tell_end(exchange, TRI_WS_ABNORMAL, (tri_span){ NULL, 0 });
        tri_refuse_exchange(exchange, 500, "the WebSocket's code failed");
    }
    if (error != 0)
        return error == TRI_EPROTO ? TRI_ECLOSED : error;
    ws->state = STATE_OPEN;
    exchange->flags |= TRI_EXCHANGE_STARTED | TRI_EXCHANGE_WROTE;
    tri_conn_queue_flush(exchange->conn);
    set_due(exchange, exchange->server->limits.ws_ping_ms);
    tri_conn_resume(exchange->conn); /* bytes that came with the request */
    if (exchange->conn != NULL && ws->state == STATE_OPEN && (ws->flags & FLAG_LEAVING))
        tri_websocket_stop(exchange);
    if (exchange->conn != NULL && exchange->server->corks == 0)
        tri_conn_flush(exchange->conn);
    return 0;
}

int tri_websocket_deny(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    if (ws->state == STATE_DENIED)
        return 0;
    if (is_over(ws) || exchange->conn == NULL)
        return TRI_ECLOSED;
    if (ws->state != STATE_HANDSHAKE)
        return TRI_ESTATE;
    ws->state = STATE_DENIED;
    exchange->deadline = 0;
    return 0;
}

/* Sends what was just appended, unless more is to come. */
static void flush_soon(tri_conn *conn)
{
    tri_conn_queue_flush(conn);
    bool much = conn->protocol->ops->sendable(conn->protocol) >= TRI_SERVER_FLUSH;
    if (!(conn->flags & TRI_CONN_BLOCKED) && (conn->server->corks == 0 || much))
        tri_conn_flush(conn);
}

/* Whether messages can be sent. */
static int check_open(const tri_exchange *exchange)
{
    const tri_websocket *ws = exchange->ws;
    if (ws->state == STATE_HANDSHAKE && !(ws->flags & FLAG_ENDED))
        return TRI_ESTATE;
    return ws->state == STATE_OPEN && exchange->conn != NULL ? 0 : TRI_ECLOSED;
}

/* Gives the chain that a message is to be put into. */
static int begin_message(tri_exchange *exchange, tri_chain **out)
{
    int error = check_open(exchange);
    if (error != 0)
        return error;
    *out = tri_exchange_tunnel(exchange);
    return *out == NULL ? TRI_ECLOSED : 0;
}

int tri_websocket_send(tri_exchange *exchange, const tri_loan *loan, enum tri_ws_data data)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    tri_chain *out;
    int error = begin_message(exchange, &out);
    if (error != 0)
        return error;
    error = ws->protocol->ops->submit_message(ws->protocol, out, loan, data);
    if (error != 0)
        on_unsent(exchange, error);
    else if (exchange->conn != NULL) /* making it or giving back a loan may have run code that ended it */
        flush_soon(conn);
    return error == TRI_EPROTO ? TRI_ECLOSED : error;
}

int tri_websocket_shares(const tri_exchange *exchange, size_t n)
{
    const tri_websocket *ws = exchange->ws;
    return ws->protocol->ops->shares(ws->protocol, n);
}

int tri_websocket_send_shared(tri_exchange *exchange, const tri_loan *frame, bool compressed)
{
    tri_websocket *ws = exchange->ws;
    tri_conn *conn = exchange->conn;
    tri_chain *out;
    int error = begin_message(exchange, &out);
    if (error != 0)
        return error;
    error = ws->protocol->ops->submit_shared(ws->protocol, out, frame, compressed);
    if (error == TRI_ENOMEM)
        tri_conn_lose(conn, "out of memory");
    if (error == 0 && exchange->conn != NULL)
        flush_soon(conn);
    return error;
}

int tri_websocket_close(tri_exchange *exchange, int code, tri_span reason)
{
    tri_websocket *ws = exchange->ws;
    int error = check_open(exchange);
    if (error != 0)
        return error;
    ws->flags |= FLAG_DEAF;
    free_messages(exchange);
    tell_end(exchange, code, reason);
    begin_close(exchange, code, reason);
    feed_waiting(exchange);
    if (exchange->conn != NULL)
        flush_soon(exchange->conn);
    return 0;
}

void tri_websocket_done(tri_exchange *exchange)
{
    tri_websocket *ws = exchange->ws;
    if (ws->state == STATE_OPEN && tri_websocket_close(exchange, TRI_WS_INTERNAL, (tri_span){ NULL, 0 }) == 0)
        return;
    ws->flags |= FLAG_DEAF;
    free_messages(exchange);
    feed_waiting(exchange);
}
