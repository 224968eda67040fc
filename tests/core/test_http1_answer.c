/* Answers: framing, what is added and dropped, and what an application may not send. */
#include "http1_record.h"

#include "http/http_reason.h"

static record driver;

/* A connection that has read `request`. */
static void begin(const char *request)
{
    record_init(&driver);
    driver.silent = true;
    CHECK(record_open(&driver) == 0);
    record_feed(&driver, request, strlen(request));
}

/* Whether exactly `text` was sent since the last time, and the connection then is in `state`. */
static void check_sent(const char *text, unsigned state)
{
    record_write(&driver);
    bool same = strcmp(driver.out, text) == 0;
    CHECK(same);
    if (!same)
        fprintf(stderr, "sent:\n%s\nexpected:\n%s\n", driver.out, text);
    CHECK(record_state(&driver) == state);
    driver.out_n = 0;
}

static int submit_head(const tri_response *response)
{
    return driver.protocol->ops->submit_head(driver.protocol, 0, response);
}

static int submit_body(const char *text, bool end)
{
    tri_loan loan = { .bytes = { text, strlen(text) } };
    return driver.protocol->ops->submit_body(driver.protocol, 0, &loan, end);
}

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define GET_10 "GET / HTTP/1.0\r\n\r\n"
#define GET_10_ALIVE "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define CLOSE "connection: close\r\n"
#define MOST_PARTS 4

typedef struct answer {
    const char *request;
    int status;
    const char *field[2];          /* name and value */
    const char *parts[MOST_PARTS]; /* of the body, the last one ends it */
    const char *sent;
    unsigned state;
} answer;

