/* The parser of a connection that is a Python object: it gets the bytes and gives events, and HTTP/1.1 does the rest.
   Its code may do anything, even end the connection that it parses: each call is followed by a look at what is left. */
#include "py/parser.h"

#include "py/drive.h"
#include "py/members.h"

void tri_parser_fail(tri_parser *self)
{
    tri_drive_report(self->kind->on_error);
    if (!(self->flags & TRI_PARSER_GONE))
        tri_http1_reader_reject(&self->http1, 500, "the parser failed");
}

/* The parser, made when it is first needed; borrowed, NULL with an exception. */
static PyObject *object_of(tri_parser *self)
{
    if (self->object != NULL)
        return self->object;
    PyObject *made = PyObject_CallNoArgs(self->kind->make);
    if (made == NULL || (self->flags & TRI_PARSER_GONE)) {
        Py_XDECREF(made);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "the connection ended while its parser was made");
        return NULL;
    }
    self->object = made;
    return made;
}

PyObject *tri_parser_call(tri_parser *self, const char *method, PyObject *arguments)
{
    PyObject *object = arguments == NULL ? NULL : Py_XNewRef(object_of(self)); /* it may end its own connection */
    PyObject *bound = object == NULL ? NULL : PyObject_GetAttrString(object, method);
    PyObject *result = bound == NULL ? NULL : PyObject_Call(bound, arguments, NULL);
    Py_XDECREF(bound);
    Py_XDECREF(object);
    Py_XDECREF(arguments);
    return result;
}

/* --- heads --- */

/* Where a head is written, or with `p` NULL only measured. */
typedef struct text {
    char *p;
    size_t n;
} text;

static void put(text *out, tri_span bytes)
{
    if (out->p != NULL && bytes.n > 0)
        memcpy(out->p + out->n, bytes.p, bytes.n);
    out->n += bytes.n;
}

/* The bytes of a bytes object. */
static tri_span span_of(PyObject *bytes)
{
    return (tri_span){ PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) };
}

/* The parts of a Head event, all owned. */
typedef struct parts {
    PyObject *method, *target, *version;
    PyObject *fields; /* a fast sequence of pairs */
} parts;

static void clear_parts(parts *self)
{
    Py_CLEAR(self->method);
    Py_CLEAR(self->target);
    Py_CLEAR(self->version);
    Py_CLEAR(self->fields);
}

/* An attribute that must be bytes. */
static PyObject *get_bytes(PyObject *event, const char *name)
{
    PyObject *value = PyObject_GetAttrString(event, name);
    if (value != NULL && !PyBytes_CheckExact(value)) {
        PyErr_Format(PyExc_TypeError, "%s of an event is %.100s, not bytes", name, Py_TYPE(value)->tp_name);
        Py_CLEAR(value);
    }
    return value;
}

/* Whether every field is a pair of bytes; else an exception. */
static bool check_fields(PyObject *fields)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fields); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(fields, i);
        if (PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 && PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 0))
            && PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 1)))
            continue;
        PyErr_SetString(PyExc_TypeError, "fields of a head are to be pairs of bytes");
        return false;
    }
    return true;
}

static int get_parts(parts *self, PyObject *event)
{
    *self = (parts){ .method = get_bytes(event, "method") };
    if (self->method != NULL)
        self->target = get_bytes(event, "target");
    if (self->target != NULL)
        self->version = get_bytes(event, "version");
    PyObject *fields = self->version == NULL ? NULL : PyObject_GetAttrString(event, "fields");
    if (fields != NULL)
        self->fields = PySequence_Tuple(fields); /* a copy, which nobody changes */
    Py_XDECREF(fields);
    if (self->fields != NULL && check_fields(self->fields))
        return 0;
    clear_parts(self);
    return -1;
}

/* Writes the head as it stands on the wire. */
static void put_head(text *out, const parts *head)
{
    put(out, span_of(head->method));
    put(out, TRI_SPAN(" "));
    put(out, span_of(head->target));
    put(out, TRI_SPAN(" HTTP/"));
    put(out, span_of(head->version));
    put(out, TRI_SPAN("\r\n"));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(head->fields); i++) {
        PyObject *pair = PyTuple_GET_ITEM(head->fields, i);
        put(out, span_of(PyTuple_GET_ITEM(pair, 0)));
        put(out, TRI_SPAN(":"));
        put(out, span_of(PyTuple_GET_ITEM(pair, 1)));
        put(out, TRI_SPAN("\r\n"));
    }
    put(out, TRI_SPAN("\r\n"));
}

/* The head of an event, as bytes in canonical form; NULL with an exception. */
static PyObject *canonical(PyObject *event)
{
    parts head;
    if (get_parts(&head, event) != 0)
        return NULL;
    text measured = { 0 };
    put_head(&measured, &head);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)measured.n);
    if (bytes != NULL) {
        text written = { .p = PyBytes_AS_STRING(bytes) };
        put_head(&written, &head);
    }
    clear_parts(&head);
    return bytes;
}

