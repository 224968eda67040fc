/* nghttp2's session: its memory is ours, its callbacks only write down what has come, for next_event to tell. */
#include "http/http2_internal.h"

#include <stdalign.h>

enum {
    TABLE = 4096, /* bytes of either side's dynamic table of HPACK */
    ACKS = 8192,  /* answers that the frames of one read may ask for, before any is written */
};

/* What stands before each of nghttp2's blocks: its size, which tri_mem wants back, and a place in the list of all. By
   that list they are freed in the end: not all of nghttp2's ways to end survive that memory has run out. */
typedef union block {
    struct {
        tri_list link;
        size_t size;
    } of;
    max_align_t align;
} block;

/* nghttp2's realloc, for a block of `core`'s. */
static void *resize_block(void *p, size_t size, void *context)
{
    tri_http2_core *core = context;
    block *old = p == NULL ? NULL : (block *)p - 1, *fresh;
    if (size > SIZE_MAX - sizeof(block))
        return NULL;
    size += sizeof(block);
    if (old == NULL) {
        fresh = tri_mem_alloc(core->mem, size);
    } else {
        tri_list_remove(&old->of.link);
        fresh = tri_mem_resize(core->mem, old, old->of.size, size);
    }
    if (fresh == NULL) {
        if (old != NULL)
            tri_list_append(&core->blocks, &old->of.link);
        return NULL;
    }
    fresh->of.size = size;
    tri_list_append(&core->blocks, &fresh->of.link);
    return fresh + 1;
}

static void *alloc_block(size_t size, void *context)
{
    return resize_block(NULL, size, context);
}

static void *zero_block(size_t n, size_t size, void *context)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    void *p = resize_block(NULL, n * size, context);
    return p == NULL ? NULL : memset(p, 0, n * size);
}

static void free_block(void *p, void *context)
{
    const tri_http2_core *core = context;
    if (p == NULL)
        return;
    block *old = (block *)p - 1;
    tri_list_remove(&old->of.link);
    tri_mem_free(core->mem, old, old->of.size);
}

/* Frees what nghttp2 has, the session too. */
static void free_blocks(tri_http2_core *core)
{
    tri_list *node;
    while ((node = tri_list_shift(&core->blocks)) != NULL) {
        block *old = (block *)(void *)node;
        tri_mem_free(core->mem, old, old->of.size);
    }
}

/* What a callback returns for an error of ours. */
static int failure(int error)
{
    return error == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A request begins; trailers do not make a stream. */
static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    tri_http2 *self = context;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    tri_http2_stream *stream = tri_http2_stream_new(self, (uint32_t)frame->hd.stream_id);
    if (stream == NULL)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return failure(tri_http2_head_begin(self, stream));
}

/* Has the peer be told that nothing is done for its request; for use in a return statement. */
static int turn_away(tri_http2 *self, const tri_http2_stream *stream, uint32_t code)
{
    return failure(nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, code));
}

