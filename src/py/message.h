/* What messages of send() are made of: fields, bodies, text; and the messages of HTTP. */
#ifndef TRI_PY_MESSAGE_H
#define TRI_PY_MESSAGE_H

#include "py/module.h"

enum { TRI_MESSAGE_FIELDS_INLINE = 32 };

/* The fields of a message's headers, borrowed from them. */
typedef struct tri_message_fields {
    tri_field_out *fields;
    size_t n;
    /* private */
    PyObject *fast; /* keeps the pairs */
    tri_field_out small[TRI_MESSAGE_FIELDS_INLINE];
} tri_message_fields;

/* Reads `headers`, NULL for none; 0, or -1 with an exception. Ends with tri_message_fields_drop when it was 0. */
int tri_message_fields_from(tri_message_fields *self, PyObject *headers);
/* The same, and whatever code runs until the drop may change `headers` and what is in it: what is borrowed is kept. */
int tri_message_fields_keep(tri_message_fields *self, PyObject *headers);
void tri_message_fields_drop(tri_message_fields *self);

/* Bytes of an immutable object, lent from its own memory. */
tri_loan tri_message_loan_bytes(PyObject *bytes);
/* The same of whatever has bytes: what may change is held still. 0, or -1 with an exception. */
int tri_message_loan(PyObject *body, tri_loan *loan);
/* The same of a str, as UTF-8. */
int tri_message_loan_text(PyObject *text, tri_loan *loan);

/* http.response.start and http.response.body, or those of a denied WebSocket; 0, or -1 with an exception. */
int tri_message_start(tri_py_exchange *exchange, PyObject *message);
int tri_message_body(tri_py_exchange *exchange, PyObject *message, bool *end);

#endif
