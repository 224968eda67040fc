/* Compression against zlib as the peer: round trips at every window, with contexts kept, given up and taken up again.
 */
#include "ws_peer.h"
#include "ws/ws_deflate.h"

enum { MOST = 200000, SOCKETS = 3 };

static check_mem mem;
static tri_ws_deflate_options options;
static tri_ws_deflate_shared shared;

/* One socket and its peer. */
typedef struct pair {
    tri_ws_deflate ours;
    ws_peer peer;
} pair;

static pair pairs[SOCKETS];

static void begin(unsigned streams)
{
    check_mem_init(&mem);
    options = (tri_ws_deflate_options){ .enabled = true, .window_bits = 15, .level = 6, .mem_level = 8 };
    options.streams = streams;
    tri_ws_deflate_shared_init(&shared, &mem.mem, &options);
}

static void end(void)
{
    tri_ws_deflate_shared_fini(&shared);
    CHECK(mem.blocks_out == 0);
}

static void open_pair(pair *self, tri_ws_deflate_params params)
{
    tri_ws_deflate_init(&self->ours, &shared);
    self->ours.params = params;
    peer_open(&self->peer, params.recv_bits < 9 ? 9 : params.recv_bits, params.send_bits);
    self->peer.out_alone = params.recv_no_context;
    self->peer.in_alone = params.send_no_context;
}

static void close_pair(pair *self)
{
    tri_ws_deflate_fini(&self->ours);
    peer_close(&self->peer);
}

static tri_ws_deflate_params both(unsigned bits, bool alone)
{
    return (tri_ws_deflate_params){ .agreed = true,
                                    .send_no_context = alone,
                                    .recv_no_context = alone,
                                    .send_bits = (uint8_t)(bits < 9 ? 9 : bits),
                                    .recv_bits = (uint8_t)bits };
}

/* Inflates a payload in pieces of `step` bytes, each at a protected page; what came of it is `*message`. */
static int inflate_steps(tri_ws_deflate *self, tri_span payload, size_t step, tri_ws_message **message, size_t most)
{
    int error = TRI_OK;
    *message = tri_ws_message_new(&mem.mem, 0);
    if (*message == NULL)
        return TRI_ENOMEM;
    for (size_t at = 0; at < payload.n && error == TRI_OK; at += step) {
        size_t take = step < payload.n - at ? step : payload.n - at;
        tri_span piece = { check_page_reuse(payload.p + at, take), take };
        error = tri_ws_deflate_inflate(self, piece, false, message, most);
    }
    return error != TRI_OK ? error : tri_ws_deflate_inflate(self, (tri_span){ NULL, 0 }, true, message, most);
}

/* Whether the peer's message arrives. */
static bool receives(pair *self, tri_span text, size_t step)
{
    tri_ws_message *message;
    int error = inflate_steps(&self->ours, peer_deflate(&self->peer, text), step, &message, MOST);
    bool same = error == TRI_OK && tri_span_eq((tri_span){ message->bytes, message->n }, text);
    tri_ws_message_free(message, &mem.mem);
    return same;
}

/* Whether our message arrives at the peer. */
static bool sends(pair *self, tri_span text)
{
    tri_span packed;
    char *copy = check_page_reuse(text.p, text.n);
    if (tri_ws_deflate_message(&self->ours, (tri_span){ copy, text.n }, &packed) != TRI_OK)
        return false;
    return tri_span_eq(peer_inflate(&self->peer, packed), text);
}

/* --- round trips --- */

/* Messages of many sizes to and from several sockets, whose streams come and go. */
static bool converses(uint64_t *random, unsigned bits, unsigned rounds)
{
    static char text[MOST];
    bool ok = true;
    for (unsigned round = 0; round < rounds && ok; round++) {
        pair *one = &pairs[random_below(random, SOCKETS)];
        size_t n = 1 + (size_t)random_below(random, round % 8 == 0 ? (size_t)3 << bits : 600);
        n = n < MOST ? n : MOST;
        peer_text(random, text, n, (size_t)2 << bits);
        ok = random_below(random, 2) ? receives(one, (tri_span){ text, n }, 1 + (size_t)random_below(random, n))
                                     : sends(one, (tri_span){ text, n });
        if (random_below(random, 6) == 0)
            tri_ws_deflate_shared_trim(&shared);
        CHECK(shared.n_kept <= options.streams);
    }
    return ok;
}

