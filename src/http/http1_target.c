/* The request target (RFC 9112 §3.2). */
#include "http/authority.h"
#include "http/http1_internal.h"

/* Splits what begins with a path, or with the query when the path is empty, at `at`. */
static void split_path(tri_head *head, uint32_t at)
{
    uint32_t end = head->target.at + head->target.n;
    const char *mark = memchr(head->base + at, '?', end - at);
    uint32_t path_end = mark == NULL ? end : (uint32_t)(mark - head->base);
    head->path = (tri_slice){ at, path_end - at };
    if (mark != NULL)
        head->query = (tri_slice){ path_end + 1, end - path_end - 1 };
}

/* The length of "http://" or "https://" at the start of the target, 0 when it is neither. */
static uint32_t scheme_length(tri_span target)
{
    if (target.n >= 7 && tri_http1_head_same((tri_span){ target.p, 4 }, TRI_SPAN("http"))
        && memcmp(target.p + 4, "://", 3) == 0)
        return 7;
    if (target.n >= 8 && tri_http1_head_same((tri_span){ target.p, 5 }, TRI_SPAN("https"))
        && memcmp(target.p + 5, "://", 3) == 0)
        return 8;
    return 0;
}

/* Absolute-form: an authority, then path and query. */
static const char *parse_absolute(tri_head *head)
{
    tri_span target = tri_head_span(head, head->target);
    uint32_t at = scheme_length(target);
    if (at == 0)
        return "the target is of no known form";
    uint32_t end = at;
    while (end < target.n && target.p[end] != '/' && target.p[end] != '?')
        end++;
    if (!tri_authority_ok(target.p + at, end - at))
        return "the target's authority is malformed";
    head->host = (tri_slice){ head->target.at + at, end - at };
    split_path(head, head->target.at + end);
    return NULL;
}

const char *tri_http1_target_parse(tri_head *head)
{
    tri_span target = tri_head_span(head, head->target);
    if (target.p[0] == '/') {
        split_path(head, head->target.at);
        return NULL;
    }
    if (tri_span_eq(target, TRI_SPAN("*"))) {
        head->path = head->target;
        bool options = tri_span_eq(tri_head_span(head, head->method), TRI_SPAN("OPTIONS"));
        return options ? NULL : "an asterisk as target is for OPTIONS only";
    }
    return parse_absolute(head);
}
