/* A request's fields become a head as HTTP/1.1 has one: pseudo-headers are method, target and Host (RFC 9113 §8.3.1).
   nghttp2 has checked their order and number, the characters of names, and fields that belong to a connection. */
#include "http/authority.h"
#include "http/http1_internal.h"
#include "http/http2_internal.h"

enum { FIRST_FIELDS = 16 };

/* Keeps bytes of the head; TRI_ELIMIT when they are too many. */
static int keep(tri_http2 *self, tri_http2_stream *stream, tri_span bytes, tri_slice *out)
{
    *out = (tri_slice){ (uint32_t)tri_buf_len(&stream->bytes), (uint32_t)bytes.n };
    return tri_buf_append(&stream->bytes, self->mem, bytes, self->limits->head);
}

/* Room for one more field. TRI_ELIMIT, TRI_ENOMEM. */
static int grow(tri_http2 *self, tri_head *head)
{
    if (head->n_fields < head->max_fields)
        return 0;
    if (head->n_fields >= self->limits->fields)
        return TRI_ELIMIT;
    uint32_t more = head->max_fields == 0 ? FIRST_FIELDS : head->max_fields * 2;
    more = more < self->limits->fields ? more : self->limits->fields;
    tri_field *fields =
        tri_mem_resize(self->mem, head->fields, head->max_fields * sizeof *fields, more * sizeof *fields);
    if (fields == NULL)
        return TRI_ENOMEM;
    head->fields = fields;
    head->max_fields = more;
    return 0;
}

/* A field line, whose name is in lower case. */
static int add_field(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value)
{
    tri_field field = { .hash = UINT32_C(2166136261) };
    for (size_t i = 0; i < name.n; i++)
        field.hash = (field.hash ^ (unsigned char)name.p[i]) * UINT32_C(16777619);
    int error = grow(self, &stream->head);
    if (error == 0)
        error = keep(self, stream, name, &field.name);
    if (error == 0)
        error = keep(self, stream, value, &field.value);
    if (error == 0)
        stream->head.fields[stream->head.n_fields++] = field;
    return error;
}

/* The authority, which applications look for in Host. */
static int add_authority(tri_http2 *self, tri_http2_stream *stream, tri_span value)
{
    if (!tri_authority_ok(value.p, value.n))
        return TRI_EPROTO;
    int error = add_field(self, stream, TRI_SPAN("host"), value);
    if (error == 0)
        stream->authority = stream->head.fields[stream->head.n_fields - 1].value;
    return error;
}

/* Host beside an authority must name the same (RFC 9113 §8.3.1), and is not given twice. */
static int add_host(tri_http2 *self, tri_http2_stream *stream, tri_span value)
{
    if (stream->authority.n == 0)
        return add_authority(self, stream, value);
    tri_span authority = { tri_buf_data(&stream->bytes) + stream->authority.at, stream->authority.n };
    return tri_span_eq(authority, value) ? 0 : TRI_EPROTO;
}

/* One of the pseudo-headers. */
static int add_pseudo(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value)
{
    if (tri_span_eq(name, TRI_SPAN(":method")))
        return keep(self, stream, value, &stream->head.method);
    if (tri_span_eq(name, TRI_SPAN(":path"))) {
        for (size_t i = 0; i < value.n; i++)
            if (value.p[i] <= 0x20 || value.p[i] >= 0x7f || value.p[i] == '#')
                return TRI_EPROTO;
        return keep(self, stream, value, &stream->head.target);
    }
    if (tri_span_eq(name, TRI_SPAN(":authority")))
        return add_authority(self, stream, value);
    return tri_span_eq(name, TRI_SPAN(":scheme")) ? 0 : TRI_EPROTO;
}

int tri_http2_head_add(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value)
{
    int error;
    if (stream->marks & TRI_HTTP2_TOO_LARGE)
        return 0;
    if (name.n > 0 && name.p[0] == ':')
        error = add_pseudo(self, stream, name, value);
    else if (!tri_http1_head_value_ok(value.p, value.n))
        error = TRI_EPROTO;
    else if (tri_span_eq(name, TRI_SPAN("host")))
        error = add_host(self, stream, value);
    else
        error = add_field(self, stream, name, value);
    if (error == 0 && tri_span_eq(name, TRI_SPAN("content-length"))) {
        stream->head.flags |= TRI_HEAD_LENGTH;
        if (!tri_http1_head_length(value, &stream->head.content_length))
            error = TRI_EPROTO;
    }
    if (error != TRI_ELIMIT)
        return error;
    stream->marks |= TRI_HTTP2_TOO_LARGE;
    return 0;
}

int tri_http2_head_end(tri_http2_stream *stream, bool body)
{
    tri_head *head = &stream->head;
    head->base = tri_buf_data(&stream->bytes);
    head->size = (uint32_t)tri_buf_len(&stream->bytes);
    head->major = 2;
    head->flags |= TRI_HEAD_KEEP_ALIVE;
    if (body)
        head->flags |= TRI_HEAD_BODY;
    if (head->base == NULL || head->method.n == 0 || head->target.n == 0)
        return TRI_EPROTO;
    if (tri_span_eq(tri_head_span(head, head->method), TRI_SPAN("HEAD")))
        head->flags |= TRI_HEAD_IS_HEAD;
    if (tri_http1_target_parse(head) != NULL)
        return TRI_EPROTO;
    head->host = stream->authority;
    return 0;
}

void tri_http2_head_drop(tri_http2 *self, tri_http2_stream *stream)
{
    tri_mem_free(self->mem, stream->head.fields, stream->head.max_fields * sizeof *stream->head.fields);
    stream->head.fields = NULL;
    stream->head.max_fields = 0;
    tri_buf_release(&stream->bytes, self->mem);
}