static const answer answers[] = {
    { GET, 200, { 0 }, { "hello" }, OK "content-length: 5\r\n\r\nhello", TRI_PROTOCOL_IDLE },
    { GET, 200, { 0 }, { "" }, OK "content-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET,
      404,
      { "X-A", " b\t" },
      { "" },
      "HTTP/1.1 404 Not Found\r\nX-A: b\r\ncontent-length: 0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 299, { 0 }, { "" }, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET, 999, { "x", "" }, { "" }, "HTTP/1.1 999 \r\nx: \r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { 0 },
      { "he", "llo" },
      OK "transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { 0 },
      { "", "a", "", "" },
      OK "transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 200, { 0 }, { "", "" }, OK "transfer-encoding: chunked\r\n\r\n0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { 0 },
      { "0123456789abcdefg", "" },
      OK "transfer-encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { "Content-Length", "5" },
      { "he", "", "llo" },
      OK "Content-Length: 5\r\n\r\nhello",
      TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { "content-length", " 05 " },
      { "hello", "" },
      OK "content-length: 05\r\n\r\nhello",
      TRI_PROTOCOL_IDLE },
    { GET, 200, { "content-length", "0" }, { "" }, OK "content-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET, 200, { "Transfer-Encoding", "chunked" }, { "a" }, OK "content-length: 1\r\n\r\na", TRI_PROTOCOL_IDLE },
    { GET,
      200,
      { "Transfer-Encoding", "gzip" },
      { "a", "" },
      OK "transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 200, { "Connection", "foo, Close" }, { "a" }, OK "content-length: 1\r\n" CLOSE "\r\na", TRI_PROTOCOL_CLOSE },
    { GET, 200, { "Connection", "keep-alive" }, { "a" }, OK "content-length: 1\r\n\r\na", TRI_PROTOCOL_IDLE },
    { GET, 200, { "Keep-Alive", "timeout=5" }, { "a" }, OK "content-length: 1\r\n\r\na", TRI_PROTOCOL_IDLE },
    { GET,
      426,
      { "Upgrade", "x" },
      { "" },
      "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 200, { "Proxy-Connection", "close" }, { "" }, OK "content-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET, 200, { "trailer", "x" }, { "" }, OK "trailer: x\r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET, 204, { "content-length", "3" }, { "abc" }, "HTTP/1.1 204 No Content\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET,
      205,
      { "content-length", "3" },
      { "abc" },
      "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 205, { 0 }, { "a", "b" }, "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET, 204, { 0 }, { "a", "b" }, "HTTP/1.1 204 No Content\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET,
      304,
      { "content-length", "3" },
      { "" },
      "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n",
      TRI_PROTOCOL_IDLE },
    { GET, 304, { "etag", "\"a\"" }, { "abc" }, "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", TRI_PROTOCOL_IDLE },
    { HEAD, 200, { "content-length", "3" }, { "" }, OK "content-length: 3\r\n\r\n", TRI_PROTOCOL_IDLE },
    { HEAD, 200, { "content-length", "3" }, { "abcdef" }, OK "content-length: 3\r\n\r\n", TRI_PROTOCOL_IDLE },
    { HEAD, 200, { 0 }, { "abc" }, OK "content-length: 3\r\n\r\n", TRI_PROTOCOL_IDLE },
    { HEAD, 200, { 0 }, { "" }, OK "\r\n", TRI_PROTOCOL_IDLE },
    { HEAD, 200, { 0 }, { "ab", "c" }, OK "transfer-encoding: chunked\r\n\r\n", TRI_PROTOCOL_IDLE },
    { GET_CLOSE, 200, { 0 }, { "a" }, OK "content-length: 1\r\n" CLOSE "\r\na", TRI_PROTOCOL_CLOSE },
    { GET_CLOSE,
      200,
      { 0 },
      { "a", "" },
      OK "transfer-encoding: chunked\r\n" CLOSE "\r\n1\r\na\r\n0\r\n\r\n",
      TRI_PROTOCOL_CLOSE },
    { GET_10, 200, { 0 }, { "a" }, OK "content-length: 1\r\n" CLOSE "\r\na", TRI_PROTOCOL_CLOSE },
    { GET_10, 200, { 0 }, { "a", "b" }, OK CLOSE "\r\nab", TRI_PROTOCOL_CLOSE },
    { GET_10_ALIVE, 200, { 0 }, { "a" }, OK "content-length: 1\r\nconnection: keep-alive\r\n\r\na", TRI_PROTOCOL_IDLE },
    { GET_10_ALIVE, 200, { 0 }, { "a", "b" }, OK CLOSE "\r\nab", TRI_PROTOCOL_CLOSE },
    { GET_10_ALIVE,
      200,
      { "content-length", "2" },
      { "a", "b" },
      OK "content-length: 2\r\nconnection: keep-alive\r\n\r\nab",
      TRI_PROTOCOL_IDLE },
};

static void test_answer(const answer *item)
{
    begin(item->request);
    tri_field_out field = { { 0 }, { 0 } };
    tri_response response = { .status = item->status, .fields = &field };
    if (item->field[0] != NULL) {
        field.name = (tri_span){ item->field[0], strlen(item->field[0]) };
        field.value = (tri_span){ item->field[1], strlen(item->field[1]) };
        response.n_fields = 1;
    }
    CHECK(submit_head(&response) == 0);
    CHECK(record_state(&driver) & TRI_PROTOCOL_HELD);
    CHECK(driver.protocol->ops->sendable(driver.protocol) == 0);
    CHECK(submit_head(&response) == TRI_ESTATE);
    for (unsigned i = 0; i < MOST_PARTS && item->parts[i] != NULL; i++)
        CHECK(submit_body(item->parts[i], i + 1 == MOST_PARTS || item->parts[i + 1] == NULL) == 0);
    CHECK(submit_body("", true) == TRI_ESTATE);
    check_sent(item->sent, item->state);
    record_close(&driver);
}

/* Date, Server and the operator's lines; the application's own take precedence. */
static void test_lines(void)
{
    tri_field_out own[] = { { TRI_SPAN("Date"), TRI_SPAN("now") }, { TRI_SPAN("SERVER"), TRI_SPAN("me") } };
    tri_response response = {
        .status = 200,
        .fields = own,
        .n_fields = 2,
        .date = TRI_SPAN("date: d\r\n"),
        .server = TRI_SPAN("server: s\r\n"),
        .defaults = TRI_SPAN("a: b\r\nc: d\r\n"),
    };
    begin(GET);
    CHECK(submit_head(&response) == 0 && submit_body("", true) == 0);
    check_sent(OK "Date: now\r\nSERVER: me\r\na: b\r\nc: d\r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE);
    record_feed(&driver, GET, sizeof GET - 1);
    response.n_fields = 0;
    CHECK(submit_head(&response) == 0 && submit_body("", true) == 0);
    check_sent(OK "date: d\r\nserver: s\r\na: b\r\nc: d\r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE);
    record_close(&driver);
}

/* What is given as a field and may not be sent. */
static void test_invalid_fields(void)
{
    static const tri_field_out bad[] = {
        { TRI_SPAN(""), TRI_SPAN("x") },
        { TRI_SPAN("a b"), TRI_SPAN("x") },
        { TRI_SPAN("a:"), TRI_SPAN("x") },
        { TRI_SPAN("a\r\nb"), TRI_SPAN("x") },
        { TRI_SPAN("a\0"), TRI_SPAN("x") },
        { TRI_SPAN("\xc3\xa9"), TRI_SPAN("x") },
        { TRI_SPAN(" a"), TRI_SPAN("x") },
        { TRI_SPAN("a"), TRI_SPAN("x\r\nb: c") },
        { TRI_SPAN("a"), TRI_SPAN("x\n") },
        { TRI_SPAN("a"), TRI_SPAN("\rx") },
        { TRI_SPAN("a"), TRI_SPAN("x\0y") },
        { TRI_SPAN("a"), TRI_SPAN("01234567\x7f") },
        { TRI_SPAN("a"), TRI_SPAN("\x1b[0m") },
        { TRI_SPAN("content-length"), TRI_SPAN("") },
        { TRI_SPAN("content-length"), TRI_SPAN("-1") },
        { TRI_SPAN("content-length"), TRI_SPAN("1, 1") },
        { TRI_SPAN("content-length"), TRI_SPAN("1234567890123456789") },
        { TRI_SPAN("transfer-encoding"), TRI_SPAN("x\n") },
        { TRI_SPAN("connection"), TRI_SPAN("close\r\na: b") },
    };
    begin(GET);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        tri_response response = { .status = 200, .fields = &bad[i], .n_fields = 1 };
        CHECK(submit_head(&response) == TRI_EINVAL);
        CHECK(record_state(&driver) == TRI_PROTOCOL_PAUSED && driver.http1.out.bytes == 0);
    }
    tri_field_out one = { TRI_SPAN("Content-Length"), TRI_SPAN("1") };
    tri_field_out two[] = { one, one };
    tri_response twice = { .status = 200, .fields = two, .n_fields = 2 };
    CHECK(submit_head(&twice) == TRI_EINVAL);
    static const int statuses[] = { -1, 0, 99, 100, 101, 199, 1000, 65736 };
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        tri_response response = { .status = statuses[i] };
        CHECK(submit_head(&response) == TRI_EINVAL);
    }
    tri_field_out high = { TRI_SPAN("a"), TRI_SPAN("\xe9\t\xff") };
    tri_response good = { .status = 200, .fields = &high, .n_fields = 1 };
    CHECK(submit_head(&good) == 0 && submit_body("", true) == 0);
    check_sent(OK "a: \xe9\t\xff\r\ncontent-length: 0\r\n\r\n", TRI_PROTOCOL_IDLE);
    record_close(&driver);
}

/* No name is special that is as long as one that is, or longer than all of them. */
static void test_plain_fields(void)
{
    tri_field_out fields[] = {
        { TRI_SPAN("etag"), TRI_SPAN("x") },
        { TRI_SPAN("expires"), TRI_SPAN("0") },
        { TRI_SPAN("x-seventeen-chars"), TRI_SPAN("17") },
        { TRI_SPAN("strict-transport-security"), TRI_SPAN("max-age=1") },
    };
    tri_response response = { .status = 200, .fields = fields, .n_fields = 4 };
    begin(GET);
    CHECK(submit_head(&response) == 0 && submit_head(&response) == TRI_ESTATE && submit_body("", true) == 0);
    check_sent(OK "etag: x\r\nexpires: 0\r\nx-seventeen-chars: 17\r\nstrict-transport-security: max-age=1\r\n"
                  "content-length: 0\r\n\r\n",
               TRI_PROTOCOL_IDLE);
    record_close(&driver);
}

/* Content-Length is enforced both ways, and what does not fit is not taken. */
static void test_promise(void)
{
    tri_field_out length = { TRI_SPAN("content-length"), TRI_SPAN("3") };
    tri_response response = { .status = 200, .fields = &length, .n_fields = 1 };
    begin(GET);
    CHECK(submit_head(&response) == 0);
    CHECK(submit_body("abcd", false) == TRI_EINVAL && submit_body("abcd", true) == TRI_EINVAL);
    CHECK(submit_body("ab", true) == TRI_EINVAL && submit_body("", true) == TRI_EINVAL);
    CHECK(record_state(&driver) == (TRI_PROTOCOL_HELD | TRI_PROTOCOL_PAUSED));
    CHECK(submit_body("ab", false) == 0);
    CHECK(submit_body("cd", true) == TRI_EINVAL && submit_body("", true) == TRI_EINVAL);
    CHECK(submit_body("c", true) == 0);
    check_sent(OK "content-length: 3\r\n\r\nabc", TRI_PROTOCOL_IDLE);
    record_close(&driver);
}

static void test_rollback(void)
{
    tri_field_out fields[] = {
        { TRI_SPAN("content-length"), TRI_SPAN("3") },
        { TRI_SPAN("connection"), TRI_SPAN("close") },
    };
    tri_response first = { .status = 200, .fields = fields, .n_fields = 2 };
    tri_response second = { .status = 500 };
    begin(GET);
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == TRI_ESTATE);
    CHECK(submit_body("", true) == TRI_ESTATE);
    CHECK(submit_head(&first) == 0);
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == 0);
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == TRI_ESTATE);
    CHECK(submit_head(&second) == 0 && submit_body("oops", true) == 0);
    check_sent("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops", TRI_PROTOCOL_IDLE);
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == TRI_ESTATE);
    record_close(&driver);
}

