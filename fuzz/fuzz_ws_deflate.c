/* permessage-deflate, both ways: the input is a list of steps, compressed payloads that arrive and texts that are sent.
   What arrives is the same however it is cut and whether decompressors are kept; what is sent, zlib inflates. */
#include "fuzz_ws.h"
#include "ws_peer.h"

enum { FIN = 0x80, RSV1 = 0x40, GO_ON = 0, TEXT = 1, BINARY = 2 };

/* A step: what is done, and with what. */
typedef struct step {
    unsigned kind; /* 0 and 1: a message arrives, in one frame or two; 2: one is sent; 3: one that was made for many */
    tri_span bytes;
} step;

static bool next_step(fuzz_input *in, step *to)
{
    if (in->n < 2)
        return false;
    to->kind = fuzz_byte(in) % 4;
    size_t n = fuzz_byte(in);
    n = n < in->n ? n : in->n;
    to->bytes = (tri_span){ (const char *)in->p, n };
    in->p += n;
    in->n -= n;
    return true;
}

/* The frames of the messages that arrive. */
static void make_frames(fuzz_input in, ws_bytes *frames)
{
    step now;
    frames->n = 0;
    while (next_step(&in, &now)) {
        size_t half = now.kind == 1 ? now.bytes.n / 2 : now.bytes.n;
        if (now.kind > 1)
            continue;
        ws_put_frame(frames, RSV1 | BINARY | (now.kind == 0 ? FIN : 0), now.bytes.p, half);
        if (now.kind == 1)
            ws_put_frame(frames, FIN | GO_ON, now.bytes.p + half, now.bytes.n - half);
    }
}

/* Sends a message; zlib must make the same of it. */
static void send_one(ws_record *self, ws_peer *peer, const step *now)
{
    static char frame[PEER_MAX];
    static char head[TRI_WS_FRAME_HEAD];
    tri_loan loan = { .bytes = now->bytes };
    size_t at = 0;
    if (now->kind == 3) {
        tri_span packed;
        HOLDS(tri_ws_deflate_alone(&self->shared.deflate, 9, now->bytes, &packed) == 0);
        at = tri_ws_frame_head((unsigned char *)head, FIN | RSV1 | TEXT, packed.n);
        memcpy(frame, head, at);
        memcpy(frame + at, packed.p, packed.n);
        loan.bytes = (tri_span){ frame, at + packed.n };
        HOLDS(self->protocol->ops->submit_shared(self->protocol, &self->out, &loan, true) == 0);
        tri_ws_deflate_shared_trim(&self->shared.deflate);
    } else {
        HOLDS(self->protocol->ops->submit_message(self->protocol, &self->out, &loan, TRI_WS_TEXT) == 0);
    }
    size_t n = ws_record_take(self, frame, sizeof frame);
    at = now->bytes.n == 0 && now->kind == 2 ? 2 : (frame[1] & 0x7F) == 126 ? 4 : 2;
    HOLDS(n >= at && (frame[0] & RSV1) != 0);
    HOLDS(tri_span_eq(peer_inflate(peer, (tri_span){ frame + at, n - at }), now->bytes));
}

static void send_all(const fuzz_socket *how, fuzz_input in)
{
    static ws_record self;
    ws_peer peer;
    step now;
    fuzz_open(&self, how);
    peer_open(&peer, 15, self.ws.deflate.params.send_bits);
    peer.in_alone = self.ws.deflate.params.send_no_context;
    while (next_step(&in, &now))
        if (now.kind > 1 && now.bytes.n > 0)
            send_one(&self, &peer, &now);
    peer_close(&peer);
    ws_record_close(&self);
    HOLDS(check_failed == 0);
}

/* The events up to the first failure. */
static size_t good(const ws_record *self)
{
    const char *fail = self->log_n == 0 ? NULL : memmem(self->log, self->log_n, "fail 1007 the compressed", 24);
    return fail == NULL ? self->log_n : (size_t)(fail - self->log);
}

/* Whether both saw the same. Of a window that is smaller than zlib's own, a peer that refers to what is beyond it may
   or may not be found out: then one has seen more than the other. */
static bool agree(const ws_record *a, const ws_record *b, bool small)
{
    size_t n = good(a) < good(b) ? good(a) : good(b);
    if (!small)
        return fuzz_same(a, b);
    return memcmp(a->log, b->log, n) == 0 && (a->log_n == b->log_n || good(a) < a->log_n || good(b) < b->log_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ws_record whole, cut;
    static ws_bytes frames;
    static const char *const offers[] = {
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits=8; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
    };
    fuzz_socket how;
    fuzz_input in = { data, size };
    fuzz_socket_init(&how);
    unsigned choice = fuzz_byte(&in);
    how.offers = offers[choice % 4];
    how.options.window_bits = 15;
    how.options.level = (uint8_t)(1 + choice / 4 % 9);
    how.options.mem_level = (uint8_t)(1 + choice / 8 % 9);
    how.limits.ws_message = choice & 128 ? 100 : 100000;
    make_frames(in, &frames);
    tri_span bytes = { (const char *)frames.p, frames.n };
    fuzz_run(&whole, &how, bytes, FUZZ_WHOLE, 0);
    how.options.streams = 0;
    fuzz_run(&cut, &how, bytes, FUZZ_BYTES, 0);
    HOLDS(agree(&whole, &cut, choice % 4 == 2));
    fuzz_run(&cut, &how, bytes, FUZZ_RANDOM, choice + (unsigned)size);
    HOLDS(agree(&whole, &cut, choice % 4 == 2));
    send_all(&how, in);
    return 0;
}
