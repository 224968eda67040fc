/* The masking of a client's payload (RFC 6455 §5.3). */
#ifndef TRI_WS_WS_MASK_H
#define TRI_WS_WS_MASK_H

#include <stddef.h>
#include <stdint.h>

/* Writes the `n` bytes of `from`, unmasked with `key`, to `to`; both may be the same, else they do not overlap. `at` is
   where in the payload the first of them stands. */
void tri_ws_mask_copy(char *to, const char *from, size_t n, uint32_t key, uint64_t at);

#endif