static void test_round_trips(void)
{
    static const unsigned streams[] = { 0, 1, 2, 100 };
    uint64_t random = 7692;
    for (unsigned bits = 8; bits <= 15; bits++) {
        for (unsigned i = 0; i < 8; i++) {
            begin(streams[i % 4]);
            options.mem_level = (uint8_t)(1 + (bits + i) % 9);
            options.level = (uint8_t)(1 + (bits * 3 + i) % 9);
            for (unsigned j = 0; j < SOCKETS; j++)
                open_pair(&pairs[j], both(bits, i >= 4));
            bool ok = converses(&random, bits, 60);
            CHECK(ok);
            if (!ok)
                fprintf(stderr, "bits %u, streams %u, alone %d\n", bits, streams[i % 4], i >= 4);
            for (unsigned j = 0; j < SOCKETS; j++)
                close_pair(&pairs[j]);
            end();
        }
    }
}

/* A decompressor that was given up knows its window to the last byte: the next message refers to the farthest of it,
   behind messages that are larger than the window. */
static void test_window_to_the_last_byte(void)
{
    static char noise[70000];
    uint64_t random = 15;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)random_next(&random);
    for (unsigned bits = 9; bits <= 15; bits++) {
        size_t window = (size_t)1 << bits;
        size_t far = window - 262; /* as far as zlib refers back */
        begin(0);
        open_pair(&pairs[0], both(bits, false));
        CHECK(receives(&pairs[0], (tri_span){ noise, sizeof noise }, sizeof noise));
        CHECK(pairs[0].ours.receiving == NULL && pairs[0].ours.window_n == window);
        CHECK(mem.blocks_out == 1 && mem.bytes_out == window);
        tri_span again = { noise + sizeof noise - far, 200 };
        tri_span packed = peer_deflate(&pairs[0].peer, again);
        CHECK(packed.n < 20);
        tri_ws_message *message;
        CHECK(inflate_steps(&pairs[0].ours, packed, 1, &message, MOST) == TRI_OK);
        CHECK(tri_span_eq((tri_span){ message->bytes, message->n }, again));
        tri_ws_message_free(message, &mem.mem);
        CHECK(pairs[0].ours.window_n == window);
        close_pair(&pairs[0]);
        end();
    }
}

/* A reference as far back as the window reaches, which zlib never makes: 10 bytes stored, then a match of them behind
   so much else. `last` is whether the window is taken up behind a last block. */
static void test_farthest(void)
{
    static char noise[65536];
    static char payload[40000];
    uint64_t random = 16;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)random_next(&random);
    for (unsigned kept = 0; kept < 2; kept++) {
        tri_ws_message *message;
        begin(kept);
        open_pair(&pairs[0], both(15, false));
        payload[0] = 0; /* a stored block of 32768 bytes */
        memcpy(payload + 1, "\x00\x80\xff\x7f", 4);
        memcpy(payload + 5, noise, 32768);
        payload[5 + 32768] = 0;
        CHECK(inflate_steps(&pairs[0].ours, (tri_span){ payload, 5 + 32768 + 1 }, 1000, &message, MOST) == TRI_OK);
        CHECK(message->n == 32768);
        tri_ws_message_free(message, &mem.mem);
        /* fixed codes: length 3 (0000001), distance code 29 (11101) and its 13 bits all 1: 32768; end (0000000) */
        const char far[] = { 0x02, (char)0xde, (char)0xff, 0x0f, 0x00 };
        CHECK(inflate_steps(&pairs[0].ours, (tri_span){ far, sizeof far }, 1, &message, MOST) == TRI_OK);
        CHECK(tri_span_eq((tri_span){ message->bytes, message->n }, (tri_span){ noise, 3 }));
        tri_ws_message_free(message, &mem.mem);
        close_pair(&pairs[0]);
        end();
    }
}

/* --- who is kept --- */

static bool has_streams(const pair *self, bool sending, bool receiving)
{
    return (self->ours.sending != NULL) == sending && (self->ours.receiving != NULL) == receiving;
}

