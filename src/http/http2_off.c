/* The calls of http/http2.h in a build without nghttp2: its version says that there is none, and nothing else is
 * called.
 */
#include "http/http2.h"

#ifndef TRI_HTTP2

const char *tri_http2_version(void)
{
    return NULL;
}

void tri_http2_init(tri_http2 *self, const tri_mem *mem, const tri_limits *limits, tri_chain_pool *chains,
                    const uint64_t *now)
{
    *self = (tri_http2){ .mem = mem, .limits = limits, .chains = chains, .now = now };
}

#endif
