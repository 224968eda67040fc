/* What reads and writes the frames of a WebSocket is a Python object: it gets bytes and gives events, and bytes for
   what is to be sent. Its code may do anything, even end the connection that it serves: each call is followed by a look
   at what is left. Queue, pings, deadlines and the closing handshake are the server's, whoever makes the frames. */
#include "py/ws_python.h"

#include "py/drive.h"
#include "py/members.h"
#include "py/message.h"
#include "ws/ws.h"
#include "ws/ws_frame.h"

enum flag {
    FLAG_GONE = 1,   /* fini was called */
    FLAG_HELD = 2,   /* the object has a byte that we say is not taken, as there may be events to pull */
    FLAG_OVER = 4,   /* a close frame or a failure: nothing more is read */
    FLAG_FAILED = 8, /* the object has failed, and is not called any more */
};

typedef struct ws_python {
    tri_ws_protocol protocol;
    tri_ws_shared *shared;
    tri_ws_python_kind *kind;
    PyObject *object; /* made when it is first needed */
    PyObject *lent;   /* what the pending event borrows from */
    tri_ws_event pending;
    size_t given;   /* bytes that the object got last, less the events that it has made of them */
    unsigned flags; /* enum flag */
} ws_python;

/* Nothing more is read; the server closes with `code`. `reason` is static. */
static void stop(ws_python *self, int code, const char *reason)
{
    self->flags |= FLAG_OVER;
    self->pending = (tri_ws_event){ .type = TRI_WS_EVENT_FAIL, .payload = { reason, strlen(reason) }, .code = code };
}

/* The object failed: its exception is logged, and it is not called again. */
static void give_up(ws_python *self)
{
    tri_drive_report(self->kind->on_error);
    self->flags |= FLAG_FAILED | FLAG_OVER;
    Py_CLEAR(self->object);
}

/* The object, made when it is first needed; borrowed, NULL with an exception. */
static PyObject *object_of(ws_python *self)
{
    if (self->object != NULL)
        return self->object;
    PyObject *made = PyObject_CallNoArgs(self->kind->make);
    if (made == NULL || (self->flags & (FLAG_GONE | FLAG_FAILED))) {
        Py_XDECREF(made);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "the connection ended while its WebSocket was made");
        return NULL;
    }
    Py_XSETREF(self->object, made); /* making it may have made one already */
    return made;
}

/* Calls a method; takes over the tuple of arguments, which may be NULL with an exception. A new reference or NULL with
   an exception. */
static PyObject *call(ws_python *self, const char *method, PyObject *arguments)
{
    PyObject *object = arguments == NULL ? NULL : Py_XNewRef(object_of(self)); /* it may end its own connection */
    PyObject *bound = object == NULL ? NULL : PyObject_GetAttrString(object, method);
    PyObject *result = bound == NULL ? NULL : PyObject_Call(bound, arguments, NULL);
    Py_XDECREF(bound);
    Py_XDECREF(object);
    Py_XDECREF(arguments);
    return result;
}

/* --- events --- */

/* Each takes what an event says; 0, or -1 with an exception. */

/* The bytes of a message, borrowed from `data`, which is a str or bytes. */
static int span_of(PyObject *data, tri_span *span)
{
    Py_ssize_t n;
    if (PyBytes_Check(data)) {
        *span = (tri_span){ PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data) };
        return 0;
    }
    if (!PyUnicode_Check(data)) {
        PyErr_Format(PyExc_TypeError, "data of a message is %.100s, not str or bytes", Py_TYPE(data)->tp_name);
        return -1;
    }
    span->p = PyUnicode_AsUTF8AndSize(data, &n);
    span->n = span->p == NULL ? 0 : (size_t)n;
    return span->p == NULL ? -1 : 0;
}

