/* The streams of a connection: what each has to tell, and when it is over. */
#include "http/http2_internal.h"

tri_http2_stream *tri_http2_stream_new(tri_http2 *self, uint32_t id)
{
    tri_http2_stream *stream = tri_mem_zalloc(self->mem, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->id = id;
    tri_list_init(&stream->due);
    tri_list_init(&stream->wait);
    tri_list_init(&stream->touched);
    tri_chain_init(&stream->out);
    tri_list_append(&self->core->streams, &stream->link);
    return stream;
}

/* One that nghttp2 has forgotten; there are few, as each goes with its next event or answer. */
static tri_http2_stream *find_closed(const tri_http2_core *core, uint32_t id)
{
    for (const tri_list *node = core->closed.next; node != &core->closed; node = node->next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        if (stream->id == id)
            return stream;
    }
    return NULL;
}

tri_http2_stream *tri_http2_stream_find(const tri_http2 *self, uint32_t id)
{
    if (self->session == NULL || id == 0 || id > INT32_MAX)
        return NULL;
    tri_http2_stream *stream = nghttp2_session_get_stream_user_data(self->session, (int32_t)id);
    return stream != NULL ? stream : find_closed(self->core, id);
}

void tri_http2_stream_tell(tri_http2 *self, tri_http2_stream *stream, unsigned mark)
{
    stream->marks |= mark;
    if (tri_list_empty(&stream->due))
        tri_list_append(&self->core->due, &stream->due);
}

void tri_http2_stream_refuse(tri_http2 *self, tri_http2_stream *stream, int status, const char *reason)
{
    stream->reject = (uint16_t)status;
    stream->reason = reason;
    stream->marks &= ~(unsigned)(TRI_HTTP2_HEAD | TRI_HTTP2_END);
    stream->marks |= TRI_HTTP2_DEAF | TRI_HTTP2_DISMISS;
    tri_http2_stream_tell(self, stream, TRI_HTTP2_REJECT);
}

int tri_http2_stream_deafen(tri_http2 *self, tri_http2_stream *stream)
{
    tri_http2_core *core = self->core;
    size_t unread = (size_t)stream->unread;
    stream->unread = 0;
    stream->marks &= ~(unsigned)TRI_HTTP2_EVENTS;
    stream->marks |= TRI_HTTP2_DEAF;
    tri_list_remove(&stream->due);
    if (core->body_of == stream)
        core->body_of = NULL;
    if (unread == 0)
        return 0;
    int error = stream->marks & TRI_HTTP2_BODY ? nghttp2_session_consume(self->session, (int32_t)stream->id, unread)
                                               : nghttp2_session_consume_connection(self->session, unread);
    return error == 0 ? 0 : TRI_ENOMEM;
}

void tri_http2_stream_moved(tri_http2 *self, tri_http2_stream *stream)
{
    tri_list_remove(&stream->wait);
    stream->moved = *self->now;
    if (stream->out.bytes > 0)
        tri_list_append(&self->core->waiting, &stream->wait);
}

void tri_http2_stream_kill(tri_http2 *self, tri_http2_stream *stream)
{
    tri_http2_core *core = self->core;
    core->n_closed -= stream->marks & TRI_HTTP2_CLOSED ? 1 : 0;
    stream->marks &= ~(unsigned)TRI_HTTP2_CLOSED;
    tri_list_remove(&stream->link);
    tri_list_remove(&stream->due);
    tri_list_remove(&stream->wait);
    tri_list_remove(&stream->touched);
    if (core->body_of == stream)
        core->body_of = NULL;
    if (core->told == stream)
        core->told = NULL;
    tri_list_append(&core->dead, &stream->link);
}

/* Whether somebody has been told of it, and waits for its end. */
static bool is_at_work(const tri_http2_stream *stream)
{
    return (stream->marks & TRI_HTTP2_KNOWN) && !(stream->marks & (TRI_HTTP2_COMPLETE | TRI_HTTP2_RESET));
}

void tri_http2_stream_closed(tri_http2 *self, tri_http2_stream *stream)
{
    if (!is_at_work(stream)) {
        tri_http2_stream_kill(self, stream);
        return;
    }
    stream->marks |= TRI_HTTP2_CLOSED;
    tri_list_remove(&stream->link);
    tri_list_append(&self->core->closed, &stream->link);
    self->core->n_closed++;
    tri_list_remove(&stream->wait);
    if (!(stream->marks & TRI_HTTP2_NO_BODY)) /* else its answer is written, and the application goes on with it */
        tri_http2_stream_tell(self, stream, TRI_HTTP2_RESET);
}

void tri_http2_stream_lose_all(tri_http2 *self)
{
    tri_list *streams = &self->core->streams;
    for (tri_list *node = streams->next; node != streams; node = node->next) {
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        bool known = is_at_work(stream);
        stream->marks &= ~(unsigned)TRI_HTTP2_EVENTS;
        stream->marks |= TRI_HTTP2_DEAF | TRI_HTTP2_COMPLETE;
        tri_list_remove(&stream->due);
        tri_list_remove(&stream->wait);
        if (known)
            tri_http2_stream_tell(self, stream, TRI_HTTP2_RESET);
    }
    tri_list *closed = &self->core->closed;
    for (tri_list *node = closed->next; node != closed; node = node->next) { /* whose applications go on for nobody */
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        if (is_at_work(stream))
            tri_http2_stream_tell(self, stream, TRI_HTTP2_RESET);
    }
    self->core->body_of = NULL;
}

void tri_http2_stream_sweep(tri_http2 *self)
{
    while (self->core != NULL && !(self->flags & TRI_HTTP2_BUSY)) {
        tri_list *node = tri_list_shift(&self->core->dead);
        if (node == NULL)
            return;
        tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, link);
        tri_chain out = stream->out;
        tri_http2_head_drop(self, stream);
        tri_http2_answer_drop(self, stream);
        tri_buf_release(&stream->early, self->mem);
        tri_mem_free(self->mem, stream, sizeof *stream);
        tri_chain_clear(&out, self->chains);
    }
}

