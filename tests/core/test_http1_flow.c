/* How requests and answers follow each other: pipelining, early answers, 100 Continue, ends, limits, want of memory. */
#include "http1_record.h"

static record driver;

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define GOT "GET / path=/ query= host=h 1.1 K\n host: h\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define OK2 "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define OK2_CLOSE "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* A connection whose requests stay without an answer until the test gives one. */
static void begin(void)
{
    record_init(&driver);
    driver.silent = true;
    CHECK(record_open(&driver) == 0);
}

static size_t feed(const char *text)
{
    return record_feed(&driver, text, strlen(text));
}

static int submit_continue(void)
{
    return driver.protocol->ops->submit_continue(driver.protocol, 0);
}

/* Whether `text` was sent since the last time. */
static bool sent(const char *text)
{
    record_write(&driver);
    bool same = strcmp(driver.out, text) == 0;
    if (!same)
        fprintf(stderr, "sent:\n%s\n", driver.out);
    driver.out_n = 0;
    driver.out[0] = '\0';
    return same;
}

/* Whether the events since the last time are `text`. */
static bool logged(const char *text)
{
    bool same = strcmp(driver.log, text) == 0;
    if (!same)
        fprintf(stderr, "logged:\n%s\n", driver.log);
    driver.log_n = 0;
    driver.log[0] = '\0';
    driver.in_body = false;
    return same;
}

static void test_size(void)
{
    CHECK(sizeof(tri_http1) <= 160);
    begin();
    CHECK(driver.mem.requests == 1); /* the fields of the scratch head, once a worker */
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    CHECK(strcmp(driver.protocol->ops->name, "http/1.1") == 0);
    record_close(&driver);
}

/* Between exchanges a connection holds no memory, also when heads come in pieces. */
static void test_idle_holds_nothing(void)
{
    begin();
    driver.silent = false;
    size_t before = driver.mem.bytes_out;
    feed("GET / HT");
    CHECK(driver.mem.bytes_out > before && record_state(&driver) == TRI_PROTOCOL_IN_HEAD);
    feed("TP/1.1\r\nHost: h\r\nA: b\r\n");
    feed("\r\n");
    CHECK(driver.http1.partial == NULL && driver.http1.out.first == NULL);
    CHECK(driver.mem.bytes_out == before + driver.chains.blocks.idle * driver.chains.blocks.size);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    record_close(&driver);
}

/* The events are given even when nobody asks twice, and the head's memory goes with the answer. */
static void test_head_dropped_by_answer(void)
{
    tri_event event;
    begin();
    feed("GET ");
    char rest[] = "/ HTTP/1.1\r\nHost: h\r\n\r\n";
    CHECK(driver.protocol->ops->recv(driver.protocol, rest, sizeof rest - 1) == sizeof rest - 1);
    CHECK(driver.protocol->ops->recv(driver.protocol, rest, sizeof rest - 1) == 0);
    driver.protocol->ops->next_event(driver.protocol, &event);
    CHECK(event.type == TRI_EVENT_HEAD && driver.http1.partial != NULL);
    record_answer(&driver, 200);
    CHECK(driver.http1.partial == NULL && sent(OK2));
    record_close(&driver);
}

static void test_pipelining(void)
{
    begin();
    CHECK(feed(GET GET) == sizeof GET - 1);
    CHECK(logged(GOT) && record_state(&driver) == TRI_PROTOCOL_PAUSED);
    CHECK(feed(GET) == sizeof GET - 1);
    record_answer(&driver, 200);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    CHECK(feed(GET) == 0 && logged(GOT));
    CHECK(sent(OK2));
    record_answer(&driver, 200);
    CHECK(sent(OK2));
    record_close(&driver);
}

/* Answers that nobody has written yet wait in one chain, and only the held head of the last is kept back. */
static void test_answers_queue(void)
{
    begin();
    tri_response response = { .status = 200 };
    tri_loan loan = { .bytes = TRI_SPAN("ok") };
    for (int i = 0; i < 3; i++) {
        feed(GET);
        CHECK(driver.protocol->ops->submit_head(driver.protocol, 0, &response) == 0);
        CHECK(driver.protocol->ops->sendable(driver.protocol) == (unsigned)i * (sizeof OK2 - 1));
        CHECK(driver.protocol->ops->submit_body(driver.protocol, 0, &loan, true) == 0);
    }
    struct iovec iov[4];
    CHECK(tri_chain_iov(driver.protocol->ops->send(driver.protocol), iov, 4, SIZE_MAX) == 1);
    feed(GET);
    CHECK(driver.protocol->ops->submit_head(driver.protocol, 0, &response) == 0);
    CHECK(sent(OK2 OK2 OK2));
    CHECK(driver.protocol->ops->submit_rollback(driver.protocol, 0) == 0);
    CHECK(sent(""));
    record_close(&driver);
}