static int on_message(ws_python *self, PyObject *event)
{
    PyObject *data = PyObject_GetAttrString(event, "data");
    tri_span span;
    int error = data == NULL ? -1 : span_of(data, &span);
    if (error == 0 && !(self->flags & FLAG_GONE)) {
        if (span.n > self->shared->limits->ws_message) {
            stop(self, TRI_WS_TOO_BIG, "the message is too big");
        } else {
            tri_ws_message *message = tri_ws_message_new(self->shared->mem, span.n);
            if (message != NULL) {
                memcpy(message->bytes, span.p, span.n);
                message->n = span.n;
                message->text = PyUnicode_Check(data);
                self->pending = (tri_ws_event){ .type = TRI_WS_EVENT_MESSAGE, .message = message };
            } else {
                PyErr_NoMemory();
                error = -1;
            }
        }
    }
    Py_XDECREF(data);
    return error;
}

/* Has the pending event borrow the bytes of `owner`, which is taken over, if they are no more than `most`. */
static int lend(ws_python *self, PyObject *owner, size_t most)
{
    tri_span span;
    int error = span_of(owner, &span);
    if (error == 0 && span.n > most) {
        PyErr_Format(PyExc_ValueError, "an event has %zu bytes where at most %zu may be", span.n, most);
        error = -1;
    }
    if (error != 0 || (self->flags & FLAG_GONE)) {
        Py_DECREF(owner);
        return error;
    }
    Py_XSETREF(self->lent, owner);
    self->pending.payload = span;
    return 0;
}

/* A ping or pong. */
static int on_control(ws_python *self, PyObject *event, enum tri_ws_event_type type)
{
    PyObject *payload = PyObject_GetAttrString(event, "payload");
    if (payload == NULL)
        return -1;
    if (!PyBytes_Check(payload)) {
        PyErr_Format(PyExc_TypeError, "payload of an event is %.100s, not bytes", Py_TYPE(payload)->tp_name);
        Py_DECREF(payload);
        return -1;
    }
    if (lend(self, payload, TRI_WS_CONTROL_MOST) != 0)
        return -1;
    self->pending.type = type;
    return 0;
}

/* An event's code; -1 with an exception. */
static int code_of(PyObject *event)
{
    PyObject *code = PyObject_GetAttrString(event, "code");
    long number = code == NULL ? -1 : PyLong_AsLong(code);
    Py_XDECREF(code);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (number >= 0 && number < 5000 && (number == TRI_WS_NO_STATUS || tri_ws_frame_code_ok((int)number)))
        return (int)number;
    PyErr_Format(PyExc_ValueError, "an event has the code %ld, which no close frame can have", number);
    return -1;
}

static int on_close(ws_python *self, PyObject *event)
{
    int code = code_of(event);
    PyObject *reason = code < 0 ? NULL : PyObject_GetAttrString(event, "reason");
    if (reason == NULL)
        return -1;
    if (!PyUnicode_Check(reason)) {
        PyErr_Format(PyExc_TypeError, "reason of an event is %.100s, not str", Py_TYPE(reason)->tp_name);
        Py_DECREF(reason);
        return -1;
    }
    if (lend(self, reason, TRI_WS_REASON_MOST) != 0)
        return -1;
    self->pending.type = TRI_WS_EVENT_CLOSE;
    self->pending.code = code;
    self->flags |= FLAG_OVER;
    return 0;
}

/* What the peer is told with a code of failure. */
static const char *reason_of(int code)
{
    switch (code) {
    case TRI_WS_INVALID_DATA:
        return "the data is damaged or not UTF-8";
    case TRI_WS_POLICY:
        return "a limit was reached";
    case TRI_WS_TOO_BIG:
        return "the message is too big";
    default:
        return "the frames are malformed";
    }
}

static int on_fail(ws_python *self, PyObject *event)
{
    int code = code_of(event);
    if (code < 0)
        return -1;
    if (code == TRI_WS_NO_STATUS) {
        PyErr_SetString(PyExc_ValueError, "a failure has the code 1005, which is never sent");
        return -1;
    }
    stop(self, code, reason_of(code));
    return 0;
}

