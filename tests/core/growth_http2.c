/* Connections of HTTP/2 whose streams, frames and field sections grow. */
#include "growth.h"

#include <nghttp2/nghttp2.h>

#include "base/limits.h"
#include "http/http2.h"

enum kind { ANSWERED, LEFT }; /* of a shape: its requests are answered, or their streams stay open */

/* GET or POST http://a/ in three indexed fields and a literal. */
#define GET                         \
    TRI_SPAN("\x82\x84\x86\x41\x01" \
             "a")
#define POST                        \
    TRI_SPAN("\x83\x84\x86\x41\x01" \
             "a")

enum { HEADS = 2 }; /* things to be seen of a request's head: itself and its host */
enum { WHOLE = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, OPEN = NGHTTP2_FLAG_END_HEADERS };

/* A frame's head. */
static void put_head(growth_bytes *to, unsigned type, unsigned flags, uint32_t id, size_t n)
{
    const uint8_t head[9] = { (uint8_t)(n >> 16),  (uint8_t)(n >> 8),  (uint8_t)n,
                              (uint8_t)type,       (uint8_t)flags,     (uint8_t)(id >> 24),
                              (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
    growth_put(to, head, sizeof head);
}

static void put_frame(growth_bytes *to, unsigned type, unsigned flags, uint32_t id, tri_span payload)
{
    put_head(to, type, flags, id, payload.n);
    growth_put(to, payload.p, payload.n);
}

/* Whole requests on streams 1, 3 and so on. */
static void put_hello(growth_bytes *to)
{
    growth_put(to, TRI_HTTP2_PREFACE, sizeof TRI_HTTP2_PREFACE - 1);
    put_frame(to, NGHTTP2_SETTINGS, 0, 0, (tri_span){ NULL, 0 });
    put_frame(to, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (tri_span){ NULL, 0 });
}

static uint32_t id_of(size_t i)
{
    return 2 * (uint32_t)i + 1;
}

/* --- streams --- */

static size_t make_streams(growth_bytes *to, size_t units)
{
    put_hello(to);
    for (size_t i = 0; i < units; i++)
        put_frame(to, NGHTTP2_HEADERS, WHOLE, id_of(i), GET);
    return units * HEADS;
}

static size_t make_open(growth_bytes *to, size_t units)
{
    put_hello(to);
    for (size_t i = 0; i < units; i++)
        put_frame(to, NGHTTP2_HEADERS, OPEN, id_of(i), POST);
    for (size_t i = 0; i < units; i++)
        put_frame(to, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id_of(i), TRI_SPAN("d"));
    return units * (HEADS + 2);
}

static void put_resets(growth_bytes *to, size_t units)
{
    put_hello(to);
    for (size_t i = 0; i < units; i++) {
        put_frame(to, NGHTTP2_HEADERS, OPEN, id_of(i), POST);
        put_frame(to, NGHTTP2_RST_STREAM, 0, id_of(i), TRI_SPAN("\0\0\0\x08"));
    }
}

/* Nobody hears of requests that are taken back in the same read. */
static size_t make_resets(growth_bytes *to, size_t units)
{
    put_resets(to, units);
    return 0;
}

static size_t make_late_resets(growth_bytes *to, size_t units)
{
    put_resets(to, units);
    return units * (HEADS + 1);
}

/* --- frames of one stream --- */

/* A request whose body comes in `units` of such a frame. */
static size_t put_many(growth_bytes *to, size_t units, unsigned type, uint32_t id, tri_span payload)
{
    put_hello(to);
    put_frame(to, NGHTTP2_HEADERS, OPEN, 1, POST);
    for (size_t i = 0; i < units; i++)
        put_frame(to, type, 0, id, payload);
    put_frame(to, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, (tri_span){ NULL, 0 });
    return HEADS + 1;
}

static size_t make_data(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_DATA, 1, TRI_SPAN("d")) + units;
}

static size_t make_empty(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_DATA, 1, (tri_span){ NULL, 0 });
}

static size_t make_pings(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_PING, 0, TRI_SPAN("12345678"));
}

static size_t make_settings(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_SETTINGS, 0, TRI_SPAN("\0\x04\0\0\xff\xff"));
}

static size_t make_updates(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_WINDOW_UPDATE, 1, TRI_SPAN("\0\0\0\1"));
}

