/* X-Forwarded-… and Forwarded. */
#include "forwarding.h"

static forwarding at;

/* Whether that is read of the lines, with these proxies. */
static bool reads_with(const char *lines, const char *trusted, uint32_t fields, uint32_t hops, const char *expected)
{
    const char *got = forwarding_read(&at, (tri_span){ lines, strlen(lines) }, trusted, fields, hops);
    if (strcmp(got, expected) != 0)
        fprintf(stderr, "%s: %s, not %s\n", lines, got, expected);
    return strcmp(got, expected) == 0;
}

static bool reads(const char *lines, const char *expected)
{
    return reads_with(lines, "10.0.0.0/8,_p", 63, 0, expected);
}

static bool reads_hops(const char *lines, uint32_t hops, const char *expected)
{
    return reads_with(lines, "10.0.0.0/8", 63, hops, expected);
}

#define UNCHANGED "10.0.0.1 7"

/* Each of these values, behind what begins the lines, changes nothing. */
static void check_ignored(const char *before, const char *const *values, size_t n)
{
    char lines[160];
    for (size_t i = 0; i < n; i++) {
        snprintf(lines, sizeof lines, "%s%s", before, values[i]);
        CHECK(reads(lines, UNCHANGED));
    }
}

static void test_for(void)
{
    CHECK(reads("", UNCHANGED));
    CHECK(reads("x-forwarded-for: 192.0.2.1", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 192.0.2.1:80", "192.0.2.1 80"));
    CHECK(reads("x-forwarded-for: 2001:db8::1", "2001:db8::1 0"));
    CHECK(reads("x-forwarded-for: [2001:db8::1]", "2001:db8::1 0"));
    CHECK(reads("x-forwarded-for: [2001:db8::1]:80", "2001:db8::1 80"));
    CHECK(reads("x-forwarded-for: ::ffff:192.0.2.1", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 10.0.0.3, 10.0.0.2", "10.0.0.3 0"));
    CHECK(reads("x-forwarded-for: 6.6.6.6\nx-forwarded-for: 192.0.2.1,10.0.0.9", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 192.0.2.1\nx-forwarded-for: 10.0.0.9", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 192.0.2.1, _p", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: 192.0.2.1, _q", UNCHANGED));
    CHECK(reads("x-forwarded-for: 192.0.2.1, _q, 10.0.0.9", "10.0.0.9 0"));
    CHECK(reads_with("x-forwarded-for: 6.6.6.6, bad, 192.0.2.1", "*", 63, 0, "6.6.6.6 0"));
    CHECK(reads_with("x-forwarded-for: 192.0.2.1", "10.0.0.1", 2, 0, UNCHANGED));
    CHECK(reads_with("x-forwarded-for: 192.0.2.1", "10.0.0.1", 0, 0, UNCHANGED));
}

static void test_malformed_for(void)
{
    static const char *const malformed[] = {
        "",
        "unknown",
        "unix:",
        ",",
        "192.0.2.1,",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:x",
        "192.0.2.1:_",
        "192.0.2.1:_ä",
        "192.0.2.1:123456",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[192.0.2.1]",
        "::1]",
        "[]",
        "[:]",
        "::g",
        "fe80::1%eth0",
        "a.example",
        "\"192.0.2.1\"",
        "192.0.2.1 10.0.0.2",
        "192.0.2.1111111111111111111111111111111111111111111111111111111111111111",
        "010.0.0.1",
    };
    check_ignored("x-forwarded-for: ", malformed, sizeof malformed / sizeof *malformed);
}

static void test_scheme(void)
{
    CHECK(reads("x-forwarded-proto: https", UNCHANGED " secure"));
    CHECK(reads("x-forwarded-proto: WSS", UNCHANGED " secure"));
    CHECK(reads("x-forwarded-proto: http", UNCHANGED " plain"));
    CHECK(reads("x-forwarded-proto: ws", UNCHANGED " plain"));
    CHECK(reads("x-forwarded-proto: https:", UNCHANGED));
    CHECK(reads("x-forwarded-proto: ftp", UNCHANGED));
    CHECK(reads("x-forwarded-proto: ", UNCHANGED));
    CHECK(reads("x-forwarded-proto: https, http", UNCHANGED " plain"));
    /* What the proxy said that named the client. */
    CHECK(reads("x-forwarded-for: 6.6.6.6, 192.0.2.1, 10.0.0.2\nx-forwarded-proto: ftp, https, http",
                "192.0.2.1 0 secure"));
    CHECK(reads("x-forwarded-for: 192.0.2.1, 10.0.0.2\nx-forwarded-proto: https", "192.0.2.1 0 secure"));
    CHECK(reads("x-forwarded-for: 192.0.2.1, 10.0.0.2\nx-forwarded-proto: https\nx-forwarded-proto: http",
                "192.0.2.1 0 secure"));
}

static void test_host(void)
{
    CHECK(reads("x-forwarded-host: a.example", UNCHANGED " host=a.example"));
    CHECK(reads("x-forwarded-host: a.example:8443", UNCHANGED " host=a.example:8443"));
    CHECK(reads("x-forwarded-host: [::1]:8443", UNCHANGED " host=[::1]:8443"));
    CHECK(reads("x-forwarded-host: b.example, a.example", UNCHANGED " host=a.example"));
    CHECK(reads("x-forwarded-host: a b", UNCHANGED));
    CHECK(reads("x-forwarded-host: a/b", UNCHANGED));
    CHECK(reads("x-forwarded-host: a@b", UNCHANGED));
    CHECK(reads("x-forwarded-host: ", UNCHANGED));
    CHECK(reads("x-forwarded-host: a:port", UNCHANGED));
}

static void test_port(void)
{
    CHECK(reads("host: a\nx-forwarded-port: 8443", UNCHANGED " port=8443"));
    CHECK(reads("x-forwarded-port: 8443", UNCHANGED));
    CHECK(reads("host: a\nx-forwarded-port: 80", UNCHANGED));
    CHECK(reads("host: a\nx-forwarded-port: 443", UNCHANGED " port=443"));
    CHECK(reads("host: a\nx-forwarded-proto: https\nx-forwarded-port: 443", UNCHANGED " secure"));
    CHECK(reads("host: a:1\nx-forwarded-port: 8443", UNCHANGED));
    CHECK(reads("host: [::1]\nx-forwarded-port: 8443", UNCHANGED " port=8443"));
    CHECK(reads("host: [::1]:1\nx-forwarded-port: 8443", UNCHANGED));
    CHECK(reads("host: a:1\nx-forwarded-host: b\nx-forwarded-port: 8443", UNCHANGED " host=b port=8443"));
    CHECK(reads("host: a\nx-forwarded-host: b:2\nx-forwarded-port: 8443", UNCHANGED " host=b:2"));
    static const char *const malformed[] = { "", "0", "65536", "8443x", "-1", "123456" };
    check_ignored("host: a\nx-forwarded-port: ", malformed, sizeof malformed / sizeof *malformed);
}

static void test_prefix(void)
{
    CHECK(reads("x-forwarded-prefix: /api", UNCHANGED " prefix=/api"));
    CHECK(reads("x-forwarded-prefix: /api/", UNCHANGED " prefix=/api"));
    CHECK(reads("x-forwarded-prefix: /a/b.c/~d", UNCHANGED " prefix=/a/b.c/~d"));
    static const char *const malformed[] = { "",     "/",       "api",   "//",        "//a",       "/a//b",
                                             "/a//", "/../a",   "/a/..", "/.",        "/a?b",      "/a#b",
                                             "/a b", "/%2e%2e", "/a\\b", "/\xc3\xa4", "http://a/", "/a\"b" };
    check_ignored("x-forwarded-prefix: ", malformed, sizeof malformed / sizeof *malformed);
}

static void test_hops(void)
{
    CHECK(reads_hops("x-forwarded-for: 6.6.6.6, 192.0.2.1", 1, "192.0.2.1 0"));
    CHECK(reads_hops("x-forwarded-for: 6.6.6.6, 10.0.0.2", 1, "10.0.0.2 0"));
    CHECK(reads_hops("x-forwarded-for: 6.6.6.6, 192.0.2.1, bad", 2, "192.0.2.1 0"));
    CHECK(reads_hops("x-forwarded-for: 192.0.2.1", 2, UNCHANGED));
    CHECK(reads_hops("x-forwarded-for: bad, 192.0.2.1", 2, UNCHANGED));
    CHECK(reads_hops("x-forwarded-proto: https, http", 2, UNCHANGED " secure"));
    CHECK(reads_hops("forwarded: for=192.0.2.1;proto=https, for=10.0.0.9", 2, "192.0.2.1 0 secure"));
    CHECK(reads_hops("forwarded: for=192.0.2.1;proto=https", 2, UNCHANGED));
}

static void test_standard(void)
{
    CHECK(reads("forwarded: for=192.0.2.1", "192.0.2.1 0"));
    CHECK(reads("forwarded: For=\"192.0.2.1:80\";Proto=https;Host=a.example;by=10.0.0.1",
                "192.0.2.1 80 secure host=a.example"));
    CHECK(reads("forwarded: for=\"[2001:db8::1]:80\" ; host=\"a.example:8443\"", "2001:db8::1 80 host=a.example:8443"));
    CHECK(reads("forwarded: for=\"[2001:db8::1]:_hidden\"", "2001:db8::1 0"));
    CHECK(reads("forwarded: for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http",
                "192.0.2.1 0 secure"));
    CHECK(reads("forwarded: for=6.6.6.6\nforwarded: for=192.0.2.1\nforwarded: for=10.0.0.2", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=unknown;proto=https", UNCHANGED " secure"));
    CHECK(reads("forwarded: for=_hidden;proto=https", UNCHANGED " secure"));
    CHECK(reads("forwarded: for=192.0.2.1;proto=https, for=_p;proto=http", "192.0.2.1 0 secure"));
    CHECK(reads("forwarded: for=6.6.6.6, proto=https", UNCHANGED " secure"));
    CHECK(reads("forwarded: for=192.0.2.1,, ;,", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=\"192.0.2.\\1\";proto=\"http\\s\"", "192.0.2.1 0 secure"));
    CHECK(reads("forwarded: for=\"_\\p\", for=\"\\_\\p\"", UNCHANGED));
    CHECK(reads("forwarded: for=192.0.2.1;host=\"a\\.example\"", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=192.0.2.1;host=\"a b\";proto=gopher", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=192.0.2.1;ext=\"a,b;for=6.6.6.6\"", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=\"192.0.2.1\\1111111111111111111111111111111111111111111111111\"", UNCHANGED));
    CHECK(reads_with("forwarded: for=192.0.2.1", "*", 31, 0, UNCHANGED));
}

static void test_malformed_standard(void)
{
    static const char *const malformed[] = {
        "",
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=\"192.0.2.1",
        "for=\"192.0.2.1\\",
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1 proto=https",
        "for=[::1]",
        "for=192.0.2.1:80",
        "for=\"192.0.2.1\"x",
        "for=192.0.2.1;proto",
        "for=192.0.2.1;@=a",
        "for=192.0.2.1;proto=\"",
        "for=;proto=https",
    };
    check_ignored("forwarded: ", malformed, sizeof malformed / sizeof *malformed);
    /* What the client has begun cannot take in what the proxy adds, and a field of its own is no matter. */
    CHECK(reads("forwarded: for=6.6.6.6;x=\", for=192.0.2.1", UNCHANGED));
    CHECK(reads("forwarded: for=6.6.6.6;x=\", for=\"[2001:db8::1]\"", UNCHANGED));
    CHECK(reads("forwarded: for=\"\nforwarded: for=192.0.2.1", "192.0.2.1 0"));
    CHECK(reads("forwarded: for=\"\nforwarded: for=10.0.0.9;proto=https", "10.0.0.9 0 secure"));
}

/* When there is one of the X-Forwarded-… that is believed, Forwarded is not looked at. */
static void test_both(void)
{
    CHECK(reads("x-forwarded-for: 192.0.2.1\nforwarded: for=6.6.6.6;host=b;proto=https", "192.0.2.1 0"));
    CHECK(reads("x-forwarded-for: bad\nforwarded: for=6.6.6.6", UNCHANGED));
    CHECK(reads("x-forwarded-proto: https\nforwarded: for=6.6.6.6", UNCHANGED " secure"));
    CHECK(reads_with("x-forwarded-for: 6.6.6.6\nforwarded: for=192.0.2.1", "10.0.0.1", 32, 0, "192.0.2.1 0"));
}

/* Lists without end are looked at as far as is of use. */
static void test_long(void)
{
    static char line[8192];
    size_t n = (size_t)snprintf(line, sizeof line, "x-forwarded-for: 192.0.2.1");
    for (int i = 0; i < TRI_FORWARDED_MOST; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, ", 10.0.0.%d", i);
    CHECK(reads(line, "10.0.0.0 0"));
    n = (size_t)snprintf(line, sizeof line, "forwarded: for=192.0.2.1");
    for (int i = 0; i < TRI_FORWARDED_MOST; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, ", for=10.0.0.%d", i);
    CHECK(reads(line, "10.0.0.0 0"));
    n = (size_t)snprintf(line, sizeof line, "forwarded: for=192.0.2.1, for=10.0.0.2;proto=https");
    for (int i = 2; i < TRI_FORWARDED_MOST; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, ", for=10.0.1.%d", i);
    n += (size_t)snprintf(line + n, sizeof line - n, ", for=10.0.2.1");
    CHECK(reads(line, "10.0.0.2 0 secure"));
}

int main(void)
{
    test_for();
    test_malformed_for();
    test_scheme();
    test_host();
    test_port();
    test_prefix();
    test_hops();
    test_standard();
    test_malformed_standard();
    test_both();
    test_long();
    return check_report();
}