static unsigned released;

static void release(void *owner)
{
    released += *(unsigned *)owner;
}

/* Long bodies are borrowed until they are written, short ones given back at once, those that may not be sent, too. */
static void test_loans(void)
{
    static char body[5000];
    unsigned one = 1;
    memset(body, 'x', sizeof body);
    tri_loan small = { { body, 1023 }, release, &one };
    tri_loan large = { { body, sizeof body }, release, &one };
    tri_loan copied = { { body, sizeof body }, NULL, NULL };
    tri_response response = { .status = 200 };
    begin(GET);
    const tri_protocol_ops *ops = driver.protocol->ops;
    released = 0;
    CHECK(submit_head(&response) == 0);
    CHECK(ops->submit_body(driver.protocol, 0, &small, false) == 0 && released == 1);
    CHECK(ops->submit_body(driver.protocol, 0, &large, false) == 0 && released == 1);
    CHECK(ops->submit_body(driver.protocol, 0, &copied, false) == 0 && released == 1);
    CHECK(ops->submit_body(driver.protocol, 0, &large, true) == 0 && released == 1);
    record_write(&driver);
    CHECK(released == 3 && driver.out_n == 47 + 5 + 1023 + 2 + 3 * (6 + 5000 + 2) + 5);
    CHECK(memcmp(driver.out + driver.out_n - 9, "xx\r\n0\r\n\r\n", 9) == 0);
    record_feed(&driver, HEAD, sizeof HEAD - 1);
    CHECK(submit_head(&response) == 0);
    CHECK(ops->submit_body(driver.protocol, 0, &large, false) == 0 && released == 4);
    CHECK(ops->submit_body(driver.protocol, 0, &large, true) == 0 && released == 5);
    CHECK(ops->submit_body(driver.protocol, 0, &large, true) == TRI_ESTATE && released == 5);
    record_close(&driver);
    begin(GET);
    CHECK(submit_head(&response) == 0);
    CHECK(ops->submit_body(driver.protocol, 0, &large, true) == 0 && released == 5);
    record_close(&driver);
    CHECK(released == 6);
}

