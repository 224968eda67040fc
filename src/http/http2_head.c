/* A request's fields become a head as HTTP/1.1 has one: pseudo-headers are method, target and Host (RFC 9113 §8.3.1).
   nghttp2 has checked their order and number, the characters of names, and fields that belong to a connection. */
#include "http/authority.h"
#include "http/http1_internal.h"
#include "http/http2_internal.h"

enum {
    FIELD_COST = 4,    /* bytes of a field beside its name and value, as a line of HTTP/1.1 has them */
    LINE_COST = 12,    /* of a request line beside method and target */
    PSEUDO_FIELDS = 5, /* at most */
};

int tri_http2_head_begin(tri_http2 *self, tri_http2_stream *stream)
{
    tri_http2_room *room = self->core->spare;
    self->core->spare = NULL;
    if (room == NULL)
        room = tri_mem_alloc(self->mem, sizeof *room);
    if (room == NULL)
        return TRI_ENOMEM;
    memset(room, 0, offsetof(tri_http2_room, fields));
    room->bytes = room->inline_bytes;
    room->size = TRI_HTTP2_BYTES;
    room->head.fields = room->fields;
    room->head.max_fields = TRI_HTTP2_FIELDS;
    stream->room = room;
    return 0;
}

void tri_http2_head_drop(tri_http2 *self, tri_http2_stream *stream)
{
    tri_http2_room *room = stream->room;
    if (room == NULL)
        return;
    stream->room = NULL;
    if (room->bytes != room->inline_bytes)
        tri_mem_free(self->mem, room->bytes, room->size);
    if (room->head.fields != room->fields)
        tri_mem_free(self->mem, room->head.fields, room->head.max_fields * sizeof(tri_field));
    if (self->core->spare == NULL)
        self->core->spare = room;
    else
        tri_mem_free(self->mem, room, sizeof *room);
}

/* A larger one of two runs of memory, the first `used` bytes of which stay; `mine` is part of the room. */
static void *enlarge(const tri_mem *mem, void *old, const void *mine, size_t used, size_t size[2])
{
    if (old != mine)
        return tri_mem_resize(mem, old, size[0], size[1]);
    void *fresh = tri_mem_alloc(mem, size[1]);
    return fresh == NULL ? NULL : memcpy(fresh, old, used);
}

/* Room for `n` more bytes. */
static int grow_bytes(tri_http2 *self, tri_http2_room *room, size_t n)
{
    size_t size[2] = { room->size, room->size };
    if (n <= room->size - room->n)
        return 0;
    while (size[1] - room->n < n)
        size[1] *= 2;
    if (size[1] > UINT32_MAX)
        return TRI_ENOMEM;
    char *bytes = enlarge(self->mem, room->bytes, room->inline_bytes, room->n, size);
    if (bytes == NULL)
        return TRI_ENOMEM;
    room->bytes = bytes;
    room->size = (uint32_t)size[1];
    return 0;
}

/* Room for one more field. */
static int grow_fields(tri_http2 *self, tri_http2_room *room)
{
    tri_head *head = &room->head;
    if (head->n_fields < head->max_fields)
        return 0;
    size_t now = head->max_fields * sizeof(tri_field);
    size_t size[2] = { now, now * 2 };
    tri_field *fields = enlarge(self->mem, head->fields, room->fields, now, size);
    if (fields == NULL)
        return TRI_ENOMEM;
    head->fields = fields;
    head->max_fields *= 2;
    return 0;
}

/* Keeps bytes of the head. */
static int keep(tri_http2 *self, tri_http2_room *room, tri_span bytes, tri_slice *out)
{
    if (grow_bytes(self, room, bytes.n) != 0)
        return TRI_ENOMEM;
    *out = (tri_slice){ room->n, (uint32_t)bytes.n };
    memcpy(room->bytes + room->n, bytes.p, bytes.n);
    room->n += (uint32_t)bytes.n;
    return 0;
}

/* A field line, whose name is in lower case. */
static int add_field(tri_http2 *self, tri_http2_room *room, tri_span name, tri_span value)
{
    tri_field field = { .hash = UINT32_C(2166136261) };
    if (grow_fields(self, room) != 0 || keep(self, room, name, &field.name) != 0
        || keep(self, room, value, &field.value) != 0)
        return TRI_ENOMEM;
    for (size_t i = 0; i < name.n; i++)
        field.hash = (field.hash ^ (unsigned char)name.p[i]) * UINT32_C(16777619);
    room->head.fields[room->head.n_fields++] = field;
    return 0;
}

/* The authority, which applications look for in Host. */
static int add_authority(tri_http2 *self, tri_http2_room *room, tri_span value)
{
    if (!tri_authority_ok(value.p, value.n))
        return TRI_EPROTO;
    int error = add_field(self, room, TRI_SPAN("host"), value);
    if (error == 0)
        room->head.host = room->head.fields[room->head.n_fields - 1].value;
    return error;
}

