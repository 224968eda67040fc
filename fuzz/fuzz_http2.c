/* What a client sends in HTTP/2, as it is or as frames that the input describes, to a server that does with its streams
   what an application may: nothing of it may be lost, and without answers the same is heard however the bytes are
   cut. */
#include "fuzz.h"

#include <nghttp2/nghttp2.h>

#include "http/http2.h"

enum {
    STREAMS = 64,       /* of which is remembered what was heard */
    BYTES = 16384,      /* that the input comes to */
    LARGE = 3000,       /* bytes of a body that is lent */
    FRAME_MOST = 16384, /* bytes of a frame that the server may send */
};

/* What was heard of a stream. */
typedef struct heard {
    uint32_t id;
    uint32_t head; /* a hash of it */
    uint32_t body; /* the same of its body, and its length */
    size_t n;
    int status; /* it was refused with */
    bool end;
    bool reset;
} heard;

/* A server's side, and what it does. */
typedef struct server {
    check_mem mem;
    tri_limits limits;
    tri_chain_pool chains;
    uint64_t now;
    tri_http2 http2;
    tri_protocol *protocol;
    heard streams[STREAMS];
    size_t n;
    unsigned choice; /* of what an application does; 0 for nothing */
    int lent;
    int released;
    int error;
    size_t frame_n; /* of a frame's head that is on its way out */
    size_t skip;
    uint8_t frame[9];
} server;

static char large[LARGE];

static void release(void *owner)
{
    ((server *)owner)->released++;
}

static uint32_t hash(uint32_t seed, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seed = (seed ^ (unsigned char)p[i]) * UINT32_C(16777619);
    return seed;
}

/* What is remembered of a stream; NULL when there are too many. */
static heard *find(server *self, uint32_t id)
{
    for (size_t i = 0; i < self->n; i++)
        if (self->streams[i].id == id)
            return &self->streams[i];
    if (self->n == STREAMS)
        return NULL;
    self->streams[self->n] = (heard){ .id = id, .body = 1 };
    return &self->streams[self->n++];
}

static void failed(server *self, int error)
{
    HOLDS(error == 0 || error == TRI_ENOMEM || error == TRI_ECLOSED || error == TRI_ESTATE || error == TRI_EINVAL);
    if (error == TRI_ENOMEM)
        self->error = error;
}

static int put(server *self, uint32_t id, size_t n, bool end)
{
    tri_loan loan = { { large, n }, release, self };
    int error = self->protocol->ops->submit_body(self->protocol, id, &loan, end);
    self->lent += error == 0;
    return error;
}

/* What an application does with a stream, as the choice, the stream and how often it was asked have it. */
static void act(server *self, uint32_t id, unsigned times)
{
    const tri_protocol_ops *ops = self->protocol->ops;
    const tri_field_out field = { TRI_SPAN("content-length"), TRI_SPAN("3000") };
    unsigned what = (self->choice * 7 + id * 3 + times * 5) % 16;
    tri_response response = { .status = what == 3 ? 204 : 200, .fields = &field, .n_fields = what == 4 };
    if (self->choice == 0)
        return;
    if (what < 6) {
        failed(self, ops->submit_head(self->protocol, id, &response));
        failed(self, put(self, id, what == 1 ? 10 : LARGE, what != 2));
    } else if (what < 8) {
        failed(self, ops->submit_head(self->protocol, id, &response));
        failed(self, what == 6 ? ops->submit_rollback(self->protocol, id) : 0);
    } else if (what < 10) {
        failed(self, ops->reset(self->protocol, id, (enum tri_reset)(times % 4)));
    } else if (what == 10) {
        failed(self, ops->submit_upgrade(self->protocol, id, &response, TRI_SPAN("websocket")));
        tri_chain *out = ops->tunnel(self->protocol, id);
        if (out != NULL)
            failed(self, tri_chain_copy(out, &self->chains, TRI_SPAN("frame")));
    } else if (what == 11) {
        failed(self, ops->submit_continue(self->protocol, id));
    } else if (what == 12) {
        failed(self, ops->consumed(self->protocol, id, times * 100));
    } else if (what == 13) {
        failed(self, put(self, id, times, times & 1));
    } else if (what == 14 && times > 3) {
        ops->shutdown(self->protocol);
    }
}

