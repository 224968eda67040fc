/* What an asyncio loop needs to wait for the core: a bridge that holds the loop, and awaitables that its tasks accept
   as futures. The reader callback steps the leader's task at once, without another turn of the loop, and then those
   that the leader has woken. */
#include "net/reactor.h"
#include "py/drive.h"
#include "py/module.h"

/* Tasks that the reader callback steps itself, and how long; the rest goes on in the loop's next turn (I6). */
enum { STEPS_MOST = 256, STEPS_NS = 1000000 };

typedef struct tri_py_bridge {
    PyObject_HEAD
    PyObject *loop;
    PyObject *call_soon;
    PyObject *cancelled; /* the library's exception class for a cancellation */
    PyObject *leader;    /* the LoopFuture that waits for the descriptor, or NULL */
    PyObject *woken;     /* list of LoopFutures that the leader has woken, NULL for none */
    bool stepping;       /* the callback steps the leader: those that it wakes are kept in `woken` */
    PyTypeObject *future_type;
} tri_py_bridge;

enum future_state { FUTURE_PENDING, FUTURE_WOKEN, FUTURE_CANCELLED };

typedef struct tri_py_loop_future {
    PyObject_HEAD
    tri_py_bridge *bridge;
    PyObject *callback;
    PyObject *context;
    PyObject *message; /* what cancel() was told, or NULL */
    enum future_state state;
    bool blocking;
    bool yielded;
} tri_py_loop_future;

/* --- the future --- */

static PyObject *future_new(tri_py_bridge *bridge)
{
    tri_py_loop_future *self = PyObject_GC_New(tri_py_loop_future, bridge->future_type);
    if (self == NULL)
        return NULL;
    self->bridge = (tri_py_bridge *)Py_NewRef((PyObject *)bridge);
    self->callback = NULL;
    self->context = NULL;
    self->message = NULL;
    self->state = FUTURE_PENDING;
    self->blocking = false;
    self->yielded = false;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* Has the loop call the task's callback in its next turn. */
static int schedule(tri_py_loop_future *self)
{
    if (self->callback == NULL)
        return 0;
    PyObject *callback = self->callback, *context = self->context;
    self->callback = NULL;
    self->context = NULL;
    PyObject *args[] = { callback, (PyObject *)self, context };
    PyObject *names = context == NULL ? NULL : Py_BuildValue("(s)", "context");
    PyObject *handle = NULL;
    if (context == NULL || names != NULL)
        handle = PyObject_Vectorcall(self->bridge->call_soon, args, 2, names);
    Py_XDECREF(names);
    Py_DECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* Steps the waiting task here and now; only outside of any task. */
static int step_now(tri_py_loop_future *self)
{
    PyObject *callback = self->callback, *context = self->context;
    self->callback = NULL;
    self->context = NULL;
    if (callback == NULL)
        return 0;
    PyObject *result = NULL;
    if (context == NULL || PyContext_Enter(context) == 0) {
        result = PyObject_CallOneArg(callback, (PyObject *)self);
        if (context != NULL && PyContext_Exit(context) != 0)
            Py_CLEAR(result);
    }
    Py_DECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Has the reader callback step the waiting task once the leader waits again, or the loop if there are many. */
static int step_soon(tri_py_loop_future *self)
{
    tri_py_bridge *bridge = self->bridge;
    if (bridge->woken == NULL && (bridge->woken = PyList_New(0)) == NULL)
        return -1;
    if (PyList_GET_SIZE(bridge->woken) == STEPS_MOST)
        return schedule(self);
    return PyList_Append(bridge->woken, (PyObject *)self);
}

static PyObject *future_wake(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    if (self->state != FUTURE_PENDING)
        Py_RETURN_NONE;
    self->state = FUTURE_WOKEN;
    if ((self->bridge->stepping ? step_soon(self) : schedule(self)) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *future_wait(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

/* Keeps the message for the exception: anyio tells its own cancellations from others by it. */
static PyObject *future_cancel(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "msg", NULL };
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", (char **)keywords, &message))
        return NULL;
    if (self->state != FUTURE_PENDING)
        Py_RETURN_FALSE;
    self->state = FUTURE_CANCELLED;
    Py_XSETREF(self->message, message == Py_None ? NULL : Py_NewRef(message));
    if (schedule(self) != 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *future_result(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    if (self->state == FUTURE_WOKEN)
        Py_RETURN_NONE;
    if (self->state == FUTURE_CANCELLED)
        PyErr_SetObject(self->bridge->cancelled, self->message);
    else
        PyErr_SetString(PyExc_RuntimeError, "the result is not set");
    return NULL;
}

static PyObject *future_done(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((tri_py_loop_future *)op)->state != FUTURE_PENDING);
}

static PyObject *future_cancelled(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((tri_py_loop_future *)op)->state == FUTURE_CANCELLED);
}

static PyObject *future_get_loop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(((tri_py_loop_future *)op)->bridge->loop);
}

static PyObject *future_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "", "context", NULL };
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    PyObject *callback, *context = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:add_done_callback", (char **)keywords, &callback, &context))
        return NULL;
    if (self->callback != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "only one task can wait here");
        return NULL;
    }
    self->callback = Py_NewRef(callback);
    self->context = context == Py_None ? NULL : Py_XNewRef(context);
    if (self->state != FUTURE_PENDING && schedule(self) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *future_remove_done_callback(PyObject *op, PyObject *callback)
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    if (self->callback == NULL)
        return PyLong_FromLong(0);
    int same = PyObject_RichCompareBool(self->callback, callback, Py_EQ);
    if (same < 0)
        return NULL;
    if (same) {
        Py_CLEAR(self->callback);
        Py_CLEAR(self->context);
    }
    return PyLong_FromLong(same);
}

static PyObject *future_get_blocking(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((tri_py_loop_future *)op)->blocking);
}

static int future_set_blocking(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0)
        return -1;
    ((tri_py_loop_future *)op)->blocking = truth != 0;
    return 0;
}

