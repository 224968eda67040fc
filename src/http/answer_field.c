#include "http/answer_field.h"

static const struct {
    tri_span name;
    enum tri_answer_field kind;
} special_fields[] = {
    { { "date", 4 }, TRI_ANSWER_FIELD_DATE },
    { { "server", 6 }, TRI_ANSWER_FIELD_SERVER },
    { { "content-length", 14 }, TRI_ANSWER_FIELD_LENGTH },
    { { "connection", 10 }, TRI_ANSWER_FIELD_CONNECTION },
    { { "upgrade", 7 }, TRI_ANSWER_FIELD_DROPPED },
    { { "keep-alive", 10 }, TRI_ANSWER_FIELD_DROPPED },
    { { "proxy-connection", 16 }, TRI_ANSWER_FIELD_DROPPED },
    { { "transfer-encoding", 17 }, TRI_ANSWER_FIELD_DROPPED },
};

enum tri_answer_field tri_answer_field_special(tri_span name)
{
    for (size_t i = 0; i < sizeof special_fields / sizeof *special_fields; i++) {
        tri_span known = special_fields[i].name;
        if (tri_span_eq(name, known) || tri_span_is_word(name, known)) /* nearly all are in lower case already */
            return special_fields[i].kind;
    }
    return TRI_ANSWER_FIELD_PLAIN;
}
