/* Requests of HTTP/1.1 that grow in every way that their bytes allow. */
#include "growth.h"

#include "base/limits.h"
#include "http/http1.h"

#define HEAD "POST /path?query HTTP/1.1\r\nHost: a\r\n"

enum { HOST = 1 }; /* field lines of HEAD */

/* --- heads --- */

/* Each with a name of its own. */
static size_t make_fields(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD);
    for (size_t i = 0; i < units; i++)
        growth_text(to, "x-field-%05zu: value\r\n", i);
    growth_text(to, "\r\n");
    return 1 + HOST + units;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = UINT32_C(2166136261);
    for (const char *p = name; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * UINT32_C(16777619);
    return hash;
}

/* Names that a table by their hash's last bits would put into one place. */
static size_t make_colliding(growth_bytes *to, size_t units)
{
    char name[16];
    growth_text(to, HEAD);
    for (size_t i = 0, found = 0; found < units; i++) {
        snprintf(name, sizeof name, "x-%05zu", i);
        if (hash_of(name) % 64 != 0)
            continue;
        growth_text(to, "%s: value\r\n", name);
        found++;
    }
    growth_text(to, "\r\n");
    return 1 + HOST + units;
}

static size_t make_same(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD);
    for (size_t i = 0; i < units; i++)
        growth_text(to, "Connection: x-a, keep-alive\r\n");
    growth_text(to, "\r\n");
    return 1 + HOST + units;
}

static size_t make_list(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "Connection: x-a");
    for (size_t i = 0; i < units; i++)
        growth_text(to, ", ,upgrade");
    growth_text(to, "\r\nUpgrade: x\r\n\r\n");
    return 1 + HOST + 2;
}

static size_t make_value(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "A: b");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "\tvalue \"\\");
    growth_text(to, "\r\n\r\n");
    return 1 + HOST + 1;
}

static size_t make_blank(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "A: ");
    for (size_t i = 0; i < units; i++)
        growth_text(to, " \t \t \t \t");
    growth_text(to, "b\r\n\r\n");
    return 1 + HOST + 1;
}

static size_t make_target(growth_bytes *to, size_t units)
{
    growth_text(to, "GET /");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "a/../%%41?");
    growth_text(to, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return 1 + HOST;
}

static size_t make_requests(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        growth_text(to, "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
    return units * (1 + HOST + 1);
}

/* --- bodies --- */

static size_t make_body(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "Content-Length: %zu\r\n\r\n", units);
    for (size_t i = 0; i < units; i++)
        growth_put(to, "b", 1);
    return 1 + HOST + 1 + units + 1;
}

static size_t make_bodies(growth_bytes *to, size_t units)
{
    for (size_t i = 0; i < units; i++)
        make_body(to, 3);
    return units * (1 + HOST + 1 + 3 + 1);
}

static size_t make_chunks(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "1\r\nb\r\n");
    growth_text(to, "0\r\n\r\n");
    return 1 + HOST + 1 + units + 1;
}

static size_t make_extensions(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "Transfer-Encoding: chunked\r\n\r\n1");
    for (size_t i = 0; i < units; i++)
        growth_text(to, ";a=\"b\\\"\"");
    growth_text(to, "\r\nb\r\n0\r\n\r\n");
    return 1 + HOST + 1 + 1 + 1;
}

