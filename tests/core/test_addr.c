/* Addresses from the kernel's form, and as text. */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/addr.h"

/* What tri_addr_from makes of a numeric host. */
static tri_addr take(int family, const char *host, uint16_t port)
{
    struct sockaddr_storage from;
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&from;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&from;
    memset(&from, 0, sizeof from);
    from.ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        ipv4->sin_port = htons(port);
        CHECK(inet_pton(AF_INET, host, &ipv4->sin_addr) == 1);
    } else if (family == AF_INET6) {
        ipv6->sin6_port = htons(port);
        CHECK(inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1);
    }
    tri_addr addr;
    memset(&addr, 0xee, sizeof addr);
    tri_addr_from(&addr, &from);
    return addr;
}

/* Whether `addr` has this family, port and text. */
static bool is(tri_addr addr, enum tri_family family, uint16_t port, const char *expected)
{
    char text[TRI_ADDR_TEXT];
    memset(text, 'x', sizeof text);
    size_t n = tri_addr_text(&addr, text);
    return addr.family == family && addr.port == port && n == strlen(expected) && strcmp(text, expected) == 0;
}

static void test_ipv4(void)
{
    CHECK(is(take(AF_INET, "127.0.0.1", 8000), TRI_FAMILY_IPV4, 8000, "127.0.0.1"));
    CHECK(is(take(AF_INET, "255.255.255.255", 65535), TRI_FAMILY_IPV4, 65535, "255.255.255.255"));
    CHECK(is(take(AF_INET, "0.0.0.0", 0), TRI_FAMILY_IPV4, 0, "0.0.0.0"));
}

static void test_ipv6(void)
{
    static const char longest[] = "2001:db81:1111:2222:3333:4444:5555:6666";
    CHECK(is(take(AF_INET6, "::1", 443), TRI_FAMILY_IPV6, 443, "::1"));
    CHECK(is(take(AF_INET6, "::", 1), TRI_FAMILY_IPV6, 1, "::"));
    CHECK(is(take(AF_INET6, longest, 1), TRI_FAMILY_IPV6, 1, longest));
    CHECK(is(take(AF_INET6, "2001:DB8:0::0:1", 1), TRI_FAMILY_IPV6, 1, "2001:db8::1"));
}

/* A client that came over IPv4 to an IPv6 socket is shown as what it is. */
static void test_mapped(void)
{
    CHECK(is(take(AF_INET6, "::ffff:192.0.2.7", 99), TRI_FAMILY_IPV4, 99, "192.0.2.7"));
}

static void test_without_text(void)
{
    CHECK(is(take(AF_UNIX, NULL, 0), TRI_FAMILY_UNIX, 0, ""));
    CHECK(is(take(AF_UNSPEC, NULL, 0), TRI_FAMILY_NONE, 0, ""));
    CHECK(is(take(250, NULL, 0), TRI_FAMILY_NONE, 0, ""));
}

/* A copy of it is kept with every connection. */
static void test_size(void)
{
    CHECK(sizeof(tri_addr) <= 20);
}

/* What tri_addr_parse makes of a text; family NONE for what it refuses. */
static tri_addr parse(const char *text)
{
    tri_addr addr = { .family = TRI_FAMILY_NONE };
    size_t n = strlen(text);
    check_page page = check_page_copy(text, n);
    bool known = tri_addr_parse(&addr, page.p, n);
    check_page_free(&page);
    CHECK(known == (addr.family != TRI_FAMILY_NONE));
    return addr;
}

static void test_parse(void)
{
    static const char *const malformed[] = {
        "",          "a",        "1.2.3",     "1.2.3.4.5",
        "1.2.3.256", "01.2.3.4", " 1.2.3.4",  "[::1]",
        "::1%lo",    ":::",      "1.2.3.4:5", "1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222"
    };
    CHECK(is(parse("192.0.2.7"), TRI_FAMILY_IPV4, 0, "192.0.2.7"));
    CHECK(is(parse("2001:DB8:0::1"), TRI_FAMILY_IPV6, 0, "2001:db8::1"));
    CHECK(is(parse("::ffff:192.0.2.7"), TRI_FAMILY_IPV4, 0, "192.0.2.7"));
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        CHECK(parse(malformed[i]).family == TRI_FAMILY_NONE);
    tri_addr addr = { .family = TRI_FAMILY_NONE };
    CHECK(!tri_addr_parse(&addr, "::1\0", 4) && addr.family == TRI_FAMILY_NONE);
}

int main(void)
{
    test_ipv4();
    test_ipv6();
    test_mapped();
    test_without_text();
    test_size();
    test_parse();
    return check_report();
}
