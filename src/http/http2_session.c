/* nghttp2's session: its memory is ours, its callbacks only write down what has come, for next_event to tell. */
#include "http/http2_internal.h"

#include <stdalign.h>

/* Before each of nghttp2's blocks stands its size, which tri_mem wants back. */
typedef union block {
    size_t size;
    max_align_t align;
} block;

static void *resize_block(void *p, size_t size, void *context)
{
    const tri_mem *mem = context;
    block *old = p == NULL ? NULL : (block *)p - 1;
    if (size > SIZE_MAX - sizeof(block))
        return NULL;
    size_t had = old == NULL ? 0 : old->size;
    block *fresh =
        old == NULL ? tri_mem_alloc(mem, size + sizeof(block)) : tri_mem_resize(mem, old, had, size + sizeof(block));
    if (fresh == NULL)
        return NULL;
    fresh->size = size + sizeof(block);
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
    if (p != NULL)
        tri_mem_free(context, (block *)p - 1, ((block *)p - 1)->size);
}

tri_http2_stream *tri_http2_session_find(tri_http2 *self, uint32_t id)
{
    for (tri_list *node = self->streams.next; node != &self->streams; node = node->next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        if (stream->id == id)
            return stream;
    }
    return NULL;
}

void tri_http2_session_forget(tri_http2 *self, tri_http2_stream *stream)
{
    tri_list_remove(&stream->link);
    tri_http2_head_drop(self, stream);
    tri_chain_clear(&stream->out, self->chains);
    tri_mem_free(self->mem, stream, sizeof *stream);
}

/* A request begins; trailers do not make a stream. */
static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    tri_http2 *self = context;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    tri_http2_stream *stream = tri_mem_zalloc(self->mem, sizeof *stream);
    if (stream == NULL)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    stream->id = (uint32_t)frame->hd.stream_id;
    tri_chain_init(&stream->out);
    tri_list_append(&self->streams, &stream->link);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

/* Has the peer be told that its request cannot be understood. */
static int reset(tri_http2 *self, uint32_t id, uint32_t code)
{
    int error = nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, (int32_t)id, code);
    return error == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                    const uint8_t *value, size_t value_n, uint8_t flags, void *context)
{
    (void)flags;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers are checked by nghttp2, and dropped */
    int error = tri_http2_head_add(context, stream, (tri_span){ (const char *)name, name_n },
                                   (tri_span){ (const char *)value, value_n });
    if (error == TRI_ENOMEM)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (error == 0)
        return 0;
    error = reset(context, stream->id, NGHTTP2_PROTOCOL_ERROR);
    return error == 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : error;
}

/* A head that is beyond a limit is answered here, and never heard of above. */
static int answer_too_large(tri_http2 *self, uint32_t id)
{
    char name[] = ":status";
    char value[] = "431";
    nghttp2_nv status = { (uint8_t *)name, (uint8_t *)value, sizeof name - 1, sizeof value - 1, NGHTTP2_NV_FLAG_NONE };
    return nghttp2_submit_response(self->session, (int32_t)id, &status, 1, NULL) == 0 ? 0
                                                                                      : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A request's head is complete. */
static int on_head(tri_http2 *self, tri_http2_stream *stream, bool end)
{
    if (stream->marks & TRI_HTTP2_TOO_LARGE)
        return answer_too_large(self, stream->id);
    if (tri_http2_head_end(stream, !end) != 0)
        return reset(self, stream->id, NGHTTP2_PROTOCOL_ERROR);
    stream->marks |= TRI_HTTP2_HEAD | (end ? 0U : (uint32_t)TRI_HTTP2_BODY);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return on_head(context, stream, end);
    if (end && (stream->marks & TRI_HTTP2_BODY)) {
        stream->marks &= ~(uint32_t)TRI_HTTP2_BODY;
        stream->marks |= TRI_HTTP2_END;
    }
    return 0;
}

/* Bytes of a body: nothing more is parsed until they were told. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *context)
{
    (void)flags;
    tri_http2 *self = context;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL || !(stream->marks & TRI_HTTP2_BODY))
        return nghttp2_session_consume(session, id, n) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    stream->unread += n;
    self->body = (tri_span){ (const char *)bytes, n };
    self->body_stream = (uint32_t)id;
    self->paused = true;
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
    if (unread > 0 && nghttp2_session_consume_connection(session, unread) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!(stream->marks & (TRI_HTTP2_HEAD | TRI_HTTP2_KNOWN)) || (stream->marks & TRI_HTTP2_COMPLETE)) {
        tri_http2_session_forget(self, stream);
        return 0;
    }
    stream->unread = 0;
    stream->marks |= TRI_HTTP2_CLOSED | TRI_HTTP2_RESET;
    return 0;
}

/* The next bytes of an answer's body. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *into, size_t most, uint32_t *flags,
                         nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    tri_http2 *self = context;
    tri_http2_stream *stream = source->ptr;
    struct iovec iov[16];
    size_t n = 0;
    int count = tri_chain_iov(&stream->out, iov, 16, most);
    for (int i = 0; i < count; i++) {
        memcpy(into + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    tri_chain_consume(&stream->out, self->chains, n);
    bool over = (stream->marks & TRI_HTTP2_COMPLETE) && stream->out.bytes == 0;
    if (over) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        stream->marks |= TRI_HTTP2_ENDED;
    }
    if (over && (stream->marks & TRI_HTTP2_DISMISS) && reset(self, stream->id, NGHTTP2_NO_ERROR) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return n == 0 && !over ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

nghttp2_data_provider tri_http2_session_source(tri_http2_stream *stream)
{
    return (nghttp2_data_provider){ .source = { .ptr = stream }, .read_callback = read_body };
}

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

/* The session itself, with options that live only as long as this call. */
static int make_session(tri_http2 *self, const nghttp2_session_callbacks *callbacks)
{
    nghttp2_mem mem = { (void *)(uintptr_t)self->mem, alloc_block, free_block, zero_block, resize_block };
    nghttp2_option *option = NULL;
    if (nghttp2_option_new(&option) != 0)
        return TRI_ENOMEM;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    int error = nghttp2_session_server_new3(&self->session, callbacks, self, option, &mem);
    nghttp2_option_del(option);
    return error == 0 ? 0 : TRI_ENOMEM;
}

int tri_http2_session_open(tri_http2 *self)
{
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return TRI_ENOMEM;
    set_callbacks(callbacks);
    int error = make_session(self, callbacks);
    nghttp2_session_callbacks_del(callbacks);
    if (error != 0)
        return error;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, TRI_HTTP2_STREAMS },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, TRI_HTTP2_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, self->limits->head },
    };
    return nghttp2_submit_settings(self->session, NGHTTP2_FLAG_NONE, settings, 3) == 0 ? 0 : TRI_ENOMEM;
}

int tri_http2_session_pump(tri_http2 *self)
{
    while (self->session != NULL && !self->failed && self->out.bytes < TRI_HTTP2_OUT_HIGH) {
        const uint8_t *bytes = NULL;
        ssize_t n = nghttp2_session_mem_send(self->session, &bytes);
        if (n == 0)
            return 0;
        if (n < 0 || tri_chain_copy(&self->out, self->chains, (tri_span){ (const char *)bytes, (size_t)n }) != 0) {
            self->failed = true;
            return TRI_ENOMEM;
        }
    }
    return 0;
}
