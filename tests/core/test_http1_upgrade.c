/* A connection that carries another protocol from some request on: what may become so, and what goes through. */
#include "http1_record.h"

#define UPGRADE "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

static record driver;

static void begin(const char *request)
{
    record_init(&driver);
    driver.silent = true;
    CHECK(record_open(&driver) == 0);
    record_feed(&driver, request, strlen(request));
}

static int upgrade(const tri_field_out *fields, size_t n, const char *name)
{
    tri_response response = { .fields = fields, .n_fields = n };
    return driver.protocol->ops->submit_upgrade(driver.protocol, 0, &response, (tri_span){ name, strlen(name) });
}

/* Whether exactly `text` was sent since the last time. */
static bool sent(const char *text)
{
    record_write(&driver);
    bool same = strcmp(driver.out, text) == 0;
    driver.out_n = 0;
    return same;
}

static void test_bytes_go_both_ways(void)
{
    const tri_field_out fields[] = { { TRI_SPAN("x-a"), TRI_SPAN("b") },
                                     { TRI_SPAN("content-length"), TRI_SPAN("5") },
                                     { TRI_SPAN("upgrade"), TRI_SPAN("other") } };
    begin(UPGRADE);
    CHECK(record_state(&driver) == TRI_PROTOCOL_PAUSED);
    CHECK(upgrade(fields, 3, "x") == 0);
    CHECK(sent("HTTP/1.1 101 Switching Protocols\r\nx-a: b\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"));
    driver.log_n = 0;
    record_feed(&driver, "GET / no HTTP", 13);
    record_feed(&driver, "\r\n\r\n", 4);
    CHECK(strstr(driver.log, "GET / no HTTP") != NULL);
    tri_chain *out = driver.protocol->ops->tunnel(driver.protocol, 0);
    CHECK(tri_chain_copy(out, &driver.chains, TRI_SPAN("bytes")) == 0);
    CHECK(sent("bytes"));
    tri_loan nothing = { .bytes = { NULL, 0 } };
    CHECK(driver.protocol->ops->submit_body(driver.protocol, 0, &nothing, true) == 0);
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    record_feed(&driver, "more", 4);
    record_close(&driver);
}

static void test_what_may_not(void)
{
    static const char *const others[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n",
        "",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        begin(others[i]);
        CHECK(upgrade(NULL, 0, "x") == TRI_ESTATE);
        record_close(&driver);
    }
    begin(UPGRADE);
    CHECK(upgrade(NULL, 0, "a-name-that-is-longer-than-any-protocol-has-one") == TRI_EINVAL);
    const tri_field_out wrong = { TRI_SPAN("x"), TRI_SPAN("a\nb") };
    CHECK(upgrade(&wrong, 1, "x") == TRI_EINVAL);
    CHECK(upgrade(NULL, 0, "x") == 0);
    CHECK(upgrade(NULL, 0, "x") == TRI_ESTATE);
    record_close(&driver);
}

static void test_want_of_memory(void)
{
    static char value[5000];
    memset(value, 'v', sizeof value);
    const tri_field_out fields[] = { { TRI_SPAN("x-a"), { value, sizeof value } } };
    for (size_t n = 0; n < 2; n++) {
        int error = TRI_ENOMEM;
        for (size_t fail = 1; error == TRI_ENOMEM; fail++) {
            begin(UPGRADE);
            driver.mem.requests = 0;
            driver.mem.fail_at = fail;
            error = upgrade(fields, n, "x");
            driver.mem.fail_at = 0;
            CHECK(error == 0 || error == TRI_ENOMEM);
            CHECK(fail > 1 || error == TRI_ENOMEM);
            if (error == TRI_ENOMEM)
                CHECK(sent(""));
            record_close(&driver);
            CHECK(fail < 20);
        }
    }
}

int main(void)
{
    test_bytes_go_both_ways();
    test_what_may_not();
    test_want_of_memory();
    return check_report();
}
