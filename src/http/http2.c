/* The operations of HTTP/2's protocol: bytes in, events out. */
#include "http/http2_internal.h"

/* Notes that memory ran out. */
static int fail(tri_http2 *self)
{
    self->flags |= TRI_HTTP2_FAILED;
    return TRI_ENOMEM;
}

/* Gives back the head that was told last, or the first bytes of a tunnel. */
static void forget_told(tri_http2 *self)
{
    tri_http2_core *core = self->core;
    if (core->told != NULL) {
        tri_http2_head_drop(self, core->told);
        if ((core->told->marks & (TRI_HTTP2_OPEN | TRI_HTTP2_EARLY)) == TRI_HTTP2_OPEN)
            tri_buf_release(&core->told->early, self->mem);
    }
    core->told = NULL;
}

/* Frames that may wait for a peer that does not read: those of answers, and few others. */
static size_t queue_most(const tri_http2 *self)
{
    return (size_t)self->limits->h2_queue + 2 * (size_t)self->limits->h2_streams;
}

/* Gives nghttp2 what is within the budgets, and ends the connection where it is not: then nothing more is looked at. */
static ptrdiff_t take_bytes(tri_http2 *self, const char *bytes, size_t n)
{
    const char *over = NULL;
    size_t allowed = tri_http2_budget_scan(self, bytes, n, &over);
    ptrdiff_t took = tri_http2_session_recv(self, bytes, allowed);
    if (took < 0)
        return took;
    tri_http2_budget_took(self, (size_t)took);
    if ((size_t)took < allowed)
        return took;
    uint32_t code = over == NULL ? (uint32_t)NGHTTP2_ENHANCE_YOUR_CALM : self->core->budget.code;
    if (over == NULL && nghttp2_session_get_outbound_queue_size(self->session) > queue_most(self))
        over = "it asks for more than it reads";
    if (over != NULL && tri_http2_session_end(self, code, over) != 0)
        return TRI_ENOMEM;
    return tri_http2_output_pump(self) == 0 ? (ptrdiff_t)n : TRI_ENOMEM;
}

static ptrdiff_t recv_bytes(tri_protocol *protocol, char *bytes, size_t n)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (self->flags & TRI_HTTP2_FAILED)
        return TRI_ENOMEM;
    if (self->session == NULL && tri_http2_session_open(self) != 0)
        return fail(self);
    if (self->core->body_of != NULL)
        return 0;
    forget_told(self);
    ptrdiff_t took = take_bytes(self, bytes, n);
    if (took < 0)
        return fail(self);
    tri_http2_stream_sweep(self);
    return took;
}

/* The peer will send no more: requests that are not complete are given up, unless their answers are. */
static int recv_eof(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    self->flags |= TRI_HTTP2_EOF;
    if (self->session == NULL)
        return 0;
    tri_list *streams = &self->core->streams;
    for (tri_list *node = streams->next; node != streams; node = node->next) {
        const tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        bool cut = stream->room != NULL || (stream->marks & TRI_HTTP2_BODY);
        if (!cut || (stream->marks & TRI_HTTP2_COMPLETE))
            continue;
        if (nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, NGHTTP2_CANCEL) != 0)
            return fail(self);
    }
    return tri_http2_output_pump(self);
}

/* Bytes of a body had nghttp2 pause, maybe at the very end of their frame: it is told to go on, so that the body's end
   does not wait for the next bytes. */
static void unpause(tri_http2 *self)
{
    if (!(self->flags & TRI_HTTP2_PAUSED) || (self->flags & TRI_HTTP2_FAILED))
        return;
    self->flags &= ~(unsigned)TRI_HTTP2_PAUSED;
    if (tri_http2_session_recv(self, "", 0) < 0 || tri_http2_output_pump(self) != 0)
        self->flags |= TRI_HTTP2_FAILED;
}

/* The connection is given up: that is told once. */
static void tell_end(tri_http2 *self, tri_event *event)
{
    if (!(self->flags & TRI_HTTP2_GIVEN_UP))
        return;
    self->flags &= ~(unsigned)TRI_HTTP2_GIVEN_UP;
    event->type = TRI_EVENT_REJECT;
    event->reason = self->core->reason;
}

static void next_event(tri_protocol *protocol, tri_event *event)
{
    tri_http2 *self = (tri_http2 *)protocol;
    *event = (tri_event){ .type = TRI_EVENT_NONE };
    tri_http2_core *core = self->core;
    if (core == NULL)
        return;
    forget_told(self);
    tri_http2_stream_event(self, event);
    if (event->type == TRI_EVENT_NONE && core->body_of != NULL) {
        *event = (tri_event){
            .type = TRI_EVENT_BODY, .stream = core->body_of->id, .user = core->body_of->user, .body = core->body
        };
        core->body_of = NULL;
    } else if (event->type == TRI_EVENT_NONE) {
        unpause(self);
        tri_http2_stream_event(self, event);
    }
    if (event->type == TRI_EVENT_NONE)
        tell_end(self, event);
    tri_http2_stream_sweep(self);
}

