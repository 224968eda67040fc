/* What the access log is told of an exchange. */
#include "net/clock.h"
#include "server/internal.h"

/* What is kept of an answer's fields: for each that the format names its size in two bytes, and room for its value. */
enum { SLOT = 2 + TRI_ACCESS_LOG_SENT };

static size_t kept_size(const tri_server *server)
{
    return (size_t)server->log_sent * SLOT;
}

/* The value of the first field of an answer that is called `name`, which is in lower case. */
static tri_span find(const tri_response *response, tri_span name)
{
    for (size_t i = 0; i < response->n_fields; i++)
        if (tri_span_is_word(response->fields[i].name, name))
            return response->fields[i].value;
    return (tri_span){ NULL, 0 };
}

void tri_exchange_log_head(tri_exchange *exchange, const tri_response *response)
{
    const tri_server *server = exchange->server;
    const tri_access_format *format = tri_access_log_format(server->log);
    if (exchange->logged == NULL)
        exchange->logged = tri_mem_alloc(server->mem, kept_size(server));
    if (exchange->logged == NULL)
        return; /* the line will do without them */
    for (unsigned i = 0; i < format->n_ops; i++) {
        const tri_access_op *op = &format->ops[i];
        if (op->atom != TRI_ACCESS_SENT)
            continue;
        tri_span value = find(response, (tri_span){ format->text + op->at, op->n });
        uint16_t n = (uint16_t)(value.n < TRI_ACCESS_LOG_SENT ? value.n : TRI_ACCESS_LOG_SENT);
        char *slot = exchange->logged + (size_t)op->sent * SLOT;
        memcpy(slot, &n, sizeof n);
        if (n > 0)
            memcpy(slot + sizeof n, value.p, n);
    }
}

void tri_exchange_log_forget(tri_exchange *exchange)
{
    tri_mem_free(exchange->mem, exchange->logged, kept_size(exchange->server));
    exchange->logged = NULL;
}

/* Whether an answer of this kind has no body, whatever the application sends for one (RFC 9110 §6.4.1). */
static bool has_no_body(const tri_exchange *exchange, int status)
{
    return status < 200 || status == 204 || status == 304 || (exchange->head->flags & TRI_HEAD_IS_HEAD);
}

bool tri_exchange_log_excludes(const tri_exchange *exchange)
{
    const tri_access_log *log = exchange->server->log;
    const tri_head *head = exchange->head;
    tri_span path = head->path.n == 0 ? TRI_SPAN("/") : tri_head_span(head, head->path);
    return log != NULL && tri_access_log_excludes(log, path);
}

/* The fields of the answer that were kept. */
static void read_fields(const tri_exchange *exchange, tri_span fields[TRI_ACCESS_FORMAT_SENT])
{
    for (unsigned i = 0; i < exchange->server->log_sent && exchange->logged != NULL; i++) {
        uint16_t n;
        const char *slot = exchange->logged + (size_t)i * SLOT;
        memcpy(&n, slot, sizeof n);
        fields[i] = (tri_span){ slot + sizeof n, n };
    }
}

/* The scheme, as the application sees it: a proxy may have said which it was. */
static tri_span scheme_of(const tri_exchange *exchange)
{
    bool secure = exchange->forwarded.scheme == TRI_FORWARDED_SECURE;
    if (exchange->ws != NULL)
        return secure ? TRI_SPAN("wss") : TRI_SPAN("ws");
    return secure ? TRI_SPAN("https") : TRI_SPAN("http");
}

bool tri_exchange_log_line(tri_exchange *exchange, int status, tri_span *line)
{
    const tri_server *server = exchange->server;
    const tri_head *head = exchange->head;
    tri_span fields[TRI_ACCESS_FORMAT_SENT];
    if (tri_exchange_log_excludes(exchange))
        return false;
    read_fields(exchange, fields);
    tri_access_record record = {
        .head = head,
        .peer = &exchange->peer,
        .scheme = scheme_of(exchange),
        .host = tri_head_span(head, exchange->forwarded.host.n != 0 ? exchange->forwarded.host : head->host),
        .status = status,
        .websocket = exchange->ws != NULL,
        .sent = has_no_body(exchange, status) ? 0 : exchange->sent,
        .fields = exchange->logged == NULL ? NULL : fields,
    };
    if (server->log_needs & TRI_ACCESS_NEEDS_WALL)
        record.wall_ns = tri_clock_wall_ns();
    if (server->log_needs & TRI_ACCESS_NEEDS_DURATION)
        record.duration_ns = tri_reactor_now_ns() - exchange->began_ns;
    *line = tri_access_log_line(server->log, &record);
    return true;
}

void tri_exchange_log_write(tri_exchange *exchange, int status)
{
    tri_server *server = exchange->server;
    tri_span line;
    if (!tri_exchange_log_line(exchange, status, &line))
        return;
    tri_access_sink_add(&server->sink, line);
    tri_server_log_wait(server);
}
