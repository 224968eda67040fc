/* The messages that an application sends (ASGI, HTTP): checked, and handed to the core. */
#include "py/message.h"

#include "py/websocket.h"

/* dict[key], borrowed; NULL without an exception when it is missing. */
static PyObject *lookup(PyObject *message, PyObject *key)
{
    return PyDict_GetItemWithError(message, key);
}

/* Whether dict[key] is true; `otherwise` when it is missing; -1 with an exception. */
static int lookup_flag(PyObject *message, PyObject *key)
{
    PyObject *value = lookup(message, key);
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return PyObject_IsTrue(value);
}

static int bad_type(const char *what, PyObject *got)
{
    PyErr_Format(PyExc_TypeError, "%s, not %.200s", what, Py_TYPE(got)->tp_name);
    return -1;
}

/* One name or value: bytes, borrowed from the pair. */
static int field_text(PyObject *item, tri_span *out)
{
    if (!PyBytes_Check(item))
        return bad_type("header names and values must be bytes", item);
    *out = (tri_span){ PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item) };
    return 0;
}

/* One (name, value) pair; `*keep` receives what must live until the head was submitted. */
static int field_from(PyObject *pair, tri_field_out *out)
{
    if (!PyTuple_Check(pair) && !PyList_Check(pair))
        return bad_type("each header must be a tuple or list of two bytes", pair);
    if (PySequence_Fast_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_ValueError, "each header must have a name and a value");
        return -1;
    }
    if (field_text(PySequence_Fast_GET_ITEM(pair, 0), &out->name) != 0)
        return -1;
    return field_text(PySequence_Fast_GET_ITEM(pair, 1), &out->value);
}

static int raise_bad_head(void)
{
    PyErr_SetString(PyExc_ValueError,
                    "the status must be from 200 to 999, header names must be tokens, header values must "
                    "not hold control characters, and content-length must be one number");
    return -1;
}

int tri_message_fields_from(tri_message_fields *self, PyObject *headers)
{
    self->fast = headers == NULL ? NULL : PySequence_Fast(headers, "headers must be an iterable of pairs");
    self->n = self->fast == NULL ? 0 : (size_t)PySequence_Fast_GET_SIZE(self->fast);
    if (headers != NULL && self->fast == NULL)
        return -1;
    self->fields = self->n <= TRI_MESSAGE_FIELDS_INLINE ? self->small : PyMem_New(tri_field_out, self->n);
    int failed = self->fields == NULL ? -1 : 0;
    if (failed)
        PyErr_NoMemory();
    for (size_t i = 0; i < self->n && !failed; i++)
        failed = field_from(PySequence_Fast_GET_ITEM(self->fast, (Py_ssize_t)i), &self->fields[i]);
    if (failed)
        tri_message_fields_drop(self);
    return failed;
}

/* A pair that cannot change: it is the same, or a copy. NULL with an exception. */
static PyObject *freeze_pair(PyObject *pair)
{
    if (!PyList_Check(pair))
        return Py_NewRef(pair);
    PyObject *frozen = PyTuple_New(2); /* which may run finalizers, before the list is looked at */
    if (frozen != NULL && PyList_GET_SIZE(pair) != 2) {
        Py_CLEAR(frozen);
        PyErr_SetString(PyExc_ValueError, "each header must have a name and a value");
    }
    for (Py_ssize_t i = 0; frozen != NULL && i < 2; i++)
        PyTuple_SET_ITEM(frozen, i, Py_NewRef(PyList_GET_ITEM(pair, i)));
    return frozen;
}

/* The pairs of `headers` as they are now, in a list of ours; NULL with an exception. Every allocation may run
   finalizers, so each pair is ours before it is looked into, and how many there are is asked anew. */
