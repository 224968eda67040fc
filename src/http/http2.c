/* The operations of HTTP/2's protocol: bytes in, events out. */
#include "http/http2_internal.h"

static ptrdiff_t recv_bytes(tri_protocol *protocol, char *bytes, size_t n)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (self->body_stream != 0)
        return 0;
    if (self->session == NULL && tri_http2_session_open(self) != 0)
        self->failed = true;
    if (self->failed)
        return TRI_ENOMEM;
    size_t most = n < TRI_HTTP2_RECV ? n : (size_t)TRI_HTTP2_RECV;
    ssize_t took = nghttp2_session_mem_recv(self->session, (const uint8_t *)bytes, most);
    if (took == NGHTTP2_ERR_NOMEM || took == NGHTTP2_ERR_CALLBACK_FAILURE) {
        self->failed = true;
        return TRI_ENOMEM;
    }
    if (took < 0) { /* not HTTP/2 at all, or a flood: what nghttp2 has to say is said, and nothing more is read */
        if (nghttp2_session_terminate_session(self->session, took == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                                         : NGHTTP2_PROTOCOL_ERROR)
            != 0)
            return TRI_ENOMEM;
        self->leaving = true;
        took = (ssize_t)n;
    }
    if (tri_http2_session_pump(self) != 0)
        return TRI_ENOMEM;
    return took;
}

/* The peer will send no more: requests that are not complete are given up. */
static int recv_eof(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    for (tri_list *node = self->streams.next; node != &self->streams; node = node->next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        if (stream->marks & TRI_HTTP2_BODY)
            stream->marks |= TRI_HTTP2_RESET;
    }
    self->leaving = true;
    return 0;
}

/* What a stream has to tell first; TRI_EVENT_NONE when nothing. */
static enum tri_event_type next_of(const tri_http2 *self, const tri_http2_stream *stream)
{
    if (stream->marks & TRI_HTTP2_HEAD)
        return TRI_EVENT_HEAD;
    if (self->body_stream == stream->id)
        return TRI_EVENT_BODY;
    if (stream->marks & TRI_HTTP2_END)
        return TRI_EVENT_END;
    return stream->marks & TRI_HTTP2_RESET ? TRI_EVENT_RESET : TRI_EVENT_NONE;
}

/* Tells it, and notes that it was told. A stream that is over is forgotten with its last event. */
static void tell(tri_http2 *self, tri_http2_stream *stream, tri_event *event)
{
    event->stream = stream->id;
    event->user = stream->user;
    switch (event->type) {
    case TRI_EVENT_HEAD:
        stream->marks = (stream->marks & ~(uint32_t)TRI_HTTP2_HEAD) | TRI_HTTP2_KNOWN;
        event->head = &stream->head;
        break;
    case TRI_EVENT_BODY:
        event->body = self->body;
        self->body_stream = 0;
        break;
    case TRI_EVENT_END:
        stream->marks &= ~(uint32_t)TRI_HTTP2_END;
        break;
    case TRI_EVENT_RESET:
        stream->marks &= ~(uint32_t)TRI_HTTP2_RESET;
        if (stream->marks & TRI_HTTP2_CLOSED)
            tri_http2_session_forget(self, stream);
        break;
    default:
        break;
    }
}

/* Bytes of a body had nghttp2 pause, maybe at the very end of their frame: it is told to go on, so that the body's end
   does not wait for the next bytes. */
static void unpause(tri_http2 *self)
{
    if (!self->paused || self->body_stream != 0 || self->failed)
        return;
    self->paused = false;
    if (nghttp2_session_mem_recv(self->session, (const uint8_t *)"", 0) < 0 || tri_http2_session_pump(self) != 0)
        self->failed = true;
}

static void next_event(tri_protocol *protocol, tri_event *event)
{
    tri_http2 *self = (tri_http2 *)protocol;
    *event = (tri_event){ TRI_EVENT_NONE };
    unpause(self);
    for (tri_list *node = self->streams.next; node != &self->streams; node = node->next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        event->type = next_of(self, stream);
        if (event->type != TRI_EVENT_NONE) {
            tell(self, stream, event);
            return;
        }
    }
    self->body_stream = 0; /* of a stream that was reset meanwhile */
}

static int consumed(tri_protocol *protocol, uint32_t id, size_t n)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_session_find(self, id);
    if (stream == NULL || n > stream->unread)
        return 0; /* its window was given back when it ended */
    stream->unread -= n;
    if (nghttp2_session_consume(self->session, (int32_t)id, n) != 0)
        return TRI_ENOMEM;
    return tri_http2_session_pump(self);
}

static size_t waiting(const tri_protocol *protocol, uint32_t id)
{
    const tri_http2_stream *stream = tri_http2_session_find((tri_http2 *)(uintptr_t)protocol, id);
    return stream == NULL ? 0 : stream->out.bytes;
}

static void attach(tri_protocol *protocol, uint32_t id, void *user)
{
    tri_http2_stream *stream = tri_http2_session_find((tri_http2 *)protocol, id);
    if (stream != NULL)
        stream->user = user;
}

static tri_chain *send_chain(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (tri_http2_session_pump(self) != 0)
        self->failed = true;
    return &self->out;
}

static size_t sendable(const tri_protocol *protocol)
{
    return ((const tri_http2 *)protocol)->out.bytes;
}

static unsigned state(const tri_protocol *protocol)
{
    const tri_http2 *self = (const tri_http2 *)protocol;
    bool idle = tri_list_empty(&self->streams);
    if (self->failed || (idle && self->leaving))
        return TRI_PROTOCOL_CLOSE;
    if (self->session != NULL && !nghttp2_session_want_read(self->session)
        && !nghttp2_session_want_write(self->session))
        return TRI_PROTOCOL_CLOSE;
    return idle ? TRI_PROTOCOL_IDLE : 0;
}

/* No further stream is taken; those that are open are served. */
static void shut_down(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (self->leaving)
        return;
    self->leaving = true;
    if (self->session == NULL || self->failed)
        return;
    int32_t last = nghttp2_session_get_last_proc_stream_id(self->session);
    if (nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) != 0
        || tri_http2_session_pump(self) != 0)
        self->failed = true;
}

static void fini(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    nghttp2_session_del(self->session);
    self->session = NULL;
    while (!tri_list_empty(&self->streams))
        tri_http2_session_forget(self, TRI_CONTAINER(self->streams.next, tri_http2_stream, link));
    tri_chain_clear(&self->out, self->chains);
    self->failed = true;
}

static const tri_protocol_ops ops = {
    .name = "h2",
    .recv = recv_bytes,
    .recv_eof = recv_eof,
    .next_event = next_event,
    .consumed = consumed,
    .submit_continue = tri_http2_answer_continue,
    .submit_head = tri_http2_answer_head,
    .submit_body = tri_http2_answer_body,
    .submit_rollback = tri_http2_answer_rollback,
    .reset = tri_http2_answer_reset,
    .waiting = waiting,
    .attach = attach,
    .send = send_chain,
    .sendable = sendable,
    .state = state,
    .shutdown = shut_down,
    .fini = fini,
};

const char *tri_http2_version(void)
{
    return nghttp2_version(0)->version_str;
}

void tri_http2_init(tri_http2 *self, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains)
{
    *self = (tri_http2){ .protocol = { &ops }, .mem = mem, .limits = limits, .chains = chains };
    tri_list_init(&self->streams);
    tri_chain_init(&self->out);
}