/* Yields itself once, as a future does; then it is over. */
static PySendResult future_am_send(PyObject *op, PyObject *Py_UNUSED(value), PyObject **result)
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    if (self->state == FUTURE_PENDING && !self->yielded) {
        self->yielded = true;
        self->blocking = true;
        *result = Py_NewRef(op);
        return PYGEN_NEXT;
    }
    *result = self->state == FUTURE_WOKEN ? Py_NewRef(Py_None) : future_result(op, NULL);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PyObject *future_iternext(PyObject *op)
{
    PyObject *result;
    PySendResult sent = future_am_send(op, Py_None, &result);
    return tri_drive_outcome(sent, result);
}

/* The leader may be cancelled while it waits: it no longer is the one to wake. */
static PyObject *future_throw(PyObject *op, PyObject *const *args, Py_ssize_t n)
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    PyObject *exception = tri_drive_thrown(args, n);
    if (exception == NULL)
        return NULL;
    if (self->state == FUTURE_PENDING)
        self->state = FUTURE_CANCELLED;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    tri_drive_raise(exception);
    return NULL;
}

static int future_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->bridge);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->message);
    return 0;
}

static int future_clear(PyObject *op)
{
    tri_py_loop_future *self = (tri_py_loop_future *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->message);
    Py_CLEAR(self->bridge);
    return 0;
}

