/* tricorn._core: multi-phase init, all state in one struct, heap types. */
#include "py/module.h"

#include "http/http2.h"
#include "py/signal.h"
#include "py/websocket.h"
#include "ws/ws_deflate.h"

/* The names one after another, as they stand in the state. */
#define X(name, text) text,
static const char *const name_texts[] = { TRI_NAMES(X) };
#undef X
enum { NAMES = sizeof name_texts / sizeof *name_texts };

static PyObject **all_names(tri_state *state)
{
    _Static_assert(sizeof state->names == NAMES * sizeof(PyObject *), "names are nothing but pointers");
    return (PyObject **)&state->names;
}

static int intern_names(tri_state *state)
{
    PyObject **names = all_names(state);
    for (size_t i = 0; i < NAMES; i++) {
        names[i] = PyUnicode_InternFromString(name_texts[i]);
        if (names[i] == NULL)
            return -1;
    }
    return 0;
}

int tri_module_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (*type != NULL)
        return PyModule_AddType(module, *type);
    if (!PyErr_Occurred())
        PyErr_NoMemory(); /* Python 3.11 forgets to say so where there is no room for the type's name */
    return -1;
}

/* ClientDisconnected: what send() raises once the peer is gone (statement R8). */
static int add_exception(PyObject *module, tri_state *state)
{
    state->client_disconnected = PyErr_NewExceptionWithDoc(
        "tricorn.ClientDisconnected",
        "The client is gone: nothing more can be sent. It need not be caught; the server does not log it.",
        PyExc_OSError, NULL);
    if (state->client_disconnected == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "ClientDisconnected", state->client_disconnected);
}

static int module_exec(PyObject *module)
{
    tri_state *state = PyModule_GetState(module);
    state->empty_bytes = PyBytes_FromStringAndSize(NULL, 0);
    if (state->empty_bytes == NULL || intern_names(state) != 0 || add_exception(module, state) != 0)
        return -1;
    if (tri_server_type_add(module, state) != 0 || tri_exchange_type_add(module, state) != 0)
        return -1;
    if (tri_awaitable_add(module, state) != 0 || tri_loop_bridge_add(module, state) != 0)
        return -1;
    if (tri_cancel_add(module, state) != 0 || tri_signal_add(module, state) != 0)
        return -1;
    return tri_runner_add(module, state);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    tri_state *state = PyModule_GetState(module);
    Py_VISIT((PyObject *)state->server_type);
    Py_VISIT((PyObject *)state->runner_type);
    Py_VISIT((PyObject *)state->exchange_type);
    Py_VISIT((PyObject *)state->awaitable_type);
    Py_VISIT((PyObject *)state->bridge_type);
    Py_VISIT((PyObject *)state->cancel_type);
    Py_VISIT((PyObject *)state->loop_future_type);
    Py_VISIT((PyObject *)state->signal_type);
    Py_VISIT(state->client_disconnected);
    Py_VISIT(state->done);
    return 0;
}

static int module_clear(PyObject *module)
{
    tri_state *state = PyModule_GetState(module);
    tri_process_forget(state);
    Py_CLEAR(state->done);
    Py_CLEAR(state->server_type);
    Py_CLEAR(state->runner_type);
    Py_CLEAR(state->exchange_type);
    Py_CLEAR(state->awaitable_type);
    Py_CLEAR(state->bridge_type);
    Py_CLEAR(state->cancel_type);
    Py_CLEAR(state->loop_future_type);
    Py_CLEAR(state->signal_type);
    Py_CLEAR(state->client_disconnected);
    Py_CLEAR(state->empty_bytes);
    PyObject **names = all_names(state);
    for (size_t i = 0; i < NAMES; i++)
        Py_CLEAR(names[i]);
    return 0;
}

static PyObject *keep_memory(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    tri_mem_keep();
    Py_RETURN_NONE;
}

/* What the core is made of; None stands for what it is built without. */
static PyObject *versions(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("{s:s,s:z,s:z,s:s}", "core", TRI_VERSION, "OpenSSL", tri_tls_version(), "nghttp2",
                         tri_http2_version(), "zlib", tri_ws_deflate_zlib_version());
}

static PyMethodDef module_methods[] = {
    { "keep_memory", keep_memory, METH_NOARGS,
      PyDoc_STR("keep_memory($module, /)\n--\n\nHave the C library keep some of what this process has freed.") },
    { "listen_tcp", tri_listening_tcp, METH_VARARGS,
      PyDoc_STR("listen_tcp($module, host, port, backlog, shared=False, /)\n--\n\nListen on every address of host; "
                "returns the descriptors. With shared, others may listen on the same (SO_REUSEPORT).") },
    { "listen_unix", tri_listening_unix, METH_VARARGS,
      PyDoc_STR("listen_unix($module, path, mode, backlog, /)\n--\n\nListen on a Unix socket with these permissions; "
                "returns the descriptor.") },
    { "versions", versions, METH_NOARGS,
      PyDoc_STR("versions($module, /)\n--\n\nThe versions of the core and of what is built into it, by name; None "
                "for what is not.") },
    { "check_access_format", tri_access_check, METH_O,
      PyDoc_STR("check_access_format($module, text, /)\n--\n\nRaise a ValueError that says what is wrong with a format "
                "of the access log.") },
    { "make_tls", (PyCFunction)(void (*)(void))tri_tls_make, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR(
          "make_tls($module, *, certificate, key, password, http2, lowest, highest, ciphers, suites, clients, "
          "tells_faults, authorities, revoked, more, seed, ticket_seconds)\n--\n\nRead certificates and keys from "
          "files; returns what set_tls() takes, and of each certificate the seconds until it is good and until it "
          "is no more. A ValueError says what is wrong.") },
    { "make_dev_cert", tri_tls_dev, METH_VARARGS,
      PyDoc_STR(
          "make_dev_cert($module, subject, hosts, days, /)\n--\n\nMake a certificate that signs itself, for hosts "
          "such as DNS:localhost,IP:127.0.0.1; returns it and its key as PEM.") },
    { "deadline", tri_process_deadline, METH_VARARGS,
      PyDoc_STR("deadline($module, seconds, message, code, /)\n--\n\nHave a thread in C write the message to standard "
                "error and end the process with the code when so many seconds have passed; 0 takes that back.") },
    { "heed_signals", tri_process_heed_signals, METH_VARARGS,
      PyDoc_STR("heed_signals($module, signals, patiences, message, code, parent=0, orphan=0.0, /)\n--\n\nHave each "
                "signal set the deadline before its handler is called: so many seconds after the first, second and "
                "third, 0 for none; at most `orphan` seconds where the parent is another process than that.") },
    { "die_with_parent", tri_process_die_with_parent, METH_VARARGS,
      PyDoc_STR("die_with_parent($module, signal, parent, /)\n--\n\nHave the kernel send this process the signal when "
                "its parent ends; returns whether the parent is still the one with that id.") },
    { "broadcast", tri_websocket_broadcast, METH_VARARGS,
      PyDoc_STR(
          "broadcast($module, sends, message, /)\n--\n\nSend a message by each of these send() callables; returns "
          "those that did not take it, those that are not ours, and what to await, or None.") },
    { NULL, NULL, 0, NULL },
};

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    { Py_mod_exec, module_exec },
    { 0, NULL },
};

struct PyModuleDef tri_module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "tricorn._core",
    .m_doc = "The C core of Tricorn, bound to Python.",
    .m_size = sizeof(tri_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&tri_module_def);
}
