/* An answer's head and body on a stream (RFC 9113 §8.3.2). */
#include "http/answer_field.h"
#include "http/http1_internal.h"
#include "http/http2_internal.h"

enum { BORROW_FROM = 1024 }; /* shorter bodies are copied */

/* The head of an answer, until its frame is made: fields, then their bytes. */
struct tri_http2_held {
    size_t size; /* bytes of all */
    size_t n;    /* fields */
    int status;
    bool length; /* a content-length is among them */
    bool tunnel; /* no content follows, and none is counted */
    uint64_t promised;
    nghttp2_nv nv[];
};

/* A head on its way into memory. */
typedef struct draft {
    struct tri_http2_held *held;
    char *at; /* where the next bytes go */
    bool date;
    bool server;
} draft;

/* Adds bytes; returns where they stand. */
static uint8_t *put(draft *self, tri_span bytes)
{
    char *at = self->at;
    if (bytes.n > 0)
        memcpy(at, bytes.p, bytes.n);
    self->at += bytes.n;
    return (uint8_t *)at;
}

/* Adds a field that is checked, its name's bytes in place already. */
static void add(draft *self, uint8_t *name, size_t name_n, tri_span value)
{
    const uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    uint8_t *at = put(self, value);
    self->held->nv[self->held->n++] = (nghttp2_nv){ name, at, name_n, value.n, flags };
}

/* Content-Length, which may come once and is of no use where no content may be (RFC 9110 §8.6). */
static int add_length(draft *self, uint8_t *name, size_t name_n, tri_span value)
{
    struct tri_http2_held *held = self->held;
    if (held->length || !tri_http1_head_length(value, &held->promised))
        return TRI_EINVAL;
    held->length = !held->tunnel;
    if (!held->tunnel && held->status != 204 && held->status != 205)
        add(self, name, name_n, value);
    return 0;
}

/* Adds a field of the application's; TRI_EINVAL when it may not be sent. */
static int add_field(draft *self, const tri_field_out *field)
{
    char *name = self->at;
    size_t n = field->name.n;
    if (n == 0 || !tri_http1_head_value_ok(field->value.p, field->value.n))
        return TRI_EINVAL;
    for (size_t i = 0; i < n; i++)
        if ((name[i] = (char)tri_http1_head_token[(unsigned char)field->name.p[i]]) == 0)
            return TRI_EINVAL;
    enum tri_answer_field kind = tri_answer_field_kind((tri_span){ name, n });
    tri_span value = tri_span_trim(field->value);
    if (kind >= TRI_ANSWER_FIELD_CONNECTION)
        return 0;
    self->at += n;
    if (kind == TRI_ANSWER_FIELD_LENGTH)
        return add_length(self, (uint8_t *)name, n, value);
    self->date = self->date || kind == TRI_ANSWER_FIELD_DATE;
    self->server = self->server || kind == TRI_ANSWER_FIELD_SERVER;
    add(self, (uint8_t *)name, n, value);
    return 0;
}

/* Adds ready lines, each with its CRLF. */
static int add_ready(draft *self, tri_span ready)
{
    while (ready.n > 0) {
        const char *end = memchr(ready.p, '\r', ready.n);
        const char *colon = memchr(ready.p, ':', ready.n);
        if (end == NULL || colon == NULL || colon > end)
            return TRI_EINVAL;
        tri_field_out field = { { ready.p, (size_t)(colon - ready.p) }, { colon + 1, (size_t)(end - colon - 1) } };
        int error = add_field(self, &field);
        if (error != 0)
            return error;
        size_t used = (size_t)(end - ready.p) + 2;
        used = used < ready.n ? used : ready.n;
        ready = (tri_span){ ready.p + used, ready.n - used };
    }
    return 0;
}

/* All fields of an answer. */
static int gather(draft *self, const tri_response *response)
{
    int status = response->status;
    const char digits[] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10) };
    uint8_t *name = put(self, TRI_SPAN(":status"));
    add(self, name, 7, (tri_span){ digits, sizeof digits });
    int error = 0;
    for (size_t i = 0; i < response->n_fields && error == 0; i++)
        error = add_field(self, &response->fields[i]);
    if (error == 0 && !self->date)
        error = add_ready(self, response->date);
    if (error == 0 && !self->server)
        error = add_ready(self, response->server);
    if (error == 0)
        error = add_ready(self, response->extra);
    return error == 0 ? add_ready(self, response->defaults) : error;
}