static int on_event(ws_python *self, PyObject *event)
{
    PyObject *type = (PyObject *)Py_TYPE(event);
    if (self->given == 0) { /* it could go on for ever */
        PyErr_SetString(PyExc_RuntimeError, "a WebSocket's class gave more events than it got bytes");
        return -1;
    }
    self->given--;
    if (type == self->kind->message)
        return on_message(self, event);
    if (type == self->kind->ping)
        return on_control(self, event, TRI_WS_EVENT_PING);
    if (type == self->kind->pong)
        return on_control(self, event, TRI_WS_EVENT_PONG);
    if (type == self->kind->close)
        return on_close(self, event);
    if (type == self->kind->fail)
        return on_fail(self, event);
    PyErr_Format(PyExc_TypeError, "a WebSocket's class gave %.100s, which is no event", Py_TYPE(event)->tp_name);
    return -1;
}

/* Asks for an event: whether there is one now, a failure included. */
static bool pull(ws_python *self)
{
    if (self->flags & (FLAG_GONE | FLAG_OVER))
        return self->pending.type != TRI_WS_EVENT_NONE;
    PyObject *event = call(self, "next_event", PyTuple_New(0));
    int error = event == NULL ? -1 : 0;
    if (error == 0 && event != Py_None)
        error = on_event(self, event);
    Py_XDECREF(event);
    if (error != 0) {
        give_up(self);
        stop(self, TRI_WS_INTERNAL, "the WebSocket's code failed");
    }
    return self->pending.type != TRI_WS_EVENT_NONE;
}

/* --- the operations --- */

/* Hands bytes to the object. */
static void give(ws_python *self, const char *bytes, size_t n)
{
    self->given = n;
    PyObject *answer = call(self, "recv", Py_BuildValue("(y#)", bytes, (Py_ssize_t)n));
    if (answer != NULL && answer != Py_None)
        PyErr_Format(PyExc_TypeError, "recv() gave %.100s, not None", Py_TYPE(answer)->tp_name);
    if (answer != Py_None) {
        give_up(self);
        stop(self, TRI_WS_INTERNAL, "the WebSocket's code failed");
    }
    Py_XDECREF(answer);
}

/* Takes bytes until there is an event. The object takes them all and may then have many events; the server is to get
   no more than it has room for, so the last byte is kept back in name until there are none. */
static size_t take(ws_python *self, const char *bytes, size_t n)
{
    size_t known = self->flags & FLAG_HELD ? 1 : 0;
    if (known > 0 && pull(self))
        return 0;
    self->flags &= ~(unsigned)FLAG_HELD;
    if (self->flags & (FLAG_GONE | FLAG_OVER))
        return n;
    if (n > known)
        give(self, bytes + known, n - known);
    if (!pull(self) || (self->flags & FLAG_OVER))
        return n;
    self->flags |= FLAG_HELD;
    return n - 1;
}

static ptrdiff_t recv_bytes(tri_ws_protocol *protocol, char *bytes, size_t n)
{
    ws_python *self = (ws_python *)protocol;
    if (n == 0 || self->pending.type != TRI_WS_EVENT_NONE)
        return 0;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    size_t took = take(self, bytes, n);
    PyErr_Restore(type, value, traceback);
    return (ptrdiff_t)took;
}

static void next_event(tri_ws_protocol *protocol, tri_ws_event *event)
{
    ws_python *self = (ws_python *)protocol;
    *event = self->pending;
    self->pending = (tri_ws_event){ .type = TRI_WS_EVENT_NONE };
}

/* Copies the object's answer to an offer; its length, 0 for none, -1 with an exception. */
static ptrdiff_t copy_answer(PyObject *given, char *answer)
{
    if (given == Py_None)
        return 0;
    if (!PyUnicode_Check(given)) {
        PyErr_Format(PyExc_TypeError, "negotiate() gave %.100s, not str", Py_TYPE(given)->tp_name);
        return -1;
    }
    Py_ssize_t n;
    const char *text = PyUnicode_AsUTF8AndSize(given, &n);
    if (text == NULL)
        return -1;
    bool fits = n <= TRI_WS_ANSWER_MOST;
    for (Py_ssize_t i = 0; i < n && fits; i++)
        fits = text[i] >= ' ' && text[i] <= '~';
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "negotiate() gave what is no value of a field");
        return -1;
    }
    memcpy(answer, text, (size_t)n);
    return n;
}

