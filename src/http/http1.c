/* The state machine of a connection: bytes go to the parser of what is due, what it found waits to be asked for. */
#include "http/http1_internal.h"

/* The most that is parsed in one call: slices have 32 bits. */
enum { MOST_AT_ONCE = 1 << 30 };

int tri_http1_shared_init(tri_http1_shared *shared, const tri_mem *mem, const tri_limits *limits,
                          tri_chain_pool *chains)
{
    *shared = (tri_http1_shared){ .mem = mem, .limits = limits, .chains = chains };
    if (limits->fields == 0)
        return TRI_OK;
    shared->scratch.fields = tri_mem_alloc(mem, limits->fields * sizeof(tri_field));
    if (shared->scratch.fields == NULL)
        return TRI_ENOMEM;
    shared->scratch.max_fields = limits->fields;
    return TRI_OK;
}

void tri_http1_shared_fini(tri_http1_shared *shared)
{
    tri_mem_free(shared->mem, shared->scratch.fields, shared->scratch.max_fields * sizeof(tri_field));
    shared->scratch.fields = NULL;
}

void tri_http1_reject(tri_http1 *self, int status, const char *reason)
{
    tri_http1_head_drop(self);
    self->in_state = TRI_IN_REJECTED;
    self->flags |= TRI_HTTP1_LINGER;
    self->pending |= TRI_PENDING_REJECT;
    self->reject = (uint16_t)status;
    self->reason = reason;
}

/* Request and answer are complete: the next request may come. */
static void next_request(tri_http1 *self)
{
    tri_http1_head_drop(self);
    self->flags &= TRI_HTTP1_LASTING;
    self->in_state = TRI_IN_START;
    self->out_state = TRI_OUT_NONE;
    self->answer = 0;
    self->seen = 0;
    self->head_flags = 0;
}

void tri_http1_request_done(tri_http1 *self)
{
    self->in_state = TRI_IN_DONE;
    if (self->out_state == TRI_OUT_DONE)
        next_request(self);
}

void tri_http1_answer_done(tri_http1 *self)
{
    self->out_state = TRI_OUT_DONE;
    if (self->answer & TRI_ANSWER_CLOSING) {
        if (self->in_state != TRI_IN_DONE)
            self->flags |= TRI_HTTP1_LINGER;
        tri_http1_head_drop(self);
        self->in_state = TRI_IN_CLOSED;
        self->pending = 0;
    } else if (self->in_state == TRI_IN_DONE) {
        next_request(self);
    }
}

bool tri_http1_awaits_continue(const tri_http1 *self)
{
    bool nothing_came = self->body_seen == 0;
    return (self->head_flags & TRI_HEAD_EXPECT) && !(self->flags & TRI_HTTP1_CONTINUED) && nothing_came
           && self->in_state >= TRI_IN_BODY && self->in_state < TRI_IN_DONE;
}

size_t tri_http1_body_recv(tri_http1 *self, const char *bytes, size_t n)
{
    if (n > self->remaining)
        n = (size_t)self->remaining;
    self->body = (tri_span){ bytes, n };
    self->pending |= TRI_PENDING_BODY;
    self->body_seen += n;
    self->remaining -= n;
    if (self->remaining == 0) {
        self->pending |= TRI_PENDING_END;
        tri_http1_request_done(self);
    }
    return n;
}

/* The operation recv: hands the bytes to the parser that is due. */
static ptrdiff_t recv_bytes(tri_protocol *protocol, char *bytes, size_t n)
{
    tri_http1 *self = (tri_http1 *)protocol;
    if (self->pending != 0 || n == 0)
        return 0;
    if (n > MOST_AT_ONCE)
        n = MOST_AT_ONCE;
    if (self->in_state <= TRI_IN_HEAD)
        return tri_http1_head_recv(self, bytes, n);
    if (self->in_state == TRI_IN_BODY)
        return (ptrdiff_t)tri_http1_body_recv(self, bytes, n);
    if (self->in_state < TRI_IN_DONE)
        return (ptrdiff_t)tri_http1_chunk_recv(self, bytes, n);
    if (self->in_state != TRI_IN_TUNNEL)
        return 0;
    self->body = (tri_span){ bytes, n };
    self->pending |= TRI_PENDING_BODY;
    return (ptrdiff_t)n;
}

/* The operation recv_eof. */
static int recv_eof(tri_protocol *protocol)
{
    tri_http1 *self = (tri_http1 *)protocol;
    if (self->in_state == TRI_IN_HEAD)
        tri_http1_reject(self, 400, "the connection ended within a head");
    else if (self->in_state >= TRI_IN_BODY && self->in_state < TRI_IN_DONE)
        tri_http1_reject(self, 400, "the connection ended within a body");
    return TRI_OK;
}

