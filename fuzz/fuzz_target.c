/* The target and the Host field: the input is both, with a NUL between them, behind a byte that chooses the method.
   What is accepted must be split as RFC 9112 §3.2 and RFC 3986 say. */
#include "fuzz_http.h"

#include "http/http1_internal.h"

enum { PARTS_MAX = 400 };

/* Whether all bytes are visible ASCII, and none of `without`. */
static bool is_visible(tri_span span, const char *without)
{
    for (size_t i = 0; i < span.n; i++)
        if (span.p[i] <= 0x20 || span.p[i] >= 0x7f || strchr(without, span.p[i]) != NULL)
            return false;
    return true;
}

/* What must hold of a target that was accepted. */
static void check_split(const tri_head *head)
{
    tri_span target = tri_head_span(head, head->target);
    tri_span path = tri_head_span(head, head->path);
    tri_span query = tri_head_span(head, head->query);
    HOLDS(is_visible(target, "#"));
    HOLDS(is_visible(path, "?#"));
    HOLDS(path.n + query.n <= target.n);
    HOLDS(path.n == 0 || path.p[0] == '/' || tri_span_eq(path, TRI_SPAN("*")));
    HOLDS(query.n == 0 || query.p[-1] == '?');
}

/* The parser's own function, on the target alone. */
static void parse_alone(tri_span method, tri_span target)
{
    char bytes[PARTS_MAX + 8];
    tri_head head = { .base = bytes };
    memcpy(bytes, method.p, method.n);
    if (target.n > 0)
        memcpy(bytes + method.n, target.p, target.n);
    head.method = (tri_slice){ 0, (uint32_t)method.n };
    head.target = (tri_slice){ (uint32_t)method.n, (uint32_t)target.n };
    if (target.n > 0 && is_visible(target, "#") && tri_http1_target_parse(&head) == NULL)
        check_split(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tri_span methods[] = { { "GET", 3 }, { "OPTIONS", 7 }, { "CONNECT", 7 }, { "HEAD", 4 } };
    tri_limits limits;
    tri_limits_default(&limits);
    fuzz_input in = { data, size };
    tri_span method = methods[fuzz_byte(&in) % 4];
    tri_span target = fuzz_text(&in);
    tri_span host = { (const char *)in.p, in.n };
    if (target.n > PARTS_MAX || host.n > PARTS_MAX)
        return 0;
    parse_alone(method, target);
    tri_span parts[] = { method, TRI_SPAN(" "), target, TRI_SPAN(" HTTP/1.1\r\nHost: "), host, TRI_SPAN("\r\n\r\n") };
    fuzz_all_cuts(&limits, fuzz_join(parts, 6), (unsigned)size);
    return 0;
}