static uint32_t hash_head(const tri_head *head)
{
    uint32_t seed = hash(head->flags, head->base + head->method.at, head->method.n);
    seed = hash(seed, head->base + head->path.at, head->path.n);
    seed = hash(seed, head->base + head->query.at, head->query.n);
    seed = hash(seed, head->base + head->host.at, head->host.n);
    for (uint32_t i = 0; i < head->n_fields; i++) {
        seed = hash(seed + 1, head->base + head->fields[i].name.at, head->fields[i].name.n);
        seed = hash(seed + 2, head->base + head->fields[i].value.at, head->fields[i].value.n);
        HOLDS(head->fields[i].name.n > 0);
    }
    HOLDS(head->major == 2 && head->method.n > 0 && head->path.n > 0);
    return seed;
}

/* Hears one event. */
static void hear(server *self, const tri_event *event)
{
    heard *stream = event->stream == 0 ? NULL : find(self, event->stream);
    HOLDS(event->stream != 0 || (event->type == TRI_EVENT_REJECT && event->status == 0 && event->reason != NULL));
    uint32_t head = event->type == TRI_EVENT_HEAD ? hash_head(event->head) : 0;
    uint32_t body = event->type == TRI_EVENT_BODY ? hash(1, event->body.p, event->body.n) : 0; /* all of it is there */
    HOLDS(event->type != TRI_EVENT_BODY || event->body.n > 0);
    if (stream == NULL)
        return;
    HOLDS(!stream->reset);
    HOLDS(event->type == TRI_EVENT_HEAD || event->type == TRI_EVENT_REJECT || stream->head != 0 || stream->status != 0);
    HOLDS(!stream->end || event->type == TRI_EVENT_RESET || event->type == TRI_EVENT_REJECT);
    if (event->type == TRI_EVENT_HEAD)
        stream->head = head | 1;
    if (event->type == TRI_EVENT_BODY) {
        stream->body = hash(stream->body, event->body.p, event->body.n);
        stream->n += event->body.n;
    }
    (void)body;
    stream->end = stream->end || event->type == TRI_EVENT_END;
    stream->reset = stream->reset || event->type == TRI_EVENT_RESET;
    if (event->type == TRI_EVENT_REJECT)
        stream->status = event->status;
}

static void pull(server *self)
{
    tri_event event;
    unsigned times = 0;
    while (self->protocol->ops->next_event(self->protocol, &event), event.type != TRI_EVENT_NONE) {
        hear(self, &event);
        if (event.stream != 0 && event.type != TRI_EVENT_RESET)
            act(self, event.stream, ++times);
        if (event.type == TRI_EVENT_BODY && (self->choice & 1))
            failed(self, self->protocol->ops->consumed(self->protocol, event.stream, event.body.n));
    }
}

/* Takes what is to be sent; it is frames. */
static void drain(server *self)
{
    tri_chain *out = self->protocol->ops->send(self->protocol);
    struct iovec iov[1];
    while (tri_chain_iov(out, iov, 1, SIZE_MAX) == 1) {
        const uint8_t *p = iov[0].iov_base;
        for (size_t i = 0; i < iov[0].iov_len; i++) {
            if (self->skip > 0) {
                self->skip--;
                continue;
            }
            self->frame[self->frame_n++] = p[i];
            if (self->frame_n < sizeof self->frame)
                continue;
            self->frame_n = 0;
            self->skip = (size_t)self->frame[0] << 16 | (size_t)self->frame[1] << 8 | self->frame[2];
            HOLDS(self->skip <= FRAME_MOST && self->frame[3] <= NGHTTP2_CONTINUATION);
        }
        tri_chain_consume(out, &self->chains, iov[0].iov_len);
        out = self->protocol->ops->send(self->protocol);
    }
}

/* One connection from its first byte to its end. */
static void run(server *self, tri_span bytes, fuzz_cut cut, unsigned seed)
{
    uint64_t since;
    const tri_protocol_ops *ops = self->protocol->ops;
    for (size_t at = 0; at < bytes.n && self->error == 0;) {
        size_t take = fuzz_take(cut, &seed, bytes.n - at);
        char *page = check_page_reuse(bytes.p + at, take);
        for (size_t done = 0; done < take && self->error == 0;) {
            ptrdiff_t took = ops->recv(self->protocol, page + done, take - done);
            failed(self, took < 0 ? (int)took : 0);
            done += took < 0 ? 0 : (size_t)took;
            pull(self);
        }
        at += take;
        self->now += 10;
        if (self->choice != 1)
            drain(self);
        uint32_t id = ops->stalled(self->protocol, &since);
        if (self->choice > 128 && id != 0)
            failed(self, ops->reset(self->protocol, id, TRI_RESET_CANCEL));
    }
    failed(self, ops->recv_eof(self->protocol));
    pull(self);
    drain(self);
    pull(self);
    ops->fini(self->protocol);
    tri_chain_pool_fini(&self->chains);
    HOLDS(self->mem.blocks_out == 0 && self->mem.bytes_out == 0 && self->released == self->lent);
}

