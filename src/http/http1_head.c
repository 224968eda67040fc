/* A request's head (RFC 9112 §2 to §6), a line at a time: a line is looked at once its LF has come, so that delivery in
   pieces cannot change what is read. */
#include "http/authority.h"
#include "http/http1_internal.h"

enum {
    FIRST_FIELDS = 16,
    TLS_HANDSHAKE = 0x16, /* the first byte of a ClientHello's record: RFC 8446 §5.1 */
};

/* clang-format off */
const unsigned char tri_http1_head_token[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o',
    ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w',
    ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',
    ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',
    ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',
    ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};
/* clang-format on */

/* Eight times the byte `c`. */
#define EIGHT(c) (UINT64_C(0x0101010101010101) * (c))

/* Whether one of eight bytes is a control character, HTAB included: below SP, or DEL. */
static bool has_control(uint64_t eight)
{
    uint64_t low = (eight - EIGHT(0x20)) & ~eight;
    uint64_t del = eight ^ EIGHT(0x7f);
    return ((low | ((del - EIGHT(0x01)) & ~del)) & EIGHT(0x80)) != 0;
}

/* As tri_http1_head_value_ok, a byte at a time. */
static bool bytes_ok(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* As tri_http1_head_value_ok, for eight bytes. */
static bool eight_ok(const char *p)
{
    uint64_t eight;
    memcpy(&eight, p, 8);
    return !has_control(eight) || bytes_ok(p, 8);
}

/* The last eight may be some that were looked at before: that costs less than a byte at a time. */
bool tri_http1_head_value_ok(const char *p, size_t n)
{
    if (n < 8)
        return bytes_ok(p, n);
    const char *last = p + n - 8;
    for (; p < last; p += 8)
        if (!eight_ok(p))
            return false;
    return eight_ok(last);
}

bool tri_http1_head_same(tri_span span, tri_span lower)
{
    if (span.n != lower.n)
        return false;
    for (size_t i = 0; i < span.n; i++)
        if (tri_http1_head_token[(unsigned char)span.p[i]] != (unsigned char)lower.p[i])
            return false;
    return true;
}

bool tri_http1_head_next_option(tri_span *list, tri_span *option)
{
    while (list->n > 0) {
        const char *comma = memchr(list->p, ',', list->n);
        size_t n = comma == NULL ? list->n : (size_t)(comma - list->p);
        *option = tri_span_trim((tri_span){ list->p, n });
        size_t used = comma == NULL ? n : n + 1;
        list->p += used;
        list->n -= used;
        if (option->n > 0)
            return true;
    }
    return false;
}

bool tri_http1_head_length(tri_span digits, uint64_t *out)
{
    uint64_t value = 0;
    if (digits.n == 0 || digits.n > 18)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(digits.p[i] - '0');
    }
    *out = value;
    return true;
}

/* Refuses with 400; for use in a return statement. */
static bool bad(tri_http1 *self, const char *reason)
{
    tri_http1_reject(self, 400, reason);
    return false;
}

/* HTTP-version at the end of the request line: eight bytes at `p`. */
static bool parse_version(tri_http1 *self, tri_head *head, const char *p)
{
    bool digits = p[5] >= '0' && p[5] <= '9' && p[7] >= '0' && p[7] <= '9';
    if (memcmp(p, "HTTP/", 5) != 0 || !digits || p[6] != '.')
        return bad(self, "the version is malformed");
    if (p[5] != '1') {
        tri_http1_reject(self, 505, "the version is not supported");
        return false;
    }
    head->major = 1;
    head->minor = p[7] != '0'; /* later minor versions are read as the highest one we know: RFC 9110 §2.5 */
    if (head->minor == 0)
        self->flags |= TRI_HTTP1_MINOR_0;
    return true;
}

/* Where the visible ASCII characters from `at` on end. */
static uint32_t visible_end(const char *base, uint32_t at)
{
    while (base[at] > 0x20 && base[at] < 0x7f && base[at] != '#')
        at++;
    return at;
}

/* What a request line that is well-formed asks for. */
static bool check_request(tri_http1 *self, tri_head *head)
{
    tri_span method = tri_head_span(head, head->method);
    bool is_head = tri_span_eq(method, TRI_SPAN("HEAD"));
    if (tri_http1_head_same(method, TRI_SPAN("connect"))) {
        tri_http1_reject(self, 501, "CONNECT is not supported");
        return false;
    }
    if (!is_head && tri_http1_head_same(method, TRI_SPAN("head"))) {
        /* Another method, by RFC 9110 §9.1; but the application is given methods in upper case. */
        tri_http1_reject(self, 501, "methods are case-sensitive: HEAD is in upper case");
        return false;
    }
    const char *wrong = tri_http1_target_parse(head);
    if (wrong != NULL)
        return bad(self, wrong);
    if (is_head)
        self->head_flags |= TRI_HEAD_IS_HEAD;
    self->flags |= TRI_HTTP1_REQUEST_LINE;
    return true;
}

