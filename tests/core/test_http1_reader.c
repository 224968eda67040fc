/* HTTP/1.1 whose requests are read elsewhere: what is told in place of bytes becomes the same events, under the same
   rules and limits. */
#include "http/http1_reader.h"

#include "http1_record.h"

static record driver;

#define HEAD "GET /a?b HTTP/1.1\r\nHost:h\r\n\r\n"
#define HEAD_LOGGED "GET /a?b path=/a query=b host=h 1.1 K\n host: h\n"
#define BY_LENGTH "POST / HTTP/1.1\r\nHost:h\r\nContent-Length:3\r\n\r\n"
#define BY_LENGTH_LOGGED "POST / path=/ query= host=h 1.1 KBL3\n host: h\n content-length: 3\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost:h\r\nTransfer-Encoding:chunked\r\n\r\n"
#define CHUNKED_LOGGED "POST / path=/ query= host=h 1.1 KB\n host: h\n transfer-encoding: chunked\n"

static tri_http1 *begin(void)
{
    record_init(&driver);
    driver.silent = true;
    driver.limits.request_line = 50;
    driver.limits.head = 100;
    driver.limits.body = 10;
    CHECK(record_open(&driver) == 0);
    CHECK(tri_http1_reader_wants(&driver.http1));
    return &driver.http1;
}

/* Tells a head and takes its event. */
static void head(const char *text)
{
    char *bytes = check_page_reuse(text, strlen(text));
    CHECK(tri_http1_reader_head(&driver.http1, bytes, strlen(text)) == 0);
    record_pull(&driver);
}

static void body(const char *text)
{
    char *bytes = check_page_reuse(text, strlen(text));
    tri_http1_reader_body(&driver.http1, (tri_span){ bytes, strlen(text) });
    record_pull(&driver);
}

static void end(void)
{
    tri_http1_reader_end(&driver.http1);
    record_pull(&driver);
}

/* Gives the parser bytes for which it has no event. */
static void quiet(const char *text, size_t n)
{
    tri_http1_reader_give(&driver.http1, text, strlen(text));
    tri_http1_reader_quiet(&driver.http1, n);
    record_pull(&driver);
}

/* Whether these were the events; ends the connection. */
static bool logged(const char *text)
{
    bool same = strcmp(driver.log, text) == 0;
    if (!same)
        fprintf(stderr, "logged:\n%s\n", driver.log);
    record_close(&driver);
    return same;
}

static void test_requests(void)
{
    begin();
    for (int i = 0; i < 2; i++) {
        head(HEAD);
        end();
        CHECK(!tri_http1_reader_wants(&driver.http1) && record_state(&driver) == TRI_PROTOCOL_PAUSED);
        record_answer(&driver, 200);
        CHECK(tri_http1_reader_wants(&driver.http1) && record_state(&driver) == TRI_PROTOCOL_IDLE);
    }
    CHECK(logged(HEAD_LOGGED HEAD_LOGGED));
}

static void test_bodies(void)
{
    begin();
    head(BY_LENGTH);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IN_BODY);
    body("a");
    body("bc");
    end();
    record_answer(&driver, 200);
    head(CHUNKED);
    body("abc");
    body("def");
    end();
    CHECK(record_state(&driver) == TRI_PROTOCOL_PAUSED);
    CHECK(logged(BY_LENGTH_LOGGED "+abc\n.\n" CHUNKED_LOGGED "+abcdef\n.\n"));
}

static void test_answer_before_the_end(void)
{
    begin();
    head(CHUNKED);
    record_answer(&driver, 200);
    body("abc");
    end();
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    head(HEAD);
    record_answer(&driver, 200);
    end(); /* told late, and of no weight */
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    CHECK(logged(CHUNKED_LOGGED "+abc\n.\n" HEAD_LOGGED));
}

static void test_bodies_that_are_no_bodies(void)
{
    begin();
    head(BY_LENGTH);
    body("abcd");
    CHECK(logged(BY_LENGTH_LOGGED "!400 the body is longer than its head says\n"));
    begin();
    head(BY_LENGTH);
    body("ab");
    end();
    CHECK(logged(BY_LENGTH_LOGGED "+ab\n!400 the body is shorter than its head says\n"));
    begin();
    head(HEAD);
    body("a");
    CHECK(logged(HEAD_LOGGED "!400 the body is longer than its head says\n"));
    begin();
    head(CHUNKED);
    body("0123456789");
    body("a");
    CHECK(logged(CHUNKED_LOGGED "+0123456789\n!413 the body is too large\n"));
}

static void test_heads_are_checked(void)
{
    begin();
    head("GET / HTTP/1.1\r\n\r\n");
    CHECK(logged("!400 Host is missing\n"));
    begin();
    head("GET / HTTP/1.1\r\nHost:h\r\n\r\nGET / HTTP/1.1\r\nHost:h\r\n\r\n");
    CHECK(logged("!400 the head is malformed\n"));
    begin();
    head("GET / HTTP/1.1\r\nHost:h");
    CHECK(logged("!400 the head is malformed\n"));
    begin();
    head(BY_LENGTH);
    head(HEAD);
    CHECK(logged(BY_LENGTH_LOGGED "!500 the parser gave a head within a request\n"));
}