/* Host beside an authority must name the same (RFC 9113 §8.3.1), and is not given twice. */
static int add_host(tri_http2 *self, tri_http2_room *room, tri_span value)
{
    if (room->head.host.n == 0)
        return add_authority(self, room, value);
    tri_span authority = { room->bytes + room->head.host.at, room->head.host.n };
    return tri_span_eq(authority, value) ? 0 : TRI_EPROTO;
}

/* Whether all bytes of a path are visible ASCII and none begins a fragment. */
static bool path_ok(tri_span path)
{
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= 0x20 || path.p[i] >= 0x7f || path.p[i] == '#')
            return false;
    return true;
}

/* One of the pseudo-headers, of which nghttp2 has let none come twice. */
static int add_pseudo(tri_http2 *self, tri_http2_room *room, tri_span name, tri_span value)
{
    if (tri_span_eq(name, TRI_SPAN(":method")))
        return keep(self, room, value, &room->head.method);
    if (tri_span_eq(name, TRI_SPAN(":path")))
        return path_ok(value) ? keep(self, room, value, &room->head.target) : TRI_EPROTO;
    if (tri_span_eq(name, TRI_SPAN(":authority")))
        return add_authority(self, room, value);
    if (tri_span_eq(name, TRI_SPAN(":scheme")))
        return keep(self, room, value, &room->scheme);
    if (tri_span_eq(name, TRI_SPAN(":protocol")))
        return keep(self, room, value, &room->protocol);
    return TRI_EPROTO;
}

/* What the fields that we know have to say; `value` was checked by nghttp2 where it could be. */
static int interpret(tri_http2_room *room, tri_span name, tri_span value)
{
    tri_head *head = &room->head;
    if (name.n == 2 && memcmp(name.p, "te", 2) == 0)
        head->flags |= TRI_HEAD_TE_TRAILERS;
    if (name.n == 6 && memcmp(name.p, "cookie", 6) == 0)
        room->cookies++;
    if (name.n == 6 && memcmp(name.p, "expect", 6) == 0) {
        bool known = tri_http1_head_same(tri_span_trim(value), TRI_SPAN("100-continue"));
        room->expectation = room->expectation || !known;
        head->flags |= TRI_HEAD_EXPECT;
    }
    if (name.n == 14 && memcmp(name.p, "content-length", 14) == 0) {
        head->flags |= TRI_HEAD_LENGTH;
        return tri_http1_head_length(value, &head->content_length) ? 0 : TRI_EPROTO;
    }
    return 0;
}

/* Counts a field. False when the head is beyond what is served; TRI_ELIMIT in `error` when far beyond. */
static bool within_limits(tri_http2 *self, tri_http2_stream *stream, size_t n, int *error)
{
    const tri_limits *limits = self->limits;
    tri_http2_room *room = stream->room;
    room->decoded += n + FIELD_COST;
    room->count++;
    uint64_t most = (uint64_t)limits->fields + PSEUDO_FIELDS;
    if (room->decoded <= limits->head && room->count <= most)
        return true;
    bool far = room->decoded > (uint64_t)limits->head * TRI_HTTP2_PATIENCE || room->count > most * TRI_HTTP2_PATIENCE;
    *error = far ? TRI_ELIMIT : 0;
    if (!tri_http2_refused(stream))
        tri_http2_stream_refuse(self, stream, 431,
                                room->decoded > limits->head ? "the head is too long" : "the head has too many fields");
    return false;
}

int tri_http2_head_add(tri_http2 *self, tri_http2_stream *stream, tri_span name, tri_span value)
{
    tri_http2_room *room = stream->room;
    int error = 0;
    if (!within_limits(self, stream, name.n + value.n, &error) || tri_http2_refused(stream))
        return error;
    if (name.n > 0 && name.p[0] == ':')
        return add_pseudo(self, room, name, value);
    if (!tri_http1_head_value_ok(value.p, value.n))
        return TRI_EPROTO;
    if (room->head.n_fields >= self->limits->fields) {
        tri_http2_stream_refuse(self, stream, 431, "the head has too many fields");
        return 0;
    }
    if (tri_span_eq(name, TRI_SPAN("host")))
        return add_host(self, room, value);
    error = add_field(self, room, name, value);
    return error == 0 ? interpret(room, name, value) : error;
}

/* Cookies that came as several fields become one again (RFC 9113 §8.2.3): the first, where it stands. */
static int join_cookies(tri_http2 *self, tri_http2_room *room)
{
    tri_head *head = &room->head;
    tri_slice whole = { 0, 0 }, piece;
    uint32_t kept = 0, first = UINT32_MAX;
    for (uint32_t i = 0; i < head->n_fields; i++) {
        tri_field field = head->fields[i];
        if (!tri_span_eq((tri_span){ room->bytes + field.name.at, field.name.n }, TRI_SPAN("cookie"))) {
            head->fields[kept++] = field;
            continue;
        }
        if (grow_bytes(self, room, 2 + (size_t)field.value.n) != 0) /* so that what is kept does not move meanwhile */
            return TRI_ENOMEM;
        bool later = first != UINT32_MAX;
        if (!later)
            whole.at = room->n;
        if ((later && keep(self, room, TRI_SPAN("; "), &piece) != 0)
            || keep(self, room, (tri_span){ room->bytes + field.value.at, field.value.n }, &piece) != 0)
            return TRI_ENOMEM;
        if (later)
            continue;
        first = kept;
        head->fields[kept++] = field;
    }
    whole.n = room->n - whole.at;
    head->fields[first].value = whole;
    head->n_fields = kept;
    return 0;
}