/* The request line, which ends with CR at `end`: method SP target SP version. */
static bool parse_request_line(tri_http1 *self, tri_head *head, uint32_t end)
{
    const char *base = head->base;
    uint32_t at = 0;
    while (tri_http1_head_token[(unsigned char)base[at]] != 0)
        at++;
    head->method = (tri_slice){ 0, at };
    if (at == 0 || base[at] != ' ')
        return bad(self, "the method is malformed");
    uint32_t target = at + 1;
    at = visible_end(base, target);
    head->target = (tri_slice){ target, at - target };
    if (at == target || base[at] != ' ')
        return bad(self, "the target is malformed");
    if (end - at != 9)
        return bad(self, "the version is malformed");
    if (!parse_version(self, head, base + at + 1))
        return false;
    return check_request(self, head);
}

/* Notes that a field has come which may come only once. */
static bool once(tri_http1 *self, enum tri_http1_seen field)
{
    bool first = !(self->seen & field);
    self->seen |= (uint16_t)field;
    return first;
}

/* Host: once, well-formed, and of no weight when the target has an authority. */
static bool on_host(tri_http1 *self, tri_head *head, tri_slice value)
{
    if (!once(self, TRI_SEEN_HOST))
        return bad(self, "Host is repeated");
    if (!tri_authority_ok(head->base + value.at, value.n))
        return bad(self, "Host is malformed");
    if (head->host.n == 0)
        head->host = value;
    else
        head->fields[head->n_fields - 1].value = head->host; /* RFC 9112 §3.2.2: the target's authority replaces it */
    return true;
}

/* Content-Length: once, a number, and alone. */
static bool on_content_length(tri_http1 *self, tri_head *head, tri_slice value)
{
    if (!once(self, TRI_SEEN_LENGTH))
        return bad(self, "Content-Length is repeated");
    if (!tri_http1_head_length(tri_head_span(head, value), &head->content_length))
        return bad(self, "Content-Length is malformed");
    if (self->seen & TRI_SEEN_CHUNKED)
        return bad(self, "Content-Length comes with Transfer-Encoding");
    self->head_flags |= TRI_HEAD_LENGTH;
    return true;
}

/* Transfer-Encoding: once, chunked, and alone. */
static bool on_transfer_encoding(tri_http1 *self, tri_head *head, tri_slice value)
{
    if (!once(self, TRI_SEEN_CHUNKED))
        return bad(self, "Transfer-Encoding is repeated");
    if (self->flags & TRI_HTTP1_MINOR_0)
        return bad(self, "Transfer-Encoding comes with HTTP/1.0");
    if (!tri_http1_head_same(tri_head_span(head, value), TRI_SPAN("chunked")))
        return bad(self, "Transfer-Encoding is not chunked alone");
    if (self->seen & TRI_SEEN_LENGTH)
        return bad(self, "Content-Length comes with Transfer-Encoding");
    return true;
}

/* Connection: the options that we know. */
static bool on_connection(tri_http1 *self, tri_head *head, tri_slice value)
{
    tri_span list = tri_head_span(head, value);
    tri_span option;
    while (tri_http1_head_next_option(&list, &option)) {
        if (tri_http1_head_same(option, TRI_SPAN("close")))
            self->seen |= TRI_SEEN_CLOSE;
        else if (tri_http1_head_same(option, TRI_SPAN("keep-alive")))
            self->seen |= TRI_SEEN_KEEP_ALIVE;
        else if (tri_http1_head_same(option, TRI_SPAN("upgrade")))
            self->seen |= TRI_SEEN_UPGRADE_OPTION;
    }
    return true;
}

/* Expect: 100-continue, or something that we cannot meet. */
static bool on_expect(tri_http1 *self, tri_head *head, tri_slice value)
{
    tri_span list = tri_head_span(head, value);
    tri_span option;
    while (tri_http1_head_next_option(&list, &option)) {
        bool known = tri_http1_head_same(option, TRI_SPAN("100-continue"));
        self->seen |= known ? TRI_SEEN_CONTINUE : TRI_SEEN_EXPECTATION;
    }
    return true;
}

