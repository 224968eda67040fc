/* Lines of the access log: every atom, what is refused, what the peer may not do to a line. */
#include "access_record.h"

#include <time.h>

#include "server/internal.h"

static made_head made;
static const tri_addr ipv4 = { .family = TRI_FAMILY_IPV4, .port = 5, .ip = { 127, 0, 0, 1 } };

static tri_span span_of(const char *text)
{
    return (tri_span){ text, strlen(text) };
}

static tri_access_log *new_log(check_mem *mem, const char *format, const char *excluded, size_t n_excluded)
{
    tri_access_log *log = NULL;
    tri_access_fault fault;
    const tri_access_config config = { .mem = &mem->mem,
                                       .format = span_of(format),
                                       .library = TRI_SPAN("trio"),
                                       .pid = 42,
                                       .seed = 0xabc,
                                       .excluded = { excluded, n_excluded } };
    check_mem_init(mem);
    CHECK(tri_access_log_new(&log, &config, &fault) == 0);
    return log;
}

/* What is known of a request in the tests below. */
static tri_access_record usual_record(void)
{
    made_head_init(&made, TRI_SPAN("/a/b?c=d"));
    made_field(&made, TRI_SPAN("host"), TRI_SPAN("example.org"));
    made_field(&made, TRI_SPAN("user-agent"), TRI_SPAN("curl/8"));
    return (tri_access_record){ .head = &made.head,
                                .peer = &ipv4,
                                .scheme = TRI_SPAN("http"),
                                .host = TRI_SPAN("example.org"),
                                .status = 404,
                                .sent = 13,
                                .wall_ns = UINT64_C(1735689599123456789),
                                .duration_ns = UINT64_C(1234567890) };
}

static void check_record(const char *format, const tri_access_record *record, const char *expected)
{
    check_mem mem;
    tri_access_log *log = new_log(&mem, format, NULL, 0);
    tri_span line = tri_access_log_line(log, record);
    bool same = line.n == strlen(expected) + 1 && memcmp(line.p, expected, line.n - 1) == 0;
    if (!same)
        fprintf(stderr, "%s gives %.*s", format, (int)line.n, line.p);
    CHECK(same && line.p[line.n - 1] == '\n');
    tri_access_log_free(log);
    CHECK(mem.blocks_out == 0);
}

static void check_line(const char *format, const char *expected)
{
    tri_access_record record = usual_record();
    check_record(format, &record, expected);
}

static void test_atoms(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    check_line("%(h)s %(l)s %(u)s", "127.0.0.1 - -");
    check_line("%(t)s", "[31/Dec/2024:23:59:59 +0000]");
    check_line("\"%(r)s\" %(request)s", "\"GET /a/b?c=d HTTP/1.1\" GET /a/b?c=d HTTP/1.1");
    check_line("%(m)s %(U)s %(q)s %(R)s %(Uq)s %(H)s %(S)s", "GET /a/b c=d /a/b?c=d /a/b?c=d HTTP/1.1 http");
    check_line("%(s)s %(st)s %(B)s %(b)d", "404 Not Found 13 13");
    check_line("%(f)s %(a)s %({User-Agent}i)s %({x}o)s", "- curl/8 curl/8 -");
    check_line("%(T)s %(M)s %(D)s %(L)s %(p)s", "1 1234 1234567 1.234567 <42>");
    check_line("%(time)s", "2024-12-31T23:59:59.123Z");
    check_line("%(client)s %(client_host)s %(client_port)s", "127.0.0.1:5 127.0.0.1 5");
    check_line("%(method)s %(path)s %(query)s %(target)s", "GET /a/b c=d /a/b?c=d");
    check_line("%(protocol)s %(scheme)s %(status)s %(phrase)s %(bytes)s", "HTTP/1.1 http 404 Not Found 13");
    check_line("%(duration)s %(duration_s)s %(duration_ms)s %(duration_us)s", "1.234567 1.234567 1234.567 1234567");
    check_line("%(host)s %(user_agent)s %(referer)s %(library)s %(pid)s", "example.org curl/8 - trio 42");
    check_line("%(request_id)s", "0000000000000abc0000000000000001");
    check_line("%({host}request_id)s", "example.org");
    check_line("100%% %(s)s%%", "100% 404%");
}

