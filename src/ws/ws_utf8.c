#include "ws/ws_utf8.h"

#include <string.h>

/* The first byte of a character of several. */
static bool begin(tri_ws_utf8 *self, uint8_t byte)
{
    if (byte < 0xC2 || byte > 0xF4)
        return false;
    self->beyond_ascii = true;
    self->missing = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    self->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;  /* no longer form than is needed */
    self->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF; /* no surrogates, nothing above U+10FFFF */
    return true;
}

/* How many bytes at the front are ASCII, in steps of 16. */
static size_t skip_ascii(const char *bytes, size_t n)
{
    size_t at = 0;
    while (n - at >= 16) {
        uint64_t words[2];
        memcpy(words, bytes + at, sizeof words);
        if ((words[0] | words[1]) & 0x8080808080808080U)
            break;
        at += sizeof words;
    }
    return at;
}

bool tri_ws_utf8_go_on(tri_ws_utf8 *self, const char *bytes, size_t n)
{
    size_t at = 0;
    while (at < n) {
        if (self->missing == 0)
            at += skip_ascii(bytes + at, n - at);
        for (size_t end = n - at < 16 ? n : at + 16; at < end; at++) {
            uint8_t byte = (uint8_t)bytes[at];
            if (self->missing > 0) {
                if (byte < self->low || byte > self->high)
                    return false;
                self->missing--;
                self->low = 0x80;
                self->high = 0xBF;
            } else if (byte >= 0x80 && !begin(self, byte)) {
                return false;
            }
        }
    }
    return true;
}
