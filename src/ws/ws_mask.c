#include "ws/ws_mask.h"

#include <string.h>

enum { WORDS = 4 };

void tri_ws_mask_copy(char *to, const char *from, size_t n, uint32_t key, uint64_t at)
{
    unsigned char bytes[8];
    uint64_t word;
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = ((const unsigned char *)&key)[(at + i) & 3];
    memcpy(&word, bytes, sizeof word);
    size_t done = 0;
    for (; n - done >= WORDS * sizeof word; done += WORDS * sizeof word) {
        uint64_t words[WORDS];
        memcpy(words, from + done, sizeof words);
        for (unsigned i = 0; i < WORDS; i++)
            words[i] ^= word;
        memcpy(to + done, words, sizeof words);
    }
    for (; done < n; done++)
        to[done] = (char)((unsigned char)from[done] ^ bytes[done & 7]);
}
