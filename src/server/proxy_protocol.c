#include "server/proxy_protocol.h"

#include <stdbool.h>
#include <string.h>

#include "base/span.h"

enum { V2_FIXED = 16, V2_SIGNATURE = 12 };

static const char signature[V2_SIGNATURE + 1] = "\r\n\r\n\0\r\nQUIT\n";

/* Whether the bytes begin as `start` does, as far as they go. */
static bool begins(const char *bytes, size_t n, tri_span start)
{
    return memcmp(bytes, start.p, n < start.n ? n : start.n) == 0;
}

/* --- version 1: a line of text --- */

/* Takes the next word of the line, which one space ends, or the line's end. */
static tri_span take_word(tri_span *line)
{
    const char *space = line->n == 0 ? NULL : memchr(line->p, ' ', line->n);
    size_t n = space == NULL ? line->n : (size_t)(space - line->p);
    tri_span word = { line->p, n };
    size_t used = space == NULL ? n : n + 1;
    line->p += used;
    line->n -= used;
    return word;
}

/* A decimal port without leading zeros. */
static bool read_port(tri_span digits, uint16_t *port)
{
    uint32_t value = 0;
    if (digits.n == 0 || digits.n > 5 || (digits.n > 1 && digits.p[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(digits.p[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* An address of the family that the line has named. */
static bool read_address(tri_span text, bool colons, tri_addr *addr)
{
    return (text.n > 0 && memchr(text.p, ':', text.n) != NULL) == colons && tri_addr_parse(addr, text.p, text.n);
}

/* What stands between "PROXY " and the line's end. */
static bool read_line(tri_span line, tri_proxy_protocol *out)
{
    tri_span family = take_word(&line);
    if (tri_span_eq(family, TRI_SPAN("UNKNOWN"))) {
        out->kind = TRI_PROXY_PROTOCOL_UNKNOWN; /* whatever follows is to be ignored */
        return true;
    }
    bool ipv6 = tri_span_eq(family, TRI_SPAN("TCP6"));
    if (!ipv6 && !tri_span_eq(family, TRI_SPAN("TCP4")))
        return false;
    tri_span source = take_word(&line), destination = take_word(&line), port = take_word(&line);
    out->kind = TRI_PROXY_PROTOCOL_KNOWN;
    return read_address(source, ipv6, &out->client) && read_address(destination, ipv6, &out->local)
           && read_port(port, &out->client.port) && read_port(line, &out->local.port);
}

static ptrdiff_t read_v1(const char *bytes, size_t n, tri_proxy_protocol *out)
{
    const tri_span start = TRI_SPAN("PROXY ");
    size_t within = n < TRI_PROXY_PROTOCOL_V1 ? n : TRI_PROXY_PROTOCOL_V1;
    if (!begins(bytes, n, start))
        return TRI_EINVAL;
    const char *lf = memchr(bytes, '\n', within);
    if (lf == NULL)
        return n < TRI_PROXY_PROTOCOL_V1 ? TRI_EAGAIN : TRI_EINVAL;
    size_t end = (size_t)(lf - bytes);
    if (end <= start.n || bytes[end - 1] != '\r')
        return TRI_EINVAL;
    tri_span line = { bytes + start.n, end - 1 - start.n };
    return read_line(line, out) ? (ptrdiff_t)end + 1 : TRI_EINVAL;
}

/* --- version 2: a struct --- */

static uint16_t read_u16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The bytes of both addresses and their ports; -1 for a family that is not known. */
static int addresses_size(unsigned family)
{
    static const int sizes[] = { 0, 12, 36, 216 }; /* none, IPv4, IPv6, Unix */
    return family < sizeof sizes / sizeof *sizes ? sizes[family] : -1;
}

/* Two addresses of `size` bytes, then their ports. */
static void read_pair(const unsigned char *bytes, size_t size, tri_proxy_protocol *out)
{
    char text[TRI_ADDR_TEXT];
    tri_addr *const both[] = { &out->client, &out->local };
    for (size_t i = 0; i < 2; i++) {
        tri_addr raw = { .family = size == 4 ? TRI_FAMILY_IPV4 : TRI_FAMILY_IPV6 };
        memcpy(raw.ip, bytes + i * size, size);
        if (!tri_addr_parse(both[i], text, tri_addr_text(&raw, text))) /* IPv4 within IPv6 becomes IPv4 */
            *both[i] = raw;
        both[i]->port = read_u16(bytes + 2 * size + 2 * i);
    }
}

static ptrdiff_t read_v2(const char *bytes, size_t n, tri_proxy_protocol *out)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (!begins(bytes, n, (tri_span){ signature, V2_SIGNATURE }))
        return TRI_EINVAL;
    if (n < V2_FIXED)
        return TRI_EAGAIN;
    unsigned family = p[13] >> 4, transport = p[13] & 15, length = read_u16(p + 14);
    bool local = p[12] == 0x20; /* of which the family is to be ignored */
    int size = local ? 0 : addresses_size(family);
    if ((!local && p[12] != 0x21) || size < 0 || (!local && transport > 2) || length > TRI_PROXY_PROTOCOL_EXTRA)
        return TRI_EINVAL;
    if (local || family == 0 || transport != 1) {
        out->kind = local ? TRI_PROXY_PROTOCOL_LOCAL : TRI_PROXY_PROTOCOL_UNKNOWN;
        out->skip = length;
        return V2_FIXED;
    }
    if (length < (unsigned)size)
        return TRI_EINVAL;
    if (n < V2_FIXED + (size_t)size)
        return TRI_EAGAIN;
    out->kind = TRI_PROXY_PROTOCOL_KNOWN;
    if (family == 3)
        out->client.family = out->local.family = TRI_FAMILY_UNIX;
    else
        read_pair(p + V2_FIXED, family == 1 ? 4 : 16, out);
    out->skip = length - (unsigned)size;
    return V2_FIXED + size;
}

ptrdiff_t tri_proxy_protocol_read(const char *bytes, size_t n, tri_proxy_protocol *out)
{
    memset(out, 0, sizeof *out);
    if (n == 0)
        return TRI_EAGAIN;
    return bytes[0] == '\r' ? read_v2(bytes, n, out) : read_v1(bytes, n, out);
}