static size_t make_priorities(growth_bytes *to, size_t units)
{
    return put_many(to, units, NGHTTP2_PRIORITY, 1, TRI_SPAN("\0\0\0\0\1"));
}

static size_t make_unknown(growth_bytes *to, size_t units)
{
    return put_many(to, units, 0xee, 1, TRI_SPAN("what"));
}

/* --- field sections --- */

/* A request with fields whose representations `one` makes. */
static size_t put_fields(growth_bytes *to, size_t units, void (*one)(growth_bytes *, size_t))
{
    static growth_bytes section;
    section.n = 0;
    growth_put(&section, GET.p, GET.n);
    for (size_t i = 0; i < units; i++)
        one(&section, i);
    put_hello(to);
    put_frame(to, NGHTTP2_HEADERS, WHOLE, 1, (tri_span){ section.p, section.n });
    return HEADS + units;
}

/* Not to be remembered. */
static void put_literal(growth_bytes *to, size_t i)
{
    growth_put(to, "\0\x07", 2);
    growth_text(to, "x-%05zu", i % 100000);
    growth_put(to, "\x05value", 6);
}

/* To be remembered, by which what was before is forgotten in the end. */
static void put_kept(growth_bytes *to, size_t i)
{
    size_t at = to->n;
    put_literal(to, i);
    to->p[at] = 0x40;
}

/* The first is to be remembered, the others are it again. */
static void put_again(growth_bytes *to, size_t i)
{
    if (i == 0)
        put_kept(to, i);
    else
        growth_put(to, "\xbe", 1);
}

static void put_cookie(growth_bytes *to, size_t i)
{
    growth_put(to, "\x0f\x11\x04", 3); /* the static table's 32nd name */
    growth_text(to, "a=%02zu", i % 100);
}

static size_t make_literals(growth_bytes *to, size_t units)
{
    return put_fields(to, units, put_literal);
}

static size_t make_kept(growth_bytes *to, size_t units)
{
    return put_fields(to, units, put_kept);
}

static size_t make_again(growth_bytes *to, size_t units)
{
    return put_fields(to, units, put_again);
}

static size_t make_cookies(growth_bytes *to, size_t units)
{
    put_fields(to, units, put_cookie);
    return HEADS + 1; /* they become one */
}

/* A field of which each frame has a few bytes. */
static size_t make_continuations(growth_bytes *to, size_t units)
{
    put_hello(to);
    put_frame(to, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, GET);
    for (size_t i = 0; i < units; i++)
        put_frame(to, NGHTTP2_CONTINUATION, 0, 1, TRI_SPAN("\0\1a\1b"));
    put_frame(to, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, TRI_SPAN("\0\1a\1b"));
    return HEADS + units + 1;
}

/* One long value, 80 bytes a unit, of Huffman's codes. */
static size_t make_huffman(growth_bytes *to, size_t units)
{
    const size_t n = 80 * units, rest = n - 127;
    put_hello(to);
    put_head(to, NGHTTP2_HEADERS, WHOLE, 1, GET.n + 6 + n);
    growth_put(to, GET.p, GET.n);
    growth_put(to, "\0\1a\xff", 4);
    const char more[2] = { (char)(rest % 128 | 0x80), (char)(rest / 128) };
    growth_put(to, more, 2);
    for (size_t i = 0; i < n; i++)
        growth_put(to, "\x18\xc6\x31\x8c\x63" + i % 5, 1); /* "a" again and again */
    return HEADS + 1;
}

/* --- the connection --- */

typedef struct connection {
    tri_limits limits;
    tri_chain_pool chains;
    uint64_t now;
    tri_http2 http2;
    tri_protocol *protocol;
    const tri_protocol_ops *ops;
    size_t seen; /* heads, fields, bytes of bodies, ends and resets */
} connection;

static connection it;

static void respond(uint32_t id)
{
    const tri_response response = { .status = 200 };
    const tri_loan loan = { .bytes = TRI_SPAN("ok") };
    CHECK(it.ops->submit_head(it.protocol, id, &response) == 0
          && it.ops->submit_body(it.protocol, id, &loan, true) == 0);
}

