#include "server/access_log.h"

#include <stdio.h>
#include <time.h>

#include "http/http_reason.h"

enum { CLF_TIME = 40, ISO_TIME = 24, LIBRARY = 32 };

struct tri_access_log {
    const tri_mem *mem;
    tri_access_format format;
    bool colors;
    char library[LIBRARY];
    size_t n_library;
    uint32_t pid;
    uint64_t seed;
    size_t value;    /* bytes of one from the peer, so that all fit into a line */
    size_t most;     /* bytes of a line that need not be cut, 0 for any */
    uint64_t serial; /* of the line: identifiers are made of it */
    char *excluded;
    size_t n_excluded;
    int64_t second;            /* that the times below are of, -1 for none */
    char local_time[CLF_TIME]; /* [30/Nov/2026:12:00:00 +0000] */
    char iso_time[ISO_TIME];   /* 2026-11-30T12:00:00 */
    char line[TRI_ACCESS_LOG_LINE];
};

/* Where a line is being written. */
typedef struct output {
    char *p;
    const char *end;
} output;

/* --- making one --- */

/* How long a value of others' may be, so that all fit into a line of `line` bytes, which then never ends within quotes.
 */
static size_t value_most(const tri_access_format *format, size_t line)
{
    enum { OWN = 64, UVICORN = 256 }; /* bytes of an atom that are not others', at most */
    size_t own = format->n_text + 1;
    for (unsigned i = 0; i < format->n_ops; i++)
        if (format->ops[i].atom != TRI_ACCESS_LITERAL)
            own += format->ops[i].atom == TRI_ACCESS_UVICORN ? UVICORN : OWN;
    size_t room = line > own ? line - own : 0;
    size_t share = format->n_values == 0 ? room : room / format->n_values;
    return share < TRI_ACCESS_LOG_VALUE ? share : TRI_ACCESS_LOG_VALUE;
}

int tri_access_log_new(tri_access_log **out, const tri_access_config *config, tri_access_fault *fault)
{
    tri_access_log *log = tri_mem_alloc(config->mem, sizeof *log);
    if (log == NULL)
        return TRI_ENOMEM;
    memset(log, 0, offsetof(tri_access_log, line)); /* the line's pages are touched when they are needed */
    log->mem = config->mem;
    log->colors = config->colors;
    log->pid = config->pid;
    log->seed = config->seed;
    log->second = -1;
    log->n_library = config->library.n < LIBRARY ? config->library.n : LIBRARY;
    if (log->n_library > 0)
        memcpy(log->library, config->library.p, log->n_library);
    int error = tri_access_format_compile(&log->format, config->format, fault);
    if (error == 0 && config->excluded.n > 0) {
        log->excluded = tri_mem_alloc(log->mem, config->excluded.n);
        error = log->excluded == NULL ? TRI_ENOMEM : 0;
    }
    if (error != 0) {
        tri_access_log_free(log);
        return error;
    }
    log->value = value_most(&log->format, TRI_ACCESS_LOG_LINE);
    log->most = config->most;
    log->n_excluded = config->excluded.n;
    if (log->n_excluded > 0)
        memcpy(log->excluded, config->excluded.p, log->n_excluded);
    *out = log;
    return 0;
}

void tri_access_log_free(tri_access_log *log)
{
    tri_mem_free(log->mem, log->excluded, log->n_excluded);
    tri_mem_free(log->mem, log, sizeof *log);
}

const tri_access_format *tri_access_log_format(const tri_access_log *log)
{
    return &log->format;
}

/* --- paths that are left out --- */

bool tri_access_log_matches(tri_span glob, tri_span path)
{
    size_t g = 0, p = 0;
    size_t star = SIZE_MAX, mark = 0; /* behind the last star, and how far the path had come there */
    while (p < path.n) {
        if (g < glob.n && glob.p[g] == '*') {
            star = ++g;
            mark = p;
        } else if (g < glob.n && (glob.p[g] == '?' || glob.p[g] == path.p[p])) {
            g++;
            p++;
        } else if (star != SIZE_MAX) {
            g = star;
            p = ++mark;
        } else {
            return false;
        }
    }
    while (g < glob.n && glob.p[g] == '*')
        g++;
    return g == glob.n;
}