static PyObject *freeze(PyObject *headers)
{
    PyObject *fast = PySequence_Fast(headers, "headers must be an iterable of pairs");
    PyObject *frozen = fast == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; frozen != NULL && i < PySequence_Fast_GET_SIZE(fast); i++) {
        PyObject *pair = Py_NewRef(PySequence_Fast_GET_ITEM(fast, i));
        PyObject *kept = freeze_pair(pair);
        if (kept == NULL || PyList_Append(frozen, kept) != 0)
            Py_CLEAR(frozen);
        Py_XDECREF(kept);
        Py_DECREF(pair);
    }
    Py_XDECREF(fast);
    return frozen;
}

int tri_message_fields_keep(tri_message_fields *self, PyObject *headers)
{
    PyObject *frozen = headers == NULL ? NULL : freeze(headers);
    int error = headers != NULL && frozen == NULL ? -1 : tri_message_fields_from(self, frozen);
    Py_XDECREF(frozen);
    return error;
}

void tri_message_fields_drop(tri_message_fields *self)
{
    if (self->fields != self->small)
        PyMem_Free(self->fields);
    Py_CLEAR(self->fast);
}

/* Submits a head. */
static int respond(tri_py_exchange *exchange, int status, PyObject *headers)
{
    tri_message_fields fields;
    bool in_python = exchange->server->parser.answer != NULL; /* the head is made there */
    if ((in_python ? tri_message_fields_keep : tri_message_fields_from)(&fields, headers) != 0)
        return -1;
    tri_response response = {
        .status = status, .fields = fields.fields, .n_fields = fields.n, .close = exchange->websocket
    };
    int error = tri_exchange_respond(exchange->core, &response);
    tri_message_fields_drop(&fields);
    if (error == TRI_EINVAL)
        return raise_bad_head();
    return error == 0 ? 0 : tri_server_type_raise(exchange->server->state, error);
}

/* message["status"]: an int. */
static int read_status(const tri_state *state, PyObject *message, int *status)
{
    PyObject *value = lookup(message, state->names.status);
    if (value == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_KeyError, "status");
        return -1;
    }
    if (!PyLong_Check(value))
        return bad_type("status must be an int", value);
    long number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred())
        return -1;
    *status = number < 200 || number > 999 ? -1 : (int)number;
    return *status < 0 ? raise_bad_head() : 0;
}

/* http.response.start. */
static int send_start(tri_py_exchange *exchange, PyObject *message)
{
    const tri_state *state = exchange->server->state;
    int status = 0;
    if (read_status(state, message, &status) != 0)
        return -1;
    PyObject *headers = lookup(message, state->names.headers);
    if (headers == NULL && PyErr_Occurred())
        return -1;
    int failed = respond(exchange, status, headers);
    if (!failed)
        exchange->status = status;
    return failed;
}

static void release_object(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

static void release_view(void *owner)
{
    Py_buffer *view = owner;
    PyBuffer_Release(view);
    PyMem_Free(view);
}

tri_loan tri_message_loan_bytes(PyObject *body)
{
    tri_span bytes = { PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body) };
    return (tri_loan){ .bytes = bytes, .release = release_object, .owner = Py_NewRef(body) };
}

/* Body bytes of a bytearray, memoryview and the like: its memory is held still until written. */
static int loan_view(PyObject *body, tri_loan *loan)
{
    if (!PyObject_CheckBuffer(body))
        return bad_type("body must be bytes", body);
    Py_buffer *view = PyMem_Malloc(sizeof *view);
    if (view == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (PyObject_GetBuffer(body, view, PyBUF_SIMPLE) != 0) {
        PyMem_Free(view);
        return -1;
    }
    *loan = (tri_loan){ { view->buf, (size_t)view->len }, release_view, view };
    return 0;
}

/* The same for what the message alone may hold: giving out its memory may run code that changes the message. */
static int loan_held(PyObject *body, tri_loan *loan)
{
    Py_INCREF(body);
    int error = loan_view(body, loan);
    Py_DECREF(body);
    return error;
}

/* What went wrong with a body, in the application's terms. */
static int raise_body(const tri_py_exchange *exchange, int error)
{
    if (error == TRI_EINVAL) {
        PyErr_SetString(PyExc_RuntimeError, "the body is longer or shorter than the content-length that was sent");
        return -1;
    }
    if (error == TRI_ESTATE) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.body must come after http.response.start");
        return -1;
    }
    return tri_server_type_raise(exchange->server->state, error);
}

