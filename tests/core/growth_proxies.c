/* What proxies say, in lists, fields and headers that grow. */
#include "growth.h"

#include "server/forwarded.h"
#include "server/proxy_protocol.h"

enum kind { FIELDS, HEADERS }; /* of a shape */

enum { LINES = 1024, HEADER_V2 = 28 };

/* --- fields: a line each, as "name value\n" --- */

static size_t make_for(growth_bytes *to, size_t units)
{
    growth_text(to, "x-forwarded-for ");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "%s10.0.0.%zu", i == 0 ? "" : ", ", i % 200);
    growth_text(to, "\n");
    return 1;
}

static size_t make_for_lines(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, "x-forwarded-for 2001:db8::%zu, 10.0.0.1\n", i);
    return units;
}

static size_t make_standard(growth_bytes *to, size_t units)
{
    growth_text(to, "forwarded ");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "%sfor=\"[2001:db8::%zu]:80\";host=\"a\\\"b\";proto=https", i == 0 ? "" : ", ", i);
    growth_text(to, "\n");
    return 1;
}

static size_t make_standard_lines(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, "forwarded for=10.0.0.1;by=_b%zu, for=10.0.0.2\n", i);
    return units;
}

/* Pairs of one element. */
static size_t make_pairs(growth_bytes *to, size_t units)
{
    growth_text(to, "forwarded for=10.0.0.1");
    for (size_t i = 0; i < units; i++)
        growth_text(to, ";a%zu=b", i);
    growth_text(to, "\n");
    return 1;
}

/* A quoted string that does not end, with what is an end elsewhere. */
static size_t make_quoted(growth_bytes *to, size_t units)
{
    growth_text(to, "forwarded for=\"");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "\\\",;=");
    growth_text(to, "\n");
    return 1;
}

static size_t make_others(growth_bytes *to, size_t units)
{
    static const char *const names[] = { "proto https", "host a.example", "port 8443", "prefix /a" };
    for (size_t i = 0; i < units; i++)
        growth_text(to, "x-forwarded-%s\n", names[i % 4]);
    return units;
}

/* Splits the lines; the caller's fields have room for them. */
static void split(tri_head *head, const char *bytes, size_t n)
{
    for (const char *at = bytes, *end = bytes + n; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at)), *name_end = memchr(at, ' ', (size_t)(end - at));
        tri_field *field = &head->fields[head->n_fields++];
        field->name = (tri_slice){ (uint32_t)(at - bytes), (uint32_t)(name_end - at) };
        field->value = (tri_slice){ (uint32_t)(name_end + 1 - bytes), (uint32_t)(stop - name_end - 1) };
        field->hash = UINT32_C(2166136261);
        for (const char *p = at; p < name_end; p++)
            field->hash = (field->hash ^ (unsigned char)*p) * UINT32_C(16777619);
        at = stop + 1;
    }
}

static size_t read_fields(const char *bytes, size_t n)
{
    static tri_field fields[LINES];
    static tri_trust trust;
    static bool made;
    tri_addr client = { 0 };
    tri_forwarded said = { 0 };
    tri_head head = { .base = bytes, .size = (uint32_t)n, .fields = fields };
    if (!made && tri_trust_init(&trust, tri_mem_libc(), TRI_SPAN("10.0.0.0/8, 2001:db8::/32")) != 0)
        abort();
    made = true;
    CHECK(tri_addr_parse(&client, "10.0.0.1", 8));
    split(&head, bytes, n);
    const tri_forwarded_rules rules = { &trust, 63, 0 };
    tri_forwarded_read(&head, &rules, &client, &said);
    return head.n_fields;
}

/* --- headers of the PROXY protocol: those of many connections behind one another --- */

static size_t make_v1(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, "PROXY TCP6 2001:db8::%zu ::1 56324 443\r\n", i % 10);
    return units;
}

static size_t make_v2(growth_bytes *to, size_t units)
{
    static const char header[HEADER_V2] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\0\x50\1\xbb";
    for (size_t i = 0; i < units; i++)
        growth_put(to, header, sizeof header);
    return units;
}

static size_t read_headers(const growth_shape *shape, const char *bytes, size_t n)
{
    tri_proxy_protocol got;
    size_t seen = 0, at = 0, have = 0;
    while (at < n) {
        have += growth_piece(shape, at + have, n);
        ptrdiff_t took = tri_proxy_protocol_read(bytes + at, have, &got);
        if (took == TRI_EAGAIN)
            continue;
        CHECK(took > 0 && got.kind == TRI_PROXY_PROTOCOL_KNOWN && got.skip == 0);
        at += took > 0 ? (size_t)took : n;
        have = 0;
        seen++;
    }
    return seen;
}

static size_t decode(const growth_shape *shape, char *bytes, size_t n)
{
    return shape->kind == FIELDS ? read_fields(bytes, n) : read_headers(shape, bytes, n);
}

static const growth_shape shapes[] = {
    { "addresses in X-Forwarded-For", make_for, 0, 6, FIELDS },
    { "addresses in X-Forwarded-For, more than are looked at", make_for, 0, 128, FIELDS },
    { "lines of X-Forwarded-For", make_for_lines, 0, 128, FIELDS },
    { "elements of Forwarded", make_standard, 0, 128, FIELDS },
    { "lines of Forwarded", make_standard_lines, 0, 128, FIELDS },
    { "pairs of an element of Forwarded", make_pairs, 0, 128, FIELDS },
    { "a quoted string in Forwarded that does not end", make_quoted, 0, 128, FIELDS },
    { "lines of what else is forwarded", make_others, 0, 128, FIELDS },
    { "headers of the PROXY protocol, version 1", make_v1, 0, 64, HEADERS },
    { "headers of the PROXY protocol, version 1, a byte a read", make_v1, 1, 64, HEADERS },
    { "headers of the PROXY protocol, version 2", make_v2, 0, 64, HEADERS },
    { "headers of the PROXY protocol, version 2, a byte a read", make_v2, 1, 64, HEADERS },
};

int main(void)
{
    growth_run(shapes, sizeof shapes / sizeof *shapes, decode);
    return check_report();
}
