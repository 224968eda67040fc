/* Answers (RFC 9110 §6, RFC 9112 §6 and §7): the head is written at once but for the lines that depend on the body, and
   what an application hands over is checked so that it cannot become a second answer. */
#include "http/answer_field.h"
#include "http/http1_internal.h"
#include "http/http_reason.h"

enum {
    BORROW_FROM = 1024,  /* shorter bodies are copied */
    STATUS_LINE = 64,    /* bytes at most: see tri_http_reason */
    FRAMING_LINES = 128, /* bytes at most: Content-Length, Connection, the empty line, and a chunk's first */
    UPGRADE_NAME = 32,   /* bytes of a protocol's name */
    UPGRADE_LINES = 96,  /* and of the lines about it */
    CHUNK_LINES = 32,    /* bytes at most of a chunk's size line and of what ends it */
};

/* Copies bytes to `p`; returns where they end. */
static char *put(char *p, tri_span bytes)
{
    if (bytes.n > 0)
        memcpy(p, bytes.p, bytes.n);
    return p + bytes.n;
}

#define PUT(p, literal) put((p), TRI_SPAN(literal))

/* Writes `value` in decimal; returns where it ends. */
static char *put_decimal(char *p, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(p, (tri_span){ digits + at, sizeof digits - at });
}

/* Writes `value` in hexadecimal; returns where it ends. */
static char *put_hex(char *p, uint64_t value)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value > 0);
    return put(p, (tri_span){ digits + at, sizeof digits - at });
}

/* Writes the status line; returns where it ends. */
static char *put_status_line(char *p, int status)
{
    if (status == 200)
        return PUT(p, "HTTP/1.1 200 OK\r\n");
    const char *reason = tri_http_reason(status);
    p = PUT(p, "HTTP/1.1 ");
    p = put_decimal(p, (uint64_t)status);
    *p++ = ' ';
    p = put(p, (tri_span){ reason, strlen(reason) });
    return PUT(p, "\r\n");
}

/* A head on its way into the chain. */
typedef struct draft {
    const tri_response *response;
    size_t size;     /* bytes that it can have at most */
    unsigned answer; /* enum tri_http1_answer */
    uint64_t promised;
    bool date; /* among the fields */
    bool server;
} draft;

/* Whether the name is a token and the value free of controls. */
static bool is_sendable(const tri_field_out *field)
{
    if (field->name.n == 0)
        return false;
    for (size_t i = 0; i < field->name.n; i++)
        if (tri_http1_head_token[(unsigned char)field->name.p[i]] == 0)
            return false;
    return tri_http1_head_value_ok(field->value.p, field->value.n);
}

/* Whether the application's Connection field asks for the connection's end. */
static bool asks_close(tri_span list)
{
    tri_span option;
    while (tri_http1_head_next_option(&list, &option))
        if (tri_http1_head_same(option, TRI_SPAN("close")))
            return true;
    return false;
}

/* Content-Length, which may come once. TRI_EINVAL. */
static int review_length(draft *self, tri_span value)
{
    if (self->answer & TRI_ANSWER_LENGTH)
        return TRI_EINVAL;
    self->answer |= TRI_ANSWER_LENGTH;
    return tri_http1_head_length(tri_span_trim(value), &self->promised) ? TRI_OK : TRI_EINVAL;
}

/* Checks one field and notes what it means for the rest. TRI_EINVAL. */
static int review_field(draft *self, const tri_field_out *field)
{
    if (!is_sendable(field))
        return TRI_EINVAL;
    self->size += field->name.n + field->value.n + 4;
    switch (tri_answer_field_kind(field->name)) {
    case TRI_ANSWER_FIELD_DATE:
        self->date = true;
        break;
    case TRI_ANSWER_FIELD_SERVER:
        self->server = true;
        break;
    case TRI_ANSWER_FIELD_LENGTH:
        return review_length(self, field->value);
    case TRI_ANSWER_FIELD_CONNECTION:
        if (asks_close(field->value))
            self->answer |= TRI_ANSWER_CLOSE;
        break;
    case TRI_ANSWER_FIELD_PLAIN:
    case TRI_ANSWER_FIELD_DROPPED:
        break;
    }
    return TRI_OK;
}