/* Tells the first of what a stream has to tell. */
static void tell_first(tri_http2 *self, tri_http2_stream *stream, tri_event *event)
{
    unsigned events = stream->marks & TRI_HTTP2_EVENTS;
    unsigned first = events & -events;
    stream->marks &= ~first;
    event->stream = stream->id;
    event->user = stream->user;
    if (first == TRI_HTTP2_HEAD) {
        event->type = TRI_EVENT_HEAD;
        event->head = &stream->room->head;
        stream->marks |= TRI_HTTP2_KNOWN;
        self->core->told = stream;
    } else if (first == TRI_HTTP2_EARLY) {
        event->type = TRI_EVENT_BODY;
        event->body = (tri_span){ tri_buf_data(&stream->early), tri_buf_len(&stream->early) };
        self->core->told = stream;
    } else if (first == TRI_HTTP2_END) {
        event->type = TRI_EVENT_END;
    } else if (first == TRI_HTTP2_REJECT) {
        event->type = TRI_EVENT_REJECT;
        event->status = stream->reject;
        event->reason = stream->reason;
        stream->marks |= TRI_HTTP2_KNOWN;
    } else {
        event->type = TRI_EVENT_RESET;
        if (stream->marks & TRI_HTTP2_CLOSED)
            tri_http2_stream_kill(self, stream);
    }
}

void tri_http2_stream_event(tri_http2 *self, tri_event *event)
{
    tri_list *node = self->core->due.next;
    if (node == &self->core->due)
        return;
    tri_http2_stream *stream = TRI_CONTAINER(node, tri_http2_stream, due);
    tell_first(self, stream, event);
    if (!(stream->marks & TRI_HTTP2_EVENTS))
        tri_list_remove(&stream->due);
}