static void take(const growth_shape *shape, const tri_event *event)
{
    bool is_head = event->type == TRI_EVENT_HEAD;
    CHECK(event->type != TRI_EVENT_REJECT);
    it.seen += is_head ? 1 + event->head->n_fields : event->type == TRI_EVENT_BODY ? event->body.n : 1;
    if (event->type == TRI_EVENT_BODY)
        CHECK(it.ops->consumed(it.protocol, event->stream, event->body.n) == 0);
    bool whole = event->type == TRI_EVENT_END || (is_head && !(event->head->flags & TRI_HEAD_BODY));
    if (whole && shape->kind == ANSWERED)
        respond(event->stream);
}

/* Takes the events that wait, and writes. */
static size_t pull(const growth_shape *shape)
{
    tri_event event;
    size_t n = 0;
    for (; it.ops->next_event(it.protocol, &event), event.type != TRI_EVENT_NONE; n++)
        take(shape, &event);
    tri_chain *out = it.ops->send(it.protocol);
    tri_chain_consume(out, &it.chains, it.ops->sendable(it.protocol));
    return n;
}

static void feed(const growth_shape *shape, char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ptrdiff_t took = it.ops->recv(it.protocol, bytes + at, n - at);
        if (took < 0 || (pull(shape) == 0 && took == 0))
            abort();
        at += (size_t)took;
    }
}

static size_t decode(const growth_shape *shape, char *bytes, size_t n)
{
    tri_limits_default(&it.limits);
    it.limits.head = it.limits.h2_frame = 1U << 20;
    it.limits.fields = 10000;
    it.limits.h2_streams = 4096;
    it.limits.h2_resets = it.limits.h2_pings = it.limits.h2_settings = it.limits.h2_empty = it.limits.h2_small = 0;
    it.limits.h2_priorities = it.limits.h2_window_updates = it.limits.h2_unknown = it.limits.h2_continuations = 0;
    it.seen = 0;
    tri_chain_pool_init(&it.chains, tri_mem_libc());
    tri_http2_init(&it.http2, tri_mem_libc(), &it.limits, &it.chains, &it.now);
    it.protocol = &it.http2.protocol;
    it.ops = it.protocol->ops;
    for (size_t at = 0; at < n; at += growth_piece(shape, at, n))
        feed(shape, bytes + at, growth_piece(shape, at, n));
    it.ops->fini(it.protocol);
    tri_chain_pool_fini(&it.chains);
    return it.seen;
}

static const growth_shape shapes[] = {
    { "streams, one after another", make_streams, 0, 64, ANSWERED },
    { "streams, a byte a read", make_streams, 1, 32, ANSWERED },
    { "streams that are open at once", make_open, 0, 64, LEFT },
    { "streams that are open at once, and answered", make_open, 0, 64, ANSWERED },
    { "streams that are reset at once", make_resets, 0, 64, LEFT },
    { "streams that are reset, a byte a read", make_late_resets, 1, 32, LEFT },
    { "DATA frames of a byte", make_data, 0, 64, ANSWERED },
    { "DATA frames of a byte, a byte a read", make_data, 1, 64, ANSWERED },
    { "DATA frames of no bytes", make_empty, 0, 64, ANSWERED },
    { "PING frames", make_pings, 0, 64, ANSWERED },
    { "SETTINGS frames", make_settings, 0, 64, ANSWERED },
    { "WINDOW_UPDATE frames", make_updates, 0, 64, ANSWERED },
    { "PRIORITY frames", make_priorities, 0, 64, ANSWERED },
    { "frames of an unknown type", make_unknown, 0, 64, ANSWERED },
    { "fields", make_literals, 0, 64, ANSWERED },
    { "fields, a byte a read", make_literals, 1, 64, ANSWERED },
    { "fields that are remembered", make_kept, 0, 128, ANSWERED },
    { "fields that are one again and again", make_again, 0, 64, ANSWERED },
    { "cookies", make_cookies, 0, 64, ANSWERED },
    { "CONTINUATION frames", make_continuations, 0, 64, ANSWERED },
    { "a value in Huffman's code", make_huffman, 0, 16, ANSWERED },
    { "a value in Huffman's code, a byte a read", make_huffman, 1, 16, ANSWERED },
};

int main(void)
{
    growth_run(shapes, sizeof shapes / sizeof *shapes, decode);
    return check_report();
}
