/* The response writer: the input is what an application supplies. It is refused, or what is sent reads as exactly one
   message with the body that was given: no application can split an answer. */
#include "fuzz_http.h"

enum { FIELDS_MAX = 6, PIECES_MAX = 4, BODY_MAX = 4096 };

/* What the application gave. */
typedef struct given_head {
    tri_field_out fields[FIELDS_MAX];
    size_t n;
} given_head;

/* What is sent, and how far it has been read. */
typedef struct reader {
    const char *p;
    const char *end;
    size_t body_n;
    char body[BODY_MAX];
} reader;

/* What the head says about the body. */
typedef struct framing {
    int status;
    unsigned lengths;
    unsigned codings;
    bool close;
    unsigned long long length;
} framing;

static const char *crlf(const reader *in)
{
    const char *found = memmem(in->p, (size_t)(in->end - in->p), "\r\n", 2);
    HOLDS(found != NULL);
    return found;
}

static bool is_name(tri_span name, const char *lower)
{
    return name.n == strlen(lower) && strncasecmp(name.p, lower, name.n) == 0;
}

static void read_value(framing *out, tri_span name, tri_span value)
{
    if (is_name(name, "content-length")) {
        HOLDS(value.n > 0 && value.n <= 18);
        for (size_t i = 0; i < value.n; i++)
            HOLDS(value.p[i] >= '0' && value.p[i] <= '9');
        out->lengths++;
        out->length = strtoull(value.p, NULL, 10);
    } else if (is_name(name, "transfer-encoding")) {
        HOLDS(tri_span_eq(value, TRI_SPAN("chunked")));
        out->codings++;
    } else if (is_name(name, "connection")) {
        out->close = out->close || tri_span_eq(value, TRI_SPAN("close"));
    }
}

static tri_span trim(tri_span value)
{
    while (value.n > 0 && (*value.p == ' ' || *value.p == '\t')) {
        value.p++;
        value.n--;
    }
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
        value.n--;
    return value;
}

/* Whether the application gave this field. */
static bool was_given(const given_head *given, tri_span name, tri_span value)
{
    for (size_t i = 0; i < given->n; i++) {
        const tri_field_out *field = &given->fields[i];
        bool same_name = name.n == field->name.n && strncasecmp(name.p, field->name.p, name.n) == 0;
        if (same_name && tri_span_eq(trim(field->value), value))
            return true;
    }
    return false;
}