static void test_presets(void)
{
    check_line("uvicorn", "INFO:     127.0.0.1:5 - \"GET /a/b?c=d HTTP/1.1\" 404 Not Found");
    check_line("common", "127.0.0.1 - - [31/Dec/2024:23:59:59 +0000] \"GET /a/b?c=d HTTP/1.1\" 404 13");
    check_line("combined",
               "127.0.0.1 - - [31/Dec/2024:23:59:59 +0000] \"GET /a/b?c=d HTTP/1.1\" 404 13 \"-\" \"curl/8\"");
    check_line("json",
               "{\"time\":\"2024-12-31T23:59:59.123Z\",\"client\":\"127.0.0.1:5\",\"method\":\"GET\","
               "\"path\":\"/a/b\",\"query\":\"c=d\",\"protocol\":\"HTTP/1.1\",\"scheme\":\"http\",\"status\":404,"
               "\"bytes\":13,\"duration_ms\":1234.567,\"request_id\":\"0000000000000abc0000000000000001\","
               "\"host\":\"example.org\",\"user_agent\":\"curl/8\",\"referer\":null,\"library\":\"trio\","
               "\"pid\":42}");
    check_line("json:[%(s)s, %(r)s, %(b)s, %(f)s]", "[404, \"GET /a/b?c=d HTTP/1.1\", 13, null]");
}

/* Other values than the usual. */
static void test_values(void)
{
    tri_access_record record = usual_record();
    const tri_addr ipv6 = { .family = TRI_FAMILY_IPV6, .port = 80, .ip = { [15] = 1 } };
    const tri_addr none = { .family = TRI_FAMILY_UNIX };
    record.peer = &ipv6;
    check_record("%(client)s %(h)s", &record, "[::1]:80 ::1");
    record.peer = &none;
    check_record("%(client)s %(h)s", &record, "- -");
    record.sent = 0;
    check_record("%(b)s %(B)s", &record, "- 0");
    check_record("json:%(b)s", &record, "0");
    record.status = 599;
    check_record("uvicorn", &record, "INFO:     - - \"GET /a/b?c=d HTTP/1.1\" 599");
    made.head.minor = 0;
    made.head.path.n = 0;
    check_record("%(H)s %(U)s", &record, "HTTP/1.0 /");
    made.head.major = 2;
    check_record("%(H)s", &record, "HTTP/2");
    made.head.major = 3;
    check_record("%(H)s", &record, "HTTP/3");
    record.wall_ns = UINT64_MAX;
    record.duration_ns = 1999;
    check_record("%(D)s %(L)s %(duration_ms)s", &record, "1 0.000001 0.001");
    tri_span sent[] = { TRI_SPAN("text/plain"), { NULL, 0 } };
    record.fields = sent;
    check_record("%({Content-Type}o)s %({x}o)s", &record, "text/plain -");
}

static void test_websocket(void)
{
    tri_access_record record = usual_record();
    record.websocket = true;
    record.status = 101;
    check_record("uvicorn", &record, "INFO:     127.0.0.1:5 - \"WebSocket /a/b?c=d\" [accepted]");
    record.status = 403;
    check_record("uvicorn", &record, "INFO:     127.0.0.1:5 - \"WebSocket /a/b?c=d\" 403");
}

static void test_colors(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_access_log *log = NULL;
    tri_access_fault fault;
    const tri_access_config config = { .mem = &mem.mem, .format = TRI_SPAN("uvicorn"), .colors = true };
    CHECK(tri_access_log_new(&log, &config, &fault) == 0);
    tri_access_record record = usual_record();
    tri_span line = tri_access_log_line(log, &record);
    const char *expected = "\033[32mINFO\033[0m:     127.0.0.1:5 - \"\033[1mGET /a/b?c=d HTTP/1.1\033[0m\" "
                           "\033[31m404 Not Found\033[0m\n";
    CHECK(tri_span_eq(line, span_of(expected)));
    tri_access_log_free(log);
}

/* What the peer sends can neither end the line nor leave the quotes. */
static void test_escaping(void)
{
    const char *evil = "\r\n\"x\\ \x01\x7f\xff\xc3\xa9\x1b[0m";
    tri_access_record record = usual_record();
    made_field(&made, TRI_SPAN("x-evil"), span_of(evil));
    check_record("\"%({x-evil}i)s\"", &record, "\"\\x0d\\x0a\\x22x\\x5c \\x01\\x7f\\xff\\xc3\\xa9\\x1b[0m\"");
    check_record("json:%({x-evil}i)s", &record,
                 "\"\\u000d\\u000a\\\"x\\\\ \\u0001\\u007f\\u00ff\\u00c3\\u00a9\\u001b[0m\"");
    made_head_init(&made, TRI_SPAN("/\"\n"));
    check_record("%(r)s", &record, "GET /\\x22\\x0a HTTP/1.1");
    check_record("uvicorn", &record, "INFO:     127.0.0.1:5 - \"GET /\\x22\\x0a HTTP/1.1\" 404 Not Found");
}