bool tri_access_log_excludes(const tri_access_log *log, tri_span path)
{
    size_t at = 0;
    while (at < log->n_excluded) {
        const char *glob = log->excluded + at;
        size_t n = strnlen(glob, log->n_excluded - at);
        if (tri_access_log_matches((tri_span){ glob, n }, path))
            return true;
        at += n + 1;
    }
    return false;
}

/* --- pieces of a line --- */

static void put(output *out, tri_span text)
{
    size_t room = (size_t)(out->end - out->p);
    size_t n = text.n < room ? text.n : room;
    if (n > 0)
        memcpy(out->p, text.p, n);
    out->p += n;
}

static void put_char(output *out, char c)
{
    if (out->p < out->end)
        *out->p++ = c;
}

static void put_number(output *out, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(out, (tri_span){ digits + n, sizeof digits - n });
}

/* A number in units of 10^-decimals. */
static void put_decimals(output *out, uint64_t value, unsigned decimals)
{
    char digits[8];
    for (unsigned i = decimals; i > 0; i--) {
        digits[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    put_number(out, value);
    put_char(out, '.');
    put(out, (tri_span){ digits, decimals });
}

/* Whether a byte may stand in a line as it is. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Writes a byte that is not plain; returns where it ends, at most 6 bytes on. */
static char *escape_byte(char *out, unsigned char c, bool json)
{
    static const char hex[] = "0123456789abcdef";
    *out++ = '\\';
    if (json && (c == '"' || c == '\\')) {
        *out++ = (char)c;
        return out;
    }
    *out++ = json ? 'u' : 'x';
    if (json) {
        *out++ = '0';
        *out++ = '0';
    }
    *out++ = hex[c >> 4];
    *out++ = hex[c & 15];
    return out;
}

char *tri_access_log_escape(char *out, const char *end, tri_span bytes, bool json)
{
    enum { ESCAPED = 6, CUT = 3 };
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (end - out < ESCAPED + CUT && (size_t)(end - out) < (bytes.n - i) * ESCAPED) {
            for (unsigned dots = 0; dots < CUT && out < end; dots++)
                *out++ = '.';
            break;
        }
        if (is_plain(c))
            *out++ = (char)c;
        else
            out = escape_byte(out, c, json);
    }
    return out;
}

/* The peer's bytes, without quotes around them. */
static void put_escaped(const tri_access_log *log, output *out, tri_span bytes)
{
    bool short_of_room = (size_t)(out->end - out->p) < log->value;
    const char *end = short_of_room ? out->end : out->p + log->value;
    out->p = tri_access_log_escape(out->p, end, bytes, log->format.json);
}

/* A text by itself: quoted in JSON, a dash or null when there is none. */
static void put_text(const tri_access_log *log, output *out, tri_span text)
{
    bool json = log->format.json;
    if (text.n == 0) {
        put(out, json ? TRI_SPAN("null") : TRI_SPAN("-"));
        return;
    }
    if (json)
        put_char(out, '"');
    put_escaped(log, out, text);
    if (json)
        put_char(out, '"');
}

/* Writes a client's address and port, IPv6 in brackets, into `text`. */
static tri_span client_text(const tri_addr *peer, char text[TRI_ADDR_TEXT + 10])
{
    char host[TRI_ADDR_TEXT];
    size_t n = tri_addr_text(peer, host);
    if (n == 0)
        return (tri_span){ text, 0 };
    const char *form = peer->family == TRI_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u";
    int size = snprintf(text, TRI_ADDR_TEXT + 10, form, host, (unsigned)peer->port);
    return (tri_span){ text, size > 0 ? (size_t)size : 0 };
}

static void put_address(const tri_access_log *log, output *out, const tri_addr *peer, enum tri_access_atom atom)
{
    char text[TRI_ADDR_TEXT + 10];
    if (atom == TRI_ACCESS_CLIENT)
        put_text(log, out, client_text(peer, text));
    else
        put_text(log, out, (tri_span){ text, tri_addr_text(peer, text) });
}

/* The protocol's name, of which every head has the version. */
static tri_span protocol_text(const tri_head *head)
{
    if (head->major == 1)
        return head->minor == 0 ? TRI_SPAN("HTTP/1.0") : TRI_SPAN("HTTP/1.1");
    return head->major == 2 ? TRI_SPAN("HTTP/2") : TRI_SPAN("HTTP/3");
}

static tri_span path_of(const tri_head *head)
{
    return head->path.n == 0 ? TRI_SPAN("/") : tri_head_span(head, head->path);
}

/* The request line, in one pair of quotes. */
static void put_request(const tri_access_log *log, output *out, const tri_head *head)
{
    bool json = log->format.json;
    if (json)
        put_char(out, '"');
    put_escaped(log, out, tri_head_span(head, head->method));
    put_char(out, ' ');
    put_escaped(log, out, tri_head_span(head, head->target));
    put_char(out, ' ');
    put(out, protocol_text(head));
    if (json)
        put_char(out, '"');
}

/* The value of the first field of the name that `op` holds. */
static tri_span find_field(const tri_access_log *log, const tri_head *head, const tri_access_op *op)
{
    tri_span name = { log->format.text + op->at, op->n };
    for (uint32_t i = 0; i < head->n_fields; i++) {
        const tri_field *field = &head->fields[i];
        if (field->hash == op->hash && tri_span_eq(tri_head_span(head, field->name), name))
            return tri_head_span(head, field->value);
    }
    return (tri_span){ NULL, 0 };
}

/* The request's own identifier, or one that no other request of any worker has. */
static void put_request_id(const tri_access_log *log, output *out, const tri_head *head, const tri_access_op *op)
{
    tri_span given = find_field(log, head, op);
    char made[40];
    if (given.n == 0) {
        int n = snprintf(made, sizeof made, "%016llx%016llx", (unsigned long long)log->seed,
                         (unsigned long long)log->serial);
        given = (tri_span){ made, n > 0 ? (size_t)n : 0 };
    }
    put_text(log, out, given);
}

/* Brings the times up to the second. */
static void tick(tri_access_log *log, uint64_t wall_ns)
{
    int64_t second = (int64_t)(wall_ns / 1000000000);
    if (second == log->second)
        return;
    log->second = second;
    time_t now = (time_t)second;
    struct tm parts;
    log->iso_time[0] = log->local_time[0] = '\0';
    if (gmtime_r(&now, &parts) == NULL || strftime(log->iso_time, ISO_TIME, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        log->iso_time[0] = '\0';
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    if (localtime_r(&now, &parts) == NULL)
        return;
    long offset = parts.tm_gmtoff / 60;
    long size = offset < 0 ? -offset : offset;
    int n = snprintf(log->local_time, CLF_TIME, "[%02d/%s/%04d:%02d:%02d:%02d %c%02ld%02ld]", parts.tm_mday,
                     months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     offset < 0 ? '-' : '+', size / 60, size % 60);
    if (n < 0 || n >= CLF_TIME)
        log->local_time[0] = '\0';
}

static void put_time(tri_access_log *log, output *out, uint64_t wall_ns, enum tri_access_atom atom)
{
    tick(log, wall_ns);
    if (atom == TRI_ACCESS_LOCAL_TIME) {
        put_text(log, out, (tri_span){ log->local_time, strlen(log->local_time) });
        return;
    }
    char text[ISO_TIME + 8];
    unsigned ms = (unsigned)(wall_ns / 1000000 % 1000);
    int n = snprintf(text, sizeof text, "%s.%03uZ", log->iso_time, ms);
    put_text(log, out, (tri_span){ text, n > 0 ? (size_t)n : 0 });
}

/* --- uvicorn's line --- */

static const char *status_color(int status)
{
    static const char *const colors[] = { "\033[97m", "\033[32m", "\033[33m", "\033[31m", "\033[91m" };
    return status >= 100 && status < 600 ? colors[status / 100 - 1] : "";
}

/* A colour, where there are colours. */
static void put_color(const tri_access_log *log, output *out, const char *color)
{
    if (log->colors)
        put(out, (tri_span){ color, strlen(color) });
}

/* How a WebSocket's handshake ended. */
static void put_handshake(const tri_access_log *log, output *out, const tri_access_record *record)
{
    put(out, TRI_SPAN("WebSocket "));
    put_escaped(log, out, tri_head_span(record->head, record->head->target));
    put(out, TRI_SPAN("\" "));
    if (record->status == 101)
        put(out, TRI_SPAN("[accepted]"));
    else
        put_number(out, (uint64_t)record->status);
}

static void put_uvicorn(const tri_access_log *log, output *out, const tri_access_record *record)
{
    char client[TRI_ADDR_TEXT + 10];
    put_color(log, out, "\033[32m");
    put(out, TRI_SPAN("INFO"));
    put_color(log, out, "\033[0m");
    put(out, TRI_SPAN(":     "));
    put_text(log, out, client_text(record->peer, client));
    put(out, TRI_SPAN(" - \""));
    if (record->websocket) {
        put_handshake(log, out, record);
        return;
    }
    put_color(log, out, "\033[1m");
    put_request(log, out, record->head);
    put_color(log, out, "\033[0m");
    put(out, TRI_SPAN("\" "));
    put_color(log, out, status_color(record->status));
    put_number(out, (uint64_t)record->status);
    const char *phrase = tri_http_reason(record->status);
    if (*phrase != '\0') {
        put_char(out, ' ');
        put(out, (tri_span){ phrase, strlen(phrase) });
    }
    put_color(log, out, "\033[0m");
}

/* --- lines --- */

/* What was sent in a field of the answer. */
static tri_span sent_field(const tri_access_record *record, const tri_access_op *op)
{
    return record->fields == NULL ? (tri_span){ NULL, 0 } : record->fields[op->sent];
}

/* As the common log format has it: a dash for an answer without a body. */
static void put_bytes_or_dash(const tri_access_log *log, output *out, uint64_t sent)
{
    if (sent == 0 && !log->format.json)
        put_char(out, '-');
    else
        put_number(out, sent);
}

/* A number, where `atom` is one; whether it is. */
static bool put_count(const tri_access_log *log, output *out, const tri_access_record *record,
                      enum tri_access_atom atom)
{
    uint64_t us = record->duration_ns / 1000;
    switch (atom) {
    case TRI_ACCESS_PORT:
        put_number(out, record->peer->port);
        return true;
    case TRI_ACCESS_STATUS:
        put_number(out, (uint64_t)record->status);
        return true;
    case TRI_ACCESS_BYTES_OR_DASH:
        put_bytes_or_dash(log, out, record->sent);
        return true;
    case TRI_ACCESS_BYTES:
        put_number(out, record->sent);
        return true;
    case TRI_ACCESS_MICROS:
        put_number(out, us);
        return true;
    case TRI_ACCESS_MILLIS:
        put_decimals(out, us, 3);
        return true;
    case TRI_ACCESS_WHOLE_MILLIS:
        put_number(out, us / 1000);
        return true;
    case TRI_ACCESS_SECONDS:
        put_decimals(out, us, 6);
        return true;
    case TRI_ACCESS_WHOLE_SECONDS:
        put_number(out, us / 1000000);
        return true;
    case TRI_ACCESS_PID:
        put_number(out, log->pid);
        return true;
    default:
        return false;
    }
}

/* A text of the request's, where `atom` is one, into `*text`; whether it is. */
static bool request_text(const tri_access_log *log, const tri_access_record *record, const tri_access_op *op,
                         tri_span *text)
{
    const tri_head *head = record->head;
    switch ((enum tri_access_atom)op->atom) {
    case TRI_ACCESS_NOTHING:
        *text = (tri_span){ NULL, 0 };
        return true;
    case TRI_ACCESS_METHOD:
        *text = tri_head_span(head, head->method);
        return true;
    case TRI_ACCESS_TARGET:
        *text = tri_head_span(head, head->target);
        return true;
    case TRI_ACCESS_PATH:
        *text = path_of(head);
        return true;
    case TRI_ACCESS_QUERY:
        *text = tri_head_span(head, head->query);
        return true;
    case TRI_ACCESS_HOST:
        *text = record->host;
        return true;
    case TRI_ACCESS_FIELD:
        *text = find_field(log, head, op);
        return true;
    case TRI_ACCESS_SENT:
        *text = sent_field(record, op);
        return true;
    default:
        return false;
    }
}

/* A text of the server's own. */
static tri_span own_text(const tri_access_log *log, const tri_access_record *record, enum tri_access_atom atom)
{
    if (atom == TRI_ACCESS_PROTOCOL)
        return protocol_text(record->head);
    if (atom == TRI_ACCESS_SCHEME)
        return record->scheme;
    if (atom == TRI_ACCESS_LIBRARY)
        return (tri_span){ log->library, log->n_library };
    const char *phrase = tri_http_reason(record->status);
    return (tri_span){ phrase, strlen(phrase) };
}

static void put_pid_in_angles(const tri_access_log *log, output *out)
{
    char text[16];
    int n = snprintf(text, sizeof text, "<%u>", (unsigned)log->pid);
    put_text(log, out, (tri_span){ text, n > 0 ? (size_t)n : 0 });
}

static void put_op(tri_access_log *log, output *out, const tri_access_record *record, const tri_access_op *op)
{
    enum tri_access_atom atom = op->atom;
    tri_span text;
    if (put_count(log, out, record, atom))
        return;
    if (request_text(log, record, op, &text)) {
        put_text(log, out, text);
        return;
    }
    switch (atom) {
    case TRI_ACCESS_LITERAL:
        put(out, (tri_span){ log->format.text + op->at, op->n });
        break;
    case TRI_ACCESS_UVICORN:
        put_uvicorn(log, out, record);
        break;
    case TRI_ACCESS_CLIENT:
    case TRI_ACCESS_ADDRESS:
        put_address(log, out, record->peer, atom);
        break;
    case TRI_ACCESS_REQUEST:
        put_request(log, out, record->head);
        break;
    case TRI_ACCESS_TIME:
    case TRI_ACCESS_LOCAL_TIME:
        put_time(log, out, record->wall_ns, atom);
        break;
    case TRI_ACCESS_REQUEST_ID:
        put_request_id(log, out, record->head, op);
        break;
    case TRI_ACCESS_PID_IN_ANGLES:
        put_pid_in_angles(log, out);
        break;
    default:
        put_text(log, out, own_text(log, record, atom));
        break;
    }
}

/* Writes the line. */
static tri_span write_line(tri_access_log *log, const tri_access_record *record)
{
    output out = { log->line, log->line + sizeof log->line - 1 };
    for (unsigned i = 0; i < log->format.n_ops; i++)
        put_op(log, &out, record, &log->format.ops[i]);
    *out.p++ = '\n';
    return (tri_span){ log->line, (size_t)(out.p - log->line) };
}

/* Writes a line that would be too long once more, with values cut for it to fit: a share of the room for each does, and
   a few tries find how much of it the short ones leave to the long. */
static tri_span write_shorter(tri_access_log *log, const tri_access_record *record)
{
    enum { TRIES = 4 };
    size_t fits = value_most(&log->format, log->most), too_long = log->value;
    for (unsigned i = 0; i < TRIES; i++) {
        log->value = fits + (too_long - fits) / 2;
        if (write_line(log, record).n <= log->most)
            fits = log->value;
        else
            too_long = log->value;
    }
    log->value = fits;
    return write_line(log, record);
}

tri_span tri_access_log_line(tri_access_log *log, const tri_access_record *record)
{
    log->serial++;
    tri_span line = write_line(log, record);
    if (log->most == 0 || line.n <= log->most)
        return line;
    size_t value = log->value;
    line = write_shorter(log, record);
    log->value = value;
    return line;
}
