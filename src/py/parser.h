/* A protocol whose requests are read by a class written in Python, behind the seam of http/protocol.h. */
#ifndef TRI_PY_PARSER_H
#define TRI_PY_PARSER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "server/tricorn.h"

/* What the connections of a server share, all owned by the server's Python object. */
typedef struct tri_parser_kind {
    PyObject *make;     /* callable() that gives a parser; NULL where C parses */
    PyObject *head;     /* the classes of events */
    PyObject *body;
    PyObject *end;
    PyObject *reject;
    PyObject *on_error; /* callable(exception): a parser failed */
    tri_protocol_ops ops;
} tri_parser_kind;

/* Takes ("make", "head", "body", "end", "reject", "on_error") from the attributes of `binding`; None leaves the parsing
   to C. 0, or -1 with an exception. */
int tri_parser_kind_init(tri_parser_kind *kind, PyObject *binding);
int tri_parser_kind_traverse(tri_parser_kind *kind, visitproc visit, void *arg);
void tri_parser_kind_clear(tri_parser_kind *kind);
/* For the settings of a server; `kind` is borrowed for its life. */
tri_protocol_kind tri_parser_protocol(tri_parser_kind *kind);

#endif