/* TE: whether trailers are welcome. */
static bool on_te(tri_http1 *self, tri_head *head, tri_slice value)
{
    tri_span list = tri_head_span(head, value);
    tri_span option;
    while (tri_http1_head_next_option(&list, &option))
        if (tri_http1_head_same(option, TRI_SPAN("trailers")))
            self->head_flags |= TRI_HEAD_TE_TRAILERS;
    return true;
}

/* Upgrade: noted; it means something only with the option of that name. */
static bool on_upgrade(tri_http1 *self, tri_head *head, tri_slice value)
{
    (void)head;
    (void)value;
    self->seen |= TRI_SEEN_UPGRADE;
    return true;
}

/* The fields that decide how a message is read. */
static const struct {
    tri_span name;
    bool (*notice)(tri_http1 *self, tri_head *head, tri_slice value);
} known_fields[] = {
    { { "host", 4 }, on_host },
    { { "connection", 10 }, on_connection },
    { { "content-length", 14 }, on_content_length },
    { { "transfer-encoding", 17 }, on_transfer_encoding },
    { { "expect", 6 }, on_expect },
    { { "te", 2 }, on_te },
    { { "upgrade", 7 }, on_upgrade },
};

/* Looks at the last field if it is one of those. */
static bool interpret(tri_http1 *self, tri_head *head)
{
    const unsigned lengths = 1U << 2 | 1U << 4 | 1U << 6 | 1U << 7 | 1U << 10 | 1U << 14 | 1U << 17;
    const tri_field *field = &head->fields[head->n_fields - 1];
    tri_span name = tri_head_span(head, field->name);
    if (name.n > 17 || !(lengths >> name.n & 1))
        return true;
    for (size_t i = 0; i < sizeof known_fields / sizeof *known_fields; i++)
        if (tri_span_eq(name, known_fields[i].name))
            return known_fields[i].notice(self, head, field->value);
    return true;
}

/* A field line from `at` to the CR at `end`. The name is made lower case in place. */
static bool parse_field(tri_http1 *self, tri_head *head, char *base, uint32_t at, uint32_t end)
{
    if (base[at] == ' ' || base[at] == '\t')
        return bad(self, "a field line is folded");
    if (head->n_fields == self->shared->limits->fields) {
        tri_http1_reject(self, 431, "the head has too many fields");
        return false;
    }
    uint32_t i = at;
    uint32_t hash = UINT32_C(2166136261);
    for (unsigned char c; (c = tri_http1_head_token[(unsigned char)base[i]]) != 0; i++) {
        base[i] = (char)c;
        hash = (hash ^ c) * UINT32_C(16777619);
    }
    if (base[i] != ':' || i == at)
        return bad(self, "a field name is malformed");
    tri_field *field = &head->fields[head->n_fields];
    field->name = (tri_slice){ at, i - at };
    field->hash = hash;
    tri_span value = tri_span_trim((tri_span){ base + i + 1, end - i - 1 });
    if (!tri_http1_head_value_ok(value.p, value.n))
        return bad(self, "a field value has a control character");
    field->value = (tri_slice){ (uint32_t)(value.p - base), (uint32_t)value.n };
    head->n_fields++;
    return interpret(self, head);
}

/* The flags that follow from what the fields said. */
static void settle_flags(tri_http1 *self)
{
    unsigned seen = self->seen;
    bool minor_0 = (self->flags & TRI_HTTP1_MINOR_0) != 0;
    unsigned flags = self->head_flags;
    if (!(seen & TRI_SEEN_CLOSE) && (!minor_0 || (seen & TRI_SEEN_KEEP_ALIVE)))
        flags |= TRI_HEAD_KEEP_ALIVE;
    if (flags & TRI_HEAD_BODY && seen & TRI_SEEN_CONTINUE && !minor_0)
        flags |= TRI_HEAD_EXPECT;
    if (seen & TRI_SEEN_UPGRADE && seen & TRI_SEEN_UPGRADE_OPTION && !minor_0)
        flags |= TRI_HEAD_UPGRADE;
    self->head_flags = (uint16_t)flags;
}