/* Checks the whole answer and fills the draft. TRI_EINVAL. */
static int review(draft *self, const tri_response *response)
{
    *self = (draft){ .response = response, .answer = response->close ? TRI_ANSWER_CLOSE : 0 };
    if (response->status < 200 || response->status > 999)
        return TRI_EINVAL;
    self->size = STATUS_LINE + response->date.n + response->server.n + response->defaults.n + response->extra.n;
    for (size_t i = 0; i < response->n_fields; i++)
        if (review_field(self, &response->fields[i]) != TRI_OK)
            return TRI_EINVAL;
    if (response->status == 204 || response->status == 205)
        self->answer &= ~(unsigned)TRI_ANSWER_LENGTH;
    return self->size > UINT32_MAX ? TRI_EINVAL : TRI_OK;
}

/* Whether the application's field is sent as it is. */
static bool is_kept(unsigned answer, const tri_field_out *field)
{
    enum tri_answer_field kind = tri_answer_field_kind(field->name);
    if (kind == TRI_ANSWER_FIELD_LENGTH)
        return (answer & TRI_ANSWER_LENGTH) != 0;
    return kind < TRI_ANSWER_FIELD_CONNECTION;
}

bool tri_http1_answer_keeps(const tri_http1 *self, const tri_field_out *field)
{
    return is_kept(self->answer, field);
}

/* Writes the head but for its framing; returns where it ends. */
static char *put_head(char *p, const draft *self)
{
    const tri_response *response = self->response;
    p = put_status_line(p, response->status);
    for (size_t i = 0; i < response->n_fields; i++) {
        const tri_field_out *field = &response->fields[i];
        if (!is_kept(self->answer, field))
            continue;
        p = put(p, field->name);
        p = PUT(p, ": ");
        p = put(p, tri_span_trim(field->value));
        p = PUT(p, "\r\n");
    }
    if (!self->date)
        p = put(p, response->date);
    if (!self->server)
        p = put(p, response->server);
    if (response->extra.n > 0)
        p = put(p, response->extra);
    return put(p, response->defaults);
}

/* Puts the head into the chain: in place when a block holds it, else by way of a buffer. */
static int write_head(tri_http1 *self, const draft *head)
{
    const tri_http1_shared *shared = self->shared;
    if (head->size <= TRI_CHAIN_BLOCK - 64) {
        char *p = tri_chain_reserve(&self->out, shared->chains, head->size);
        if (p == NULL)
            return TRI_ENOMEM;
        self->held_n = (uint32_t)(put_head(p, head) - p);
        tri_chain_commit(&self->out, self->held_n);
        return TRI_OK;
    }
    char *p = tri_mem_alloc(shared->mem, head->size);
    if (p == NULL)
        return TRI_ENOMEM;
    self->held_n = (uint32_t)(put_head(p, head) - p);
    int error = tri_chain_copy(&self->out, shared->chains, (tri_span){ p, self->held_n });
    tri_mem_free(shared->mem, p, head->size);
    return error;
}

/* From now on the head is held. */
static void hold(tri_http1 *self, const draft *head, tri_chain_mark mark)
{
    self->held = mark;
    self->status = (uint16_t)head->response->status;
    self->answer = (uint8_t)head->answer;
    self->promised = head->promised;
    self->out_state = TRI_OUT_HELD;
}

/* Checks that an answer may begin, and its head. TRI_ESTATE, TRI_EINVAL. */
static int begin(const tri_http1 *self, draft *head, const tri_response *response)
{
    if (self->out_state != TRI_OUT_NONE || self->in_state == TRI_IN_CLOSED)
        return TRI_ESTATE;
    return review(head, response);
}

int tri_http1_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response)
{
    tri_http1 *self = (tri_http1 *)protocol;
    (void)stream;
    draft head;
    int error = begin(self, &head, response);
    if (error != TRI_OK)
        return error;
    tri_chain_mark mark = tri_chain_here(&self->out);
    error = write_head(self, &head);
    if (error == TRI_OK)
        hold(self, &head, mark);
    return error;
}

