/* The writing half of a protocol in Python: it is told what to answer, and gives the bytes. Heads are held back and
   bodies counted by the same code as ever; what the class does not write is never asked for. */
#include "py/parser.h"

/* Adds (name, value) to a list; 0, or -1 with an exception. */
static int add_field(PyObject *list, tri_span name, tri_span value)
{
    PyObject *pair = Py_BuildValue("(y#y#)", name.p, (Py_ssize_t)name.n, value.p, (Py_ssize_t)value.n);
    int error = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    return error;
}

/* Adds ready lines, "name: value" and CRLF each, to a list. */
static int add_lines(PyObject *list, tri_span lines)
{
    while (lines.p != NULL && lines.n > 0) {
        const char *end = memmem(lines.p, lines.n, "\r\n", 2);
        size_t n = end == NULL ? lines.n : (size_t)(end - lines.p);
        const char *colon = memchr(lines.p, ':', n);
        size_t name = colon == NULL ? n : (size_t)(colon - lines.p);
        size_t at = name;
        while (at < n && (lines.p[at] == ':' || lines.p[at] == ' '))
            at++;
        if (add_field(list, (tri_span){ lines.p, name }, (tri_span){ lines.p + at, n - at }) != 0)
            return -1;
        size_t used = end == NULL ? n : n + 2;
        lines = (tri_span){ lines.p + used, lines.n - used };
    }
    return 0;
}

/* Whether the application gives a field of that name itself. */
static bool gives(const tri_response *response, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < response->n_fields; i++)
        if (response->fields[i].name.n == n && strncasecmp(response->fields[i].name.p, name, n) == 0)
            return true;
    return false;
}

/* The fields of an answer, a list of pairs; NULL with an exception. */
static PyObject *fields_of(const tri_parser *self, const tri_response *response)
{
    PyObject *list = PyList_New(0);
    int error = list == NULL ? -1 : 0;
    for (size_t i = 0; i < response->n_fields && error == 0; i++)
        if (tri_http1_answer_keeps(&self->http1, &response->fields[i]))
            error = add_field(list, response->fields[i].name, response->fields[i].value);
    if (error == 0 && !gives(response, "date"))
        error = add_lines(list, response->date);
    if (error == 0 && !gives(response, "server"))
        error = add_lines(list, response->server);
    if (error == 0)
        error = add_lines(list, response->defaults);
    if (error != 0)
        Py_CLEAR(list);
    return list;
}

/* Logs the exception of a class that failed in the midst of an answer; the connection can only be closed. */
static int give_up(tri_parser *self)
{
    tri_parser_fail(self);
    return TRI_ENOMEM;
}

int tri_parser_answer_head(tri_protocol *protocol, uint32_t stream, const tri_response *response)
{
    tri_parser *self = (tri_parser *)protocol;
    (void)stream;
    int error = tri_http1_answer_hold(&self->http1, response);
    if (error != TRI_OK)
        return error;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *fields = fields_of(self, response);
    PyObject *held = fields == NULL ? NULL : Py_BuildValue("(iN)", response->status, fields);
    if (held == NULL)
        error = give_up(self);
    Py_XSETREF(self->held, held);
    PyErr_Restore(type, value, traceback);
    return error;
}

int tri_parser_answer_rollback(tri_protocol *protocol, uint32_t stream)
{
    Py_CLEAR(((tri_parser *)protocol)->held);
    return tri_http1_ops.submit_rollback(protocol, stream);
}

/* Calls a method that gives nothing; takes over `arguments`. 0, or -1 with an exception. */
static int tell(tri_parser *self, const char *method, PyObject *arguments)
{
    PyObject *answer = tri_parser_call(self, method, arguments);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Tells the class the head that was held. */
static int tell_head(tri_parser *self)
{
    PyObject *held = self->held;
    self->held = NULL;
    PyObject *closes = tri_http1_answer_closes(&self->http1) ? Py_True : Py_False;
    PyObject *head =
        PyObject_CallFunction(self->kind->answer, "OOO", PyTuple_GET_ITEM(held, 0), PyTuple_GET_ITEM(held, 1), closes);
    Py_DECREF(held);
    return tell(self, "submit_head", head == NULL ? NULL : Py_BuildValue("(N)", head));
}

/* Puts what the class has to send into the chain; 0, or -1 with an exception. */
static int collect(tri_parser *self)
{
    PyObject *bytes = tri_parser_call(self, "send", PyTuple_New(0));
    if (bytes == NULL)
        return -1;
    int error = 0;
    if (!PyBytes_CheckExact(bytes)) {
        PyErr_Format(PyExc_TypeError, "send() gave %.100s, not bytes", Py_TYPE(bytes)->tp_name);
        error = -1;
    } else if (!(self->flags & TRI_PARSER_GONE)) {
        tri_span span = { PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) };
        error = tri_chain_copy(&self->http1.out, self->http1.shared->chains, span);
        if (error != 0)
            PyErr_NoMemory();
    }
    Py_DECREF(bytes);
    return error == 0 ? 0 : -1;
}

/* Has the class write the body, and before it the head that was held. */
static int write_body(tri_parser *self, tri_span body, bool end)
{
    if (self->held != NULL && tell_head(self) != 0)
        return -1;
    PyObject *data = Py_BuildValue("(y#O)", body.p == NULL ? "" : body.p, (Py_ssize_t)body.n, end ? Py_True : Py_False);
    if (tell(self, "submit_body", data) != 0)
        return -1;
    return collect(self);
}

int tri_parser_answer_body(tri_protocol *protocol, uint32_t stream, const tri_loan *loan, bool end)
{
    tri_parser *self = (tri_parser *)protocol;
    (void)stream;
    tri_span body = loan->bytes;
    int error = tri_http1_answer_count(&self->http1, &body.n, end);
    if (error != TRI_OK)
        return error;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (write_body(self, body, end) != 0)
        error = give_up(self);
    PyErr_Restore(type, value, traceback);
    if (error != TRI_OK)
        return error;
    if (end && !(self->flags & TRI_PARSER_GONE))
        tri_http1_answer_done(&self->http1);
    if (loan->release != NULL)
        loan->release(loan->owner);
    return TRI_OK;
}

int tri_parser_answer_continue(tri_protocol *protocol, uint32_t stream)
{
    tri_parser *self = (tri_parser *)protocol;
    (void)stream;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    int error = TRI_OK;
    if (tell(self, "submit_continue", PyTuple_New(0)) != 0 || collect(self) != 0)
        error = give_up(self);
    PyErr_Restore(type, value, traceback);
    return error;
}