/* A head that fits no block. */
static void test_large_head(void)
{
    static char value[9000];
    memset(value, 'v', sizeof value);
    tri_field_out field = { TRI_SPAN("a"), { value, sizeof value } };
    tri_response response = { .status = 200, .fields = &field, .n_fields = 1 };
    begin(GET);
    CHECK(submit_head(&response) == 0 && submit_body("b", true) == 0);
    record_write(&driver);
    CHECK(driver.out_n == 17 + 3 + sizeof value + 2 + 19 + 2 + 1);
    CHECK(memcmp(driver.out + driver.out_n - 6, "1\r\n\r\nb", 6) == 0);
    record_close(&driver);
}

static void test_reasons(void)
{
    size_t longest = 0;
    for (int status = -1; status < 1000; status++) {
        size_t n = strlen(tri_http_reason(status));
        longest = n > longest ? n : longest;
    }
    CHECK(longest + sizeof "HTTP/1.1 200 \r\n" <= 64);
    CHECK(strcmp(tri_http_reason(100), "Continue") == 0);
    CHECK(strcmp(tri_http_reason(431), "Request Header Fields Too Large") == 0);
    CHECK(strcmp(tri_http_reason(511), "Network Authentication Required") == 0);
    CHECK(tri_http_reason(0)[0] == '\0' && tri_http_reason(418)[0] == 'I' && tri_http_reason(512)[0] == '\0');
}

int main(void)
{
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++)
        test_answer(&answers[i]);
    test_lines();
    test_invalid_fields();
    test_plain_fields();
    test_promise();
    test_rollback();
    test_loans();
    test_large_head();
    test_reasons();
    return check_report();
}
