/* Headers of the PROXY protocol. */
#include "check.h"

#include "base/span.h"
#include "server/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static tri_proxy_protocol got;

/* Reads all of the bytes, which end at a protected page; every beginning of a header that is read must ask for more. */
static ptrdiff_t read_all(const void *bytes, size_t n)
{
    ptrdiff_t whole = 0, took = TRI_EAGAIN;
    for (size_t cut = 0; cut <= n; cut++) {
        check_page page = check_page_copy(bytes, cut);
        took = tri_proxy_protocol_read(page.p, cut, &got);
        check_page_free(&page);
        if (took != TRI_EAGAIN && whole == 0)
            whole = took;
        CHECK(whole == 0 || took == whole); /* further bytes change nothing */
        CHECK(took < 0 || (size_t)took <= cut);
    }
    return took;
}

static ptrdiff_t read_line(const char *line)
{
    return read_all(line, strlen(line));
}

/* Whether the line is a header that gives these. */
static bool gives(const char *line, const char *client, uint16_t port, const char *local, uint16_t local_port)
{
    char text[TRI_ADDR_TEXT], local_text[TRI_ADDR_TEXT];
    CHECK(read_line(line) == (ptrdiff_t)strlen(line));
    tri_addr_text(&got.client, text);
    tri_addr_text(&got.local, local_text);
    return got.kind == TRI_PROXY_PROTOCOL_KNOWN && strcmp(text, client) == 0 && got.client.port == port
           && strcmp(local_text, local) == 0 && got.local.port == local_port;
}

static void test_v1(void)
{
    CHECK(gives("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", "192.0.2.1", 56324, "10.0.0.1", 443));
    CHECK(gives("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535,
                "255.255.255.255", 65535));
    CHECK(gives("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", "2001:db8::1", 0, "::1", 1));
    CHECK(gives("PROXY TCP6 ::ffff:192.0.2.1 ::1 5 1\r\n", "192.0.2.1", 5, "::1", 1));
    CHECK(gives("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 "
                "65535\r\n",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 65535));
    CHECK(read_line("PROXY UNKNOWN\r\n") == 15 && got.kind == TRI_PROXY_PROTOCOL_UNKNOWN);
    CHECK(read_line("PROXY UNKNOWN ffff::1 what ever 1\r\n") > 0 && got.kind == TRI_PROXY_PROTOCOL_UNKNOWN);
    CHECK(read_line("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n") == 15);
}

static void test_malformed_v1(void)
{
    static const char *const malformed[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY \n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 x 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 123456\r\n",
        "PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY TCP6 :: %1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 -1 2\r\n",
    };
    char longest[TRI_PROXY_PROTOCOL_V1 + 4];
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        CHECK(read_line(malformed[i]) == TRI_EINVAL);
    CHECK(read_line("PROXY TCP4 192.0.2.1") == TRI_EAGAIN);
    memset(longest, ' ', sizeof longest);
    memcpy(longest, "PROXY UNKNOWN", 13);
    CHECK(read_all(longest, TRI_PROXY_PROTOCOL_V1) == TRI_EINVAL);
    memcpy(longest + TRI_PROXY_PROTOCOL_V1 - 2, "\r\n", 2);
    CHECK(read_all(longest, TRI_PROXY_PROTOCOL_V1 + 4) == TRI_PROXY_PROTOCOL_V1);
    memcpy(longest + TRI_PROXY_PROTOCOL_V1 - 2, " \r\n", 3);
    CHECK(read_all(longest, TRI_PROXY_PROTOCOL_V1 + 4) == TRI_EINVAL);
}

/* A header of version 2: command and family as given, `length` as it says, of which `n` bytes are there. */
static size_t make_v2(char *out, unsigned command, unsigned family, const void *rest, size_t n, unsigned length)
{
    memcpy(out, SIGNATURE, 12);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(length >> 8);
    out[15] = (char)length;
    memcpy(out + 16, rest, n);
    return 16 + n;
}

static const char ipv4[] = "\xc0\0\2\1\x0a\0\0\1\xdc\4\1\xbb";
static const char ipv6[] = " \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\5\0\6";