/* A field of the trailers, which nghttp2 has checked: it is counted, and dropped. */
static int on_trailer(tri_http2 *self, tri_http2_stream *stream, size_t n)
{
    uint64_t most = self->limits->trailers;
    stream->trailers += n;
    if (stream->trailers <= most)
        return 0;
    if (stream->trailers > most * TRI_HTTP2_PATIENCE + self->limits->head)
        return TRI_ELIMIT;
    if (!(stream->marks & TRI_HTTP2_DEAF))
        tri_http2_stream_refuse(self, stream, 431, "the trailers are too long");
    return 0;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                    const uint8_t *value, size_t value_n, uint8_t flags, void *context)
{
    (void)flags;
    tri_http2 *self = context;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    int error;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        error = tri_http2_head_add(self, stream, (tri_span){ (const char *)name, name_n },
                                   (tri_span){ (const char *)value, value_n });
    else
        error = on_trailer(self, stream, name_n + value_n);
    if (error == 0)
        return 0;
    if (error == TRI_EPROTO)
        error = turn_away(self, stream, NGHTTP2_PROTOCOL_ERROR);
    else if (error == TRI_ELIMIT)
        error = tri_http2_session_end(self, NGHTTP2_ENHANCE_YOUR_CALM, "a head has far more fields than are read");
    return error == 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A request's head is complete. Applications may work on after the end of their streams, on the body of a HEAD's answer
   say: those count as if they were open. */
static int on_head(tri_http2 *self, tri_http2_stream *stream, bool body)
{
    int error = tri_http2_head_end(self, stream, body);
    if (error == TRI_EPROTO)
        return turn_away(self, stream, NGHTTP2_PROTOCOL_ERROR);
    if (error == 0 && self->core->n_closed >= self->limits->h2_streams)
        return turn_away(self, stream, NGHTTP2_REFUSED_STREAM);
    if (error == 0 && !tri_http2_refused(stream))
        tri_http2_stream_tell(self, stream, TRI_HTTP2_HEAD);
    return failure(error);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    tri_http2 *self = context;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        return failure(tri_http2_session_last(self));
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return on_head(self, stream, !end);
    if (end && (stream->marks & TRI_HTTP2_BODY)) {
        stream->marks &= ~(unsigned)TRI_HTTP2_BODY;
        bool early = (stream->marks & (TRI_HTTP2_TUNNEL | TRI_HTTP2_OPEN)) == TRI_HTTP2_TUNNEL;
        if (!early && !(stream->marks & TRI_HTTP2_DEAF)) /* the end of a tunnel is told once it is one */
            tri_http2_stream_tell(self, stream, TRI_HTTP2_END);
    }
    return 0;
}

/* Bytes of a tunnel that is none yet are kept, if they are few. */
static int on_early(tri_http2 *self, tri_http2_stream *stream, tri_span bytes)
{
    int error = tri_buf_append(&stream->early, self->mem, bytes, TRI_HTTP2_EARLY_MOST);
    if (error == TRI_ELIMIT)
        tri_http2_stream_refuse(self, stream, 400, "too much came before the WebSocket was accepted");
    if (error == TRI_ELIMIT)
        return failure(nghttp2_session_consume(self->session, (int32_t)stream->id, bytes.n));
    stream->unread += bytes.n;
    return failure(error);
}

/* Bytes of a body: nothing more is parsed until they were told. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *context)
{
    (void)flags;
    tri_http2 *self = context;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    uint64_t most = self->limits->body;
    if (stream != NULL) {
        stream->received += n;
        stream->marks &= ~(unsigned)TRI_HTTP2_EXPECTS;
        if (most != 0 && stream->received > most && !(stream->marks & TRI_HTTP2_TUNNEL)
            && !(stream->marks & TRI_HTTP2_DEAF))
            tri_http2_stream_refuse(self, stream, 413, "the body is too large");
    }
    if (stream == NULL || (stream->marks & TRI_HTTP2_DEAF))
        return failure(nghttp2_session_consume(session, id, n));
    if ((stream->marks & (TRI_HTTP2_TUNNEL | TRI_HTTP2_OPEN)) == TRI_HTTP2_TUNNEL)
        return on_early(self, stream, (tri_span){ (const char *)bytes, n });
    stream->unread += n;
    self->core->body = (tri_span){ (const char *)bytes, n };
    self->core->body_of = stream;
    self->flags |= TRI_HTTP2_PAUSED;
    return NGHTTP2_ERR_PAUSE;
}

/* The stream is over: whoever works on it is told when its answer was not complete. Its bytes that nobody will take any
   more no longer fill the connection's window. */
static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    (void)code;
    tri_http2 *self = context;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    size_t unread = (size_t)stream->unread;
    stream->unread = 0;
    tri_http2_stream_closed(self, stream);
    return unread > 0 ? failure(nghttp2_session_consume_connection(session, unread)) : 0;
}

/* A stream was reset by us. Where the peer's mistakes are the cause, that is as if it had reset the stream itself. */
static int on_reset_sent(tri_http2 *self, uint32_t code)
{
    bool ours = code == NGHTTP2_NO_ERROR || code == NGHTTP2_INTERNAL_ERROR || code == NGHTTP2_CANCEL;
    const char *over = ours ? NULL : tri_http2_budget_spend(self, TRI_HTTP2_RESETS);
    return over == NULL ? 0 : failure(tri_http2_session_end(self, NGHTTP2_ENHANCE_YOUR_CALM, over));
}

/* A frame is in the chain. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    tri_http2 *self = context;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        return on_reset_sent(self, frame->rst_stream.error_code);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    bool interim = frame->hd.type == NGHTTP2_HEADERS && frame->headers.nva[0].value[0] == '1';
    if (frame->hd.type == NGHTTP2_HEADERS && !interim)
        tri_http2_answer_drop(self, stream);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!end || !(stream->marks & TRI_HTTP2_BODY))
        return 0;
    return failure(tri_http2_answer_ended(self, stream));
}

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, tri_http2_output_data);
}

static void set_options(nghttp2_option *option, const tri_limits *limits)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, TABLE);
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
    nghttp2_option_set_max_outbound_ack(option, (size_t)limits->h2_queue + ACKS);
    /* Where nghttp2 has bounds of its own that a setting of ours may be beyond, they are moved out of the way. It
       counts a CONTINUATION frame for each piece that its head comes in. */
