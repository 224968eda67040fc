/* The header of the PROXY protocol, in the first bytes of a connection. */
#include "fuzz.h"

#include "server/proxy_protocol.h"

static ptrdiff_t read_some(const uint8_t *data, size_t n, tri_proxy_protocol *out)
{
    return tri_proxy_protocol_read(check_page_reuse(data, n), n, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tri_proxy_protocol whole, part;
    if (size > FUZZ_MAX)
        return 0;
    ptrdiff_t took = read_some(data, size, &whole);
    HOLDS(took == TRI_EAGAIN || took == TRI_EINVAL || (took > 0 && (size_t)took <= size));
    HOLDS(took <= TRI_PROXY_PROTOCOL_MOST && (took != TRI_EAGAIN || size < TRI_PROXY_PROTOCOL_MOST));
    if (took > 0) {
        HOLDS(whole.skip <= TRI_PROXY_PROTOCOL_EXTRA);
        HOLDS((whole.kind == TRI_PROXY_PROTOCOL_KNOWN) == (whole.client.family != TRI_FAMILY_NONE));
        HOLDS(whole.client.family == whole.local.family || whole.client.family != TRI_FAMILY_UNIX);
    }
    for (size_t cut = 0; cut < size && cut <= TRI_PROXY_PROTOCOL_MOST; cut++) {
        ptrdiff_t early = read_some(data, cut, &part);
        HOLDS(early == TRI_EAGAIN || early == took);
        HOLDS(early <= 0 || memcmp(&part, &whole, sizeof part) == 0);
        HOLDS(took <= 0 || early == TRI_EAGAIN || cut >= (size_t)took);
    }
    return 0;
}