static void test_limits(void)
{
    begin();
    quiet("GET /", 50);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IN_HEAD && driver.log_n == 0);
    quiet("a", 1);
    CHECK(logged("!414 the request line is too long\n"));
    begin();
    quiet("GET / HTTP/1.1\r\nA: b", 100);
    CHECK(driver.log_n == 0);
    quiet("b", 1);
    CHECK(logged("!431 the head is too long\n"));
    begin();
    quiet("GET / HTTP/1.1\r\nA: b", 60);
    record_eof(&driver);
    CHECK(logged("!400 the connection ended within a head\n"));
    begin();
    head(CHUNKED);
    quiet("1;a", UINT32_MAX);
    CHECK(logged(CHUNKED_LOGGED "!400 a body has too much between its data\n"));
    begin();
    quiet("GET", 3);
    head(HEAD);
    quiet("none", SIZE_MAX); /* none is wanted, so none is counted */
    CHECK(logged(HEAD_LOGGED));
}

/* What is told cannot be counted past its bounds, whatever it is, and in whatever order it comes. */
static void test_odd_counts(void)
{
    begin();
    quiet("GET", 3);
    quiet("GET", SIZE_MAX);
    CHECK(logged("!414 the request line is too long\n"));
    begin();
    driver.limits.request_line = 200; /* more than all of the head */
    quiet("GET /", 101);
    CHECK(logged("!431 the head is too long\n"));
    begin();
    head(CHUNKED);
    quiet("1;a", 3);
    body("b");
    end();
    CHECK(logged(CHUNKED_LOGGED "+b\n.\n"));
    begin();
    body("a");
    CHECK(logged("!400 the body is longer than its head says\n"));
    begin();
    char part[] = "GET / HTTP/1.1\r\nHost:h";
    driver.mem.fail_at = driver.mem.requests + 1;
    CHECK(tri_http1_reader_head(&driver.http1, part, sizeof part - 1) == TRI_ENOMEM);
    CHECK(logged(""));
}

static void test_refusal(void)
{
    begin();
    tri_http1_reader_reject(&driver.http1, 418, "why");
    record_pull(&driver);
    CHECK(logged("!418 why\n"));
}

/* Answers that are written elsewhere. */

static void test_answer_is_counted(void)
{
    tri_field_out fields[] = { { TRI_SPAN("Content-Length"), TRI_SPAN("3") },
                               { TRI_SPAN("Connection"), TRI_SPAN("close") },
                               { TRI_SPAN("A"), TRI_SPAN("b") } };
    tri_response response = { .status = 200, .fields = fields, .n_fields = 3 };
    tri_http1 *self = begin();
    size_t n = 0;
    head(HEAD);
    CHECK(tri_http1_answer_count(self, &n, true) == TRI_ESTATE);
    CHECK(tri_http1_answer_hold(self, &response) == 0 && tri_http1_answer_hold(self, &response) == TRI_ESTATE);
    CHECK(record_state(&driver) & TRI_PROTOCOL_HELD);
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == 0);
    CHECK(tri_http1_answer_hold(self, &response) == 0 && driver.http1.out.bytes == 0);
    CHECK(tri_http1_answer_keeps(self, &fields[0]) && !tri_http1_answer_keeps(self, &fields[1])
          && tri_http1_answer_keeps(self, &fields[2]));
    n = 2;
    CHECK(tri_http1_answer_count(self, &n, false) == 0 && n == 2 && tri_http1_answer_closes(self));
    CHECK(tri_http1_answer_count(self, &n, false) == TRI_EINVAL);
    n = 1;
    CHECK(tri_http1_answer_count(self, &n, true) == 0 && n == 1);
    tri_http1_answer_done(self);
    CHECK(record_state(&driver) & TRI_PROTOCOL_CLOSE);
    CHECK(logged(HEAD_LOGGED));
}

static void test_answer_without_a_body(void)
{
    tri_response response = { .status = 204 };
    tri_response bad = { .status = 99 };
    tri_http1 *self = begin();
    size_t n = 5;
    head(HEAD);
    CHECK(tri_http1_answer_hold(self, &bad) == TRI_EINVAL && tri_http1_answer_hold(self, &response) == 0);
    CHECK(tri_http1_answer_count(self, &n, true) == 0 && n == 0 && !tri_http1_answer_closes(self));
    tri_http1_answer_done(self);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    CHECK(logged(HEAD_LOGGED));
}

int main(void)
{
    test_requests();
    test_bodies();
    test_answer_before_the_end();
    test_bodies_that_are_no_bodies();
    test_heads_are_checked();
    test_limits();
    test_odd_counts();
    test_refusal();
    test_answer_is_counted();
    test_answer_without_a_body();
    return check_report();
}