#ifdef TRI_NGHTTP2_CONTINUATIONS
    size_t most = limits->h2_continuations;
    nghttp2_option_set_max_continuations(option, most == 0 ? SIZE_MAX : (most + 1) * 10);
#endif
#ifdef TRI_NGHTTP2_RESETS
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
#endif
}

/* The session itself, with options that live only as long as this call. */
static int make_session(tri_http2 *self, const nghttp2_session_callbacks *callbacks)
{
    nghttp2_mem mem = { self->core, alloc_block, free_block, zero_block, resize_block };
    nghttp2_option *option = NULL;
    if (nghttp2_option_new(&option) != 0)
        return TRI_ENOMEM;
    set_options(option, self->limits);
    int error = nghttp2_session_server_new3(&self->session, callbacks, self, option, &mem);
    nghttp2_option_del(option);
    return error == 0 ? 0 : TRI_ENOMEM;
}

/* What we want of the peer. */
static int submit_settings(tri_http2 *self)
{
    const tri_limits *limits = self->limits;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, TABLE },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_window },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits->h2_frame },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->head },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    size_t n = sizeof settings / sizeof *settings;
    if (nghttp2_submit_settings(self->session, NGHTTP2_FLAG_NONE, settings, n) != 0)
        return TRI_ENOMEM;
    int32_t window = (int32_t)limits->h2_connection_window;
    return nghttp2_session_set_local_window_size(self->session, NGHTTP2_FLAG_NONE, 0, window) == 0 ? 0 : TRI_ENOMEM;
}

int tri_http2_session_open(tri_http2 *self)
{
    nghttp2_session_callbacks *callbacks = NULL;
    tri_http2_core *core = tri_mem_zalloc(self->mem, sizeof *core);
    if (core == NULL)
        return TRI_ENOMEM;
    tri_list *lists[] = { &core->streams, &core->closed, &core->due,   &core->waiting,
                          &core->touched, &core->dead,   &core->blocks };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        tri_list_init(lists[i]);
    core->mem = self->mem;
    tri_http2_budget_init(&core->budget);
    self->core = core;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return TRI_ENOMEM;
    set_callbacks(callbacks);
    int error = make_session(self, callbacks);
    nghttp2_session_callbacks_del(callbacks);
    return error == 0 ? submit_settings(self) : error;
}

void tri_http2_session_fini(tri_http2 *self)
{
    tri_http2_core *core = self->core;
    self->session = NULL;
    if (core == NULL)
        return;
    free_blocks(core);
    tri_list_take(&core->dead, &core->streams);
    tri_list_take(&core->dead, &core->closed);
    self->flags &= ~(unsigned)TRI_HTTP2_BUSY;
    tri_http2_stream_sweep(self);
    tri_mem_free(self->mem, core->spare, sizeof *core->spare);
    tri_mem_free(self->mem, core, sizeof *core);
    self->core = NULL;
}

int tri_http2_session_end(tri_http2 *self, uint32_t code, const char *reason)
{
    if (reason != NULL && self->core->reason == NULL) {
        self->core->reason = reason;
        self->flags |= TRI_HTTP2_GIVEN_UP;
    }
    return nghttp2_session_terminate_session(self->session, code) == 0 ? 0 : TRI_ENOMEM;
}

int tri_http2_session_last(tri_http2 *self)
{
    if (!(self->flags & TRI_HTTP2_LEAVING) || (self->flags & TRI_HTTP2_LAST))
        return 0;
    self->flags |= TRI_HTTP2_LAST;
    int32_t last = nghttp2_session_get_last_proc_stream_id(self->session);
    int error = nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    return error == 0 ? 0 : TRI_ENOMEM;
}

/* What nghttp2 cannot go on with: not HTTP/2 at all, or a flood. What there is to say is said, and nothing more is
   read. */
static int end_session(tri_http2 *self, ssize_t error)
{
    if (error == NGHTTP2_ERR_NOMEM || error == NGHTTP2_ERR_CALLBACK_FAILURE)
        return TRI_ENOMEM;
    if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        return tri_http2_session_end(self, NGHTTP2_PROTOCOL_ERROR, "it does not begin as HTTP/2 does");
    return tri_http2_session_end(self, NGHTTP2_ENHANCE_YOUR_CALM, "it sends more frames than are read");
}

ptrdiff_t tri_http2_session_recv(tri_http2 *self, const char *bytes, size_t n)
{
    self->flags |= TRI_HTTP2_BUSY;
    ssize_t took = nghttp2_session_mem_recv(self->session, (const uint8_t *)bytes, n);
    self->flags &= ~(unsigned)TRI_HTTP2_BUSY;
    if (took >= 0)
        return took;
    int error = end_session(self, took);
    return error == 0 ? (ptrdiff_t)n : error;
}