/* The operation next_event: the first of those that wait. */
static void next_event(tri_protocol *protocol, tri_event *event)
{
    tri_http1 *self = (tri_http1 *)protocol;
    unsigned first = self->pending & -(unsigned)self->pending;
    *event = (tri_event){ .type = TRI_EVENT_NONE };
    self->pending &= (uint8_t)~first;
    switch (first) {
    case TRI_PENDING_HEAD:
        event->type = TRI_EVENT_HEAD;
        event->head = self->partial != NULL ? &self->partial->head : &self->shared->scratch;
        break;
    case TRI_PENDING_BODY:
        event->type = TRI_EVENT_BODY;
        event->body = self->body;
        break;
    case TRI_PENDING_END:
        event->type = TRI_EVENT_END;
        break;
    case TRI_PENDING_REJECT:
        event->type = TRI_EVENT_REJECT;
        event->status = self->reject;
        event->reason = self->reason;
        break;
    default:
        if (self->partial != NULL && self->in_state != TRI_IN_HEAD)
            tri_http1_head_drop(self);
        break;
    }
}

/* The operation send. */
static tri_chain *send_chain(tri_protocol *protocol)
{
    return &((tri_http1 *)protocol)->out;
}

/* The operation tunnel: there is but one stream. */
static tri_chain *tunnel(tri_protocol *protocol, uint32_t stream)
{
    (void)stream;
    return &((tri_http1 *)protocol)->out;
}

/* The operation sendable: all but a held head. */
static size_t sendable(const tri_protocol *protocol)
{
    const tri_http1 *self = (const tri_http1 *)protocol;
    return self->out_state == TRI_OUT_HELD ? self->out.bytes - self->held_n : self->out.bytes;
}

/* The bits that the request's side contributes. */
static unsigned in_bits(const tri_http1 *self)
{
    switch ((enum tri_http1_in)self->in_state) {
    case TRI_IN_START:
        return self->out_state == TRI_OUT_NONE ? TRI_PROTOCOL_IDLE : 0;
    case TRI_IN_START_LF:
    case TRI_IN_HEAD:
        return TRI_PROTOCOL_IN_HEAD;
    case TRI_IN_DONE:
        return TRI_PROTOCOL_PAUSED;
    case TRI_IN_REJECTED:
        return self->out_state == TRI_OUT_DONE ? TRI_PROTOCOL_CLOSE : TRI_PROTOCOL_PAUSED;
    case TRI_IN_CLOSED:
        return TRI_PROTOCOL_CLOSE;
    default:
        return TRI_PROTOCOL_IN_BODY;
    }
}

/* The operation state. */
static unsigned state(const tri_protocol *protocol)
{
    const tri_http1 *self = (const tri_http1 *)protocol;
    unsigned bits = in_bits(self);
    if ((bits & TRI_PROTOCOL_CLOSE) && (self->flags & TRI_HTTP1_LINGER))
        bits |= TRI_PROTOCOL_LINGER;
    if (self->out_state == TRI_OUT_HELD)
        bits |= TRI_PROTOCOL_HELD;
    return bits;
}

/* The operation shutdown. */
static void shut_down(tri_protocol *protocol)
{
    ((tri_http1 *)protocol)->flags |= TRI_HTTP1_SHUTDOWN;
}

/* The operation fini. */
static void fini(tri_protocol *protocol)
{
    tri_http1 *self = (tri_http1 *)protocol;
    tri_http1_head_drop(self);
    tri_chain_clear(&self->out, self->shared->chains);
    self->in_state = TRI_IN_CLOSED;
    self->out_state = TRI_OUT_DONE;
    self->pending = 0;
}

const tri_protocol_ops tri_http1_ops = {
    .name = "http/1.1",
    .recv = recv_bytes,
    .recv_eof = recv_eof,
    .next_event = next_event,
    .submit_continue = tri_http1_answer_continue,
    .submit_head = tri_http1_answer_head,
    .submit_body = tri_http1_answer_body,
    .submit_rollback = tri_http1_answer_rollback,
    .submit_upgrade = tri_http1_answer_upgrade,
    .tunnel = tunnel,
    .send = send_chain,
    .sendable = sendable,
    .state = state,
    .shutdown = shut_down,
    .fini = fini,
};

void tri_http1_init(tri_http1 *self, tri_http1_shared *shared)
{
    *self = (tri_http1){ .protocol = { &tri_http1_ops }, .shared = shared };
    tri_chain_init(&self->out);
}
