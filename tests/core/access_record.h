/* A head made by hand, for lines of the access log. */
#ifndef TRI_TESTS_ACCESS_RECORD_H
#define TRI_TESTS_ACCESS_RECORD_H

#include "check.h"

#include "server/access_log.h"

enum { RECORD_BYTES = 1 << 18, RECORD_FIELDS = 8 };

typedef struct made_head {
    tri_head head;
    tri_field fields[RECORD_FIELDS];
    char bytes[RECORD_BYTES];
} made_head;

/* Appends bytes to the head's. */
static inline tri_slice made_slice(made_head *made, tri_span bytes)
{
    tri_slice slice = { made->head.size, (uint32_t)bytes.n };
    if (bytes.n > sizeof made->bytes - made->head.size)
        abort();
    if (bytes.n > 0)
        memcpy(made->bytes + made->head.size, bytes.p, bytes.n);
    made->head.size += (uint32_t)bytes.n;
    return slice;
}

/* A GET of a target, of which the path is the part before the question mark. */
static inline void made_head_init(made_head *made, tri_span target)
{
    memset(&made->head, 0, sizeof made->head);
    made->head.base = made->bytes;
    made->head.fields = made->fields;
    made->head.max_fields = RECORD_FIELDS;
    made->head.major = made->head.minor = 1;
    made->head.method = made_slice(made, TRI_SPAN("GET"));
    made->head.target = made->head.path = made_slice(made, target);
    const char *mark = target.n == 0 ? NULL : memchr(target.p, '?', target.n);
    if (mark == NULL)
        return;
    made->head.path.n = (uint32_t)(mark - target.p);
    made->head.query.at = made->head.path.at + made->head.path.n + 1;
    made->head.query.n = (uint32_t)target.n - made->head.path.n - 1;
}

/* A field; its name is in lower case. */
static inline void made_field(made_head *made, tri_span name, tri_span value)
{
    if (made->head.n_fields == RECORD_FIELDS)
        abort();
    tri_field *field = &made->fields[made->head.n_fields++];
    field->name = made_slice(made, name);
    field->value = made_slice(made, value);
    field->hash = 2166136261U;
    for (size_t i = 0; i < name.n; i++)
        field->hash = (field->hash ^ (uint8_t)name.p[i]) * 16777619U;
}

#endif