static void test_least_recent_goes(void)
{
    const tri_span text = TRI_SPAN("some text, some text");
    begin(2);
    for (unsigned i = 0; i < SOCKETS; i++)
        open_pair(&pairs[i], both(12, false));
    CHECK(sends(&pairs[0], text) && receives(&pairs[0], text, 100));
    CHECK(has_streams(&pairs[0], true, true) && shared.n_kept == 2);
    CHECK(sends(&pairs[0], text) && sends(&pairs[1], text));
    CHECK(has_streams(&pairs[0], true, false) && has_streams(&pairs[1], true, false));
    CHECK(pairs[0].ours.window != NULL && pairs[0].ours.window_n == text.n);
    CHECK(receives(&pairs[0], text, 100));
    CHECK(has_streams(&pairs[0], false, true) && pairs[0].ours.window == NULL);
    CHECK(receives(&pairs[2], text, 100) && sends(&pairs[1], text) && sends(&pairs[0], text));
    CHECK(shared.n_kept == 2);
    CHECK(receives(&pairs[0], text, 3) && receives(&pairs[1], text, 3) && receives(&pairs[2], text, 3));
    for (unsigned i = 0; i < SOCKETS; i++)
        close_pair(&pairs[i]);
    CHECK(shared.n_kept == 0);
    end();
}

