#include "py/awaitable.h"

#include "py/drive.h"
#include "py/websocket.h"

PyObject *tri_awaitable_new(enum tri_awaitable_kind kind, tri_py_server *server, PyObject *subject)
{
    PyTypeObject *type = server->state->awaitable_type;
    tri_py_awaitable *self = PyObject_GC_New(tri_py_awaitable, type);
    if (self == NULL)
        return NULL;
    self->kind = kind;
    self->ended = false;
    self->server = (tri_py_server *)Py_NewRef((PyObject *)server);
    self->subject = Py_XNewRef(subject);
    self->parking = NULL;
    self->inner = NULL;
    self->message = NULL;
    tri_list_init(&self->link);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *tri_awaitable_new_send(tri_py_exchange *exchange, PyObject *message)
{
    PyObject *copy = PyDict_Copy(message);
    PyObject *made =
        copy == NULL ? NULL : tri_awaitable_new(TRI_AWAITABLE_SEND, exchange->server, (PyObject *)exchange);
    if (made == NULL)
        Py_XDECREF(copy);
    else
        ((tri_py_awaitable *)made)->message = copy;
    return made;
}

PyObject *tri_awaitable_wake(tri_py_awaitable *self)
{
    if (self->parking == NULL)
        Py_RETURN_NONE;
    return PyObject_CallMethodNoArgs(self->parking, self->server->state->names.wake);
}

/* Fills {"type": "http.request", ...} or {"type": "http.disconnect"}. */
static int fill_event(PyObject *event, const tri_state *state, const tri_received *received)
{
    if (received->disconnect)
        return PyDict_SetItem(event, state->names.type, state->names.http_disconnect);
    PyObject *body = received->body.n == 0 ? Py_NewRef(state->empty_bytes)
                                           : PyBytes_FromStringAndSize(received->body.p, (Py_ssize_t)received->body.n);
    int error = body == NULL || PyDict_SetItem(event, state->names.type, state->names.http_request)
                || PyDict_SetItem(event, state->names.body, body)
                || PyDict_SetItem(event, state->names.more_body, received->more ? Py_True : Py_False);
    Py_XDECREF(body);
    return error ? -1 : 0;
}

/* Whether the awaited has come: 1 with its value, 0, or -1 with an exception. The dictionary is made first: that may
   collect garbage, whose finalizers may receive from this exchange. */
static int poll_receive(tri_py_awaitable *self, PyObject **value)
{
    tri_received received;
    if (tri_exchange_receive(self->exchange->core, &received) != 0)
        return 0;
    PyObject *event = PyDict_New();
    if (event == NULL)
        return -1;
    if (tri_exchange_receive(self->exchange->core, &received) != 0) {
        Py_DECREF(event);
        return 0;
    }
    if (fill_event(event, self->server->state, &received) != 0) {
        Py_DECREF(event);
        return -1;
    }
    if (received.disconnect)
        self->exchange->told++;
    else
        tri_exchange_take(self->exchange->core);
    *value = event;
    return 1;
}

/* Whether a send() fails as its client has gone. A message of a WebSocket that was taken and goes out before the close
   frame was sent, though nothing can follow it. */
static bool is_gone(const tri_py_awaitable *self)
{
    const tri_exchange *core = self->exchange->core;
    if (!self->exchange->websocket || !tri_websocket_accepted(core))
        return tri_exchange_lost(core);
    return self->message == NULL ? tri_websocket_broken(core) : !tri_websocket_is_open(core);
}

static int poll_send(tri_py_awaitable *self, PyObject **value)
{
    if (is_gone(self))
        return tri_server_type_raise(self->server->state, TRI_ECLOSED);
    if (!tri_exchange_writable(self->exchange->core))
        return 0;
    PyObject *message = self->message;
    if (message != NULL) {
        bool end;
        self->message = NULL;
        int error = tri_message_send(self->exchange, message, &end);
        Py_DECREF(message);
        if (error != 0)
            return -1;
        if (!tri_exchange_writable(self->exchange->core))
            return 0;
    }
    *value = Py_NewRef(Py_None);
    return 1;
}

static int poll_notice(tri_py_awaitable *self, PyObject **value)
{
    unsigned notice = tri_server_type_notice(self->server);
    if (notice == 0)
        return 0;
    *value = PyLong_FromUnsignedLong(notice);
    return *value == NULL ? -1 : 1;
}

static int poll_signal(tri_py_awaitable *self, PyObject **value)
{
    int found = tri_signal_poll(self->signal, self->kind == TRI_AWAITABLE_SIGNAL_LEFT);
    if (found > 0)
        *value = Py_NewRef(found == TRI_SIGNAL_POSTED ? Py_True : Py_False);
    return found > 0 ? 1 : found;
}

static int poll_awaited(tri_py_awaitable *self, PyObject **value)
{
    switch (self->kind) {
    case TRI_AWAITABLE_RECEIVE:
        return self->exchange->websocket ? tri_websocket_event(self->exchange, value) : poll_receive(self, value);
    case TRI_AWAITABLE_SEND:
        return poll_send(self, value);
    case TRI_AWAITABLE_NOTICE:
        return poll_notice(self, value);
    case TRI_AWAITABLE_SIGNAL:
    case TRI_AWAITABLE_SIGNAL_LEFT:
        return poll_signal(self, value);
    case TRI_AWAITABLE_CHECKPOINT:
    case TRI_AWAITABLE_AGAIN:
        return 0;
    case TRI_AWAITABLE_DONE:
        break;
    }
    *value = Py_NewRef(Py_None);
    return 1;
}

/* Stands in line to be woken. */
static void stand_in_line(tri_py_awaitable *self)
{
    if (self->kind == TRI_AWAITABLE_NOTICE) {
        tri_list_append(&self->server->noticing, &self->link);
        return;
    }
    if (self->kind == TRI_AWAITABLE_SIGNAL || self->kind == TRI_AWAITABLE_SIGNAL_LEFT) {
        tri_signal_stand(self->signal, &self->link, self->kind == TRI_AWAITABLE_SIGNAL_LEFT);
        return;
    }
    tri_list_append(&self->exchange->waiters, &self->link);
    tri_exchange_want(self->exchange->core, self->kind == TRI_AWAITABLE_SEND ? TRI_WANT_WRITE : TRI_WANT_READ);
}

/* Begins to wait, in the library's way; 0, or -1 with an exception. */
static int begin_wait(tri_py_awaitable *self)
{
    tri_py_server *server = self->server;
    PyObject *awaited;
    bool checkpoint = self->kind == TRI_AWAITABLE_CHECKPOINT || self->kind == TRI_AWAITABLE_AGAIN;
    if (checkpoint) {
        awaited = PyObject_CallNoArgs(server->checkpoint);
    } else {
        self->parking = PyObject_CallNoArgs(server->park);
        if (self->parking == NULL)
            return -1;
        awaited = PyObject_CallMethodNoArgs(self->parking, server->state->names.wait);
    }
    self->inner = tri_drive_iter(awaited);
    if (self->inner == NULL) {
        Py_CLEAR(self->parking);
        return -1;
    }
    if (!checkpoint)
        stand_in_line(self);
    else if (self->kind == TRI_AWAITABLE_AGAIN)
        self->kind = TRI_AWAITABLE_RECEIVE;
    return 0;
}

/* Leaves the line: what was waited for is looked at again, or given up. */
static void end_wait(tri_py_awaitable *self)
{
    bool in_line = !tri_list_empty(&self->link);
    tri_list_remove(&self->link);
    if (in_line && self->kind == TRI_AWAITABLE_RECEIVE && tri_list_empty(&self->exchange->waiters))
        tri_exchange_unwant(self->exchange->core, TRI_WANT_READ);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->parking);
}