/* Bytes are escaped within any room, and never beyond. */
static void test_room(void)
{
    char out[64];
    for (unsigned json = 0; json < 2; json++) {
        for (size_t n = 0; n <= 12; n++) {
            for (size_t room = 0; room <= sizeof out; room++) {
                check_page in = check_page_copy("aaaaaa\n\n\n\n\n\n", n);
                check_page page = check_page_copy(out, room);
                const char *end = page.p + room;
                const char *stop = tri_access_log_escape(page.p, end, (tri_span){ in.p, n }, json != 0);
                CHECK(stop <= end);
                size_t whole = n <= 6 ? n : 6 + (n - 6) * (json ? 6 : 4);
                CHECK(room < n * 6 || (size_t)(stop - page.p) == whole);
                bool cut = (size_t)(stop - page.p) != whole;
                CHECK(!cut || room < 3 || memcmp(stop - 3, "...", 3) == 0);
                check_page_free(&page);
                check_page_free(&in);
            }
        }
    }
}

/* The longest of values, as many as a format may have: the line has its maximum, and JSON its quotes. */
static void test_longest(void)
{
    static char big[100000];
    char format[TRI_ACCESS_FORMAT_TEXT + 1] = "json:[";
    memset(big, '\n', sizeof big);
    for (unsigned i = 0; i < 60; i++)
        strcat(format, i == 0 ? "%(r)s" : ",%(r)s");
    strcat(format, "]");
    tri_access_record record = usual_record();
    made_head_init(&made, (tri_span){ big, sizeof big });
    check_mem mem;
    tri_access_log *log = new_log(&mem, format, NULL, 0);
    tri_span line = tri_access_log_line(log, &record);
    CHECK(line.n <= TRI_ACCESS_LOG_LINE && line.n > TRI_ACCESS_LOG_LINE / 3);
    CHECK(memcmp(line.p + line.n - 15, "... HTTP/1.1\"]\n", 15) == 0);
    tri_access_log_free(log);
    log = new_log(&mem, "%(r)s", NULL, 0);
    line = tri_access_log_line(log, &record);
    CHECK(line.n < TRI_ACCESS_LOG_VALUE + 32);
    tri_access_log_free(log);
}

/* A log whose lines are to be no longer than what a pipe takes undivided. */
static tri_span bounded_line(check_mem *mem, const char *format, const tri_access_record *record, tri_access_log **log)
{
    tri_access_fault fault;
    const tri_access_config config = { .mem = &mem->mem, .format = span_of(format), .colors = true, .most = 4096 };
    check_mem_init(mem);
    CHECK(tri_access_log_new(log, &config, &fault) == 0);
    return tri_access_log_line(*log, record);
}

/* Values are cut where the line would be longer than it may be, and only there. */
static void test_bounded(void)
{
    static const struct {
        const char *format, *end;
    } known[] = {
        { "uvicorn", "... HTTP/1.1\033[0m\" \033[31m404 Not Found\033[0m\n" },
        { "combined", "\\x0a...\" \"curl/8\"\n" },
        { "json", "\\u000a...\",\"library\":null,\"pid\":0}\n" },
        { "%(r)s %(U)s %({x}i)s %(pid)s", " 0\n" },
    };
    static char big[6000];
    memset(big, '\n', sizeof big);
    tri_access_record record = usual_record();
    made_head_init(&made, (tri_span){ big, sizeof big });
    made_field(&made, TRI_SPAN("user-agent"), TRI_SPAN("curl/8"));
    made_field(&made, TRI_SPAN("referer"), (tri_span){ big, sizeof big });
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        check_mem mem;
        tri_access_log *log;
        tri_span line = bounded_line(&mem, known[i].format, &record, &log);
        size_t n = strlen(known[i].end);
        CHECK(line.n <= 4096 && line.n > 3000 && memcmp(line.p + line.n - n, known[i].end, n) == 0);
        tri_access_log_free(log);
    }
    made_head_init(&made, (tri_span){ big, 900 });
    check_mem mem;
    tri_access_log *log;
    CHECK(bounded_line(&mem, "%(U)s %(pid)s", &record, &log).n == 900 * 4 + 3);
    tri_access_log_free(log);
}

/* A line that is cut has the identifier that it would have had. */
static void test_bounded_identifier(void)
{
    static char big[6000];
    memset(big, 'a', sizeof big);
    tri_access_record record = usual_record();
    made_head_init(&made, (tri_span){ big, sizeof big });
    check_mem mem;
    tri_access_log *log;
    tri_span line = bounded_line(&mem, "%(U)s %(request_id)s", &record, &log);
    CHECK(line.n <= 4096 && memcmp(line.p + line.n - 17, "0000000000000001\n", 17) == 0);
    made_head_init(&made, TRI_SPAN("/"));
    line = tri_access_log_line(log, &record);
    CHECK(memcmp(line.p + line.n - 17, "0000000000000002\n", 17) == 0);
    tri_access_log_free(log);
}