static ptrdiff_t negotiate(tri_ws_protocol *protocol, tri_span offers, char *answer)
{
    ws_python *self = (ws_python *)protocol;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *text = PyUnicode_DecodeLatin1(offers.p, (Py_ssize_t)offers.n, NULL);
    PyObject *given = call(self, "negotiate", text == NULL ? NULL : Py_BuildValue("(N)", text));
    ptrdiff_t n = given == NULL ? -1 : copy_answer(given, answer);
    Py_XDECREF(given);
    if (n < 0) {
        give_up(self);
        n = TRI_EPROTO;
    }
    PyErr_Restore(type, value, traceback);
    return n;
}

/* Appends the bytes that a method has given. */
static int append(ws_python *self, tri_chain *out, PyObject *bytes)
{
    tri_span span = { PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes) };
    tri_chain_pool *chains = self->shared->chains;
    if (span.n < TRI_WS_FRAME_BORROW)
        return tri_chain_copy(out, chains, span);
    tri_loan loan = tri_message_loan_bytes(bytes);
    int error = tri_chain_borrow(out, chains, loan);
    if (error != TRI_OK)
        loan.release(loan.owner);
    return error;
}

/* Has a method write what is to be sent; takes over `arguments`. TRI_ECLOSED: it was given up before, or the connection
   has ended meanwhile; TRI_EPROTO: it has failed. */
static int submit(ws_python *self, tri_chain *out, const char *method, PyObject *arguments)
{
    PyObject *bytes = call(self, method, arguments);
    if (bytes != NULL && !PyBytes_Check(bytes)) {
        PyErr_Format(PyExc_TypeError, "%s() gave %.100s, not bytes", method, Py_TYPE(bytes)->tp_name);
        Py_CLEAR(bytes);
    }
    if (bytes == NULL)
        give_up(self);
    int error = bytes == NULL ? TRI_EPROTO : TRI_OK;
    if (self->flags & FLAG_GONE)
        error = TRI_ECLOSED;
    if (error == TRI_OK)
        error = append(self, out, bytes);
    Py_XDECREF(bytes);
    return error;
}

static int submit_message(tri_ws_protocol *protocol, tri_chain *out, const tri_loan *loan, enum tri_ws_data data)
{
    ws_python *self = (ws_python *)protocol;
    if (self->flags & (FLAG_FAILED | FLAG_GONE))
        return TRI_ECLOSED;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    const char *p = loan->bytes.p == NULL ? "" : loan->bytes.p;
    Py_ssize_t n = (Py_ssize_t)loan->bytes.n;
    PyObject *object = data == TRI_WS_TEXT ? PyUnicode_DecodeUTF8(p, n, NULL) : PyBytes_FromStringAndSize(p, n);
    int error = submit(self, out, "submit_message", object == NULL ? NULL : Py_BuildValue("(N)", object));
    PyErr_Restore(type, value, traceback);
    if (error == TRI_OK && loan->release != NULL)
        loan->release(loan->owner);
    return error;
}

/* A ping or pong. */
static int submit_control(tri_ws_protocol *protocol, tri_chain *out, const char *method, tri_span payload)
{
    ws_python *self = (ws_python *)protocol;
    if (self->flags & (FLAG_FAILED | FLAG_GONE))
        return TRI_ECLOSED;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    const char *p = payload.p == NULL ? "" : payload.p;
    int error = submit(self, out, method, Py_BuildValue("(y#)", p, (Py_ssize_t)payload.n));
    PyErr_Restore(type, value, traceback);
    return error;
}

static int submit_ping(tri_ws_protocol *protocol, tri_chain *out, tri_span payload)
{
    return submit_control(protocol, out, "submit_ping", payload);
}

