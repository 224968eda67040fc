/* An exchange as the application holds it: its receive() and send(). */
#include "net/reactor.h"
#include "py/awaitable.h"
#include "py/module.h"
#include "py/websocket.h"

tri_py_exchange *tri_exchange_type_new(tri_py_server *server, tri_exchange *core)
{
    tri_py_exchange *self = PyObject_GC_New(tri_py_exchange, server->state->exchange_type);
    if (self == NULL) {
        tri_exchange_done(core);
        tri_exchange_unref(core);
        return NULL;
    }
    self->server = (tri_py_server *)Py_NewRef((PyObject *)server);
    self->core = core;
    tri_list_init(&self->waiters);
    self->run_since = 0;
    self->immediate = 0;
    self->websocket = tri_exchange_is_websocket(core);
    self->gone = false;
    self->told = 0;
    self->status = 0;
    self->cancel = NULL;
    self->cancels = (uint8_t)server->cancels;
    self->watched = 0;
    self->cancelled = 0;
    tri_exchange_set_user(core, self);
    PyObject_GC_Track(self);
    return self;
}

void tri_exchange_type_wake(tri_py_exchange *exchange)
{
    tri_list_take(&exchange->server->to_wake, &exchange->waiters);
}

/* receive(): an event that is there is given without suspending, one that is not is waited for (I8). */
static PyObject *exchange_receive(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_exchange *self = (tri_py_exchange *)op;
    if (self->told >= TRI_TOLD_RUN) {
        self->told = 0;
        return tri_awaitable_new(TRI_AWAITABLE_AGAIN, self->server, op);
    }
    return tri_awaitable_new(TRI_AWAITABLE_RECEIVE, self->server, op);
}

/* Whether this exchange has sent so much without suspending that others must have their turn (I9). */
static bool must_yield(tri_py_exchange *self)
{
    uint64_t now = tri_reactor_now_ns();
    if (self->immediate == 0)
        self->run_since = now;
    self->immediate++;
    if (self->immediate < TRI_SEND_RUN && now - self->run_since < TRI_SEND_RUN_NS)
        return false;
    self->immediate = 0;
    return true;
}

/* Whether room for a next message is to be waited for: none follows what closes a WebSocket. */
static bool awaits_room(const tri_py_exchange *self)
{
    bool closed = self->websocket && tri_websocket_accepted(self->core) && !tri_websocket_is_open(self->core);
    return !closed && !tri_exchange_writable(self->core);
}

/* send(): the message is taken at once; what is awaited is only room for the next. A WebSocket's message waits for room
   itself when another task's send() waits, or the last was given up: however often that is, no more is kept. */
static PyObject *exchange_send(PyObject *op, PyObject *message)
{
    tri_py_exchange *self = (tri_py_exchange *)op;
    bool end = true;
    if (self->websocket && !tri_exchange_writable(self->core) && tri_websocket_is_data(self, message))
        return tri_awaitable_new_send(self, message);
    if (tri_message_send(self, message, &end) != 0)
        return NULL;
    if (awaits_room(self)) {
        self->immediate = 0;
        return tri_awaitable_new(TRI_AWAITABLE_SEND, self->server, op);
    }
    if (!end && must_yield(self))
        return tri_awaitable_new(TRI_AWAITABLE_CHECKPOINT, self->server, NULL);
    return Py_NewRef(self->server->state->done);
}

static PyMethodDef receive_def = {
    "receive",
    exchange_receive,
    METH_NOARGS,
    PyDoc_STR("receive($self, /)\n--\n\nAwait the next event of this exchange (ASGI)."),
};

static PyMethodDef send_def = {
    "send", exchange_send, METH_O,
    PyDoc_STR("send($self, message, /)\n--\n\nSend an event of this exchange (ASGI); await it before the next.")
};

PyObject *tri_exchange_type_receive(tri_py_exchange *exchange)
{
    return PyCFunction_NewEx(&receive_def, (PyObject *)exchange, NULL);
}

PyObject *tri_exchange_type_send(tri_py_exchange *exchange)
{
    return PyCFunction_NewEx(&send_def, (PyObject *)exchange, NULL);
}

tri_py_exchange *tri_exchange_type_of(PyObject *send)
{
    bool ours = PyCFunction_Check(send) && PyCFunction_GET_FUNCTION(send) == exchange_send;
    return ours ? (tri_py_exchange *)PyCFunction_GET_SELF(send) : NULL;
}

static int exchange_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_exchange *self = (tri_py_exchange *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->server);
    Py_VISIT(self->cancel);
    return 0;
}

static void exchange_dealloc(PyObject *op)
{
    tri_py_exchange *self = (tri_py_exchange *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    tri_exchange_set_user(self->core, NULL);
    tri_exchange_done(self->core);
    tri_exchange_unref(self->core);
    Py_CLEAR(self->cancel);
    Py_CLEAR(self->server);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot exchange_slots[] = {
    { Py_tp_doc, "A request and its answer, as its application's receive() and send() know it." },
    { Py_tp_traverse, exchange_traverse },
    { Py_tp_dealloc, exchange_dealloc },
    { 0, NULL },
};

static PyType_Spec exchange_spec = {
    .name = "tricorn._core.Exchange",
    .basicsize = sizeof(tri_py_exchange),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = exchange_slots,
};

int tri_exchange_type_add(PyObject *module, tri_state *state)
{
    return tri_module_add_type(module, &exchange_spec, &state->exchange_type);
}
