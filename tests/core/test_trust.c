/* The list of trusted proxies. */
#include "check.h"

#include "server/trust.h"

static tri_span span_of(const char *text)
{
    return (tri_span){ text, strlen(text) };
}

static tri_addr addr_of(const char *text)
{
    tri_addr addr = { 0 };
    if (strcmp(text, "unix") == 0)
        addr.family = TRI_FAMILY_UNIX;
    else if (text[0] != '\0')
        CHECK(tri_addr_parse(&addr, text, strlen(text)));
    return addr;
}

/* Whether a list trusts an address; the list ends at a protected page. */
static bool trusts(const char *list, const char *address)
{
    tri_trust trust;
    check_page page = check_page_copy(list, strlen(list));
    CHECK(tri_trust_init(&trust, tri_mem_libc(), (tri_span){ page.p, strlen(list) }) == 0);
    check_page_free(&page);
    tri_addr addr = addr_of(address);
    bool found = tri_trust_has(&trust, &addr);
    tri_trust_fini(&trust, tri_mem_libc());
    return found;
}

static bool names(const char *list, const char *word)
{
    tri_trust trust;
    CHECK(tri_trust_init(&trust, tri_mem_libc(), span_of(list)) == 0);
    bool found = tri_trust_names(&trust, span_of(word));
    tri_trust_fini(&trust, tri_mem_libc());
    return found;
}

static int init_error(const char *list)
{
    tri_trust trust;
    int error = tri_trust_init(&trust, tri_mem_libc(), span_of(list));
    tri_trust_fini(&trust, tri_mem_libc());
    return error;
}

static void test_addresses(void)
{
    CHECK(trusts("127.0.0.1", "127.0.0.1"));
    CHECK(!trusts("127.0.0.1", "127.0.0.2"));
    CHECK(!trusts("127.0.0.1", "::1"));
    CHECK(trusts("10.0.0.1, ::1 ,192.0.2.7", "::1"));
    CHECK(trusts("10.0.0.1, ::1 ,192.0.2.7", "192.0.2.7"));
    CHECK(trusts("2001:db8:0:0::1", "2001:DB8::1"));
    CHECK(trusts("::ffff:192.0.2.7", "192.0.2.7"));
    CHECK(!trusts("::ffff:192.0.2.7", "192.0.2.8"));
    CHECK(!trusts("", "127.0.0.1"));
    CHECK(!trusts(" , ,", "127.0.0.1"));
    CHECK(!trusts("127.0.0.1", ""));
    CHECK(!trusts("0.0.0.0", ""));
}

static void test_networks(void)
{
    CHECK(trusts("10.0.0.0/8", "10.255.1.2"));
    CHECK(!trusts("10.0.0.0/8", "11.0.0.0"));
    CHECK(trusts("192.0.2.128/25", "192.0.2.129"));
    CHECK(!trusts("192.0.2.128/25", "192.0.2.127"));
    CHECK(trusts("0.0.0.0/0", "198.51.100.1"));
    CHECK(!trusts("0.0.0.0/0", "::1"));
    CHECK(!trusts("::/0", "10.0.0.1"));
    CHECK(trusts("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK(!trusts("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(trusts("::1/128", "::1"));
    CHECK(!trusts("::1/128", "::2"));
    CHECK(trusts("::ffff:10.0.0.0/104", "10.1.2.3"));
    CHECK(!trusts("::ffff:10.0.0.0/104", "11.1.2.3"));
    CHECK(init_error("10.0.0.1/8") == TRI_EINVAL);
    CHECK(init_error("192.0.2.0,2001:db8::1/32") == TRI_EINVAL);
    CHECK(init_error("10.0.0.0/33") == TRI_EINVAL);
    CHECK(init_error("10.0.0.0/") == TRI_EINVAL);
    CHECK(init_error("10.0.0.0/x") == TRI_EINVAL);
    CHECK(init_error("10.0.0.0/0008") == TRI_EINVAL);
    CHECK(init_error("::ffff:10.0.0.0/80") == TRI_EINVAL);
}

static void test_words(void)
{
    CHECK(trusts("*", "192.0.2.1") && trusts("*", "unix") && trusts("*", ""));
    CHECK(trusts("unix", "unix") && !trusts("unix", "127.0.0.1") && !trusts("127.0.0.1", "unix"));
    CHECK(names("_proxy1,10.0.0.1", "_proxy1"));
    CHECK(!names("_proxy1,10.0.0.1", "_Proxy1"));
    CHECK(!names("_proxy1,10.0.0.1", "10.0.0.1")); /* an address is none, however it is written */
    CHECK(!names("_proxy1", ""));
    CHECK(names("*", "anything"));
    CHECK(names("proxy/8", "proxy/8")); /* no network, as it has no address */
}

static void test_memory(void)
{
    check_mem mem;
    tri_trust trust;
    for (size_t at = 1; at <= 2; at++) {
        check_mem_init(&mem);
        mem.fail_at = at;
        CHECK(tri_trust_init(&trust, &mem.mem, TRI_SPAN("10.0.0.0/8,word")) == TRI_ENOMEM);
        CHECK(mem.blocks_out == 0 && trust.n == 0);
    }
}

int main(void)
{
    test_addresses();
    test_networks();
    test_words();
    test_memory();
    return check_report();
}
