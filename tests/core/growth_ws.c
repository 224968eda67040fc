/* WebSockets whose messages, frames and lists grow. */
#include "growth.h"

#include <zlib.h>

#include "base/limits.h"
#include "ws/ws.h"
#include "ws/ws_frame.h"
#include "ws/ws_handshake.h"

enum kind { PLAIN, DEFLATED, OFFERS, SUBPROTOCOLS }; /* of a shape */

enum { TEXT = 1, BINARY = 2, PING = 9, COMPRESSED = 0x40, END = 0x80 };

/* --- frames --- */

/* A frame of fewer than 126 bytes, masked. */
static void put_short(growth_bytes *to, unsigned first, const void *payload, size_t n)
{
    static const char key[4] = { 0x37, 0x11, 0x5a, 0x4d };
    char head[2] = { (char)first, (char)(0x80 | n) };
    growth_put(to, head, 2);
    growth_put(to, key, 4);
    growth_put(to, payload, n);
    for (size_t i = 0; i < n; i++)
        to->p[to->n - n + i] ^= key[i % 4];
}

/* One of 126 bytes or more; its key changes nothing. */
static void put_long(growth_bytes *to, unsigned first, const void *payload, size_t n)
{
    bool wide = n > UINT16_MAX;
    char head[14] = { (char)first, (char)(wide ? 0xff : 0xfe) };
    for (unsigned i = 0, bytes = wide ? 8 : 2; i < bytes; i++)
        head[2 + i] = (char)((uint64_t)n >> 8 * (bytes - 1 - i));
    growth_put(to, head, wide ? 14 : 8);
    growth_put(to, payload, n);
}

static size_t make_messages(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        put_short(to, END | TEXT, "hello", 5);
    return units * 6;
}

static size_t make_fragments(growth_bytes *to, size_t units)
{
    put_short(to, BINARY, "", 0);
    for (size_t i = 0; i < units; i++)
        put_short(to, 0, "f", 1);
    put_short(to, END, "", 0);
    return 1 + units;
}

static size_t make_empty(growth_bytes *to, size_t units)
{
    put_short(to, TEXT, "", 0);
    for (size_t i = 0; i < units; i++)
        put_short(to, 0, "", 0);
    put_short(to, END, "", 0);
    return 1;
}

/* Each fragment ends amid a character. */
static size_t make_split(growth_bytes *to, size_t units)
{
    put_short(to, TEXT, "\xf0\x9f", 2);
    for (size_t i = 0; i < units; i++)
        put_short(to, 0, "\x90\x8d\xf0\x9f", 4);
    put_short(to, END, "\x90\x8d", 2);
    return 1 + 4 * (units + 1);
}

static size_t make_pings(growth_bytes *to, size_t units)
{
    put_short(to, TEXT, "a", 1);
    for (size_t i = 0; i < units; i++)
        put_short(to, END | PING, "ping", 4);
    put_short(to, END, "b", 1);
    return 1 + 2 + units;
}

static size_t make_long(growth_bytes *to, size_t units)
{
    static char text[1 << 16];
    for (size_t i = 0; i < 4 * units; i++)
        text[i] = "\xf0\x90\x8d\x88"[i % 4];
    put_long(to, END | TEXT, text, 4 * units);
    return 1 + 4 * units;
}

/* --- compressed --- */

/* The payload of a message of `n` bytes: the same one again and again, or such as do not repeat. */
static size_t compress_into(unsigned char *to, size_t room, size_t n, bool same)
{
    static unsigned char message[1 << 20];
    uint32_t random = 1;
    z_stream z = { 0 };
    for (size_t i = 0; i < n; i++) {
        random = random * 1664525U + 1013904223U;
        message[i] = same ? 'a' : (unsigned char)('a' + (random >> 24) % 20);
    }
    if (n > sizeof message || deflateInit2(&z, 6, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_in = message;
    z.avail_in = (uInt)n;
    z.next_out = to;
    z.avail_out = (uInt)room;
    CHECK(deflate(&z, Z_SYNC_FLUSH) == Z_OK && z.avail_in == 0);
    size_t made = room - z.avail_out - 4; /* without the tail */
    deflateEnd(&z);
    return made;
}

static size_t make_packed(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        put_short(to, END | COMPRESSED | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7); /* RFC 7692 §7.2.3.1 */
    return units * 6;
}

/* A kilobyte of text a unit. */
static size_t make_dense(growth_bytes *to, size_t units)
{
    static unsigned char packed[1 << 19];
    put_long(to, END | COMPRESSED | TEXT, packed, compress_into(packed, sizeof packed, units << 10, false));
    return 1 + (units << 10);
}

/* A kilobyte a unit, in a few bytes. */
static size_t make_bomb(growth_bytes *to, size_t units)
{
    static unsigned char packed[1 << 14];
    put_long(to, END | COMPRESSED | BINARY, packed, compress_into(packed, sizeof packed, units << 10, true));
    return 1 + (units << 10);
}

/* In frames of a byte. */
static size_t make_crumbs(growth_bytes *to, size_t units)
{
    static unsigned char packed[1 << 16];
    size_t n = compress_into(packed, sizeof packed, units * 8, false);
    for (size_t i = 0; i < n; i++)
        put_short(to, (i == 0 ? COMPRESSED | TEXT : 0U) | (i + 1 == n ? END : 0U), packed + i, 1);
    return 1 + units * 8;
}

/* Blocks of nothing. */
static size_t make_blocks(growth_bytes *to, size_t units)
{
    put_short(to, COMPRESSED | TEXT, "\0\0\0\xff\xff", 5);
    for (size_t i = 0; i < units; i++)
        put_short(to, 0, "\0\0\0\xff\xff", 5);
    put_short(to, END, "\0", 1);
    return 1;
}

/* --- lists --- */

static size_t make_offers(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, "permessage-deflate; a=%zu; b=\"c\", , ", i);
    return 0;
}

static size_t make_parameters(growth_bytes *to, size_t units)
{
    growth_text(to, "permessage-deflate");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "; server_max_window_bits=10");
    return 0;
}