/* A stream in the midst of a message stays, whatever others do, and does not count. */
static void test_midst_stays(void)
{
    const tri_span text = TRI_SPAN("a message in two halves, a message in two halves");
    begin(1);
    open_pair(&pairs[0], both(15, false));
    open_pair(&pairs[1], both(15, false));
    CHECK(receives(&pairs[0], text, 9) && shared.n_kept == 1);
    tri_span packed = peer_deflate(&pairs[0].peer, text);
    char copy[100];
    memcpy(copy, packed.p, packed.n);
    tri_ws_message *message = tri_ws_message_new(&mem.mem, 0);
    tri_span half = { copy, packed.n / 2 };
    CHECK(tri_ws_deflate_inflate(&pairs[0].ours, half, false, &message, MOST) == TRI_OK);
    CHECK(shared.n_kept == 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(sends(&pairs[1], text) && receives(&pairs[1], text, 9));
    while (tri_ws_deflate_shared_trim(&shared))
        continue;
    CHECK(has_streams(&pairs[0], false, true));
    half = (tri_span){ copy + half.n, packed.n - half.n };
    CHECK(tri_ws_deflate_inflate(&pairs[0].ours, half, true, &message, MOST) == TRI_OK);
    CHECK(tri_span_eq((tri_span){ message->bytes, message->n }, text));
    CHECK(shared.n_kept == 1);
    tri_ws_message_free(message, &mem.mem);
    close_pair(&pairs[0]);
    close_pair(&pairs[1]);
    end();
}

/* What was not used since the last time is given up, then the scratch. */
static void test_trim(void)
{
    const tri_span text = TRI_SPAN("some text, some text");
    begin(100);
    CHECK(!tri_ws_deflate_shared_trim(&shared) && !tri_ws_deflate_shared_has_spare(&shared));
    for (unsigned i = 0; i < 2; i++)
        open_pair(&pairs[i], both(12, i == 1));
    CHECK(sends(&pairs[0], text) && receives(&pairs[0], text, 5) && receives(&pairs[1], text, 5));
    CHECK(!tri_ws_deflate_shared_trim(&shared));
    CHECK(sends(&pairs[0], text));
    CHECK(tri_ws_deflate_shared_trim(&shared) && shared.scratch != NULL);
    CHECK(has_streams(&pairs[0], true, false) && has_streams(&pairs[1], false, false));
    CHECK(pairs[0].ours.window_n == text.n);
    CHECK(pairs[1].ours.window == NULL); /* each by itself: there is nothing to keep */
    CHECK(tri_ws_deflate_shared_trim(&shared) && shared.n_kept == 0 && shared.scratch == NULL);
    CHECK(has_streams(&pairs[0], false, false));
    CHECK(!tri_ws_deflate_shared_trim(&shared) && !tri_ws_deflate_shared_has_spare(&shared));
    CHECK(mem.blocks_out == 1 && mem.bytes_out == text.n); /* the window */
    CHECK(sends(&pairs[0], text) && receives(&pairs[0], text, 5) && receives(&pairs[1], text, 5));
    close_pair(&pairs[0]);
    close_pair(&pairs[1]);
    end();
}

/* The scratch of a large message goes when there were only small ones since, though streams are kept. */
static void test_trim_scratch(void)
{
    static char text[MOST];
    begin(100);
    open_pair(&pairs[0], both(12, false));
    CHECK(sends(&pairs[0], (tri_span){ text, sizeof text }) && shared.scratch_size > sizeof text);
    CHECK(!tri_ws_deflate_shared_trim(&shared));
    CHECK(sends(&pairs[0], TRI_SPAN("small")) && sends(&pairs[0], (tri_span){ text, sizeof text / 2 }));
    CHECK(!tri_ws_deflate_shared_trim(&shared));
    CHECK(sends(&pairs[0], TRI_SPAN("small")) && shared.scratch_size > sizeof text);
    CHECK(tri_ws_deflate_shared_trim(&shared) && shared.scratch == NULL && shared.n_kept == 1);
    CHECK(sends(&pairs[0], TRI_SPAN("small")) && shared.scratch_size < 4096);
    CHECK(!tri_ws_deflate_shared_trim(&shared));
    close_pair(&pairs[0]);
    CHECK(shared.n_kept == 0 && tri_ws_deflate_shared_has_spare(&shared));
    CHECK(tri_ws_deflate_shared_trim(&shared) && !tri_ws_deflate_shared_has_spare(&shared));
    end();
}

/* --- one message for many --- */

static void test_alone(void)
{
    static char text[50000];
    uint64_t random = 99;
    for (unsigned bits = 9; bits <= 15; bits++) {
        begin(4);
        for (unsigned i = 0; i < SOCKETS; i++) /* a smaller window is fine in a larger one */
            open_pair(&pairs[i], both(bits + i <= 15 ? bits + i : 15, i == 2));
        for (unsigned round = 0; round < 12; round++) {
            tri_span packed, span = { text, 1 + (size_t)random_below(&random, round % 4 ? 300 : sizeof text) };
            peer_text(&random, text, span.n, 3000);
            for (unsigned i = 0; i < SOCKETS; i++)
                CHECK(sends(&pairs[i], span));
            size_t blocks = mem.blocks_out;
            CHECK(tri_ws_deflate_alone(&shared, bits, span, &packed) == TRI_OK);
            CHECK(mem.blocks_out == blocks);
            for (unsigned i = 0; i < SOCKETS; i++) {
                CHECK(tri_span_eq(peer_inflate(&pairs[i].peer, packed), span));
                tri_ws_deflate_forget(&pairs[i].ours);
            }
            for (unsigned i = 0; i < SOCKETS; i++)
                CHECK(sends(&pairs[i], span));
        }
        for (unsigned i = 0; i < SOCKETS; i++)
            close_pair(&pairs[i]);
        end();
    }
}

/* Without a stream there is nothing to forget; a message for nobody. */
static void test_forget_nothing(void)
{
    begin(1);
    open_pair(&pairs[0], both(15, false));
    tri_ws_deflate_forget(&pairs[0].ours);
    CHECK(sends(&pairs[0], TRI_SPAN("x")));
    close_pair(&pairs[0]);
    end();
}

/* zlib counts in 32 bits: what it could not take is told before it is looked at. */
static void test_too_large(void)
{
    tri_span packed, large = { "x", (size_t)UINT32_MAX + 1 };
    begin(1);
    open_pair(&pairs[0], both(15, false));
    CHECK(tri_ws_deflate_wants(&pairs[0].ours, 1) && !tri_ws_deflate_wants(&pairs[0].ours, large.n));
    CHECK(tri_ws_deflate_alone(&shared, 15, large, &packed) == TRI_EINVAL);
    large.n = UINT32_MAX; /* it could come out larger */
    CHECK(tri_ws_deflate_alone(&shared, 15, large, &packed) == TRI_EINVAL);
    CHECK(tri_ws_deflate_message(&pairs[0].ours, large, &packed) == TRI_EINVAL);
    CHECK(sends(&pairs[0], TRI_SPAN("fine")));
    close_pair(&pairs[0]);
    end();
}

static void test_wants(void)
{
    begin(1);
    open_pair(&pairs[0], both(15, false));
    CHECK(!tri_ws_deflate_wants(&pairs[0].ours, 0) && tri_ws_deflate_wants(&pairs[0].ours, 1));
    options.min_size = 128;
    CHECK(!tri_ws_deflate_wants(&pairs[0].ours, 127) && tri_ws_deflate_wants(&pairs[0].ours, 128));
    pairs[0].ours.params.agreed = false;
    CHECK(!tri_ws_deflate_wants(&pairs[0].ours, 128));
    close_pair(&pairs[0]);
    end();
}

int main(void)
{
    CHECK(sizeof(tri_ws_deflate) <= 48);
    test_round_trips();
    test_window_to_the_last_byte();
    test_farthest();
    test_least_recent_goes();
    test_midst_stays();
    test_trim();
    test_trim_scratch();
    test_alone();
    test_forget_nothing();
    test_too_large();
    test_wants();
    return check_report();
}
