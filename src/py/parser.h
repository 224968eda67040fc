/* A protocol whose requests are read by a class written in Python, behind the seam of http/protocol.h. */
#ifndef TRI_PY_PARSER_H
#define TRI_PY_PARSER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "http/http1_reader.h"
#include "server/tricorn.h"

/* What the connections of a server share, all owned by the server's Python object. */
typedef struct tri_parser_kind {
    PyObject *make; /* callable() that gives a parser; NULL where C parses */
    PyObject *head; /* the classes of events */
    PyObject *body;
    PyObject *end;
    PyObject *reject;
    PyObject *on_error; /* callable(exception): a parser failed */
    PyObject *answer;   /* the class of an answer's head, None where HTTP/1.1 in C writes */
    tri_protocol_ops ops;
} tri_parser_kind;

/* Takes ("make", "head", "body", "end", "reject", "on_error", "answer") from the attributes of `binding`; None leaves
   the parsing to C. 0, or -1 with an exception. */
int tri_parser_kind_init(tri_parser_kind *kind, PyObject *binding);
int tri_parser_kind_traverse(tri_parser_kind *kind, visitproc visit, void *arg);
void tri_parser_kind_clear(tri_parser_kind *kind);
/* For the settings of a server; `kind` is borrowed for its life. */
tri_protocol_kind tri_parser_protocol(tri_parser_kind *kind);

/* private: for the files of the parser */

enum tri_parser_flag {
    TRI_PARSER_END_DUE = 1, /* a head was given, its end was not */
    TRI_PARSER_AHEAD = 2,   /* it holds events of a further request */
    TRI_PARSER_BEGUN = 4,   /* it holds the beginning of one */
    TRI_PARSER_GONE = 8,    /* fini was called */
};

typedef struct tri_parser {
    tri_http1 http1;
    tri_parser_kind *kind;
    PyObject *object; /* made with the first bytes */
    PyObject *lent;   /* bytes that the last event borrows from */
    size_t quiet;     /* how many bytes it took last, while it has given no event for them */
    PyObject *held;   /* the head of an answer, until its body begins */
    unsigned flags;   /* enum tri_parser_flag */
} tri_parser;

/* parser.c: calls a method; takes over the tuple of arguments, which may be NULL with an exception. A new reference or
   NULL with an exception. */
PyObject *tri_parser_call(tri_parser *self, const char *method, PyObject *arguments);
/* The parser failed: its exception is logged, the request at work gets a 500. */
void tri_parser_fail(tri_parser *self);

/* parser_answer.c: the operations of a parser that writes answers, too. */
int tri_parser_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response);
int tri_parser_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end);
int tri_parser_answer_rollback(tri_protocol *protocol, uint32_t stream);
int tri_parser_answer_continue(tri_protocol *protocol, uint32_t stream);

#endif