static int submit_pong(tri_ws_protocol *protocol, tri_chain *out, tri_span payload)
{
    return submit_control(protocol, out, "submit_pong", payload);
}

/* An object that has failed has its peer told so all the same. */
static int submit_close(tri_ws_protocol *protocol, tri_chain *out, int code, tri_span reason)
{
    ws_python *self = (ws_python *)protocol;
    int error = TRI_EPROTO;
    if (self->flags & FLAG_GONE)
        return TRI_ECLOSED;
    if (!(self->flags & FLAG_FAILED)) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        const char *p = reason.p == NULL ? "" : reason.p;
        error = submit(self, out, "submit_close", Py_BuildValue("(is#)", code, p, (Py_ssize_t)reason.n));
        PyErr_Restore(type, value, traceback);
    }
    if (error != TRI_EPROTO)
        return error;
    char payload[TRI_WS_CONTROL_MOST];
    tri_loan loan = { .bytes = { payload, tri_ws_frame_put_close(payload, code, reason) } };
    return tri_ws_frame_write(out, self->shared->chains, TRI_WS_FRAME_FIN | TRI_WS_FRAME_CLOSE, &loan);
}

/* What an object has agreed on is its own: each socket's frames are. */
static int shares(const tri_ws_protocol *protocol, size_t n)
{
    (void)protocol;
    (void)n;
    return -1;
}

static int submit_shared(tri_ws_protocol *protocol, tri_chain *out, const tri_loan *frame, bool compressed)
{
    (void)protocol;
    (void)out;
    (void)frame;
    (void)compressed;
    return TRI_EINVAL;
}

static void fini(tri_ws_protocol *protocol)
{
    ws_python *self = (ws_python *)protocol;
    self->flags |= FLAG_GONE | FLAG_OVER;
    tri_ws_message_free(self->pending.message, self->shared->mem);
    self->pending = (tri_ws_event){ .type = TRI_WS_EVENT_NONE };
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Py_CLEAR(self->object);
    Py_CLEAR(self->lent);
    PyErr_Restore(type, value, traceback);
}

static const tri_ws_ops ops = {
    .name = "a class in Python",
    .negotiate = negotiate,
    .recv = recv_bytes,
    .next_event = next_event,
    .submit_message = submit_message,
    .submit_ping = submit_ping,
    .submit_pong = submit_pong,
    .submit_close = submit_close,
    .shares = shares,
    .submit_shared = submit_shared,
    .fini = fini,
};

static void init(void *memory, struct tri_ws_shared *shared, void *context)
{
    *(ws_python *)memory = (ws_python){ .protocol = { &ops }, .shared = shared, .kind = context };
}

/* --- what a server's WebSockets share --- */

static const tri_member kind_members[] = {
    { "make", offsetof(tri_ws_python_kind, make) },         { "message", offsetof(tri_ws_python_kind, message) },
    { "ping", offsetof(tri_ws_python_kind, ping) },         { "pong", offsetof(tri_ws_python_kind, pong) },
    { "close", offsetof(tri_ws_python_kind, close) },       { "fail", offsetof(tri_ws_python_kind, fail) },
    { "on_error", offsetof(tri_ws_python_kind, on_error) }, { NULL, 0 },
};

int tri_ws_python_kind_init(tri_ws_python_kind *kind, PyObject *binding)
{
    return binding == Py_None ? 0 : tri_members_take(kind, kind_members, binding);
}

int tri_ws_python_kind_traverse(tri_ws_python_kind *kind, visitproc visit, void *arg)
{
    return tri_members_traverse(kind, kind_members, visit, arg);
}

void tri_ws_python_kind_clear(tri_ws_python_kind *kind)
{
    tri_members_clear(kind, kind_members);
}

tri_ws_kind tri_ws_python_protocol(tri_ws_python_kind *kind)
{
    if (kind->make == NULL)
        return (tri_ws_kind){ 0 };
    return (tri_ws_kind){ sizeof(ws_python), init, kind };
}