/* The empty line behind the last field, which ends before `size`: decides on the body (RFC 9112 §6). */
static bool end_head(tri_http1 *self, tri_head *head, uint32_t size)
{
    uint64_t limit = self->shared->limits->body;
    if (!(self->seen & TRI_SEEN_HOST) && head->minor > 0)
        return bad(self, "Host is missing");
    if (self->seen & TRI_SEEN_EXPECTATION) {
        tri_http1_reject(self, 417, "an expectation is not known");
        return false;
    }
    if (limit != 0 && head->content_length > limit) {
        tri_http1_reject(self, 413, "the body is too large");
        return false;
    }
    self->in_state = TRI_IN_DONE;
    if (self->seen & TRI_SEEN_CHUNKED)
        self->in_state = TRI_IN_CHUNK_START;
    else if (head->content_length > 0)
        self->in_state = TRI_IN_BODY;
    if (self->in_state != TRI_IN_DONE)
        self->head_flags |= TRI_HEAD_BODY;
    settle_flags(self);
    self->remaining = head->content_length;
    self->body_seen = 0;
    self->ext_seen = 0;
    self->flags |= TRI_HTTP1_HEAD_SEEN;
    self->pending |= TRI_PENDING_HEAD;
    head->flags = self->head_flags;
    head->size = size;
    return true;
}

/* Whether the current line is within the limits. The head's bytes up to `end` are known; `missing` is 1 when its LF is
   not among them. */
static bool within_limits(tri_http1 *self, size_t end, size_t missing)
{
    const tri_limits *limits = self->shared->limits;
    bool first = !(self->flags & TRI_HTTP1_REQUEST_LINE);
    if (first && limits->request_line <= limits->head && end + missing > limits->request_line) {
        tri_http1_reject(self, 414, "the request line is too long");
        return false;
    }
    if (end + missing > limits->head) {
        tri_http1_reject(self, 431, "the head is too long");
        return false;
    }
    return true;
}

/* The line from self->line_at to the LF at `lf`. Returns whether another line is to be read. */
static bool parse_line(tri_http1 *self, tri_head *head, char *base, size_t lf)
{
    uint32_t at = self->line_at;
    if (!within_limits(self, lf + 1, 0))
        return false;
    uint32_t end = (uint32_t)lf - 1;
    if (lf == at || base[end] != '\r')
        return bad(self, "a line ends with LF alone");
    self->line_at = (uint32_t)lf + 1;
    if (!(self->flags & TRI_HTTP1_REQUEST_LINE))
        return parse_request_line(self, head, end);
    if (end != at)
        return parse_field(self, head, base, at, end);
    end_head(self, head, self->line_at);
    return false;
}

/* Makes `head` ready for a new request; its fields' memory stays. */
static void reset_head(tri_head *head, const char *base)
{
    *head = (tri_head){ .base = base, .fields = head->fields, .max_fields = head->max_fields };
}

void tri_http1_head_drop(tri_http1 *self)
{
    tri_http1_partial *partial = self->partial;
    const tri_mem *mem = self->shared->mem;
    if (partial == NULL)
        return;
    self->partial = NULL;
    tri_buf_release(&partial->bytes, mem);
    tri_mem_free(mem, partial->head.fields, partial->head.max_fields * sizeof(tri_field));
    tri_mem_free(mem, partial, sizeof *partial);
}

/* Makes room for one more field, within the limit. */
static int grow_fields(const tri_http1_shared *shared, tri_head *head)
{
    uint32_t most = shared->limits->fields;
    if (head->n_fields < head->max_fields || head->max_fields == most)
        return TRI_OK;
    uint64_t wanted = head->max_fields < FIRST_FIELDS / 2 ? FIRST_FIELDS : (uint64_t)head->max_fields * 2;
    uint32_t room = wanted < most ? (uint32_t)wanted : most;
    size_t old_size = head->max_fields * sizeof(tri_field);
    tri_field *fields = tri_mem_resize(shared->mem, head->fields, old_size, room * sizeof(tri_field));
    if (fields == NULL)
        return TRI_ENOMEM;
    head->fields = fields;
    head->max_fields = room;
    return TRI_OK;
}

/* Adds bytes to a head that comes in pieces. */
static int append(tri_http1 *self, const char *bytes, size_t n)
{
    tri_http1_partial *partial = self->partial;
    int error = tri_buf_append(&partial->bytes, self->shared->mem, (tri_span){ bytes, n }, self->shared->limits->head);
    partial->head.base = tri_buf_data(&partial->bytes);
    return error == TRI_OK ? TRI_OK : TRI_ENOMEM;
}