/* Looks for what is awaited; begins to wait if it is not there. Returns whether there is a value or an error. */
static bool look(tri_py_awaitable *self, PyObject **result, PySendResult *sent)
{
    int found = poll_awaited(self, result);
    if (found == 0)
        found = begin_wait(self);
    if (found == 0)
        return false;
    self->ended = self->kind != TRI_AWAITABLE_DONE;
    *sent = found > 0 ? PYGEN_RETURN : PYGEN_ERROR;
    return true;
}

/* One step: with `value`, or with `exception` raised at the place where it waits. */
static PySendResult advance(tri_py_awaitable *self, PyObject *value, PyObject *exception, PyObject **result)
{
    PySendResult sent;
    *result = NULL;
    if (self->ended) {
        PyErr_SetString(PyExc_RuntimeError, "this was awaited already");
        return PYGEN_ERROR;
    }
    if (self->inner == NULL) {
        if (exception != NULL) {
            self->ended = self->kind != TRI_AWAITABLE_DONE;
            tri_drive_raise(Py_NewRef(exception));
            return PYGEN_ERROR;
        }
        if (look(self, result, &sent))
            return sent;
        value = Py_None;
    }
    for (;;) {
        PyObject *inner = Py_NewRef(self->inner);
        sent = tri_drive_step(inner, value, exception, result);
        Py_DECREF(inner);
        if (sent == PYGEN_NEXT)
            return sent;
        end_wait(self);
        if (sent == PYGEN_ERROR || self->kind == TRI_AWAITABLE_CHECKPOINT) {
            self->ended = true;
            return sent;
        }
        Py_CLEAR(*result);
        if (look(self, result, &sent))
            return sent;
        value = Py_None;
        exception = NULL;
    }
}

