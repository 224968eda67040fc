/* An answer's head and body on a stream (RFC 9113 §8.3.2). */
#include "http/http1_internal.h"
#include "http/http2_internal.h"

/* Fields that speak of a connection have no place on a stream (RFC 9113 §8.2.2). */
static bool is_of_connection(tri_span name)
{
    static const char *const names[] = { "connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                         "upgrade" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tri_http1_head_same(name, (tri_span){ names[i], strlen(names[i]) }))
            return true;
    return false;
}

/* The fields while they are gathered. */
typedef struct lines {
    nghttp2_nv *nv;
    size_t n;
    char *names; /* room for their names in lower case */
    bool date;
    bool server;
    bool length;
    uint64_t promised;
} lines;

/* Adds one field; TRI_EINVAL when it may not be sent. */
static int add(lines *self, tri_span name, tri_span value)
{
    if (name.n == 0 || !tri_http1_head_value_ok(value.p, value.n))
        return TRI_EINVAL;
    for (size_t i = 0; i < name.n; i++) {
        self->names[i] = (char)tri_http1_head_token[(unsigned char)name.p[i]];
        if (self->names[i] == 0)
            return TRI_EINVAL;
    }
    if (is_of_connection(name))
        return 0;
    value = tri_http1_head_trim(value);
    tri_span lower = { self->names, name.n };
    if (tri_span_eq(lower, TRI_SPAN("content-length"))) {
        if (self->length || !tri_http1_head_length(value, &self->promised))
            return TRI_EINVAL;
        self->length = true;
    }
    self->date = self->date || tri_span_eq(lower, TRI_SPAN("date"));
    self->server = self->server || tri_span_eq(lower, TRI_SPAN("server"));
    self->nv[self->n++] = (nghttp2_nv){ (uint8_t *)self->names, (uint8_t *)(uintptr_t)value.p, name.n, value.n, 0 };
    self->names += name.n;
    return 0;
}

/* Adds ready lines, each with its CRLF. */
static int add_ready(lines *self, tri_span ready)
{
    while (ready.n > 0) {
        const char *end = memchr(ready.p, '\r', ready.n);
        const char *colon = memchr(ready.p, ':', ready.n);
        if (end == NULL || colon == NULL || colon > end)
            return TRI_EINVAL;
        int error = add(self, (tri_span){ ready.p, (size_t)(colon - ready.p) },
                        (tri_span){ colon + 1, (size_t)(end - colon - 1) });
        if (error != 0)
            return error;
        size_t used = (size_t)(end - ready.p) + 2;
        used = used < ready.n ? used : ready.n;
        ready = (tri_span){ ready.p + used, ready.n - used };
    }
    return 0;
}

/* All fields of an answer. */
static int gather(lines *self, const tri_response *response, char *status)
{
    status[0] = (char)('0' + response->status / 100);
    status[1] = (char)('0' + response->status / 10 % 10);
    status[2] = (char)('0' + response->status % 10);
    static const char name[] = ":status";
    self->nv[self->n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)status, sizeof name - 1, 3, 0 };
    int error = 0;
    for (size_t i = 0; i < response->n_fields && error == 0; i++)
        error = add(self, response->fields[i].name, response->fields[i].value);
    if (error == 0 && !self->date)
        error = add_ready(self, response->date);
    if (error == 0 && !self->server)
        error = add_ready(self, response->server);
    if (error == 0)
        error = add_ready(self, response->defaults);
    return error == 0 ? add_ready(self, response->extra) : error;
}

/* How many fields at most, and in `bytes` the length of their names at most. */
static size_t measure(const tri_response *response, size_t *bytes)
{
    const tri_span ready[] = { response->date, response->server, response->defaults, response->extra };
    size_t n = 1 + response->n_fields;
    *bytes = 1;
    for (size_t i = 0; i < response->n_fields; i++)
        *bytes += response->fields[i].name.n;
    for (size_t i = 0; i < sizeof ready / sizeof *ready; i++) {
        *bytes += ready[i].n;
        for (size_t j = 0; j < ready[i].n; j++)
            n += ready[i].p[j] == '\r';
    }
    return n;
}

/* Hands the gathered fields to nghttp2. */
static int submit(tri_http2 *self, tri_http2_stream *stream, const lines *all, int status)
{
    bool none = (stream->head.flags & TRI_HEAD_IS_HEAD) || status == 204 || status == 304;
    nghttp2_data_provider source = tri_http2_session_source(stream);
    int error = nghttp2_submit_response(self->session, (int32_t)stream->id, all->nv, all->n, none ? NULL : &source);
    if (error != 0)
        return TRI_ENOMEM;
    stream->marks |= TRI_HTTP2_STARTED | (none ? (uint32_t)TRI_HTTP2_NO_BODY : 0U)
                     | (all->length && !none ? (uint32_t)TRI_HTTP2_PROMISED : 0U);
    stream->promised = all->promised;
    return tri_http2_session_pump(self);
}

