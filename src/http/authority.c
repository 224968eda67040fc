/* The authority, in a request target or in a Host field. */
#include "http/authority.h"

#include <stdint.h>

/* What may stand in a registered name (RFC 3986 §3.2.2): unreserved, sub-delims but the comma, and "%". */
static bool is_name_char(unsigned char c)
{
    static const uint32_t allowed[8] = {
        [1] = 0x2bff6ff2, /* ! $ & ' ( ) * + - . 0-9 ; =, and % */
        [2] = 0x87fffffe, /* A-Z _ */
        [3] = 0x47fffffe, /* a-z ~ */
    };
    return (allowed[c / 32] >> (c % 32)) & 1;
}

/* Whether `c` is a decimal digit. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether `c` is a hexadecimal digit. */
static bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* The length of a registered name or IPv4 address at the start of `p`, -1 when an escape in it is broken. */
static ptrdiff_t name_length(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && is_name_char((unsigned char)p[i])) {
        if (p[i] == '%' && (n - i < 3 || !is_hex(p[i + 1]) || !is_hex(p[i + 2])))
            return -1;
        i++;
    }
    return (ptrdiff_t)i;
}

/* The length of a number from 0 to 255 in decimals at the start of `p`, 0 when there is none. */
static size_t octet_length(const char *p, size_t n)
{
    unsigned value = 0;
    size_t digits = 0;
    for (; digits < n && digits < 4 && is_digit(p[digits]); digits++)
        value = value * 10 + (unsigned)(p[digits] - '0');
    return digits <= 3 && value <= 255 ? digits : 0;
}

/* Whether `n` bytes are an IPv4 address in dotted decimals, the tail that an IPv6 address may have. */
static bool is_ipv4(const char *p, size_t n)
{
    size_t at = 0;
    for (unsigned part = 0; part < 4; part++) {
        if (part > 0 && (at == n || p[at++] != '.'))
            return false;
        size_t digits = octet_length(p + at, n - at);
        if (digits == 0)
            return false;
        at += digits;
    }
    return at == n;
}

/* The length of the run of hexadecimal digits at the start of `p`. */
static size_t hex_length(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && is_hex(p[i]))
        i++;
    return i;
}

/* Skips what separates two groups at p[*at]: a colon with a group behind it, or the only gap. False for all else. */
static bool skip_colons(const char *p, size_t n, size_t *at, bool *gap)
{
    if (p[*at] != ':')
        return false;
    *at += 1;
    if (*at == n || p[*at] != ':')
        return *at < n;
    bool first = !*gap;
    *gap = true;
    *at += 1;
    return first;
}

/* Whether `n` bytes are an IPv6 address, without brackets and zone (RFC 3986 §3.2.2). */
static bool is_ipv6(const char *p, size_t n)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;
    if (n < 2 || (p[0] == ':' && p[1] != ':'))
        return false;
    while (i < n) {
        size_t digits = hex_length(p + i, n - i);
        if (i + digits < n && p[i + digits] == '.')
            return is_ipv4(p + i, n - i) && (gap ? groups < 6 : groups == 6);
        if (digits > 4 || (digits == 0 && i > 0))
            return false;
        groups += digits > 0;
        i += digits;
        if (i < n && !skip_colons(p, n, &i, &gap))
            return false;
    }
    return gap ? groups < 8 : groups == 8;
}

/* Whether `n` bytes are a port: ":" and up to five digits, at most 65535; nothing at all is fine, too. */
static bool is_port(const char *p, size_t n)
{
    unsigned value = 0;
    if (n == 0)
        return true;
    if (p[0] != ':' || n > 6)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!is_digit(p[i]))
            return false;
        value = value * 10 + (unsigned)(p[i] - '0');
    }
    return value <= 65535;
}

bool tri_authority_ok(const char *p, size_t n)
{
    if (n > 0 && p[0] == '[') {
        const char *end = memchr(p, ']', n);
        if (end == NULL || !is_ipv6(p + 1, (size_t)(end - p) - 1))
            return false;
        size_t used = (size_t)(end - p) + 1;
        return is_port(p + used, n - used);
    }
    ptrdiff_t used = name_length(p, n);
    return used > 0 && is_port(p + used, n - (size_t)used);
}

bool tri_authority_has_port(tri_span authority)
{
    if (authority.n == 0)
        return false;
    const char *bracket = memchr(authority.p, ']', authority.n);
    const char *from = bracket == NULL ? authority.p : bracket;
    return memchr(from, ':', authority.n - (size_t)(from - authority.p)) != NULL;
}
