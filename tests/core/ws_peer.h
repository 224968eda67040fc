/* The client's half of permessage-deflate, with zlib as it is: what the WebSocket tests compress with and against. */
#ifndef TRI_TESTS_WS_PEER_H
#define TRI_TESTS_WS_PEER_H

#include <zlib.h>

#include "base/span.h"
#include "check.h"
#include "random.h"

enum { PEER_MAX = 1 << 20, PEER_BOMB = 2 << 20 };

typedef struct ws_peer {
    z_stream out;
    z_stream in;
    bool out_alone; /* each of its messages by itself */
    bool in_alone;
} ws_peer;

/* A client whose windows have these bits. */
static inline void peer_open(ws_peer *self, int out_bits, int in_bits)
{
    memset(self, 0, sizeof *self);
    if (deflateInit2(&self->out, 6, Z_DEFLATED, -out_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK
        || inflateInit2(&self->in, -in_bits) != Z_OK)
        abort();
}

static inline void peer_close(ws_peer *self)
{
    deflateEnd(&self->out);
    inflateEnd(&self->in);
}

/* The payload of a message, without the tail. Static storage. */
static inline tri_span peer_deflate(ws_peer *self, tri_span message)
{
    static unsigned char packed[PEER_MAX];
    z_stream *z = &self->out;
    if (message.n == 0)
        return (tri_span){ "", 1 }; /* zlib makes nothing of nothing: RFC 7692 §7.2.3.6 */
    z->next_in = (Bytef *)(uintptr_t)message.p;
    z->avail_in = (uInt)message.n;
    z->next_out = packed;
    z->avail_out = sizeof packed;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in != 0)
        abort();
    size_t n = sizeof packed - z->avail_out;
    CHECK(n >= 5 && memcmp(packed + n - 4, "\x00\x00\xff\xff", 4) == 0);
    if (self->out_alone)
        deflateReset(z);
    return (tri_span){ (const char *)packed, n - 4 };
}

/* A frame with a message of PEER_BOMB zeros, compressed by itself. Static storage. */
static inline tri_span peer_bomb(void)
{
    static char zeros[PEER_BOMB];
    static char frame[PEER_MAX];
    ws_peer peer;
    peer_open(&peer, 12, 12);
    tri_span packed = peer_deflate(&peer, (tri_span){ zeros, sizeof zeros });
    CHECK(packed.n > 125 && packed.n < 65536);
    const char head[8] = { '\xc2', '\xfe', (char)(packed.n >> 8), (char)packed.n };
    memcpy(frame, head, sizeof head); /* with a mask of 0 */
    memcpy(frame + sizeof head, packed.p, packed.n);
    peer_close(&peer);
    return (tri_span){ frame, sizeof head + packed.n };
}

/* The message of a payload, with p NULL when it is damaged. Static storage. */
static inline tri_span peer_inflate(ws_peer *self, tri_span payload)
{
    static char message[PEER_MAX];
    z_stream *z = &self->in;
    z->next_out = (Bytef *)message;
    z->avail_out = sizeof message;
    for (unsigned i = 0; i < 2; i++) {
        const tri_span bytes = i == 0 ? payload : TRI_SPAN("\x00\x00\xff\xff");
        z->next_in = (Bytef *)(uintptr_t)bytes.p;
        z->avail_in = (uInt)bytes.n;
        int status = inflate(z, Z_SYNC_FLUSH);
        if ((status != Z_OK && status != Z_BUF_ERROR) || z->avail_in != 0)
            return (tri_span){ NULL, 0 };
    }
    size_t n = sizeof message - z->avail_out;
    if (self->in_alone)
        inflateReset(z);
    return (tri_span){ message, n };
}

/* Text that compresses, and refers to what was made before at every distance up to `far`: `bytes` has `n` of them. */
static inline void peer_text(uint64_t *random, char *bytes, size_t n, size_t far)
{
    static char history[1 << 17];
    static size_t at;
    for (size_t done = 0; done < n;) {
        size_t run = 3 + (size_t)random_below(random, 40);
        run = run < n - done ? run : n - done;
        bool again = random_below(random, 4) != 0;
        size_t distance = 1 + (size_t)random_below(random, far);
        for (size_t i = 0; i < run; i++, at++) {
            char c = again ? history[(at - distance) % sizeof history] : (char)('a' + random_below(random, 26));
            history[at % sizeof history] = c == '\0' ? '.' : c;
            bytes[done++] = history[at % sizeof history];
        }
    }
}

#endif