/* How many fields there are at most, and in `bytes` those of their names and values. */
static size_t measure(const tri_response *response, size_t *bytes)
{
    enum { STATUS = 10, LENGTH = 20 }; /* bytes of what is ours: a ":status", and the value of a "content-length" */
    const tri_span ready[] = { response->date, response->server, response->defaults, response->extra };
    size_t n = 2 + response->n_fields;
    *bytes = STATUS + LENGTH;
    for (size_t i = 0; i < response->n_fields; i++)
        *bytes += response->fields[i].name.n + response->fields[i].value.n;
    for (size_t i = 0; i < sizeof ready / sizeof *ready; i++) {
        *bytes += ready[i].n;
        const char *end;
        for (size_t at = 0; at < ready[i].n; at = (size_t)(end - ready[i].p) + 1, n++)
            if ((end = memchr(ready[i].p + at, '\r', ready[i].n - at)) == NULL)
                break;
    }
    return n;
}

void tri_http2_answer_drop(tri_http2 *self, tri_http2_stream *stream)
{
    if (stream->held != NULL)
        tri_mem_free(self->mem, stream->held, stream->held->size);
    stream->held = NULL;
}

/* Whether the stream can be answered: 0, TRI_ECLOSED, or TRI_ESTATE when none of `needed` is set. */
static int check(const tri_http2 *self, const tri_http2_stream *stream, unsigned needed)
{
    if (stream == NULL || (self->flags & (TRI_HTTP2_OVER | TRI_HTTP2_FAILED)))
        return TRI_ECLOSED;
    if ((stream->marks & TRI_HTTP2_COMPLETE) || (needed != 0 && !(stream->marks & needed)))
        return TRI_ESTATE;
    bool closed = (stream->marks & TRI_HTTP2_CLOSED) && !(stream->marks & TRI_HTTP2_NO_BODY);
    return closed ? TRI_ECLOSED : 0;
}

/* Holds the head of an answer. TRI_EINVAL, TRI_ENOMEM. */
static int hold(tri_http2 *self, tri_http2_stream *stream, const tri_response *response)
{
    if (response->status < 200 || response->status > 999)
        return TRI_EINVAL;
    size_t bytes = 0;
    size_t n = measure(response, &bytes);
    size_t size = sizeof(struct tri_http2_held) + n * sizeof(nghttp2_nv) + bytes;
    struct tri_http2_held *held = tri_mem_alloc(self->mem, size);
    if (held == NULL)
        return TRI_ENOMEM;
    bool tunnel = (stream->marks & TRI_HTTP2_OPEN) != 0;
    *held = (struct tri_http2_held){ .size = size, .status = response->status, .tunnel = tunnel };
    draft all = { .held = held, .at = (char *)&held->nv[n] };
    int error = gather(&all, response);
    if (error != 0) {
        tri_mem_free(self->mem, held, size);
        return error;
    }
    stream->held = held;
    stream->marks |= TRI_HTTP2_HELD;
    return 0;
}

int tri_http2_answer_head(tri_protocol *protocol, uint32_t id, const tri_response *response)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    int error = check(self, stream, 0);
    if (error != 0)
        return error;
    return stream->marks & (TRI_HTTP2_HELD | TRI_HTTP2_STARTED) ? TRI_ESTATE : hold(self, stream, response);
}

int tri_http2_answer_rollback(tri_protocol *protocol, uint32_t id)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    int error = check(self, stream, TRI_HTTP2_HELD);
    if (error != 0)
        return error;
    stream->marks &= ~(unsigned)TRI_HTTP2_HELD;
    tri_http2_answer_drop(self, stream);
    return 0;
}

/* Writes a number at the end of the held head, as its content-length. */
static void add_whole_length(struct tri_http2_held *held, uint64_t value)
{
    const uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    char *end = (char *)held + held->size, *at = end;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    const tri_span name = TRI_SPAN("content-length");
    held->nv[held->n++] =
        (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)at, name.n, (size_t)(end - at), flags };
}

/* Whether the held answer has no body, whatever the application sends. */
static bool has_no_body(const tri_http2_stream *stream)
{
    int status = stream->held->status;
    return (stream->marks & TRI_HTTP2_IS_HEAD) || status == 204 || status == 205 || status == 304;
}