/* --- events --- */

/* Keeps the bytes that the next event borrows from; false when the connection has ended meanwhile. */
static bool lend(tri_parser *self, PyObject *bytes)
{
    if (self->flags & TRI_PARSER_GONE) {
        Py_DECREF(bytes);
        return false;
    }
    Py_XSETREF(self->lent, bytes);
    return true;
}

/* Each takes what an event says; 0, or -1 with an exception. */

static int on_head(tri_parser *self, PyObject *event)
{
    PyObject *bytes = canonical(event);
    if (bytes == NULL)
        return -1;
    if (!lend(self, bytes))
        return 0;
    self->flags |= TRI_PARSER_END_DUE;
    if (tri_http1_reader_head(&self->http1, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int on_body(tri_parser *self, PyObject *event)
{
    PyObject *bytes = get_bytes(event, "data");
    if (bytes == NULL)
        return -1;
    if (lend(self, bytes) && PyBytes_GET_SIZE(bytes) > 0)
        tri_http1_reader_body(&self->http1, span_of(bytes));
    return 0;
}

static int on_end(tri_parser *self)
{
    if (!(self->flags & TRI_PARSER_END_DUE)) {
        PyErr_SetString(PyExc_RuntimeError, "a parser gave an end without a head");
        return -1;
    }
    self->flags &= ~(unsigned)TRI_PARSER_END_DUE;
    tri_http1_reader_end(&self->http1);
    return 0;
}

static int on_reject(tri_parser *self, PyObject *event)
{
    PyObject *status = PyObject_GetAttrString(event, "status");
    long number = status == NULL ? -1 : PyLong_AsLong(status);
    Py_XDECREF(status);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (number < 400 || number > 599) {
        PyErr_Format(PyExc_ValueError, "a parser refused with the status %ld", number);
        return -1;
    }
    if (!(self->flags & TRI_PARSER_GONE))
        tri_http1_reader_reject(&self->http1, (int)number, "the parser found it malformed");
    return 0;
}

static int on_event(tri_parser *self, PyObject *event)
{
    PyObject *type = (PyObject *)Py_TYPE(event);
    if (type == self->kind->head)
        return on_head(self, event);
    if (type == self->kind->body)
        return on_body(self, event);
    if (type == self->kind->end)
        return on_end(self);
    if (type == self->kind->reject)
        return on_reject(self, event);
    PyErr_Format(PyExc_TypeError, "a parser gave %.100s, which is no event", Py_TYPE(event)->tp_name);
    return -1;
}

/* Sets `flag` as an attribute of the parser says, which it need not have. */
static int note(tri_parser *self, const char *name, unsigned flag)
{
    self->flags &= ~flag;
    PyObject *object = Py_XNewRef(self->object);
    PyObject *attribute = object == NULL ? NULL : PyObject_GetAttrString(object, name);
    Py_XDECREF(object);
    if (attribute == NULL && PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    int truth = attribute == NULL ? 0 : PyObject_IsTrue(attribute);
    Py_XDECREF(attribute);
    if (truth > 0 && !(self->flags & TRI_PARSER_GONE))
        self->flags |= flag;
    return truth < 0 ? -1 : 0;
}

/* Notes what the parser has of the next request. */
static int note_ahead(tri_parser *self)
{
    return note(self, "ahead", TRI_PARSER_AHEAD) == 0 && note(self, "begun", TRI_PARSER_BEGUN) == 0 ? 0 : -1;
}

/* There is no event: what the parser has taken since the last one is the beginning of something. */
static void note_quiet(tri_parser *self)
{
    size_t taken = self->quiet;
    if (taken == 0 && (self->flags & TRI_PARSER_BEGUN))
        taken = 1;
    if (taken > 0)
        tri_http1_reader_quiet(&self->http1, taken);
    self->flags &= ~(unsigned)(TRI_PARSER_AHEAD | TRI_PARSER_BEGUN);
}

/* Asks for an event; whether there was one, a refusal included. */
static bool pull(tri_parser *self)
{
    PyObject *event = tri_parser_call(self, "next_event", PyTuple_New(0));
    int error = event == NULL ? -1 : 0;
    bool none = event == Py_None;
    if (error == 0 && !none)
        error = on_event(self, event);
    Py_XDECREF(event);
    if (error == 0 && !(self->flags & TRI_PARSER_GONE))
        error = note_ahead(self);
    if (error != 0)
        tri_parser_fail(self);
    if (self->flags & TRI_PARSER_GONE)
        return false;
    if (none && error == 0)
        note_quiet(self);
    self->quiet = 0;
    return !none || error != 0 || self->http1.pending != 0;
}

/* --- the operations that are not those of HTTP/1.1 --- */

/* How many of `n` bytes the parser's answer says it took. */
static Py_ssize_t count_of(PyObject *answer, size_t n)
{
    if (answer == Py_None)
        return (Py_ssize_t)n;
    Py_ssize_t took = PyLong_AsSsize_t(answer);
    if (took == -1 && PyErr_Occurred())
        return -1;
    if (took >= 0 && (size_t)took <= n)
        return took;
    PyErr_Format(PyExc_ValueError, "a parser took %zd of %zu bytes", took, n);
    return -1;
}

/* Hands bytes to the parser; how many it took, -1 with an exception. */
static Py_ssize_t give(tri_parser *self, const char *bytes, size_t n)
{
    PyObject *answer = tri_parser_call(self, "recv", Py_BuildValue("(y#)", bytes, (Py_ssize_t)n));
    Py_ssize_t took = answer == NULL ? -1 : count_of(answer, n);
    Py_XDECREF(answer);
    return took;
}

static ptrdiff_t recv_bytes(tri_protocol *protocol, char *bytes, size_t n)
{
    tri_parser *self = (tri_parser *)protocol;
    if (tri_http1_reader_tunnels(&self->http1))
        return tri_http1_ops.recv(protocol, bytes, n);
    if (!tri_http1_reader_wants(&self->http1) || (self->flags & TRI_PARSER_AHEAD))
        return 0;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    tri_http1_reader_give(&self->http1, bytes, n);
    Py_ssize_t took = give(self, bytes, n);
    if (took < 0)
        tri_parser_fail(self);
    PyErr_Restore(type, value, traceback);
    if (took < 0 || (self->flags & TRI_PARSER_GONE))
        return (ptrdiff_t)n;
    self->quiet = (size_t)took;
    return took;
}

static void next_event(tri_protocol *protocol, tri_event *event)
{
    tri_parser *self = (tri_parser *)protocol;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    for (;;) {
        tri_http1_ops.next_event(protocol, event);
        bool asks = tri_http1_reader_wants(&self->http1) || (self->flags & TRI_PARSER_END_DUE);
        if (event->type != TRI_EVENT_NONE || self->object == NULL || !asks || !pull(self))
            break;
    }
    PyErr_Restore(type, value, traceback);
}

static unsigned state(const tri_protocol *protocol)
{
    const tri_parser *self = (const tri_parser *)protocol;
    unsigned bits = tri_http1_ops.state(protocol);
    if (self->flags & (TRI_PARSER_AHEAD | TRI_PARSER_BEGUN))
        bits |= TRI_PROTOCOL_AHEAD;
    return self->flags & TRI_PARSER_AHEAD ? bits | TRI_PROTOCOL_READY : bits;
}

static void fini(tri_protocol *protocol)
{
    tri_parser *self = (tri_parser *)protocol;
    self->flags = TRI_PARSER_GONE;
    tri_http1_ops.fini(protocol);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Py_CLEAR(self->object);
    Py_CLEAR(self->lent);
    Py_CLEAR(self->held);
    PyErr_Restore(type, value, traceback);
}

static void init(void *memory, struct tri_http1_shared *shared, void *context)
{
    tri_parser *self = memory;
    *self = (tri_parser){ .kind = context };
    tri_http1_init(&self->http1, shared);
    self->http1.protocol.ops = &self->kind->ops;
}

/* --- what a server's connections share --- */

static const tri_member kind_members[] = {
    { "make", offsetof(tri_parser_kind, make) },     { "head", offsetof(tri_parser_kind, head) },
    { "body", offsetof(tri_parser_kind, body) },     { "end", offsetof(tri_parser_kind, end) },
    { "reject", offsetof(tri_parser_kind, reject) }, { "on_error", offsetof(tri_parser_kind, on_error) },
    { "answer", offsetof(tri_parser_kind, answer) }, { NULL, 0 },
};

int tri_parser_kind_init(tri_parser_kind *kind, PyObject *binding)
{
    if (binding == Py_None)
        return 0;
    if (tri_members_take(kind, kind_members, binding) != 0)
        return -1;
    kind->ops = tri_http1_ops;
    kind->ops.name = "http/1.1 by a parser in Python";
    kind->ops.recv = recv_bytes;
    kind->ops.next_event = next_event;
    kind->ops.state = state;
    kind->ops.fini = fini;
    if (kind->answer == Py_None)
        return 0;
    kind->ops.name = "a protocol in Python";
    kind->ops.submit_continue = tri_parser_answer_continue;
    kind->ops.submit_head = tri_parser_answer_head;
    kind->ops.submit_body = tri_parser_answer_body;
    kind->ops.submit_rollback = tri_parser_answer_rollback;
    return 0;
}

int tri_parser_kind_traverse(tri_parser_kind *kind, visitproc visit, void *arg)
{
    return tri_members_traverse(kind, kind_members, visit, arg);
}

void tri_parser_kind_clear(tri_parser_kind *kind)
{
    tri_members_clear(kind, kind_members);
}

tri_protocol_kind tri_parser_protocol(tri_parser_kind *kind)
{
    if (kind->make == NULL)
        return (tri_protocol_kind){ 0 };
    return (tri_protocol_kind){ sizeof(tri_parser), init, kind };
}