static int consumed(tri_protocol *protocol, uint32_t id, size_t n)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    if (stream == NULL || n > stream->unread)
        return 0; /* its window was given back when it ended */
    stream->unread -= n;
    bool more = (stream->marks & TRI_HTTP2_BODY) != 0;
    int error = more ? nghttp2_session_consume(self->session, (int32_t)id, n)
                     : nghttp2_session_consume_connection(self->session, n);
    if (error != 0)
        return fail(self);
    return tri_http2_output_pump(self);
}

static size_t waiting(const tri_protocol *protocol, uint32_t id)
{
    const tri_http2_stream *stream = tri_http2_stream_find((const tri_http2 *)protocol, id);
    return stream == NULL ? 0 : stream->out.bytes;
}

static void attach(tri_protocol *protocol, uint32_t id, void *user)
{
    tri_http2_stream *stream = tri_http2_stream_find((const tri_http2 *)protocol, id);
    if (stream != NULL)
        stream->user = user;
}

/* Whether the peer itself holds back what waits on the stream. */
static bool is_held_back(const tri_http2 *self, const tri_http2_stream *stream)
{
    return nghttp2_session_get_remote_window_size(self->session) <= 0
           || nghttp2_session_get_stream_remote_window_size(self->session, (int32_t)stream->id) <= 0;
}

static uint32_t stalled(tri_protocol *protocol, uint64_t *since)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (self->session == NULL || (self->flags & TRI_HTTP2_OVER))
        return 0;
    tri_list *list = &self->core->waiting, *next;
    for (tri_list *node = list->next; node != list; node = next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, wait);
        next = node->next;
        if (is_held_back(self, stream)) {
            *since = stream->moved;
            return stream->id;
        }
        if (stream->moved == *self->now)
            break; /* this one and those behind it were looked at in this millisecond */
        tri_http2_stream_moved(self, stream);
    }
    return 0;
}

static tri_chain *send_chain(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    if (tri_http2_output_pump(self) == 0)
        tri_http2_stream_sweep(self);
    return &self->out;
}

static size_t sendable(const tri_protocol *protocol)
{
    return ((const tri_http2 *)protocol)->out.bytes;
}

static unsigned state(const tri_protocol *protocol)
{
    const tri_http2 *self = (const tri_http2 *)protocol;
    bool idle = self->core == NULL || (tri_list_empty(&self->core->streams) && tri_list_empty(&self->core->closed));
    bool last = (self->flags & (TRI_HTTP2_LAST | TRI_HTTP2_EOF)) != 0;
    bool due = self->core != NULL && !tri_list_empty(&self->core->due);
    unsigned ahead = due ? (unsigned)(TRI_PROTOCOL_AHEAD | TRI_PROTOCOL_READY) : 0U;
    if ((self->flags & (TRI_HTTP2_FAILED | TRI_HTTP2_OVER)) || (idle && last))
        return ahead | TRI_PROTOCOL_CLOSE | (self->flags & TRI_HTTP2_OVER ? (unsigned)TRI_PROTOCOL_LINGER : 0U)
               | (self->flags & TRI_HTTP2_FAILED ? (unsigned)TRI_PROTOCOL_FAILED : 0U);
    return ahead | (idle ? (unsigned)TRI_PROTOCOL_IDLE : 0U);
}

/* The first time, the peer is told that no further request is wanted, and asked for a sign that it has heard; what it
   has sent until then is still served. With the sign, or the second time, it is told which was the last (RFC 9113
   §6.8). */
static void shut_down(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    bool again = (self->flags & TRI_HTTP2_LEAVING) != 0;
    self->flags |= TRI_HTTP2_LEAVING;
    if (self->flags & (TRI_HTTP2_FAILED | TRI_HTTP2_OVER))
        return;
    int error = self->session == NULL ? tri_http2_session_open(self) : 0; /* a first request may be on its way */
    if (error == 0 && again)
        error = tri_http2_session_last(self);
    else if (error == 0
             && (nghttp2_submit_shutdown_notice(self->session) != 0
                 || nghttp2_submit_ping(self->session, NGHTTP2_FLAG_NONE, NULL) != 0))
        error = TRI_ENOMEM;
    if (error != 0 || tri_http2_output_pump(self) != 0)
        self->flags |= TRI_HTTP2_FAILED;
}

static void fini(tri_protocol *protocol)
{
    tri_http2 *self = (tri_http2 *)protocol;
    self->flags |= TRI_HTTP2_FAILED;
    tri_http2_session_fini(self);
    tri_chain_clear(&self->out, self->chains);
}

static const tri_protocol_ops ops = {
    .name = "h2",
    .recv = recv_bytes,
    .recv_eof = recv_eof,
    .next_event = next_event,
    .consumed = consumed,
    .reset = tri_http2_answer_reset,
    .waiting = waiting,
    .stalled = stalled,
    .attach = attach,
    .submit_continue = tri_http2_answer_continue,
    .submit_head = tri_http2_answer_head,
    .submit_body = tri_http2_answer_body,
    .submit_rollback = tri_http2_answer_rollback,
    .submit_upgrade = tri_http2_answer_upgrade,
    .tunnel = tri_http2_answer_tunnel,
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

void tri_http2_init(tri_http2 *self, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains,
                    const uint64_t *now)
{
    *self = (tri_http2){ .protocol = { &ops }, .mem = mem, .limits = limits, .chains = chains, .now = now };
    tri_chain_init(&self->out);
}