/* Hands the held head to nghttp2, now that the first `n` bytes of the body are here. */
static int begin(tri_http2 *self, tri_http2_stream *stream, size_t n, bool end)
{
    struct tri_http2_held *held = stream->held;
    bool none = has_no_body(stream);
    bool bodiless = held->status == 204 || held->status == 205 || held->status == 304;
    const size_t fields = held->n;
    if (end && !held->length && !bodiless && (!none || n > 0))
        add_whole_length(held, n);
    nghttp2_data_provider source = tri_http2_output_source(stream);
    bool data = !none && !(end && n == 0);
    if (nghttp2_submit_response(self->session, (int32_t)stream->id, held->nv, held->n, data ? &source : NULL) != 0) {
        held->n = fields; /* it may be tried again, with another length */
        return TRI_ENOMEM;
    }
    stream->marks &= ~(unsigned)TRI_HTTP2_HELD;
    stream->marks |= TRI_HTTP2_STARTED;
    stream->marks |= none ? TRI_HTTP2_NO_BODY : held->length ? TRI_HTTP2_PROMISED : 0;
    stream->promised = held->promised;
    return 0;
}

/* Whether the body fits what the answer's content-length promised. */
static bool keeps_promise(const tri_http2_stream *stream, size_t n, bool end)
{
    bool held = (stream->marks & TRI_HTTP2_HELD) != 0;
    bool promised = held ? stream->held->length && !has_no_body(stream) : (stream->marks & TRI_HTTP2_PROMISED) != 0;
    uint64_t left = held ? stream->held->promised : stream->promised;
    return !promised || (n <= left && (!end || n == left));
}

/* Puts bytes behind those that wait on the stream; whether they were borrowed. */
static int keep(tri_http2 *self, tri_http2_stream *stream, const tri_loan *loan, bool *borrowed)
{
    if (stream->marks & TRI_HTTP2_NO_BODY)
        return 0;
    *borrowed = loan->release != NULL && loan->bytes.n >= BORROW_FROM;
    if (*borrowed)
        return tri_chain_borrow(&stream->out, self->chains, *loan);
    return tri_chain_copy(&stream->out, self->chains, loan->bytes);
}

/* The application's side of the stream is over. */
static int complete(tri_http2 *self, tri_http2_stream *stream)
{
    stream->marks |= TRI_HTTP2_COMPLETE;
    stream->marks &= ~(unsigned)TRI_HTTP2_EXPECTS;
    if (stream->marks & TRI_HTTP2_CLOSED) {
        tri_http2_stream_kill(self, stream);
        return 0;
    }
    return tri_http2_stream_deafen(self, stream);
}

/* Has nghttp2 come for the bytes; it says so itself when it has not stopped coming. */
static int resume(tri_http2 *self, tri_http2_stream *stream)
{
    if (stream->marks & (TRI_HTTP2_NO_BODY | TRI_HTTP2_CLOSED))
        return 0;
    if (tri_list_empty(&stream->wait))
        tri_http2_stream_moved(self, stream);
    int error = nghttp2_session_resume_data(self->session, (int32_t)stream->id);
    return error == NGHTTP2_ERR_NOMEM ? TRI_ENOMEM : 0;
}

int tri_http2_answer_body(tri_protocol *protocol, uint32_t id, const tri_loan *loan, bool end)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    int error = check(self, stream, TRI_HTTP2_HELD | TRI_HTTP2_STARTED);
    if (error != 0)
        return error;
    size_t n = loan->bytes.n;
    if (!keeps_promise(stream, n, end))
        return TRI_EINVAL;
    bool borrowed = false;
    if (stream->marks & TRI_HTTP2_HELD)
        error = begin(self, stream, n, end);
    if (error == 0)
        error = keep(self, stream, loan, &borrowed);
    if (error != 0)
        return error;
    stream->promised -= stream->marks & TRI_HTTP2_PROMISED ? n : 0;
    error = resume(self, stream);
    if (error == 0 && end)
        error = complete(self, stream);
    if (error != 0) /* the loan was taken; it is given back with the connection */
        self->flags |= TRI_HTTP2_FAILED;
    else if (!borrowed && loan->release != NULL)
        loan->release(loan->owner);
    return 0;
}

/* Has the stream end now. */
static int give_up(tri_http2 *self, const tri_http2_stream *stream, uint32_t code)
{
    int error = nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, code);
    return error == 0 ? 0 : TRI_ENOMEM;
}

int tri_http2_answer_ended(tri_http2 *self, tri_http2_stream *stream)
{
    stream->marks |= TRI_HTTP2_ENDED;
    return stream->marks & TRI_HTTP2_DISMISS ? give_up(self, stream, NGHTTP2_NO_ERROR) : 0;
}

