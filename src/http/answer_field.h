/* The fields of an answer that the server has a part in, whatever an application says of them. */
#ifndef TRI_HTTP_ANSWER_FIELD_H
#define TRI_HTTP_ANSWER_FIELD_H

#include "base/span.h"

/* What becomes of a field that the application gave. */
enum tri_answer_field {
    TRI_ANSWER_FIELD_PLAIN,
    TRI_ANSWER_FIELD_DATE,
    TRI_ANSWER_FIELD_SERVER,
    TRI_ANSWER_FIELD_LENGTH,
    TRI_ANSWER_FIELD_CONNECTION, /* it may ask for the connection's end; it is left out */
    TRI_ANSWER_FIELD_DROPPED,    /* it speaks of a connection, which is ours (RFC 9110 §7.6.1, RFC 9113 §8.2.2) */
};

/* private: for tri_answer_field_kind */
enum tri_answer_field tri_answer_field_special(tri_span name);

/* What becomes of a field of that name, whatever its case. */
static inline enum tri_answer_field tri_answer_field_kind(tri_span name)
{
    const unsigned lengths = 1U << 4 | 1U << 6 | 1U << 7 | 1U << 10 | 1U << 14 | 1U << 16 | 1U << 17;
    return name.n > 17 || !(lengths >> name.n & 1) ? TRI_ANSWER_FIELD_PLAIN : tri_answer_field_special(name);
}

#endif