/* Keeps the first `n` bytes of a head, whose complete lines `head` describes, until the rest comes. */
static int begin_partial(tri_http1 *self, const tri_head *head, const char *bytes, size_t n)
{
    const tri_mem *mem = self->shared->mem;
    tri_http1_partial *partial = tri_mem_zalloc(mem, sizeof *partial);
    if (partial == NULL)
        return TRI_ENOMEM;
    self->partial = partial;
    partial->head = *head;
    partial->head.fields = NULL;
    partial->head.max_fields = 0;
    if (head->n_fields > 0) {
        partial->head.fields = tri_mem_alloc(mem, head->n_fields * sizeof(tri_field));
        if (partial->head.fields == NULL)
            return TRI_ENOMEM;
        partial->head.max_fields = head->n_fields;
        memcpy(partial->head.fields, head->fields, head->n_fields * sizeof(tri_field));
    }
    return append(self, bytes, n);
}

/* Further bytes of a head that comes in pieces. Each is copied once and looked at once for a LF. */
static ptrdiff_t recv_pieces(tri_http1 *self, const char *bytes, size_t n)
{
    tri_http1_partial *partial = self->partial;
    size_t at = 0;
    while (at < n) {
        const char *lf = memchr(bytes + at, '\n', n - at);
        size_t take = lf == NULL ? n - at : (size_t)(lf - bytes) - at + 1;
        size_t held = tri_buf_len(&partial->bytes);
        if (!within_limits(self, held + take, lf == NULL))
            return (ptrdiff_t)n;
        if (append(self, bytes + at, take) != TRI_OK || grow_fields(self->shared, &partial->head) != TRI_OK)
            return TRI_ENOMEM;
        at += take;
        if (lf != NULL && !parse_line(self, &partial->head, tri_buf_data(&partial->bytes), held + take - 1))
            break;
    }
    return (ptrdiff_t)at;
}

/* Whether a request may begin with this byte. It is judged as soon as it comes: what is no HTTP may never send a LF. A
   line that is empty is judged as one. */
static bool check_first(tri_http1 *self, unsigned char first)
{
    if (tri_http1_head_token[first] != 0 || first == '\n')
        return true;
    return bad(self, first == TLS_HANDSHAKE ? "TLS is spoken at a port without it" : "the method is malformed");
}

/* The first bytes of a head; most heads are complete in them, and stay where they are. */
static ptrdiff_t recv_first(tri_http1 *self, char *bytes, size_t n)
{
    tri_head *head = &self->shared->scratch;
    if (!check_first(self, (unsigned char)bytes[0]))
        return 1;
    reset_head(head, bytes);
    self->line_at = 0;
    self->in_state = TRI_IN_HEAD;
    for (;;) {
        const char *lf = memchr(bytes + self->line_at, '\n', n - self->line_at);
        if (lf == NULL)
            break;
        if (!parse_line(self, head, bytes, (size_t)(lf - bytes)))
            return (ptrdiff_t)self->line_at;
    }
    bool begun = n > self->line_at; /* a line of which nothing has come is not judged: it may never come */
    if (begun && !within_limits(self, n, 1))
        return (ptrdiff_t)n;
    return begin_partial(self, head, bytes, n) == TRI_OK ? (ptrdiff_t)n : TRI_ENOMEM;
}

/* Skips the one empty line that may come before a request (RFC 9112 §2.2); returns how many bytes it took. */
static size_t skip_empty_line(tri_http1 *self, const char *bytes, size_t n)
{
    size_t at = 0;
    if (self->in_state == TRI_IN_START && bytes[0] == '\r') {
        at = 1;
        self->in_state = TRI_IN_START_LF;
        if (self->flags & TRI_HTTP1_EMPTY_LINE)
            bad(self, "more than one empty line comes before the request");
    }
    if (self->in_state == TRI_IN_START_LF && at < n) {
        self->in_state = TRI_IN_START;
        self->flags |= TRI_HTTP1_EMPTY_LINE;
        if (bytes[at++] != '\n')
            bad(self, "the method is malformed");
    }
    return at;
}

ptrdiff_t tri_http1_head_recv(tri_http1 *self, char *bytes, size_t n)
{
    if (self->partial != NULL)
        return recv_pieces(self, bytes, n);
    size_t at = skip_empty_line(self, bytes, n);
    if (self->in_state != TRI_IN_START || at == n)
        return (ptrdiff_t)at;
    if (bytes[at] == '\r')
        return (ptrdiff_t)(at + skip_empty_line(self, bytes + at, n - at));
    ptrdiff_t took = recv_first(self, bytes + at, n - at);
    return took < 0 ? took : (ptrdiff_t)at + took;
}