int tri_http2_answer_continue(tri_protocol *protocol, uint32_t id)
{
    tri_http2 *self = (tri_http2 *)protocol;
    const tri_http2_stream *stream = tri_http2_session_find(self, id);
    if (stream == NULL || (stream->marks & (TRI_HTTP2_CLOSED | TRI_HTTP2_STARTED)))
        return 0;
    static const char text[] = ":status100";
    nghttp2_nv status = { (uint8_t *)(uintptr_t)text, (uint8_t *)(uintptr_t)(text + 7), 7, 3, 0 };
    if (nghttp2_submit_headers(self->session, NGHTTP2_FLAG_NONE, (int32_t)id, NULL, &status, 1, NULL) < 0)
        return TRI_ENOMEM;
    return tri_http2_session_pump(self);
}

int tri_http2_answer_head(tri_protocol *protocol, uint32_t id, const tri_response *response)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_session_find(self, id);
    if (stream == NULL || (stream->marks & (TRI_HTTP2_STARTED | TRI_HTTP2_CLOSED)))
        return TRI_ESTATE;
    if (response->status < 200 || response->status > 999)
        return TRI_EINVAL;
    size_t bytes = 0;
    size_t n = measure(response, &bytes);
    nghttp2_nv *nv = tri_mem_alloc(self->mem, n * sizeof *nv + bytes);
    if (nv == NULL)
        return TRI_ENOMEM;
    lines all = { .nv = nv, .names = (char *)(nv + n) };
    char status[3];
    int error = gather(&all, response, status);
    if (error == 0)
        error = submit(self, stream, &all, response->status);
    tri_mem_free(self->mem, nv, n * sizeof *nv + bytes);
    return error;
}

/* Puts bytes behind those that wait on the stream. */
static int keep(tri_http2 *self, tri_http2_stream *stream, const tri_loan *loan)
{
    if (loan->release != NULL)
        return tri_chain_borrow(&stream->out, self->chains, *loan);
    return tri_chain_copy(&stream->out, self->chains, loan->bytes);
}

int tri_http2_answer_body(tri_protocol *protocol, uint32_t id, const tri_loan *loan, bool end)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_session_find(self, id);
    if (stream == NULL || !(stream->marks & TRI_HTTP2_STARTED)
        || (stream->marks & (TRI_HTTP2_COMPLETE | TRI_HTTP2_CLOSED)))
        return TRI_ESTATE;
    size_t n = loan->bytes.n;
    if (stream->marks & TRI_HTTP2_PROMISED) {
        if (n > stream->promised || (end && n < stream->promised))
            return TRI_EINVAL;
        stream->promised -= n;
    }
    if (stream->marks & TRI_HTTP2_NO_BODY) {
        if (loan->release != NULL)
            loan->release(loan->owner);
    } else if (keep(self, stream, loan) != 0) {
        return TRI_ENOMEM;
    }
    if (end)
        stream->marks |= TRI_HTTP2_COMPLETE;
    if (stream->marks & TRI_HTTP2_NO_BODY) {
        /* END_STREAM went with the head, and nghttp2 may have closed the stream: there is nothing to resume. */
        return tri_http2_session_pump(self);
    }
    int error = nghttp2_session_resume_data(self->session, (int32_t)id);
    if (error == NGHTTP2_ERR_NOMEM)
        return TRI_ENOMEM;
    return tri_http2_session_pump(self); /* not deferred: nghttp2 comes for the bytes by itself */
}

int tri_http2_answer_rollback(tri_protocol *protocol, uint32_t stream)
{
    (void)protocol;
    (void)stream;
    return TRI_ESTATE; /* a head is never held */
}

int tri_http2_answer_reset(tri_protocol *protocol, uint32_t id, enum tri_reset why)
{
    static const uint32_t codes[] = { [TRI_RESET_DONE] = NGHTTP2_NO_ERROR,
                                      [TRI_RESET_FAILED] = NGHTTP2_INTERNAL_ERROR,
                                      [TRI_RESET_REFUSED] = NGHTTP2_REFUSED_STREAM,
                                      [TRI_RESET_CANCEL] = NGHTTP2_CANCEL };
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_session_find(self, id);
    if (stream == NULL || (stream->marks & TRI_HTTP2_CLOSED))
        return 0;
    bool sending = (stream->marks & TRI_HTTP2_COMPLETE) && !(stream->marks & (TRI_HTTP2_NO_BODY | TRI_HTTP2_ENDED));
    stream->marks |= TRI_HTTP2_COMPLETE | TRI_HTTP2_DISMISS; /* nobody is told of its end */
    if (why == TRI_RESET_DONE && sending)
        return tri_http2_session_pump(self);
    if (nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, (int32_t)id, codes[why]) != 0)
        return TRI_ENOMEM;
    return tri_http2_session_pump(self);
}
