#include "server/access_format.h"

#include <string.h>

/* The field that a request's identifier is taken from, unless the format names another. */
#define REQUEST_ID_FIELD "x-request-id"

/* The formats that have names, as formats. */
static const struct {
    tri_span name;
    tri_span text;
} presets[] = {
    { { "common", 6 }, { "%(h)s - - %(t)s \"%(r)s\" %(s)s %(b)s", 35 } },
    { { "combined", 8 }, { "%(h)s - - %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"", 51 } },
};

static const char json_preset[] =
    "{\"time\":%(time)s,\"client\":%(client)s,\"method\":%(method)s,\"path\":%(path)s,\"query\":%(query)s,"
    "\"protocol\":%(protocol)s,\"scheme\":%(scheme)s,\"status\":%(status)s,\"bytes\":%(bytes)s,"
    "\"duration_ms\":%(duration_ms)s,\"request_id\":%(request_id)s,\"host\":%(host)s,\"user_agent\":%(user_agent)s,"
    "\"referer\":%(referer)s,\"library\":%(library)s,\"pid\":%(pid)s}";

/* An atom's name, what it is, what it needs, and the request's field that it stands for. */
typedef struct known_atom {
    const char *name;
    enum tri_access_atom atom;
    const char *field;
} known_atom;

static const known_atom atoms[] = {
    { "h", TRI_ACCESS_ADDRESS, NULL },
    { "l", TRI_ACCESS_NOTHING, NULL },
    { "u", TRI_ACCESS_NOTHING, NULL },
    { "t", TRI_ACCESS_LOCAL_TIME, NULL },
    { "r", TRI_ACCESS_REQUEST, NULL },
    { "m", TRI_ACCESS_METHOD, NULL },
    { "U", TRI_ACCESS_PATH, NULL },
    { "q", TRI_ACCESS_QUERY, NULL },
    { "R", TRI_ACCESS_TARGET, NULL },
    { "Uq", TRI_ACCESS_TARGET, NULL },
    { "H", TRI_ACCESS_PROTOCOL, NULL },
    { "S", TRI_ACCESS_SCHEME, NULL },
    { "s", TRI_ACCESS_STATUS, NULL },
    { "st", TRI_ACCESS_PHRASE, NULL },
    { "B", TRI_ACCESS_BYTES, NULL },
    { "b", TRI_ACCESS_BYTES_OR_DASH, NULL },
    { "f", TRI_ACCESS_FIELD, "referer" },
    { "a", TRI_ACCESS_FIELD, "user-agent" },
    { "T", TRI_ACCESS_WHOLE_SECONDS, NULL },
    { "M", TRI_ACCESS_WHOLE_MILLIS, NULL },
    { "D", TRI_ACCESS_MICROS, NULL },
    { "L", TRI_ACCESS_SECONDS, NULL },
    { "p", TRI_ACCESS_PID_IN_ANGLES, NULL },
    { "time", TRI_ACCESS_TIME, NULL },
    { "client", TRI_ACCESS_CLIENT, NULL },
    { "client_addr", TRI_ACCESS_CLIENT, NULL },
    { "client_host", TRI_ACCESS_ADDRESS, NULL },
    { "client_port", TRI_ACCESS_PORT, NULL },
    { "request", TRI_ACCESS_REQUEST, NULL },
    { "request_line", TRI_ACCESS_REQUEST, NULL },
    { "method", TRI_ACCESS_METHOD, NULL },
    { "target", TRI_ACCESS_TARGET, NULL },
    { "path", TRI_ACCESS_PATH, NULL },
    { "query", TRI_ACCESS_QUERY, NULL },
    { "protocol", TRI_ACCESS_PROTOCOL, NULL },
    { "scheme", TRI_ACCESS_SCHEME, NULL },
    { "status", TRI_ACCESS_STATUS, NULL },
    { "status_code", TRI_ACCESS_STATUS, NULL },
    { "phrase", TRI_ACCESS_PHRASE, NULL },
    { "bytes", TRI_ACCESS_BYTES, NULL },
    { "duration", TRI_ACCESS_SECONDS, NULL },
    { "duration_us", TRI_ACCESS_MICROS, NULL },
    { "duration_ms", TRI_ACCESS_MILLIS, NULL },
    { "duration_s", TRI_ACCESS_SECONDS, NULL },
    { "request_id", TRI_ACCESS_REQUEST_ID, REQUEST_ID_FIELD },
    { "host", TRI_ACCESS_HOST, NULL },
    { "user_agent", TRI_ACCESS_FIELD, "user-agent" },
    { "referer", TRI_ACCESS_FIELD, "referer" },
    { "library", TRI_ACCESS_LIBRARY, NULL },
    { "pid", TRI_ACCESS_PID, NULL },
};

/* Those that are said of a field: %({name}i)s. */
static const known_atom field_atoms[] = {
    { "i", TRI_ACCESS_FIELD, NULL },
    { "o", TRI_ACCESS_SENT, NULL },
    { "request_id", TRI_ACCESS_REQUEST_ID, NULL },
};

static int refuse(tri_access_fault *fault, size_t at, const char *reason)
{
    *fault = (tri_access_fault){ at, reason };
    return TRI_EINVAL;
}

static tri_span span_of(const char *text)
{
    return (tri_span){ text, strlen(text) };
}

static unsigned needs_of(enum tri_access_atom atom)
{
    switch (atom) {
    case TRI_ACCESS_TIME:
    case TRI_ACCESS_LOCAL_TIME:
        return TRI_ACCESS_NEEDS_WALL;
    case TRI_ACCESS_MICROS:
    case TRI_ACCESS_MILLIS:
    case TRI_ACCESS_WHOLE_MILLIS:
    case TRI_ACCESS_SECONDS:
    case TRI_ACCESS_WHOLE_SECONDS:
        return TRI_ACCESS_NEEDS_DURATION;
    default:
        return 0;
    }
}

/* How many values of others' an atom writes. */
static unsigned values_of(enum tri_access_atom atom)
{
    switch (atom) {
    case TRI_ACCESS_REQUEST:
        return 2;
    case TRI_ACCESS_METHOD:
    case TRI_ACCESS_TARGET:
    case TRI_ACCESS_PATH:
    case TRI_ACCESS_QUERY:
    case TRI_ACCESS_REQUEST_ID:
    case TRI_ACCESS_HOST:
    case TRI_ACCESS_FIELD:
    case TRI_ACCESS_SENT:
        return 1;
    default:
        return 0;
    }
}

/* Appends a byte to the literals and names; false when they are full. */
static bool keep_byte(tri_access_format *format, char byte)
{
    if (format->n_text == sizeof format->text)
        return false;
    format->text[format->n_text++] = byte;
    return true;
}

/* Appends a byte of the text between atoms. */
static bool keep_literal(tri_access_format *format, char byte)
{
    tri_access_op *last = format->n_ops == 0 ? NULL : &format->ops[format->n_ops - 1];
    if (last == NULL || last->atom != TRI_ACCESS_LITERAL) {
        if (format->n_ops == TRI_ACCESS_FORMAT_OPS)
            return false;
        last = &format->ops[format->n_ops++];
        *last = (tri_access_op){ .atom = TRI_ACCESS_LITERAL, .at = (uint32_t)format->n_text };
    }
    last->n++;
    return keep_byte(format, byte);
}

/* Appends a field's name, in lower case. */
static bool keep_name(tri_access_format *format, tri_access_op *op, tri_span name)
{
    op->at = (uint32_t)format->n_text;
    op->n = (uint16_t)name.n;
    op->hash = 2166136261U;
    for (size_t i = 0; i < name.n; i++) {
        char c = tri_span_lower(name.p[i]);
        op->hash = (op->hash ^ (uint8_t)c) * 16777619U;
        if (!keep_byte(format, c))
            return false;
    }
    return true;
}

/* Appends an atom; NULL or what is too much. */
static const char *keep_atom(tri_access_format *format, enum tri_access_atom atom, tri_span field)
{
    if (format->n_ops == TRI_ACCESS_FORMAT_OPS)
        return "there are too many atoms";
    if (atom == TRI_ACCESS_SENT && format->n_sent == TRI_ACCESS_FORMAT_SENT)
        return "there are too many fields of the response";
    tri_access_op *op = &format->ops[format->n_ops++];
    *op = (tri_access_op){ .atom = (uint8_t)atom };
    if (atom == TRI_ACCESS_SENT)
        op->sent = (uint8_t)format->n_sent++;
    format->needs |= needs_of(atom);
    format->n_values += values_of(atom);
    return keep_name(format, op, field) ? NULL : "the format is too long";
}

static const known_atom *find_atom(const known_atom *known, size_t n, tri_span name)
{
    for (size_t i = 0; i < n; i++)
        if (tri_span_eq(span_of(known[i].name), name))
            return &known[i];
    return NULL;
}

/* Compiles what stands between the parentheses. */
static const char *compile_atom(tri_access_format *format, tri_span name)
{
    if (name.n == 0 || name.p[0] != '{') {
        const known_atom *found = find_atom(atoms, sizeof atoms / sizeof *atoms, name);
        if (found == NULL)
            return "there is no such atom";
        return keep_atom(format, found->atom, found->field == NULL ? (tri_span){ 0 } : span_of(found->field));
    }
    const char *brace = memchr(name.p, '}', name.n);
    if (brace == NULL || brace == name.p + 1)
        return "a field's name must stand between { and }";
    tri_span field = { name.p + 1, (size_t)(brace - name.p) - 1 };
    tri_span kind = { brace + 1, name.n - field.n - 2 };
    const known_atom *found = find_atom(field_atoms, sizeof field_atoms / sizeof *field_atoms, kind);
    return found == NULL ? "behind {field} there must be i, o or request_id" : keep_atom(format, found->atom, field);
}

/* Compiles the atom that begins at `*at` with a percent sign, and moves behind it. */
static const char *compile_percent(tri_access_format *format, tri_span text, size_t *at)
{
    tri_span rest = { text.p + *at + 1, text.n - *at - 1 };
    if (rest.n > 0 && rest.p[0] == '%') {
        *at += 2;
        return keep_literal(format, '%') ? NULL : "the format is too long";
    }
    const char *end = rest.n > 0 && rest.p[0] == '(' ? memchr(rest.p, ')', rest.n) : NULL;
    if (end == NULL)
        return "a percent sign must be followed by (atom)s, or by another one";
    size_t n = (size_t)(end - rest.p);
    if (n + 1 == rest.n || (end[1] != 's' && end[1] != 'd'))
        return "an atom must end with )s";
    const char *problem = compile_atom(format, (tri_span){ rest.p + 1, n - 1 });
    if (problem == NULL)
        *at += n + 3;
    return problem;
}

/* Compiles a format that begins `offset` bytes into what the user wrote. */
static int compile_text(tri_access_format *format, tri_span text, size_t offset, tri_access_fault *fault)
{
    size_t at = 0;
    while (at < text.n) {
        const char *problem = NULL;
        if (text.p[at] == '%')
            problem = compile_percent(format, text, &at);
        else if ((unsigned char)text.p[at] < 0x20 && text.p[at] != '\t')
            problem = "a line cannot hold control characters";
        else if (!keep_literal(format, text.p[at++]))
            problem = "the format is too long";
        if (problem != NULL)
            return refuse(fault, offset + at, problem);
    }
    return 0;
}

int tri_access_format_compile(tri_access_format *format, tri_span text, tri_access_fault *fault)
{
    const tri_span prefix = TRI_SPAN("json:");
    memset(format, 0, sizeof *format);
    if (text.n == 0)
        return refuse(fault, 0, "it is empty");
    if (tri_span_eq(text, TRI_SPAN("uvicorn"))) {
        format->ops[format->n_ops++].atom = TRI_ACCESS_UVICORN;
        format->n_values = values_of(TRI_ACCESS_REQUEST);
        return 0;
    }
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (tri_span_eq(text, presets[i].name))
            return compile_text(format, presets[i].text, 0, fault);
    format->json = true;
    if (tri_span_eq(text, TRI_SPAN("json")))
        return compile_text(format, TRI_SPAN(json_preset), 0, fault);
    if (text.n > prefix.n && memcmp(text.p, prefix.p, prefix.n) == 0)
        return compile_text(format, (tri_span){ text.p + prefix.n, text.n - prefix.n }, prefix.n, fault);
    format->json = false;
    if (memchr(text.p, '%', text.n) == NULL)
        return refuse(fault, 0, "it is neither uvicorn, json, common or combined, nor has it atoms such as %(status)s");
    return compile_text(format, text, 0, fault);
}
