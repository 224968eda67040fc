/* Cancelling an exchange whose client has left or whose time is over: the leader cancels its task the way the library
   does it. An exchange that ends without suspending pays nothing for it. */
#include "py/module.h"
#include "py/signal.h"

/* What the core is asked to tell for a cause. */
static unsigned wants_for(unsigned causes)
{
    unsigned left = causes & TRI_CANCEL_LEFT ? TRI_WANT_LEFT : 0;
    return left | (causes & TRI_CANCEL_TIMEOUT ? TRI_WANT_TIMEOUT : 0);
}

void tri_cancel_watch(tri_py_exchange *exchange, PyObject *runner)
{
    unsigned fresh = exchange->cancels & ~(unsigned)exchange->watched;
    if (fresh == 0 || exchange->cancelled != 0 || exchange->websocket) /* a WebSocket is told of its end */
        return;
    if (exchange->cancel == NULL)
        exchange->cancel = PyObject_CallOneArg(exchange->server->canceller, runner);
    if (exchange->cancel == NULL) {
        PyErr_WriteUnraisable(exchange->server->canceller);
        return;
    }
    exchange->watched |= (uint8_t)fresh;
    tri_exchange_want(exchange->core, wants_for(fresh));
}

PyObject *tri_cancel_take(tri_py_exchange *exchange)
{
    const tri_exchange *core = exchange->core;
    unsigned causes = tri_exchange_left(core) ? TRI_CANCEL_LEFT : 0;
    causes |= tri_exchange_timed_out(core) ? TRI_CANCEL_TIMEOUT : 0;
    exchange->watched &= (uint8_t)~causes; /* told once: what is declined now may be asked for again */
    causes &= exchange->cancels;
    if (causes == 0 || exchange->cancel == NULL || tri_exchange_complete(core))
        return NULL;
    exchange->cancelled = causes & TRI_CANCEL_LEFT ? TRI_CANCEL_LEFT : TRI_CANCEL_TIMEOUT;
    PyObject *cancel = exchange->cancel;
    exchange->cancel = NULL;
    return cancel;
}

/* --- the extension --- */

typedef struct extension {
    PyObject_HEAD
    tri_py_server *server;
} extension;

PyObject *tri_cancel_extension(tri_py_server *server)
{
    PyTypeObject *type = server->state->cancel_type;
    extension *self = (extension *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->server = (tri_py_server *)Py_NewRef((PyObject *)server);
    return (PyObject *)self;
}

/* The exchange whose application calls, or NULL with an exception. */
static tri_py_exchange *calling(PyObject *op)
{
    tri_py_exchange *exchange = ((extension *)op)->server->stepping;
    if (exchange == NULL)
        PyErr_SetString(PyExc_RuntimeError, "this is to be called by the application itself, not by a task of its own");
    return exchange;
}

static PyObject *extension_enable(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_exchange *exchange = calling(op);
    if (exchange == NULL)
        return NULL;
    exchange->cancels |= TRI_CANCEL_LEFT;
    Py_RETURN_NONE;
}

static PyObject *extension_disable(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_exchange *exchange = calling(op);
    if (exchange == NULL)
        return NULL;
    exchange->cancels &= (uint8_t)~TRI_CANCEL_LEFT;
    Py_RETURN_NONE;
}

/* A signal of the exchange that calls. It is made here, as every scope has this extension: a further one would cost
   every request its place. */
static PyObject *extension_signal(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_exchange *exchange = calling(op);
    return exchange == NULL ? NULL : tri_signal_new(exchange);
}

static int extension_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)((extension *)op)->server);
    return 0;
}

static int extension_clear(PyObject *op)
{
    Py_CLEAR(((extension *)op)->server);
    return 0;
}

static void extension_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    extension_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef extension_methods[] = {
    { "enable", extension_enable, METH_NOARGS,
      PyDoc_STR("enable($self, /)\n--\n\nHave this request cancelled when its client goes away.") },
    { "disable", extension_disable, METH_NOARGS,
      PyDoc_STR("disable($self, /)\n--\n\nLet this request go on when its client goes away.") },
    { "signal", extension_signal, METH_NOARGS,
      PyDoc_STR("signal($self, /)\n--\n\nA Signal by which threads wake the task of this request.") },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot extension_slots[] = {
    { Py_tp_doc, "Whether the request that calls is cancelled when its client goes away." },
    { Py_tp_methods, extension_methods },
    { Py_tp_traverse, extension_traverse },
    { Py_tp_clear, extension_clear },
    { Py_tp_dealloc, extension_dealloc },
    { 0, NULL },
};

static PyType_Spec extension_spec = {
    .name = "tricorn._core.CancelOnDisconnect",
    .basicsize = sizeof(extension),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = extension_slots,
};

int tri_cancel_add(PyObject *module, tri_state *state)
{
    return tri_module_add_type(module, &extension_spec, &state->cancel_type);
}