int tri_http1_answer_hold(tri_http1 *self, const tri_response *response)
{
    draft head;
    int error = begin(self, &head, response);
    if (error != TRI_OK)
        return error;
    self->held_n = 0;
    hold(self, &head, tri_chain_here(&self->out));
    return TRI_OK;
}

int tri_http1_answer_rollback(tri_protocol *protocol, uint32_t stream)
{
    tri_http1 *self = (tri_http1 *)protocol;
    (void)stream;
    if (self->out_state != TRI_OUT_HELD)
        return TRI_ESTATE;
    tri_chain_rollback(&self->out, self->shared->chains, self->held);
    self->out_state = TRI_OUT_NONE;
    self->answer = 0;
    return TRI_OK;
}

/* Whether the request at work may become something else: it is complete, and of HTTP/1.1. */
static bool may_upgrade(const tri_http1 *self)
{
    return self->out_state == TRI_OUT_NONE && self->in_state == TRI_IN_DONE && (self->head_flags & TRI_HEAD_UPGRADE)
           && !(self->flags & TRI_HTTP1_MINOR_0);
}

int tri_http1_answer_upgrade(tri_protocol *protocol, uint32_t stream, const tri_response *response, tri_span name)
{
    tri_http1 *self = (tri_http1 *)protocol;
    (void)stream;
    if (!may_upgrade(self))
        return TRI_ESTATE;
    tri_response full = *response;
    char lines[UPGRADE_LINES];
    if (name.n > UPGRADE_NAME)
        return TRI_EINVAL;
    char *end = PUT(lines, "connection: upgrade\r\nupgrade: ");
    end = PUT(put(end, name), "\r\n\r\n");
    full.status = 200; /* stands for 101 while the fields are looked at */
    draft head;
    int error = review(&head, &full);
    if (error != TRI_OK)
        return error;
    full.status = 101;
    head.answer &= ~(unsigned)TRI_ANSWER_LENGTH; /* there is no content: RFC 9110 §8.6 */
    self->answer = TRI_ANSWER_CLOSE | TRI_ANSWER_CLOSING;
    tri_chain_mark mark = tri_chain_here(&self->out);
    error = write_head(self, &head);
    if (error == TRI_OK)
        error = tri_chain_copy(&self->out, self->shared->chains, (tri_span){ lines, (size_t)(end - lines) });
    if (error != TRI_OK) {
        tri_chain_rollback(&self->out, self->shared->chains, mark);
        return error;
    }
    self->in_state = TRI_IN_TUNNEL;
    self->out_state = TRI_OUT_CLOSE;
    return TRI_OK;
}