/* What the method says. Of CONNECT, only that for a WebSocket is served (RFC 8441 §4). */
static const char *check_method(tri_http2_stream *stream, tri_head *head)
{
    tri_span method = tri_head_span(head, head->method);
    tri_span protocol = tri_head_span(head, stream->room->protocol);
    if (tri_span_eq(method, TRI_SPAN("CONNECT")) && tri_http1_head_same(protocol, TRI_SPAN("websocket"))) {
        head->flags |= TRI_HEAD_CONNECT | TRI_HEAD_UPGRADE;
        stream->marks |= TRI_HTTP2_TUNNEL;
        return NULL;
    }
    if (tri_http1_head_same(method, TRI_SPAN("connect")))
        return "CONNECT is not supported";
    if (tri_span_eq(method, TRI_SPAN("HEAD"))) {
        head->flags |= TRI_HEAD_IS_HEAD;
        stream->marks |= TRI_HTTP2_IS_HEAD;
    } else if (tri_http1_head_same(method, TRI_SPAN("head"))) {
        return "methods are case-sensitive: HEAD is in upper case";
    }
    return NULL;
}

/* Refuses what is well-formed and not served; for use in a return statement. */
static int refuse(tri_http2 *self, tri_http2_stream *stream, int status, const char *reason)
{
    tri_http2_stream_refuse(self, stream, status, reason);
    return 0;
}

/* Whether the scheme is one of ours; which of the two is the proxy's to know (RFC 9113 §8.3.1). */
static bool scheme_ok(const tri_http2_room *room)
{
    tri_span scheme = { room->bytes + room->scheme.at, room->scheme.n };
    return tri_http1_head_same(scheme, TRI_SPAN("http")) || tri_http1_head_same(scheme, TRI_SPAN("https"));
}

/* Checks what a head that is complete asks for. */
static int check(tri_http2 *self, tri_http2_stream *stream)
{
    const tri_limits *limits = self->limits;
    tri_http2_room *room = stream->room;
    tri_head *head = &room->head;
    const char *wrong = check_method(stream, head);
    if (wrong != NULL)
        return refuse(self, stream, 501, wrong);
    if (head->target.n == 0)
        return TRI_EPROTO;
    if (!scheme_ok(room))
        return refuse(self, stream, 400, "the scheme is neither http nor https");
    uint64_t line = (uint64_t)head->method.n + head->target.n + LINE_COST;
    if (limits->request_line <= limits->head && line > limits->request_line)
        return refuse(self, stream, 414, "the request line is too long");
    tri_slice host = head->host;
    if (tri_http1_target_parse(head) != NULL || head->path.n == 0)
        return TRI_EPROTO;
    head->host = host;
    if ((stream->marks & (TRI_HTTP2_TUNNEL | TRI_HTTP2_BODY)) == TRI_HTTP2_TUNNEL)
        return refuse(self, stream, 400, "a tunnel ends before it begins");
    if (room->expectation)
        return refuse(self, stream, 417, "an expectation is not known");
    if (limits->body != 0 && head->content_length > limits->body)
        return refuse(self, stream, 413, "the body is too large");
    return 0;
}

int tri_http2_head_end(tri_http2 *self, tri_http2_stream *stream, bool body)
{
    tri_http2_room *room = stream->room;
    tri_head *head = &room->head;
    if (!tri_http2_refused(stream) && room->cookies > 1 && join_cookies(self, room) != 0)
        return TRI_ENOMEM;
    head->base = room->bytes;
    head->size = room->n;
    head->major = 2;
    head->flags |= TRI_HEAD_KEEP_ALIVE;
    if (body) {
        head->flags |= TRI_HEAD_BODY;
        stream->marks |= TRI_HTTP2_BODY;
    } else {
        head->flags &= (uint16_t)~TRI_HEAD_EXPECT;
    }
    if (tri_http2_refused(stream)) {
        (void)check_method(stream, head); /* whether its answer has a body */
        return 0;
    }
    int error = check(self, stream);
    if (stream->marks & TRI_HTTP2_TUNNEL) /* what follows is none of the request's */
        head->flags &= (uint16_t) ~(TRI_HEAD_BODY | TRI_HEAD_EXPECT);
    if (error == 0 && (head->flags & TRI_HEAD_EXPECT))
        stream->marks |= TRI_HTTP2_EXPECTS;
    return error;
}