static void future_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    future_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef future_methods[] = {
    { "wait", future_wait, METH_NOARGS, PyDoc_STR("wait($self, /)\n--\n\nReturn itself, to be awaited once.") },
    { "wake", future_wake, METH_NOARGS,
      PyDoc_STR("wake($self, /)\n--\n\nLet the waiting task go on in the loop's next turn.") },
    { "cancel", (PyCFunction)(void (*)(void))future_cancel, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR("cancel($self, msg=None)\n--\n\nCancel the waiting task's step.") },
    { "result", future_result, METH_NOARGS, PyDoc_STR("result($self, /)\n--\n\nNone, once woken.") },
    { "exception", future_result, METH_NOARGS, PyDoc_STR("exception($self, /)\n--\n\nNone, once woken.") },
    { "done", future_done, METH_NOARGS, PyDoc_STR("done($self, /)\n--\n\nWhether it was woken or cancelled.") },
    { "cancelled", future_cancelled, METH_NOARGS, PyDoc_STR("cancelled($self, /)\n--\n\nWhether it was cancelled.") },
    { "get_loop", future_get_loop, METH_NOARGS, PyDoc_STR("get_loop($self, /)\n--\n\nThe event loop.") },
    { "add_done_callback", (PyCFunction)(void (*)(void))future_add_done_callback, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR("add_done_callback($self, fn, /, *, context=None)\n--\n\nCall fn once this is done.") },
    { "remove_done_callback", future_remove_done_callback, METH_O,
      PyDoc_STR("remove_done_callback($self, fn, /)\n--\n\nForget fn; returns how many there were.") },
    { "throw", (PyCFunction)(void (*)(void))future_throw, METH_FASTCALL,
      PyDoc_STR("throw($self, typ, val=None, tb=None, /)\n--\n\nGive up waiting with an exception.") },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef future_getset[] = {
    { "_asyncio_future_blocking", future_get_blocking, future_set_blocking, "Marks what is yielded as a future.",
      NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot future_slots[] = {
    { Py_tp_doc, "A future for one waiting task of an asyncio loop." },
    { Py_tp_methods, future_methods },
    { Py_tp_getset, future_getset },
    { Py_tp_traverse, future_traverse },
    { Py_tp_clear, future_clear },
    { Py_tp_dealloc, future_dealloc },
    { Py_tp_iter, PyObject_SelfIter },
    { Py_tp_iternext, future_iternext },
    { Py_am_await, PyObject_SelfIter },
    { Py_am_send, future_am_send },
    { 0, NULL },
};

static PyType_Spec future_spec = {
    .name = "tricorn._core.LoopFuture",
    .basicsize = sizeof(tri_py_loop_future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = future_slots,
};

/* --- the bridge --- */

static PyObject *bridge_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "loop", "cancelled", NULL };
    PyObject *loop, *cancelled;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:LoopBridge", (char **)keywords, &loop, &cancelled))
        return NULL;
    if (!PyExceptionClass_Check(cancelled)) {
        PyErr_SetString(PyExc_TypeError, "cancelled must be an exception class");
        return NULL;
    }
    tri_py_bridge *self = (tri_py_bridge *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->loop = Py_NewRef(loop);
    self->cancelled = Py_NewRef(cancelled);
    self->future_type = (PyTypeObject *)Py_NewRef((PyObject *)tri_state_of(type)->loop_future_type);
    self->call_soon = PyObject_GetAttrString(loop, "call_soon");
    if (self->call_soon == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *bridge_park(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return future_new((tri_py_bridge *)op);
}

static PyObject *bridge_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_bridge *self = (tri_py_bridge *)op;
    PyObject *future = future_new(self);
    Py_XSETREF(self->leader, Py_XNewRef(future));
    return future;
}

/* Steps those that the leader has woken; after an exception, or too long a time, the loop does. 0, or -1 with the
   exception: one that is to end the loop. */
static int step_woken(PyObject *woken)
{
    uint64_t since = tri_reactor_now_ns();
    int error = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(woken); i++) {
        tri_py_loop_future *future = (tri_py_loop_future *)PyList_GET_ITEM(woken, i);
        if (error == 0 && tri_reactor_now_ns() - since < STEPS_NS) {
            error = step_now(future);
            continue;
        }
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (schedule(future) != 0)
            PyErr_WriteUnraisable((PyObject *)future);
        PyErr_Restore(type, value, traceback);
    }
    return error;
}

/* Steps the leader's task, and then those that it has woken. */
static int step_leader(tri_py_bridge *self, tri_py_loop_future *leader)
{
    leader->state = FUTURE_WOKEN;
    self->stepping = true;
    int error = step_now(leader);
    self->stepping = false;
    PyObject *woken = self->woken;
    if (woken == NULL)
        return error;
    self->woken = NULL;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (step_woken(woken) != 0 && error == 0)
        error = -1;
    else if (error != 0)
        PyErr_Restore(type, value, traceback);
    Py_DECREF(woken);
    return error;
}

/* The reader callback: the leader's task goes on at once. */
static PyObject *bridge_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_bridge *self = (tri_py_bridge *)op;
    tri_py_loop_future *leader = (tri_py_loop_future *)self->leader;
    if (leader == NULL)
        Py_RETURN_NONE; /* the descriptor stays readable until a leader waits again */
    self->leader = NULL;
    int error = 0;
    if (leader->state == FUTURE_PENDING)
        error = step_leader(self, leader);
    Py_DECREF(leader);
    if (error != 0)
        return NULL;
    Py_RETURN_NONE;
}

static int bridge_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_bridge *self = (tri_py_bridge *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->call_soon);
    Py_VISIT(self->cancelled);
    Py_VISIT(self->leader);
    Py_VISIT(self->woken);
    Py_VISIT((PyObject *)self->future_type);
    return 0;
}

static int bridge_clear(PyObject *op)
{
    tri_py_bridge *self = (tri_py_bridge *)op;
    Py_CLEAR(self->loop);
    Py_CLEAR(self->call_soon);
    Py_CLEAR(self->cancelled);
    Py_CLEAR(self->leader);
    Py_CLEAR(self->woken);
    Py_CLEAR(self->future_type);
    return 0;
}

static void bridge_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    bridge_clear(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef bridge_methods[] = {
    { "park", bridge_park, METH_NOARGS, PyDoc_STR("park($self, /)\n--\n\nA new LoopFuture for the calling task.") },
    { "wait", bridge_wait, METH_NOARGS,
      PyDoc_STR("wait($self, /)\n--\n\nA LoopFuture that ready() wakes; one at a time.") },
    { "ready", bridge_ready, METH_NOARGS,
      PyDoc_STR("ready($self, /)\n--\n\nThe loop's reader callback: step the waiting task.") },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot bridge_slots[] = {
    { Py_tp_doc, "LoopBridge(loop, cancelled)\n--\n\nLets the tasks of an asyncio loop wait for the core." },
    { Py_tp_new, bridge_new },
    { Py_tp_methods, bridge_methods },
    { Py_tp_traverse, bridge_traverse },
    { Py_tp_clear, bridge_clear },
    { Py_tp_dealloc, bridge_dealloc },
    { 0, NULL },
};

static PyType_Spec bridge_spec = {
    .name = "tricorn._core.LoopBridge",
    .basicsize = sizeof(tri_py_bridge),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bridge_slots,
};

int tri_loop_bridge_add(PyObject *module, tri_state *state)
{
    if (tri_module_add_type(module, &future_spec, &state->loop_future_type) != 0)
        return -1;
    return tri_module_add_type(module, &bridge_spec, &state->bridge_type);
}