static size_t make_quotes(growth_bytes *to, size_t units)
{
    growth_text(to, "permessage-deflate; a=\"");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "\\\",;");
    return 0;
}

static size_t make_subprotocols(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, ", , a%zu", i);
    return units;
}

/* --- the socket --- */

typedef struct connection {
    tri_limits limits;
    tri_ws_deflate_options options;
    tri_chain_pool chains;
    tri_ws_shared shared;
    tri_ws ws;
    const tri_ws_ops *ops;
    size_t seen; /* messages, their bytes, and pings */
} connection;

static connection it;

static size_t pull(void)
{
    tri_ws_event event;
    size_t n = 0;
    for (; it.ops->next_event(&it.ws.protocol, &event), event.type != TRI_WS_EVENT_NONE; n++) {
        CHECK(event.type == TRI_WS_EVENT_MESSAGE || event.type == TRI_WS_EVENT_PING);
        it.seen += event.type == TRI_WS_EVENT_MESSAGE ? 1 + event.message->n : 1;
        if (event.type == TRI_WS_EVENT_MESSAGE)
            tri_ws_message_free(event.message, tri_mem_libc());
    }
    return n;
}

static void feed(char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ptrdiff_t took = it.ops->recv(&it.ws.protocol, bytes + at, n - at);
        if (took < 0 || (pull() == 0 && took == 0))
            abort();
        at += (size_t)took;
    }
}

static void open_socket(void)
{
    const tri_mem *mem = tri_mem_libc();
    tri_limits_default(&it.limits);
    it.limits.ws_message = 1U << 20;
    it.limits.ws_fragments = it.limits.ws_controls = 0;
    it.options = (tri_ws_deflate_options){
        .enabled = true, .window_bits = 12, .level = 1, .mem_level = 1, .min_size = 0, .streams = 4
    };
    it.seen = 0;
    tri_chain_pool_init(&it.chains, mem);
    tri_ws_shared_init(&it.shared, mem, &it.limits, &it.chains, &it.options);
    tri_ws_init(&it.ws, &it.shared);
    it.ops = it.ws.protocol.ops;
}

static size_t elements(const char *bytes, size_t n)
{
    tri_span list = { bytes, n }, element;
    size_t seen = 0;
    while (tri_ws_handshake_next(&list, &element))
        seen++;
    return seen;
}

static size_t decode(const growth_shape *shape, char *bytes, size_t n)
{
    char answer[TRI_WS_ANSWER_MOST];
    if (shape->kind == SUBPROTOCOLS)
        return elements(bytes, n);
    open_socket();
    if (shape->kind == DEFLATED)
        CHECK(it.ops->negotiate(&it.ws.protocol, TRI_SPAN("permessage-deflate"), answer) > 0);
    if (shape->kind == OFFERS)
        CHECK(it.ops->negotiate(&it.ws.protocol, (tri_span){ bytes, n }, answer) == 0);
    for (size_t at = 0; at < n && shape->kind != OFFERS; at += growth_piece(shape, at, n))
        feed(bytes + at, growth_piece(shape, at, n));
    it.ops->fini(&it.ws.protocol);
    tri_ws_shared_fini(&it.shared);
    tri_chain_pool_fini(&it.chains);
    return it.seen;
}

static const growth_shape shapes[] = {
    { "messages", make_messages, 0, 64, PLAIN },
    { "messages, a byte a read", make_messages, 1, 64, PLAIN },
    { "fragments of a byte", make_fragments, 0, 64, PLAIN },
    { "fragments of a byte, a byte a read", make_fragments, 1, 64, PLAIN },
    { "fragments of no bytes", make_empty, 0, 1024, PLAIN },
    { "fragments that end amid a character", make_split, 0, 64, PLAIN },
    { "pings amid a message", make_pings, 0, 64, PLAIN },
    { "pings amid a message, a byte a read", make_pings, 1, 64, PLAIN },
    { "a message", make_long, 0, 1024, PLAIN },
    { "a message, a byte a read", make_long, 1, 256, PLAIN },
    { "compressed messages", make_packed, 0, 64, DEFLATED },
    { "a compressed message", make_dense, 0, 16, DEFLATED },
    { "a compressed message, a byte a read", make_dense, 1, 4, DEFLATED },
    { "a compressed message in frames of a byte", make_crumbs, 0, 64, DEFLATED },
    { "a compressed message of nearly nothing that becomes much", make_bomb, 0, 128, DEFLATED },
    { "compressed blocks of nothing", make_blocks, 0, 64, DEFLATED },
    { "offers of extensions", make_offers, 0, 64, OFFERS },
    { "parameters of an extension", make_parameters, 0, 64, OFFERS },
    { "a quoted string that does not end", make_quotes, 0, 64, OFFERS },
    { "subprotocols", make_subprotocols, 0, 64, SUBPROTOCOLS },
};

int main(void)
{
    growth_run(shapes, sizeof shapes / sizeof *shapes, decode);
    return check_report();
}