int tri_http1_answer_continue(tri_protocol *protocol, uint32_t stream)
{
    tri_http1 *self = (tri_http1 *)protocol;
    (void)stream;
    if (self->out_state != TRI_OUT_NONE || !tri_http1_awaits_continue(self))
        return TRI_OK;
    self->flags |= TRI_HTTP1_CONTINUED;
    return tri_chain_copy(&self->out, self->shared->chains, TRI_SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* How the body will be delimited (RFC 9112 §6.3), now that the first `n` bytes of it are here. */
static enum tri_http1_out choose_framing(const tri_http1 *self, bool end)
{
    if ((self->head_flags & TRI_HEAD_IS_HEAD) || self->status == 204 || self->status == 205 || self->status == 304)
        return TRI_OUT_NO_BODY;
    if ((self->answer & TRI_ANSWER_LENGTH) || end)
        return TRI_OUT_LENGTH;
    return self->flags & TRI_HTTP1_MINOR_0 ? TRI_OUT_CLOSE : TRI_OUT_CHUNKED;
}

/* Whether the connection ends with this answer. */
static bool ends_connection(const tri_http1 *self, enum tri_http1_out framing)
{
    return (self->answer & TRI_ANSWER_CLOSE) || (self->flags & TRI_HTTP1_SHUTDOWN) || framing == TRI_OUT_CLOSE
           || !(self->flags & TRI_HTTP1_HEAD_SEEN) || !(self->head_flags & TRI_HEAD_KEEP_ALIVE)
           || self->in_state == TRI_IN_REJECTED || tri_http1_awaits_continue(self);
}

/* The framing as the head tells it, which for HEAD is that of a GET (RFC 9110 §9.3.2). */
static char *put_framing(const tri_http1 *self, char *p, enum tri_http1_out framing, uint64_t n, bool end)
{
    bool minor_0 = (self->flags & TRI_HTTP1_MINOR_0) != 0;
    bool bodiless = self->status == 204 || self->status == 304;
    if (self->status == 205) /* has no content, but framing: RFC 9110 §15.3.6 */
        return PUT(p, "content-length: 0\r\n");
    if ((self->answer & TRI_ANSWER_LENGTH) || bodiless)
        return p;
    if (end && (framing != TRI_OUT_NO_BODY || n > 0)) {
        p = PUT(p, "content-length: ");
        p = put_decimal(p, n);
        return PUT(p, "\r\n");
    }
    if (!end && !minor_0)
        return PUT(p, "transfer-encoding: chunked\r\n");
    return p;
}

/* Completes the head with what depends on the body; returns where it ends. */
static char *put_rest_of_head(tri_http1 *self, char *p, uint64_t n, bool end)
{
    enum tri_http1_out framing = choose_framing(self, end);
    p = put_framing(self, p, framing, n, end);
    if (ends_connection(self, framing)) {
        self->answer |= TRI_ANSWER_CLOSING;
        p = PUT(p, "connection: close\r\n");
    } else if (self->flags & TRI_HTTP1_MINOR_0) {
        p = PUT(p, "connection: keep-alive\r\n");
    }
    if (!(self->answer & TRI_ANSWER_LENGTH))
        self->promised = n;
    self->out_state = (uint8_t)framing;
    return PUT(p, "\r\n");
}

/* What ends a chunk, and the body with it. */
static char *put_chunk_end(char *p, size_t n, bool end)
{
    if (n > 0)
        p = PUT(p, "\r\n");
    return end ? PUT(p, "0\r\n\r\n") : p;
}

/* Whether the body fits what Content-Length promised, given or to be given. */
static bool keeps_promise(const tri_http1 *self, enum tri_http1_out framing, size_t n, bool end)
{
    if (framing != TRI_OUT_LENGTH || (self->out_state == TRI_OUT_HELD && !(self->answer & TRI_ANSWER_LENGTH)))
        return true;
    return n <= self->promised && (!end || n == self->promised);
}

/* Whether the body is appended by write_long. */
static bool is_long(enum tri_http1_out framing, const tri_loan *loan)
{
    return loan->bytes.n >= BORROW_FROM && framing != TRI_OUT_NO_BODY;
}

/* Makes sure that the next block is had without asking the allocator. */
static int stock_block(tri_chain_pool *chains)
{
    void *block = tri_pool_get(&chains->blocks);
    if (block == NULL)
        return TRI_ENOMEM;
    tri_pool_put(&chains->blocks, block);
    return TRI_OK;
}

/* Appends a long body. The loan is taken last, when nothing can fail any more. */
static int write_long(tri_http1 *self, const tri_loan *loan, bool end)
{
    tri_chain_pool *chains = self->shared->chains;
    char tail[CHUNK_LINES];
    char *tail_end = self->out_state == TRI_OUT_CHUNKED ? put_chunk_end(tail, loan->bytes.n, end) : tail;
    int error = stock_block(chains);
    if (error == TRI_OK && loan->release == NULL)
        error = tri_chain_copy(&self->out, chains, loan->bytes);
    else if (error == TRI_OK)
        error = tri_chain_borrow(&self->out, chains, *loan);
    if (error != TRI_OK || tail_end == tail)
        return error;
    return tri_chain_copy(&self->out, chains, (tri_span){ tail, (size_t)(tail_end - tail) });
}

/* Bytes that write_short needs at most; 0 when there is nothing to write. An empty chunk would end the body. */
static size_t short_room(const tri_http1 *self, enum tri_http1_out framing, size_t n, bool end)
{
    size_t room = n < BORROW_FROM ? n : 0;
    if (framing == TRI_OUT_CHUNKED && (n > 0 || end))
        room += CHUNK_LINES;
    if (self->out_state == TRI_OUT_HELD)
        room += FRAMING_LINES;
    return room;
}

/* Writes a short body, or the line before a long one; returns where it ends. */
static char *put_body(char *p, enum tri_http1_out framing, tri_span body, bool end)
{
    bool is_short = body.n < BORROW_FROM;
    bool chunked = framing == TRI_OUT_CHUNKED;
    if (framing == TRI_OUT_NO_BODY)
        return p;
    if (chunked && body.n > 0) {
        p = put_hex(p, body.n);
        p = PUT(p, "\r\n");
    }
    if (is_short)
        p = put(p, body);
    return is_short && chunked ? put_chunk_end(p, body.n, end) : p;
}

/* Appends the rest of a held head, and the body up to the first byte of a long one, in one piece. */
static int write_short(tri_http1 *self, enum tri_http1_out framing, tri_span body, bool end)
{
    size_t room = short_room(self, framing, body.n, end);
    if (room == 0)
        return TRI_OK;
    char *start = tri_chain_reserve(&self->out, self->shared->chains, room);
    if (start == NULL)
        return TRI_ENOMEM;
    char *p = self->out_state == TRI_OUT_HELD ? put_rest_of_head(self, start, body.n, end) : start;
    p = put_body(p, framing, body, end);
    tri_chain_commit(&self->out, (size_t)(p - start));
    return TRI_OK;
}

/* Appends the body, and before it the rest of a held head. On errors the chain is as it was. */
static int write_body(tri_http1 *self, enum tri_http1_out framing, const tri_loan *loan, bool end)
{
    uint8_t before = self->out_state;
    tri_chain_mark mark = tri_chain_here(&self->out);
    int error = write_short(self, framing, loan->bytes, end);
    if (error == TRI_OK && is_long(framing, loan))
        error = write_long(self, loan, end);
    if (error == TRI_OK)
        return TRI_OK;
    self->out_state = before;
    tri_chain_rollback(&self->out, self->shared->chains, mark);
    return error;
}

/* Checks that `n` bytes of a body may come; gives the body's framing. TRI_ESTATE, TRI_EINVAL. */
static int go_on(const tri_http1 *self, size_t n, bool end, enum tri_http1_out *framing)
{
    *framing = (enum tri_http1_out)self->out_state;
    if (*framing == TRI_OUT_NONE || *framing == TRI_OUT_DONE)
        return TRI_ESTATE;
    if (*framing == TRI_OUT_HELD)
        *framing = choose_framing(self, end);
    return keeps_promise(self, *framing, n, end) ? TRI_OK : TRI_EINVAL;
}

int tri_http1_answer_count(tri_http1 *self, size_t *n, bool end)
{
    enum tri_http1_out framing;
    int error = go_on(self, *n, end, &framing);
    if (error != TRI_OK)
        return error;
    if (self->out_state == TRI_OUT_HELD) {
        self->answer |= ends_connection(self, framing) ? TRI_ANSWER_CLOSING : 0;
        self->promised = self->answer & TRI_ANSWER_LENGTH ? self->promised : *n;
        self->out_state = (uint8_t)framing;
    }
    if (framing == TRI_OUT_LENGTH)
        self->promised -= *n;
    if (framing == TRI_OUT_NO_BODY)
        *n = 0;
    return TRI_OK;
}

bool tri_http1_answer_closes(const tri_http1 *self)
{
    return (self->answer & TRI_ANSWER_CLOSING) != 0;
}

int tri_http1_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end)
{
    tri_http1 *self = (tri_http1 *)protocol;
    (void)stream;
    enum tri_http1_out framing;
    int error = go_on(self, loan->bytes.n, end, &framing);
    if (error != TRI_OK)
        return error;
    error = write_body(self, framing, loan, end);
    if (error != TRI_OK)
        return error;
    if (framing == TRI_OUT_LENGTH)
        self->promised -= loan->bytes.n;
    if (end)
        tri_http1_answer_done(self);
    if (!is_long(framing, loan) && loan->release != NULL)
        loan->release(loan->owner);
    return TRI_OK;
}