/* Tells what came of a tunnel before it was one. */
static void tell_early(tri_http2 *self, tri_http2_stream *stream)
{
    if (tri_buf_len(&stream->early) > 0)
        tri_http2_stream_tell(self, stream, TRI_HTTP2_EARLY);
    if (!(stream->marks & TRI_HTTP2_BODY))
        tri_http2_stream_tell(self, stream, TRI_HTTP2_END);
}

int tri_http2_answer_upgrade(tri_protocol *protocol, uint32_t id, const tri_response *response, tri_span name)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    (void)name; /* the request has said it: RFC 8441 §4 */
    int error = check(self, stream, TRI_HTTP2_TUNNEL);
    if (error != 0)
        return error;
    if (stream->marks & (TRI_HTTP2_HELD | TRI_HTTP2_STARTED | TRI_HTTP2_DEAF))
        return TRI_ESTATE;
    tri_response full = *response;
    full.status = 200;
    stream->marks |= TRI_HTTP2_OPEN;
    error = hold(self, stream, &full);
    if (error == 0)
        error = begin(self, stream, 0, false);
    if (error != 0) {
        stream->marks &= ~(unsigned)TRI_HTTP2_OPEN;
        return error;
    }
    tell_early(self, stream);
    return 0;
}

tri_chain *tri_http2_answer_tunnel(tri_protocol *protocol, uint32_t id)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    if (stream == NULL || (stream->marks & TRI_HTTP2_CLOSED))
        return NULL;
    if (tri_list_empty(&stream->touched))
        tri_list_append(&self->core->touched, &stream->touched);
    return &stream->out;
}

int tri_http2_answer_touch(tri_http2 *self)
{
    tri_list *node;
    while ((node = tri_list_shift(&self->core->touched)) != NULL)
        if (resume(self, TRI_CONTAINER(node, tri_http2_stream, touched)) != 0)
            return TRI_ENOMEM;
    return 0;
}

int tri_http2_answer_continue(tri_protocol *protocol, uint32_t id)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    if (check(self, stream, 0) != 0 || !(stream->marks & TRI_HTTP2_EXPECTS)
        || (stream->marks & (TRI_HTTP2_HELD | TRI_HTTP2_STARTED)))
        return 0;
    stream->marks &= ~(unsigned)TRI_HTTP2_EXPECTS;
    static const char text[] = ":status100";
    nghttp2_nv status = { (uint8_t *)(uintptr_t)text, (uint8_t *)(uintptr_t)(text + 7), 7, 3, 0 };
    if (nghttp2_submit_headers(self->session, NGHTTP2_FLAG_NONE, (int32_t)id, NULL, &status, 1, NULL) < 0)
        return TRI_ENOMEM;
    return tri_http2_output_pump(self);
}

/* Has a stream that is not over yet end, at once or behind its answer. */
static int reset(tri_http2 *self, tri_http2_stream *stream, enum tri_reset why)
{
    static const uint32_t codes[] = { [TRI_RESET_DONE] = NGHTTP2_NO_ERROR,
                                      [TRI_RESET_FAILED] = NGHTTP2_INTERNAL_ERROR,
                                      [TRI_RESET_REFUSED] = NGHTTP2_REFUSED_STREAM,
                                      [TRI_RESET_CANCEL] = NGHTTP2_CANCEL };
    bool sending = (stream->marks & TRI_HTTP2_COMPLETE) && !(stream->marks & TRI_HTTP2_ENDED);
    stream->marks |= TRI_HTTP2_COMPLETE | TRI_HTTP2_DISMISS;
    if (tri_http2_stream_deafen(self, stream) != 0)
        return TRI_ENOMEM;
    if (why == TRI_RESET_DONE && sending)
        return tri_http2_output_pump(self);
    tri_list_remove(&stream->wait);
    return give_up(self, stream, codes[why]) == 0 ? tri_http2_output_pump(self) : TRI_ENOMEM;
}

int tri_http2_answer_reset(tri_protocol *protocol, uint32_t id, enum tri_reset why)
{
    tri_http2 *self = (tri_http2 *)protocol;
    tri_http2_stream *stream = tri_http2_stream_find(self, id);
    if (stream == NULL || (self->flags & (TRI_HTTP2_OVER | TRI_HTTP2_FAILED)))
        return 0;
    if (stream->marks & TRI_HTTP2_CLOSED) {
        tri_http2_stream_kill(self, stream);
        return 0;
    }
    int error = reset(self, stream, why);
    if (error != 0)
        self->flags |= TRI_HTTP2_FAILED;
    return error;
}
