/* What proxies say: the rules, then field lines, of which names may be short for those that mean something. */
#include "fuzz.h"

#include "forwarding.h"
#include "http/authority.h"

static const char *const lists[] = { "10.0.0.0/8", "*", "", "10.0.0.1,_p,2001:db8::/32" };

/* Writes the lines with "F:" for the first of the names, and so on. */
static tri_span expand(tri_span in)
{
    static const char *const names[] = { "x-forwarded-for:",
                                         "x-forwarded-proto:",
                                         "x-forwarded-host:",
                                         "x-forwarded-port:",
                                         "x-forwarded-prefix:",
                                         "forwarded:",
                                         "host:" };
    static char out[8 * FUZZ_MAX];
    size_t n = 0;
    for (size_t i = 0; i < in.n && n < sizeof out - 32; i++) {
        bool starts = (i == 0 || in.p[i - 1] == '\n') && in.p[i] >= 'F' && in.p[i] <= 'L';
        if (starts)
            n += (size_t)snprintf(out + n, 32, "%s", names[in.p[i] - 'F']);
        else
            out[n++] = in.p[i];
    }
    return (tri_span){ out, n };
}

/* Whether a prefix is one that may stand before a path. */
static bool is_prefix(tri_span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f || strchr("%?#\\\"<>", text.p[i]) != NULL)
            return false;
    return text.n > 1 && text.p[0] == '/' && text.p[text.n - 1] != '/' && memmem(text.p, text.n, "//", 2) == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static forwarding one, two;
    static char moved[8 * FUZZ_MAX + 8];
    fuzz_input in = { data, size };
    if (size > FUZZ_MAX)
        return 0;
    unsigned choice = fuzz_byte(&in), fields = fuzz_byte(&in) & 63;
    const char *list = lists[choice & 3];
    uint32_t hops = choice >> 2 & 3;
    tri_span lines = expand((tri_span){ (const char *)in.p, in.n });
    forwarding_read(&one, lines, list, fields, hops);
    memcpy(moved, "a:b\n", 4);
    memcpy(moved + 4, lines.p, lines.n);
    forwarding_read(&two, (tri_span){ moved, lines.n + 4 }, list, fields, hops);
    HOLDS(one.head.n_fields == FORWARDING_FIELDS || strcmp(one.text, two.text) == 0);
    HOLDS(fields != 0 || strcmp(one.text, "10.0.0.1 7") == 0);
    HOLDS((fields & 33) != 0 || one.client.port == 7);
    HOLDS((fields & 4) != 0 || (fields & 32) != 0 || one.said.host.n == 0);
    HOLDS((fields & 16) != 0 || one.said.prefix.n == 0);
    tri_span host = { moved + 4 + one.said.host.at, one.said.host.n };
    HOLDS(host.n == 0 || tri_authority_ok(host.p, host.n));
    HOLDS(one.said.prefix.n == 0 || is_prefix((tri_span){ moved + 4 + one.said.prefix.at, one.said.prefix.n }));
    return 0;
}