/* Begins an await expression; a place to wait at is one task's, and used once. */
static PyObject *awaitable_await(PyObject *op)
{
    tri_py_awaitable *self = (tri_py_awaitable *)op;
    if (self->inner == NULL && !self->ended)
        return Py_NewRef(op);
    PyErr_SetString(PyExc_RuntimeError, self->ended ? "this was awaited already" : "this is being awaited already");
    return NULL;
}

static PySendResult awaitable_am_send(PyObject *self, PyObject *value, PyObject **result)
{
    return advance((tri_py_awaitable *)self, value, NULL, result);
}

static PyObject *awaitable_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult sent = advance((tri_py_awaitable *)self, Py_None, NULL, &result);
    return tri_drive_outcome(sent, result);
}

static PyObject *awaitable_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult sent = advance((tri_py_awaitable *)self, value, NULL, &result);
    return tri_drive_outcome(sent, result);
}

static PyObject *awaitable_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyObject *exception = tri_drive_thrown(args, n);
    if (exception == NULL)
        return NULL;
    PyObject *result;
    PySendResult sent = advance((tri_py_awaitable *)self, NULL, exception, &result);
    Py_DECREF(exception);
    return tri_drive_outcome(sent, result);
}

static PyObject *awaitable_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_awaitable *self = (tri_py_awaitable *)op;
    if (self->inner != NULL)
        tri_drive_close(self->inner);
    end_wait(self);
    self->ended = self->kind != TRI_AWAITABLE_DONE;
    Py_RETURN_NONE;
}

static int awaitable_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_awaitable *self = (tri_py_awaitable *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->server);
    Py_VISIT(self->subject);
    Py_VISIT(self->parking);
    Py_VISIT(self->inner);
    Py_VISIT(self->message);
    return 0;
}

static int awaitable_clear(PyObject *op)
{
    tri_py_awaitable *self = (tri_py_awaitable *)op;
    end_wait(self);
    Py_CLEAR(self->message);
    Py_CLEAR(self->subject);
    Py_CLEAR(self->server);
    return 0;
}

static void awaitable_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    awaitable_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef awaitable_methods[] = {
    { "send", awaitable_send, METH_O, PyDoc_STR("send($self, value, /)\n--\n\nGo on with value.") },
    { "throw", (PyCFunction)(void (*)(void))awaitable_throw, METH_FASTCALL,
      PyDoc_STR("throw($self, typ, val=None, tb=None, /)\n--\n\nRaise an exception where it waits.") },
    { "close", awaitable_close, METH_NOARGS, PyDoc_STR("close($self, /)\n--\n\nGive up waiting; nothing is lost.") },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot awaitable_slots[] = {
    { Py_tp_doc, "What receive() and send() return: a value that is ready, or a place to wait at." },
    { Py_tp_methods, awaitable_methods },
    { Py_tp_traverse, awaitable_traverse },
    { Py_tp_clear, awaitable_clear },
    { Py_tp_dealloc, awaitable_dealloc },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, awaitable_iternext },
    { Py_am_await, awaitable_await },
    { Py_am_send, awaitable_am_send },
    { 0, NULL },
};

static PyType_Spec awaitable_spec = {
    .name = "tricorn._core.Awaitable",
    .basicsize = sizeof(tri_py_awaitable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = awaitable_slots,
};

/* The one that is always done has no server, so it is made by hand. */
static PyObject *make_done(PyTypeObject *type)
{
    tri_py_awaitable *self = (tri_py_awaitable *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->kind = TRI_AWAITABLE_DONE;
    tri_list_init(&self->link);
    return (PyObject *)self;
}

int tri_awaitable_add(PyObject *module, tri_state *state)
{
    if (tri_module_add_type(module, &awaitable_spec, &state->awaitable_type) != 0)
        return -1;
    state->done = make_done(state->awaitable_type);
    return state->done == NULL ? -1 : 0;
}