static void check_fault(const char *format, size_t at, const char *word)
{
    static tri_access_format compiled;
    tri_access_fault fault = { SIZE_MAX, "" };
    CHECK(tri_access_format_compile(&compiled, span_of(format), &fault) == TRI_EINVAL);
    CHECK(fault.at == at);
    if (strstr(fault.reason, word) == NULL)
        fprintf(stderr, "%s: %s\n", format, fault.reason);
    CHECK(strstr(fault.reason, word) != NULL);
}

static void test_faults(void)
{
    check_fault("", 0, "empty");
    check_fault("jason", 0, "neither");
    check_fault("%(s)s %(nope)s", 6, "no such atom");
    check_fault("json:%(nope)s", 5, "no such atom");
    check_fault("%()s", 0, "no such atom");
    check_fault("%(s)s %", 6, "percent");
    check_fault("%(s", 0, "percent");
    check_fault("%s %(s)s", 0, "percent");
    check_fault("%(s)", 0, "end with )s");
    check_fault("%(s)x", 0, "end with )s");
    check_fault("%({}i)s", 0, "between { and }");
    check_fault("%({a)s", 0, "between { and }");
    check_fault("%({a}x)s", 0, "i, o or request_id");
    check_fault("%(s)s\n", 5, "control");

    char text[6000] = "%(s)s";
    memset(text + 5, 'a', sizeof text - 6);
    check_fault(text, 4102, "too long");
    strcpy(text, "");
    for (unsigned i = 0; i < 129; i++)
        strcat(text, "%(s)s");
    check_fault(text, 640, "too many atoms");
    strcpy(text, "");
    for (unsigned i = 0; i < 17; i++)
        strcat(text, "%({a}o)s");
    check_fault(text, 128, "too many fields");
}

static void test_excluded(void)
{
    static const struct {
        const char *glob;
        const char *path;
        bool matches;
    } cases[] = {
        { "/healthz", "/healthz", true },
        { "/healthz", "/healthz/", false },
        { "/healthz", "/health", false },
        { "/static/*", "/static/a/b", true },
        { "/static/*", "/static", false },
        { "/static/*", "/static/", true },
        { "*.png", "/a/b.png", true },
        { "*.png", "/a/b.png.gz", false },
        { "*", "", true },
        { "/?/x", "/a/x", true },
        { "/?/x", "/ab/x", false },
        { "*a*b*", "/xaxxbx", true },
        { "*a*b*", "/xbxxax", false },
        { "", "/", false },
        { "**", "/", true },
        { "/a*a*a*b", "/aaaaaaaaaaaa", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(tri_access_log_matches(span_of(cases[i].glob), span_of(cases[i].path)) == cases[i].matches);
    check_mem mem;
    const char globs[] = "/healthz\0/static/*";
    tri_access_log *log = new_log(&mem, "common", globs, sizeof globs);
    CHECK(tri_access_log_excludes(log, TRI_SPAN("/healthz")));
    CHECK(tri_access_log_excludes(log, TRI_SPAN("/static/x")));
    CHECK(!tri_access_log_excludes(log, TRI_SPAN("/")));
    tri_access_log_free(log);
}

/* Identifiers differ; each allocation may fail. */
static void test_making(void)
{
    check_mem mem;
    tri_access_record record = usual_record();
    tri_access_log *log = new_log(&mem, "%(request_id)s %(request_id)s", NULL, 0);
    tri_span line = tri_access_log_line(log, &record);
    char first[33];
    memcpy(first, line.p, 32);
    CHECK(memcmp(first, line.p + 33, 32) == 0);
    line = tri_access_log_line(log, &record);
    CHECK(memcmp(first, line.p, 32) != 0);
    tri_access_log_free(log);

    tri_access_fault fault;
    const tri_access_config config = { .mem = &mem.mem, .format = TRI_SPAN("json"), .excluded = TRI_SPAN("/a\0") };
    for (size_t at = 1; at <= 2; at++) {
        check_mem_init(&mem);
        mem.fail_at = at;
        mem.fail_more = 0;
        CHECK(tri_access_log_new(&log, &config, &fault) == TRI_ENOMEM);
        CHECK(mem.blocks_out == 0);
    }
    tri_access_config wrong = config;
    wrong.format = TRI_SPAN("%(x)s");
    check_mem_init(&mem);
    CHECK(tri_access_log_new(&log, &wrong, &fault) == TRI_EINVAL && mem.blocks_out == 0);
}

int main(void)
{
    test_atoms();
    test_presets();
    test_values();
    test_websocket();
    test_colors();
    test_escaping();
    test_room();
    test_longest();
    test_bounded();
    test_bounded_identifier();
    test_faults();
    test_excluded();
    test_making();
    return check_report();
}
