/* Frames with random damage, cut at random, and decompressors that are given up or kept: the events must not depend on
   any of it. */
#include <time.h>

#include "ws_peer.h"
#include "ws_record.h"

enum { ROUNDS = 100000 };
enum { FIN = 0x80, RSV1 = 0x40, GO_ON = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static ws_record whole, pieces;
static ws_bytes in;
static uint64_t chance = 20240612;

static size_t below(size_t bound)
{
    return (size_t)random_below(&chance, bound);
}

/* --- what a client sends --- */

static void put_control(void)
{
    static const char *const payloads[] = { "", "ping", "\xff\xfe", "a longer payload of a control frame" };
    const char *payload = payloads[below(4)];
    ws_put_text(&in, FIN | (below(2) ? PING : PONG), payload);
}

/* A message in one frame or several, with control frames in between. */
static void put_message(ws_peer *peer)
{
    static char text[6000];
    size_t n = below(8) == 0 ? below(sizeof text) : below(100);
    peer_text(&chance, text, n, 3000);
    if (n > 10 && below(3) == 0)
        memcpy(text + below(n - 4), below(2) ? "\xc3\xa9\xe9!" : "\xf0\x9f\x98\x80", 2 + 2 * below(2));
    tri_span payload = { text, n };
    unsigned first = below(2) ? TEXT : BINARY;
    if (below(2)) {
        payload = peer_deflate(peer, payload);
        first |= RSV1;
    }
    for (size_t at = 0;;) {
        size_t take = below(3) ? payload.n - at : below(payload.n - at + 1);
        bool last = at + take == payload.n && below(8) > 0;
        ws_put_frame(&in, first | (last ? FIN : 0), payload.p + at, take);
        first = GO_ON;
        at += take;
        if (last)
            return;
        if (below(4) == 0)
            put_control();
    }
}

static void put_close(void)
{
    static const char *const payloads[] = { "", "\x03\xe8", "\x03\xe9gone", "\x0f\xa0\xc3", "\x03", "\x03\xed" };
    ws_put_text(&in, FIN | CLOSE, payloads[below(6)]);
}

/* Changes a byte, most often one at which something is decided. */
static void damage(void)
{
    size_t at = below(4) ? below(in.n < 20 ? in.n : 20) : below(in.n);
    if (below(3) == 0)
        in.p[at] ^= (unsigned char)(1U << below(8));
    else if (below(2))
        in.p[at] = (unsigned char)random_next(&chance);
    else
        memmove(in.p + at, in.p + at + 1, --in.n - at);
}

static void make_input(void)
{
    ws_peer peer;
    in.n = 0;
    peer_open(&peer, 15, 15);
    for (size_t count = 1 + below(6); count > 0; count--) {
        if (below(4) == 0)
            put_control();
        else
            put_message(&peer);
    }
    if (below(3) == 0)
        put_close();
    peer_close(&peer);
    for (size_t count = below(2) ? below(4) : 0; count > 0 && in.n > 0; count--)
        damage();
}

/* --- how it is read --- */

/* Feeds it in pieces of 1 to `most` bytes, or at once when `most` is 0. */
static void run(ws_record *self, const ws_record *like, unsigned streams, size_t most)
{
    ws_record_init(self);
    self->limits = like->limits;
    self->options.streams = streams;
    ws_record_open(self);
    CHECK(*ws_record_agree(self, "permessage-deflate"));
    for (size_t at = 0; at < in.n;) {
        size_t take = most == 0 ? in.n : 1 + below(most);
        take = take < in.n - at ? take : in.n - at;
        ws_record_feed(self, in.p + at, take);
        at += take;
    }
    CHECK(self->error == 0);
    ws_record_close(self);
}

int main(void)
{
    static ws_record like;
    unsigned messages = 0, closes = 0, failures = 0;
    clock_t end = clock() + 2 * CLOCKS_PER_SEC;
    for (unsigned round = 0; round < ROUNDS && clock() < end; round++) {
        ws_record_init(&like);
        if (below(2)) {
            like.limits.ws_message = (uint32_t)below(300);
            like.limits.ws_fragments = (uint32_t)below(5);
        }
        make_input();
        run(&whole, &like, 16, 0);
        run(&pieces, &like, (unsigned)below(2), 1 + below(below(2) ? 40 : 1000));
        messages += strstr(whole.log, "text ") != NULL || strstr(whole.log, "binary ") != NULL;
        closes += strstr(whole.log, "close ") != NULL;
        failures += strstr(whole.log, "fail ") != NULL;
        bool same = whole.log_n == pieces.log_n && memcmp(whole.log, pieces.log, whole.log_n) == 0;
        CHECK(same);
        if (!same) {
            fprintf(stderr, "round %u, in one piece:\n%sin pieces:\n%s", round, whole.log, pieces.log);
            break;
        }
    }
    CHECK(messages > 100 && closes > 100 && failures > 100);
    return check_report();
}
