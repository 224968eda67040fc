#include "py/signal.h"

#include "py/awaitable.h"

PyObject *tri_signal_new(tri_py_exchange *exchange)
{
    PyTypeObject *type = exchange->server->state->signal_type;
    tri_py_signal *self = (tri_py_signal *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->exchange = (tri_py_exchange *)Py_NewRef((PyObject *)exchange);
    tri_list_init(&self->link);
    return (PyObject *)self;
}

/* Says that the signal was closed; -1. */
static int closed(void)
{
    PyErr_SetString(PyExc_RuntimeError, "this signal was closed");
    return -1;
}

int tri_signal_poll(tri_py_signal *signal, bool left)
{
    if (signal->exchange == NULL)
        return closed();
    if (signal->posted) {
        signal->posted = false;
        return TRI_SIGNAL_POSTED;
    }
    return left && tri_exchange_left(signal->exchange->core) ? TRI_SIGNAL_LEFT : 0;
}

void tri_signal_stand(tri_py_signal *signal, tri_list *waiter, bool left)
{
    if (signal->exchange == NULL)
        return; /* closed by a finalizer, while the place to wait at was made */
    tri_list_append(&signal->exchange->waiters, waiter);
    if (left)
        tri_exchange_want(signal->exchange->core, TRI_WANT_LEFT);
}

void tri_signal_deliver(tri_py_server *server)
{
    tri_list *node;
    while ((node = tri_list_shift(&server->posted)) != NULL) {
        tri_py_signal *signal = TRI_CONTAINER(node, tri_py_signal, link);
        tri_exchange_type_wake(signal->exchange);
    }
}

/* From any thread. The reactor is woken once for all that are posted until the leader comes by: it looks at them after
   it has taken in the wake-up, so none is lost. */
static PyObject *signal_post(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_signal *self = (tri_py_signal *)op;
    self->posted = true;
    if (self->exchange == NULL || !tri_list_empty(&self->link))
        Py_RETURN_NONE;
    tri_py_server *server = self->exchange->server;
    bool first = tri_list_empty(&server->posted);
    tri_list_append(&server->posted, &self->link);
    if (first)
        tri_server_wake(server->core);
    Py_RETURN_NONE;
}

static PyObject *signal_wait(PyObject *op, PyObject *args)
{
    tri_py_signal *self = (tri_py_signal *)op;
    int left = 0;
    if (!PyArg_ParseTuple(args, "|p:wait", &left))
        return NULL;
    if (self->exchange == NULL) {
        closed();
        return NULL;
    }
    return tri_awaitable_new(left ? TRI_AWAITABLE_SIGNAL_LEFT : TRI_AWAITABLE_SIGNAL, self->exchange->server, op);
}

/* Lets the exchange go. A thread may keep the signal for longer, and must not be the one that ends an exchange. Who
   still waits is told. */
static PyObject *signal_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_signal *self = (tri_py_signal *)op;
    tri_list_remove(&self->link);
    if (self->exchange != NULL && !tri_list_empty(&self->exchange->waiters)) {
        tri_server *core = self->exchange->server->core;
        tri_exchange_type_wake(self->exchange);
        tri_server_wake(core);
    }
    Py_CLEAR(self->exchange);
    Py_RETURN_NONE;
}

static int signal_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((tri_py_signal *)op)->exchange);
    return 0;
}

static int signal_clear(PyObject *op)
{
    tri_py_signal *self = (tri_py_signal *)op;
    tri_list_remove(&self->link);
    Py_CLEAR(self->exchange);
    return 0;
}

static void signal_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    signal_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef signal_methods[] = {
    { "post", signal_post, METH_NOARGS,
      PyDoc_STR("post($self, /)\n--\n\nLet the task that waits go on, or the next that does. From any thread.") },
    { "wait", signal_wait, METH_VARARGS,
      PyDoc_STR("wait($self, left=False, /)\n--\n\nAwait the next post(): True; with left also that the client has "
                "left: False.") },
    { "close", signal_close, METH_NOARGS,
      PyDoc_STR("close($self, /)\n--\n\nEnd it; post() does nothing from now on.") },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot signal_slots[] = {
    { Py_tp_doc, "How a thread wakes the task of a request." },
    { Py_tp_methods, signal_methods },
    { Py_tp_traverse, signal_traverse },
    { Py_tp_clear, signal_clear },
    { Py_tp_dealloc, signal_dealloc },
    { 0, NULL },
};

static PyType_Spec signal_spec = {
    .name = "tricorn._core.Signal",
    .basicsize = sizeof(tri_py_signal),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = signal_slots,
};

int tri_signal_add(PyObject *module, tri_state *state)
{
    return tri_module_add_type(module, &signal_spec, &state->signal_type);
}