int tri_message_loan(PyObject *body, tri_loan *loan)
{
    if (!PyBytes_CheckExact(body))
        return loan_held(body, loan);
    *loan = tri_message_loan_bytes(body);
    return 0;
}

int tri_message_loan_text(PyObject *text, tri_loan *loan)
{
    if (!PyUnicode_Check(text))
        return bad_type("text must be a str", text);
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &n);
    if (bytes == NULL)
        return -1;
    *loan = (tri_loan){ { bytes, (size_t)n }, release_object, Py_NewRef(text) };
    return 0;
}

/* Hands body bytes over. */
static int write_body(tri_py_exchange *exchange, PyObject *body, bool end)
{
    tri_loan loan = { { NULL, 0 }, NULL, NULL };
    if (body != NULL && tri_message_loan(body, &loan) != 0)
        return -1;
    int error = tri_exchange_write(exchange->core, &loan, end);
    if (error == 0)
        return 0;
    if (loan.release != NULL)
        loan.release(loan.owner);
    return raise_body(exchange, error);
}

int tri_message_body(tri_py_exchange *exchange, PyObject *message, bool *end)
{
    const tri_state *state = exchange->server->state;
    int more = lookup_flag(message, state->names.more_body);
    if (more < 0)
        return -1;
    PyObject *body = lookup(message, state->names.body);
    if (body == NULL && PyErr_Occurred())
        return -1;
    *end = !more;
    if (tri_exchange_complete(exchange->core))
        return 0; /* statement R5: later messages are ignored */
    if (write_body(exchange, body, *end) != 0)
        return -1;
    if (*end && exchange->server->access != TRI_ACCESS_OFF)
        tri_access_tell(exchange);
    return 0;
}

static int raise_type(PyObject *type)
{
    if (!PyUnicode_Check(type))
        return bad_type("a message's type must be a str", type);
    PyErr_Format(PyExc_ValueError, "unknown message type '%U' for an HTTP exchange", type);
    return -1;
}

/* One is expected, and only one. */
int tri_message_start(tri_py_exchange *exchange, PyObject *message)
{
    if (tri_exchange_complete(exchange->core))
        return 0;
    if (tri_exchange_started(exchange->core) && !tri_exchange_lost(exchange->core)) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.start was sent already");
        return -1;
    }
    return send_start(exchange, message);
}

int tri_message_send(tri_py_exchange *exchange, PyObject *message, bool *end)
{
    const tri_state *state = exchange->server->state;
    if (!PyDict_Check(message))
        return bad_type("a message must be a dict", message);
    PyObject *type = lookup(message, state->names.type);
    if (type == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_KeyError, "type");
        return -1;
    }
    if (exchange->websocket)
        return PyUnicode_Check(type) ? tri_websocket_message(exchange, type, message, end) : raise_type(type);
    if (tri_exchange_lost(exchange->core) && !tri_exchange_complete(exchange->core))
        return tri_server_type_raise(state, TRI_ECLOSED);
    if (type == state->names.http_response_start)
        return tri_message_start(exchange, message);
    if (type == state->names.http_response_body)
        return tri_message_body(exchange, message, end);
    if (tri_exchange_complete(exchange->core) && PyUnicode_Check(type)
        && PyUnicode_Compare(type, state->names.trailers) == 0)
        return 0; /* statement R7: the extension is not offered, so none are awaited, and R5 ignores later messages */
    if (PyUnicode_Check(type) && PyUnicode_Compare(type, state->names.http_response_start) == 0)
        return tri_message_start(exchange, message);
    if (PyUnicode_Check(type) && PyUnicode_Compare(type, state->names.http_response_body) == 0)
        return tri_message_body(exchange, message, end);
    return raise_type(type);
}