/* One field line up to its CRLF: a token, a colon, a value without controls; given, or one that we add. */
static void read_field(framing *out, const given_head *given, const char *p, const char *end)
{
    static const char tokens[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *colon = memchr(p, ':', (size_t)(end - p));
    HOLDS(colon != NULL && colon > p);
    for (const char *c = p; c < colon; c++)
        HOLDS(*c != '\0' && strchr(tokens, *c) != NULL);
    for (const char *c = colon + 1; c < end; c++)
        HOLDS(((unsigned char)*c >= 0x20 || *c == '\t') && *c != 0x7f);
    tri_span name = { p, (size_t)(colon - p) };
    tri_span value = trim((tri_span){ colon + 1, (size_t)(end - colon - 1) });
    read_value(out, name, value);
    bool ours = is_name(name, "content-length") || is_name(name, "transfer-encoding") || is_name(name, "connection")
                || is_name(name, "server");
    HOLDS(ours || was_given(given, name, value));
}

static framing read_head(reader *in, const given_head *given)
{
    framing out = { 0 };
    const char *end = crlf(in);
    HOLDS(end - in->p >= 13 && memcmp(in->p, "HTTP/1.1 ", 9) == 0 && in->p[12] == ' ');
    out.status = atoi(in->p + 9);
    while (in->p = end + 2, end = crlf(in), end > in->p)
        read_field(&out, given, in->p, end);
    in->p = end + 2;
    return out;
}

static void take_body(reader *in, size_t n)
{
    HOLDS(n <= (size_t)(in->end - in->p) && n <= sizeof in->body - in->body_n);
    memcpy(in->body + in->body_n, in->p, n);
    in->body_n += n;
    in->p += n;
}

static void read_chunks(reader *in)
{
    for (;;) {
        const char *end = crlf(in);
        char *after;
        size_t n = strtoul(in->p, &after, 16);
        HOLDS(after == end && after > in->p);
        in->p = end + 2;
        take_body(in, n);
        HOLDS(in->end - in->p >= 2 && memcmp(in->p, "\r\n", 2) == 0);
        in->p += 2;
        if (n == 0)
            return;
    }
}

/* Reads one answer; nothing may be left behind it. */
static framing read_answer(reader *in, const given_head *given, bool is_head)
{
    framing out = read_head(in, given);
    HOLDS(out.lengths + out.codings <= 1);
    bool bodiless = is_head || out.status == 204 || out.status == 304;
    HOLDS(out.status != 204 || out.lengths + out.codings == 0);
    if (!bodiless && out.codings > 0)
        read_chunks(in);
    else if (!bodiless && out.lengths > 0)
        take_body(in, (size_t)out.length);
    else if (!bodiless)
        take_body(in, (size_t)(in->end - in->p));
    HOLDS(in->p == in->end);
    return out;
}

/* The body's pieces, each as the input has it. Returns whether all were taken; `body` receives them. */
static bool submit_pieces(record *self, fuzz_input *in, reader *given)
{
    unsigned n = fuzz_byte(in) % PIECES_MAX;
    for (unsigned i = 0; i <= n; i++) {
        tri_loan loan = { .bytes = fuzz_text(in) };
        if (loan.bytes.n > sizeof given->body - given->body_n)
            return false;
        int error = self->protocol->ops->submit_body(self->protocol, 0, &loan, i == n);
        if (error != 0) {
            HOLDS(error == TRI_EINVAL);
            return false;
        }
        if (loan.bytes.n > 0)
            memcpy(given->body + given->body_n, loan.bytes.p, loan.bytes.n);
        given->body_n += loan.bytes.n;
        record_write(self);
    }
    return true;
}

static int submit_head(record *self, fuzz_input *in, given_head *given, bool close)
{
    tri_response response = { .fields = given->fields, .close = close, .server = TRI_SPAN("server: x\r\n") };
    response.status = (int)(fuzz_byte(in) | fuzz_byte(in) << 8) % 1100;
    given->n = response.n_fields = fuzz_byte(in) % (FIELDS_MAX + 1);
    for (size_t i = 0; i < given->n; i++) {
        given->fields[i].name = fuzz_text(in);
        given->fields[i].value = fuzz_text(in);
    }
    int error = self->protocol->ops->submit_head(self->protocol, 0, &response);
    HOLDS(error == 0 || error == TRI_EINVAL);
    record_write(self);
    HOLDS(self->out_n == 0);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    };
    static record self;
    static reader given, sent;
    static given_head head;
    fuzz_input in = { data, size < BODY_MAX ? size : BODY_MAX };
    unsigned choice = fuzz_byte(&in);
    const char *request = requests[choice % 4];
    record_init(&self);
    self.silent = true;
    HOLDS(record_open(&self) == 0 && record_feed(&self, request, strlen(request)) == 0);
    given.body_n = sent.body_n = 0;
    if (submit_head(&self, &in, &head, (choice & 4) != 0) == 0 && submit_pieces(&self, &in, &given)) {
        sent.p = self.out;
        sent.end = self.out + self.out_n;
        framing found = read_answer(&sent, &head, choice % 4 == 1);
        bool without = choice % 4 == 1 || found.status == 204 || found.status == 205 || found.status == 304;
        HOLDS(without ? sent.body_n == 0 : sent.body_n == given.body_n);
        HOLDS(memcmp(sent.body, given.body, sent.body_n) == 0);
        HOLDS(choice % 4 < 2 || found.codings == 0);
        HOLDS(found.close == ((record_state(&self) & TRI_PROTOCOL_CLOSE) != 0));
    }
    record_close(&self);
    HOLDS(check_failed == 0);
    return 0;
}