/* Not before somebody asks, once, and not when the body has begun or the answer has. */
static void test_continue(void)
{
    begin();
    CHECK(submit_continue() == 0 && sent(""));
    feed(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK(sent("") && record_state(&driver) == TRI_PROTOCOL_IN_BODY);
    CHECK(submit_continue() == 0 && submit_continue() == 0 && sent(CONTINUE));
    feed("ab");
    CHECK(submit_continue() == 0);
    record_answer(&driver, 200);
    CHECK(sent(OK2) && record_state(&driver) == TRI_PROTOCOL_IDLE);
    feed(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\na");
    CHECK(submit_continue() == 0 && sent(""));
    feed("b");
    record_answer(&driver, 200);
    CHECK(sent(OK2));
    feed(POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    CHECK(submit_continue() == 0 && sent(""));
    record_answer(&driver, 200);
    CHECK(sent(OK2));
    feed(POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(submit_continue() == 0 && sent(CONTINUE));
    feed("0\r\n\r\n");
    record_answer(&driver, 200);
    CHECK(sent(OK2));
    record_close(&driver);
}

/* An answer before the body that the peer was told to hold back: whether it comes is anybody's guess, so we close. */
static void test_continue_refused(void)
{
    begin();
    feed(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    record_answer(&driver, 200);
    CHECK(submit_continue() == 0);
    CHECK(sent(OK2_CLOSE));
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    CHECK(feed("ab" GET) == 2 + sizeof GET - 1);
    record_close(&driver);
}

/* The rest of a body that is already answered still gives events, then the next request comes. */
static void test_early_answer(void)
{
    begin();
    feed(POST "Content-Length: 4\r\n\r\nab");
    CHECK(logged("POST / path=/ query= host=h 1.1 KBL4\n host: h\n content-length: 4\n+ab"));
    record_answer(&driver, 200);
    CHECK(sent(OK2) && record_state(&driver) == TRI_PROTOCOL_IN_BODY);
    CHECK(feed("cd" GET) == 0);
    CHECK(logged("+cd\n.\n" GOT));
    record_answer(&driver, 200);
    feed(POST "Transfer-Encoding: chunked\r\n\r\n");
    record_answer(&driver, 200);
    CHECK(feed("2\r\nab\r\n0\r\n\r\n" GET) == 0);
    CHECK(logged("POST / path=/ query= host=h 1.1 KB\n host: h\n transfer-encoding: chunked\n+ab\n.\n" GOT));
    record_close(&driver);
    begin();
    feed("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab");
    record_answer(&driver, 200);
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    record_close(&driver);
}

/* Nothing is taken while an event waits, and of nothing nothing is taken. */
static void test_recv_edges(void)
{
    begin();
    char byte = 'G';
    CHECK(driver.protocol->ops->recv(driver.protocol, &byte, 0) == 0);
    CHECK(record_state(&driver) == TRI_PROTOCOL_IDLE);
    char request[] = GET GET;
    CHECK(driver.protocol->ops->recv(driver.protocol, request, sizeof request - 1) == sizeof GET - 1);
    CHECK(driver.protocol->ops->recv(driver.protocol, request + sizeof GET - 1, sizeof GET - 1) == 0);
    record_close(&driver);
}

/* A body that turns out bad: before the answer it can be refused, after it there is nothing left to say. */
static void test_late_reject(void)
{
    begin();
    feed(POST "Transfer-Encoding: chunked\r\n\r\n");
    logged("POST / path=/ query= host=h 1.1 KB\n host: h\n transfer-encoding: chunked\n");
    CHECK(feed("x") == 0 && logged("!400 a chunk size is malformed\n"));
    CHECK(feed(GET) == sizeof GET - 1);
    record_answer(&driver, 400);
    CHECK(sent("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"));
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    record_close(&driver);
    begin();
    feed(POST "Transfer-Encoding: chunked\r\n\r\n");
    record_answer(&driver, 200);
    feed("x");
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    tri_response response = { .status = 400 };
    CHECK(driver.protocol->ops->submit_head(driver.protocol, 0, &response) == TRI_ESTATE);
    CHECK(sent(OK2));
    record_close(&driver);
}

/* The core may answer before there is a request: 503 to a new connection, 408 within a head. */
static void test_answer_without_request(void)
{
    begin();
    record_answer(&driver, 503);
    CHECK(sent("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"));
    CHECK(record_state(&driver) == (TRI_PROTOCOL_CLOSE | TRI_PROTOCOL_LINGER));
    CHECK(feed(GET) == sizeof GET - 1);
    record_close(&driver);
    begin();
    feed("HEAD / HTTP/1.1\r\nHo");
    record_answer(&driver, 408);
    CHECK(sent("HTTP/1.1 408 Request Timeout\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"));
    record_close(&driver);
}

static void test_eof(void)
{
    begin();
    record_eof(&driver);
    CHECK(logged("") && record_state(&driver) == TRI_PROTOCOL_IDLE);
    feed("GET / HT");
    record_eof(&driver);
    CHECK(logged("!400 the connection ended within a head\n"));
    record_close(&driver);
    begin();
    feed(POST "Content-Length: 4\r\n\r\nab");
    logged("POST / path=/ query= host=h 1.1 KBL4\n host: h\n content-length: 4\n+ab");
    record_eof(&driver);
    CHECK(logged("!400 the connection ended within a body\n"));
    record_close(&driver);
    begin();
    feed(GET);
    record_eof(&driver);
    CHECK(logged(GOT) && record_state(&driver) == TRI_PROTOCOL_PAUSED);
    record_answer(&driver, 200);
    CHECK(sent(OK2));
    record_close(&driver);
}

static void test_shutdown(void)
{
    begin();
    feed(GET);
    driver.protocol->ops->shutdown(driver.protocol);
    record_answer(&driver, 200);
    CHECK(sent(OK2_CLOSE) && record_state(&driver) == TRI_PROTOCOL_CLOSE);
    record_close(&driver);
    begin();
    driver.protocol->ops->shutdown(driver.protocol);
    CHECK(feed(GET) == 0);
    record_answer(&driver, 200);
    CHECK(sent(OK2_CLOSE) && record_state(&driver) == TRI_PROTOCOL_CLOSE);
    record_close(&driver);
}

/* One limit set, and what then becomes of `input`, in one piece and byte by byte. */
static void check_limit(void (*set)(tri_limits *limits), const char *input, const char *last)
{
    size_t n = strlen(input);
    for (size_t step = n; step > 0; step = step == 1 ? 0 : 1) {
        record_init(&driver);
        set(&driver.limits);
        CHECK(record_open(&driver) == 0);
        for (size_t at = 0; at < n; at += step)
            record_feed(&driver, input + at, step);
        size_t last_n = strlen(last);
        bool same = driver.log_n >= last_n && strcmp(driver.log + driver.log_n - last_n, last) == 0;
        CHECK(same);
        if (!same)
            fprintf(stderr, "%s", driver.log);
        record_close(&driver);
    }
}

static void line_26(tri_limits *limits)
{
    limits->request_line = 26;
}

static void head_40(tri_limits *limits)
{
    limits->head = 40;
}

static void head_20_line_30(tri_limits *limits)
{
    limits->head = 20;
    limits->request_line = 30;
}

static void fields_2(tri_limits *limits)
{
    limits->fields = 2;
}

static void fields_20(tri_limits *limits)
{
    limits->fields = 20;
}

static void fields_0(tri_limits *limits)
{
    limits->fields = 0;
}

static void body_4(tri_limits *limits)
{
    limits->body = 4;
}

static void trailers_8(tri_limits *limits)
{
    limits->trailers = 8;
}

static void ext_6(tri_limits *limits)
{
    limits->chunk_ext = 6;
}

#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define FIVE "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n"

static void test_limits(void)
{
    check_limit(line_26, "GET /90123456 HTTP/1.1\r\nA\r\n", "!400 a field name is malformed\n");
    check_limit(line_26, "GET /901234567890 HTTP/1.1\r\n", "!414 the request line is too long\n");
    check_limit(line_26, "GET /90123456789 HTTP/1.1\r\n", "!414 the request line is too long\n");
    check_limit(line_26, "GET /9012345678 HTTP/1.1\r\nA\r\n", "!400 a field name is malformed\n");
    check_limit(line_26, "GET /90123456789012345678901234567890", "!414 the request line is too long\n");
    check_limit(head_40, "GET / HTTP/1.1\r\nHost: h\r\nA: 890123456\r\n\r\n", "!431 the head is too long\n");
    check_limit(head_40, "GET / HTTP/1.1\r\nHost: h\r\nA: 89012345\r\n\r\n", " a: 89012345\n");
    check_limit(head_40, "GET / HTTP/1.1\r\nHost: h\r\nA: 89012345678901234567890", "!431 the head is too long\n");
    check_limit(head_20_line_30, "GET /89012345678901234567890123 HTTP/1.1\r\n", "!431 the head is too long\n");
    check_limit(fields_2, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n", " a: 1\n");
    check_limit(fields_2, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n", "!431 the head has too many fields\n");
    check_limit(fields_20, "GET / HTTP/1.1\r\nHost: h\r\n" FIVE FIVE FIVE "B: 1\r\nB: 2\r\nB: 3\r\nA: x\r\n\r\n",
                " a: x\n");
    check_limit(fields_20, "GET / HTTP/1.1\r\nHost: h\r\n" FIVE FIVE FIVE FIVE, "!431 the head has too many fields\n");
    check_limit(fields_0, "GET / HTTP/1.0\r\n\r\n", " 1.0 \n");
    check_limit(fields_0, "GET / HTTP/1.0\r\nA: b\r\n", "!431 the head has too many fields\n");
    check_limit(body_4, POST "Content-Length: 4\r\n\r\nabcd", "+abcd\n.\n");
    check_limit(body_4, POST "Content-Length: 5\r\n\r\n", "!413 the body is too large\n");
    check_limit(body_4, CHUNKED "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "+abcd\n.\n");
    check_limit(body_4, CHUNKED "3\r\nabc\r\n2\r\n", "+abc\n!413 the body is too large\n");
    check_limit(trailers_8, CHUNKED "0\r\nA: 456\r\n\r\n", "\n.\n");
    check_limit(trailers_8, CHUNKED "0\r\nA:\r\nC:\r\n\r\n", "\n.\n");
    check_limit(trailers_8, CHUNKED "0\r\nA: 4567\r\n\r\n", "!431 the trailers are too long\n");
    check_limit(trailers_8, CHUNKED "0\r\nA:\r\nC:d\r\n\r\n", "!431 the trailers are too long\n");
    check_limit(ext_6, CHUNKED "1;bc\r\na\r\n1;bc\r\nb\r\n0\r\n\r\n", "+ab\n.\n");
    check_limit(ext_6, CHUNKED "1;bc\r\na\r\n1;bcd\r\n", "+a\n!400 chunk extensions are too long\n");
    check_limit(ext_6, CHUNKED "1;\r\na\r\n1;\r\na\r\n1;\r\na\r\n1;\r\na\r\n1;\r\na\r\n1;\r\na\r\n1;\r\n",
                "+aaaaaa\n!400 chunk extensions are too long\n");
}

static unsigned given_back;

static void release(void *owner)
{
    (void)owner;
    given_back++;
}

/* A connection's life in pieces, with every kind of answer; returns how many loans it made. */
static unsigned live(void)
{
    static char body[3000];
    const tri_protocol_ops *ops = driver.protocol->ops;
    tri_loan long_loan = { { body, sizeof body }, release, NULL };
    tri_loan short_loan = { { body, 10 }, release, NULL };
    tri_loan copied = { { body, sizeof body }, NULL, NULL };
    tri_field_out field = { TRI_SPAN("a"), { body, sizeof body } };
    tri_field_out fields[] = { field, field };
    tri_response response = { .status = 200 };
    unsigned taken = 0;
    memset(body, 'x', sizeof body);
    feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r");
    feed("\n");
    record_error(&driver, driver.error != 0 ? 0 : submit_continue());
    feed("2\r\nab\r\n0\r\n\r\n");
    for (unsigned i = 0; i < 3 && driver.error == 0; i++) {
        if (i > 0)
            feed("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n");
        response.fields = fields;
        response.n_fields = i == 2 ? 2 : 0;
        record_error(&driver, ops->submit_head(driver.protocol, 0, &response));
        for (unsigned part = 0; part < 4 && driver.error == 0; part++) {
            const tri_loan *loan = part == 1 ? &short_loan : part == 2 ? &copied : &long_loan;
            int error = ops->submit_body(driver.protocol, 0, loan, part == 3);
            record_error(&driver, error);
            taken += error == 0 && loan->release != NULL;
        }
        if (i == 1 && driver.error == 0)
            record_write(&driver);
    }
    return taken;
}

/* Every allocation in turn fails: the error is said, loans are given back when they were taken, nothing leaks. */
static void test_no_memory(void)
{
    bool failed = true;
    for (size_t fail_at = 1; failed; fail_at++) {
        record_init(&driver);
        driver.silent = true;
        driver.mem.fail_at = fail_at;
        given_back = 0;
        if (record_open(&driver) != 0) {
            CHECK(fail_at == 1 && driver.mem.blocks_out == 0);
            continue;
        }
        unsigned taken = live();
        failed = driver.error != 0;
        CHECK(driver.error == 0 || driver.error == TRI_ENOMEM);
        CHECK(failed == (driver.mem.requests >= fail_at));
        record_close(&driver);
        CHECK(given_back == taken);
    }
}

int main(void)
{
    test_size();
    test_idle_holds_nothing();
    test_head_dropped_by_answer();
    test_pipelining();
    test_answers_queue();
    test_continue();
    test_continue_refused();
    test_early_answer();
    test_recv_edges();
    test_late_reject();
    test_answer_without_request();
    test_eof();
    test_shutdown();
    test_limits();
    test_no_memory();
    return check_report();
}
