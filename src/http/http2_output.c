/* Frames on their way out: nghttp2 makes their heads, the bytes of bodies go from the streams to the chain. */
#include "http/http2_internal.h"

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *into, size_t most, uint32_t *flags,
                         nghttp2_data_source *source, void *context)
{
    (void)session, (void)id, (void)into, (void)context;
    const tri_http2_stream *stream = source->ptr;
    size_t n = stream->out.bytes < most ? stream->out.bytes : most;
    bool over = (stream->marks & TRI_HTTP2_COMPLETE) && stream->out.bytes == n;
    if (n == 0 && !over)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (over ? (uint32_t)NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)n;
}

nghttp2_data_provider tri_http2_output_source(tri_http2_stream *stream)
{
    return (nghttp2_data_provider){ .source = { .ptr = stream }, .read_callback = read_body };
}

int tri_http2_output_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t n,
                          nghttp2_data_source *source, void *context)
{
    (void)session, (void)frame;
    enum { FRAME_HEAD = 9 };
    tri_http2 *self = context;
    tri_http2_stream *stream = source->ptr;
    if (tri_chain_copy(&self->out, self->chains, (tri_span){ (const char *)frame_head, FRAME_HEAD }) != 0
        || tri_chain_move(&self->out, &stream->out, self->chains, n) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    tri_http2_budget_earn(self, n);
    tri_http2_stream_moved(self, stream);
    return self->out.bytes < TRI_HTTP2_OUT_HIGH ? 0 : NGHTTP2_ERR_PAUSE;
}

/* Has nghttp2 make frames until there are none, or enough. */
static int pump(tri_http2 *self)
{
    while (self->out.bytes < TRI_HTTP2_OUT_HIGH) {
        const uint8_t *bytes = NULL;
        ssize_t n = nghttp2_session_mem_send(self->session, &bytes);
        if (n == 0)
            return 0;
        if (n < 0 || tri_chain_copy(&self->out, self->chains, (tri_span){ (const char *)bytes, (size_t)n }) != 0)
            return TRI_ENOMEM;
    }
    return 0;
}

int tri_http2_output_pump(tri_http2 *self)
{
    if (self->session == NULL || (self->flags & (TRI_HTTP2_BUSY | TRI_HTTP2_FAILED)))
        return 0;
    self->flags |= TRI_HTTP2_BUSY;
    int error = tri_http2_answer_touch(self);
    error = error == 0 ? pump(self) : error;
    self->flags &= ~(unsigned)TRI_HTTP2_BUSY;
    if (error != 0) {
        self->flags |= TRI_HTTP2_FAILED;
        return error;
    }
    bool over = !nghttp2_session_want_read(self->session) && !nghttp2_session_want_write(self->session);
    if (over && !(self->flags & TRI_HTTP2_OVER)) {
        self->flags |= TRI_HTTP2_OVER;
        tri_http2_stream_lose_all(self);
    }
    return 0;
}
