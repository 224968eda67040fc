#include "ws/ws_sha1.h"

#include <assert.h>
#include <stdint.h>

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

/* The function and the constant of a round (RFC 3174 §5). */
static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5A827999U;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ED9EBA1U;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCU;
    return (b ^ c ^ d) + 0xCA62C1D6U;
}

/* Takes one block into the state. */
static void take_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t words[80];
    for (size_t i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8
                   | block[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t next = rotate(a, 5) + mix(i, b, c, d) + e + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void tri_ws_sha1_digest(tri_span text, unsigned char digest[TRI_WS_SHA1_SIZE])
{
    assert(text.n <= TRI_WS_SHA1_MOST);
    unsigned char padded[2 * BLOCK] = { 0 };
    size_t size = text.n + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    if (text.n > 0)
        memcpy(padded, text.p, text.n);
    padded[text.n] = 0x80;
    padded[size - 2] = (unsigned char)(text.n * 8 >> 8);
    padded[size - 1] = (unsigned char)(text.n * 8);
    uint32_t state[5] = { 0x67452301U, 0xEFCDAB89U, 0x98BADCFEU, 0x10325476U, 0xC3D2E1F0U };
    for (size_t at = 0; at < size; at += BLOCK)
        take_block(state, padded + at);
    for (unsigned i = 0; i < TRI_WS_SHA1_SIZE; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}