static void start(server *self, unsigned choice, size_t fail_at)
{
    memset(self, 0, sizeof *self);
    check_mem_init(&self->mem);
    self->mem.fail_at = fail_at;
    self->choice = choice;
    self->now = 1000;
    tri_limits_default(&self->limits);
    self->limits.head = 2000;
    self->limits.fields = 20;
    self->limits.trailers = 100;
    self->limits.body = 4000;
    tri_chain_pool_init(&self->chains, &self->mem.mem);
    tri_http2_init(&self->http2, &self->mem.mem, &self->limits, &self->chains, &self->now);
    self->protocol = &self->http2.protocol;
}

/* Nothing of a peer's doings ends the connection. */
static void lift_budgets(tri_limits *limits)
{
    limits->h2_resets = limits->h2_pings = limits->h2_settings = limits->h2_empty = limits->h2_small = 0;
    limits->h2_priorities = limits->h2_window_updates = limits->h2_unknown = limits->h2_continuations = 0;
    limits->h2_queue = UINT32_MAX / 2;
    limits->h2_streams = 100000;
}

/* Whether the client says that it is going. */
static bool says_goodbye(tri_span bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    for (size_t at = sizeof TRI_HTTP2_PREFACE - 1; at + 9 <= bytes.n;) {
        if (p[at + 3] == NGHTTP2_GOAWAY)
            return true;
        at += 9 + ((size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2]);
    }
    return false;
}

/* Whether nothing was heard of a stream. */
static bool unheard(const heard *stream)
{
    return stream == NULL || (stream->head == 0 && stream->status == 0);
}

/* What one has heard of its streams the other has, too. What was given up may be unknown to who was told later; and a
   connection whose client has said goodbye is over as soon as no stream is open, so that streams which begin behind
   that are heard only if their first bytes come together with it. */
static void compare(const server *a, server *b, bool goodbye)
{
    for (size_t i = 0; i < a->n && a->n < STREAMS && b->n < STREAMS; i++) {
        const heard *mine = &a->streams[i];
        if (mine->reset)
            continue;
        const heard *other = find(b, mine->id);
        if (goodbye && (unheard(mine) || unheard(other)))
            continue;
        HOLDS(other != NULL && other->status == mine->status);
        HOLDS(!other->reset
              || mine->status != 0); /* of what is refused, the rest may come before the answer has left */
        if (mine->status == 0)
            HOLDS(other->head == mine->head && other->body == mine->body && other->n == mine->n
                  && other->end == mine->end);
    }
}

/* Bytes of a connection: of the input as they are, or frames that it describes. */
static size_t make_bytes(fuzz_input *in, bool frames, char *out)
{
    size_t n = sizeof TRI_HTTP2_PREFACE - 1;
    memcpy(out, TRI_HTTP2_PREFACE, n);
    memcpy(out + n, "\0\0\0\4\0\0\0\0\0", 9);
    n += 9;
    if (!frames) {
        memcpy(out + n, in->p, in->n);
        return n + in->n;
    }
    while (in->n > 0 && n < BYTES - 600) {
        unsigned what = fuzz_byte(in), id = fuzz_byte(in), size = fuzz_byte(in) % 128;
        static const uint8_t flags[] = { 0, 1, 4, 5, 8, 0x24, 0xff, 0x0c };
        char head[9] = { 0, 0, (char)size, (char)(what % 11), (char)flags[what / 11 % 8], 0, 0, 0, (char)(id % 32) };
        memcpy(out + n, head, 9);
        n += 9;
        for (unsigned i = 0; i < size; i++)
            out[n++] = (char)fuzz_byte(in);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static server whole, cut;
    static char bytes[BYTES];
    fuzz_input in = { data, size < 8192 ? size : 8192 };
    unsigned mode = fuzz_byte(&in), choice = fuzz_byte(&in);
    tri_span all = { bytes, make_bytes(&in, mode & 1, bytes) };
    start(&whole, 0, 0);
    lift_budgets(&whole.limits);
    run(&whole, all, FUZZ_WHOLE, 0);
    start(&cut, 0, 0);
    lift_budgets(&cut.limits);
    run(&cut, all, mode & 2 ? FUZZ_BYTES : FUZZ_RANDOM, choice);
    bool goodbye = says_goodbye(all);
    compare(&whole, &cut, goodbye);
    compare(&cut, &whole, goodbye);
    start(&cut, choice, 0);
    run(&cut, all, FUZZ_RANDOM, mode);
    start(&cut, choice, mode >> 2);
    run(&cut, all, FUZZ_WHOLE, 0);
    return 0;
}