static void test_v2(void)
{
    char header[512], text[TRI_ADDR_TEXT];
    char nothing[256] = "";
    CHECK(read_all(header, make_v2(header, 0x21, 0x11, ipv4, 12, 12)) == 28);
    CHECK(got.kind == TRI_PROXY_PROTOCOL_KNOWN && got.skip == 0 && got.client.port == 56324 && got.local.port == 443);
    CHECK(tri_addr_text(&got.client, text) == 9 && strcmp(text, "192.0.2.1") == 0);
    CHECK(tri_addr_text(&got.local, text) == 8 && strcmp(text, "10.0.0.1") == 0);
    CHECK(read_all(header, make_v2(header, 0x21, 0x21, ipv6, 36, 36)) == 52);
    CHECK(got.client.port == 5 && got.local.port == 6);
    CHECK(tri_addr_text(&got.client, text) == 11 && strcmp(text, "2001:db8::1") == 0);
    CHECK(tri_addr_text(&got.local, text) == 3 && strcmp(text, "::1") == 0);
    CHECK(read_all(header, make_v2(header, 0x21, 0x31, nothing, 216, 216)) == TRI_PROXY_PROTOCOL_MOST);
    CHECK(got.kind == TRI_PROXY_PROTOCOL_KNOWN && got.client.family == TRI_FAMILY_UNIX);
    /* What follows the addresses is skipped, and need not be there. */
    CHECK(read_all(header, make_v2(header, 0x21, 0x11, ipv4, 12, 4096)) == 28 && got.skip == 4084);
    CHECK(read_all(header, make_v2(header, 0x20, 0x11, ipv4, 12, 12)) == 16);
    CHECK(got.kind == TRI_PROXY_PROTOCOL_LOCAL && got.skip == 12);
    CHECK(read_all(header, make_v2(header, 0x20, 0x00, "", 0, 0)) == 16 && got.kind == TRI_PROXY_PROTOCOL_LOCAL);
    CHECK(read_all(header, make_v2(header, 0x20, 0x5f, "", 0, 0)) == 16 && got.kind == TRI_PROXY_PROTOCOL_LOCAL);
    CHECK(read_all(header, make_v2(header, 0x21, 0x00, "", 0, 5)) == 16);
    CHECK(got.kind == TRI_PROXY_PROTOCOL_UNKNOWN && got.skip == 5);
    CHECK(read_all(header, make_v2(header, 0x21, 0x12, ipv4, 12, 12)) == 16); /* datagrams are not what we serve */
    CHECK(got.kind == TRI_PROXY_PROTOCOL_UNKNOWN && got.skip == 12);
}

static void test_mapped_v2(void)
{
    char header[64], text[TRI_ADDR_TEXT], mapped[36] = { [10] = '\xff', '\xff', '\xc0', 0, 2, 9 };
    CHECK(read_all(header, make_v2(header, 0x21, 0x21, mapped, 36, 36)) == 52);
    CHECK(got.client.family == TRI_FAMILY_IPV4);
    CHECK(tri_addr_text(&got.client, text) == 9 && strcmp(text, "192.0.2.9") == 0);
}

static void test_malformed_v2(void)
{
    char header[64];
    static const struct {
        unsigned command, family, length;
    } malformed[] = { { 0x11, 0x11, 12 }, { 0x22, 0x11, 12 }, { 0x31, 0x11, 12 },
                      { 0x21, 0x41, 12 }, { 0x21, 0x13, 12 }, { 0x21, 0x11, 4097 },
                      { 0x21, 0x11, 11 }, { 0x21, 0x21, 35 }, { 0x21, 0x31, 215 } };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        CHECK(
            read_all(header, make_v2(header, malformed[i].command, malformed[i].family, ipv4, 12, malformed[i].length))
            == TRI_EINVAL);
    for (size_t i = 0; i < 12; i++) {
        size_t n = make_v2(header, 0x21, 0x11, ipv4, 12, 12);
        header[i] ^= 1;
        CHECK(read_all(header, n) == TRI_EINVAL);
    }
}

int main(void)
{
    test_v1();
    test_malformed_v1();
    test_v2();
    test_mapped_v2();
    test_malformed_v2();
    return check_report();
}