static size_t make_trailers(growth_bytes *to, size_t units)
{
    growth_text(to, HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (size_t i = 0; i < units; i++)
        growth_text(to, "x-%05zu: value\r\n", i);
    growth_text(to, "\r\n");
    return 1 + HOST + 1 + 1;
}

/* --- the connection --- */

typedef struct connection {
    tri_limits limits;
    tri_chain_pool chains;
    tri_http1_shared shared;
    tri_http1 http1;
    const tri_protocol_ops *ops;
    size_t seen; /* heads, fields, bytes of bodies and their ends */
} connection;

static connection it;

static void respond(void)
{
    const tri_response response = { .status = 200 };
    const tri_loan loan = { .bytes = TRI_SPAN("ok") };
    tri_protocol *protocol = &it.http1.protocol;
    CHECK(it.ops->submit_head(protocol, 0, &response) == 0 && it.ops->submit_body(protocol, 0, &loan, true) == 0);
    tri_chain_consume(it.ops->send(protocol), &it.chains, it.ops->sendable(protocol));
}

/* Takes the events that wait, and answers what is complete. */
static size_t pull(void)
{
    tri_event event;
    size_t n = 0;
    for (; it.ops->next_event(&it.http1.protocol, &event), event.type != TRI_EVENT_NONE; n++) {
        bool is_head = event.type == TRI_EVENT_HEAD;
        CHECK(event.type != TRI_EVENT_REJECT);
        it.seen += is_head ? 1 + event.head->n_fields : event.type == TRI_EVENT_BODY ? event.body.n : 1;
        if (event.type == TRI_EVENT_END || (is_head && !(event.head->flags & TRI_HEAD_BODY)))
            respond();
    }
    return n;
}

static void feed(char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ptrdiff_t took = it.ops->recv(&it.http1.protocol, bytes + at, n - at);
        if (took < 0 || (pull() == 0 && took == 0))
            abort();
        at += (size_t)took;
    }
}

static size_t decode(const growth_shape *shape, char *bytes, size_t n)
{
    const tri_mem *mem = tri_mem_libc();
    tri_limits_default(&it.limits);
    it.limits.request_line = it.limits.head = it.limits.trailers = it.limits.chunk_ext = GROWTH_MOST;
    it.limits.fields = 10000;
    it.seen = 0;
    tri_chain_pool_init(&it.chains, mem);
    CHECK(tri_http1_shared_init(&it.shared, mem, &it.limits, &it.chains) == 0);
    tri_http1_init(&it.http1, &it.shared);
    it.ops = it.http1.protocol.ops;
    for (size_t at = 0; at < n; at += growth_piece(shape, at, n))
        feed(bytes + at, growth_piece(shape, at, n));
    it.ops->fini(&it.http1.protocol);
    tri_http1_shared_fini(&it.shared);
    tri_chain_pool_fini(&it.chains);
    return it.seen;
}

static const growth_shape shapes[] = {
    { "field lines", make_fields, 0, 64, 0 },
    { "field lines, a byte a read", make_fields, 1, 64, 0 },
    { "field lines, 7 bytes a read", make_fields, 7, 64, 0 },
    { "field lines whose hashes share their last bits", make_colliding, 0, 64, 0 },
    { "field lines of one name that is looked into", make_same, 0, 64, 0 },
    { "elements of a list that is looked into", make_list, 0, 64, 0 },
    { "elements of a list that is looked into, a byte a read", make_list, 1, 64, 0 },
    { "a field's value", make_value, 0, 64, 0 },
    { "a field's value, a byte a read", make_value, 1, 64, 0 },
    { "blanks before a field's value", make_blank, 0, 64, 0 },
    { "a target", make_target, 0, 64, 0 },
    { "a target, a byte a read", make_target, 1, 64, 0 },
    { "pipelined requests", make_requests, 0, 64, 0 },
    { "pipelined requests, a byte a read", make_requests, 1, 32, 0 },
    { "pipelined requests, 100 bytes a read", make_requests, 100, 64, 0 },
    { "pipelined requests with bodies", make_bodies, 0, 64, 0 },
    { "a body, a byte a read", make_body, 1, 128, 0 },
    { "chunks of a byte", make_chunks, 0, 64, 0 },
    { "chunks of a byte, a byte a read", make_chunks, 1, 64, 0 },
    { "extensions of a chunk", make_extensions, 0, 64, 0 },
    { "extensions of a chunk, a byte a read", make_extensions, 1, 64, 0 },
    { "trailer lines", make_trailers, 0, 64, 0 },
    { "trailer lines, a byte a read", make_trailers, 1, 64, 0 },
};

int main(void)
{
    growth_run(shapes, sizeof shapes / sizeof *shapes, decode);
    return check_report();
}
