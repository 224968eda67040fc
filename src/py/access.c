/* The access log, as Python sets it up, and where requests get into it. */
#include "py/module.h"

#include "server/access_log.h"

#include <unistd.h>

/* --- one request --- */

/* The target as uvicorn's arguments have it, but for bytes that could forge a line. */
static PyObject *target_text(const tri_head *head)
{
    tri_span target = tri_head_span(head, head->target);
    bool plain = true;
    for (size_t i = 0; i < target.n && plain; i++)
        plain = (unsigned char)target.p[i] > 0x20 && (unsigned char)target.p[i] < 0x7f;
    if (plain)
        return tri_scope_text(target);
    char *escaped = PyMem_Malloc(TRI_ACCESS_LOG_VALUE);
    if (escaped == NULL)
        return PyErr_NoMemory();
    const char *end = tri_access_log_escape(escaped, escaped + TRI_ACCESS_LOG_VALUE, target, false);
    PyObject *text = tri_scope_text((tri_span){ escaped, (size_t)(end - escaped) });
    PyMem_Free(escaped);
    return text;
}

/* Calls what logs a request with its data. */
static PyObject *call_with_data(tri_py_exchange *exchange)
{
    const tri_head *head = tri_exchange_head(exchange->core);
    PyObject *peer = tri_scope_address(tri_exchange_peer(exchange->core));
    tri_span name = exchange->websocket ? TRI_SPAN("WebSocket") : tri_head_span(head, head->method);
    PyObject *method = tri_scope_text(name);
    PyObject *target = target_text(head);
    PyObject *told = NULL;
    if (peer != NULL && method != NULL && target != NULL)
        told = PyObject_CallFunction(exchange->server->access_log, "OOOsi", peer, method, target,
                                     head->minor == 0 ? "1.0" : "1.1", exchange->status);
    Py_XDECREF(target);
    Py_XDECREF(method);
    Py_XDECREF(peer);
    return told;
}

/* Calls what logs a request with its line. */
static PyObject *call_with_line(tri_py_exchange *exchange)
{
    tri_span line;
    if (!tri_exchange_log_line(exchange->core, exchange->status, &line))
        Py_RETURN_NONE;
    PyObject *text = PyUnicode_DecodeUTF8(line.p, (Py_ssize_t)line.n - 1, "backslashreplace");
    PyObject *told = text == NULL ? NULL : PyObject_CallOneArg(exchange->server->access_log, text);
    Py_XDECREF(text);
    return told;
}

void tri_access_tell(tri_py_exchange *exchange)
{
    tri_py_server *server = exchange->server;
    if (server->access == TRI_ACCESS_DIRECT) {
        tri_exchange_log_write(exchange->core, exchange->status);
        return;
    }
    if (tri_exchange_log_excludes(exchange->core))
        return;
    PyObject *told = server->access == TRI_ACCESS_TEXT ? call_with_line(exchange) : call_with_data(exchange);
    if (told == NULL)
        PyErr_WriteUnraisable(server->access_log);
    Py_XDECREF(told);
}

/* --- lines that wait --- */

/* Says how many lines were lost, if it is time to. */
static void tell_lost(tri_py_server *server, bool ending)
{
    int why;
    uint64_t lost = tri_server_log_lost(server->core, ending, &why);
    if (lost == 0 || server->on_lost == NULL)
        return;
    PyObject *told = PyObject_CallFunction(server->on_lost, "Ki", (unsigned long long)lost, why);
    if (told == NULL)
        PyErr_WriteUnraisable(server->on_lost);
    Py_XDECREF(told);
}

void tri_access_write(tri_py_server *server)
{
    tri_server_log_write(server->core);
    tell_lost(server, false);
}

PyObject *tri_access_finish(PyObject *op, PyObject *milliseconds)
{
    tri_py_server *self = (tri_py_server *)op;
    long ms = PyLong_AsLong(milliseconds);
    if (ms == -1 && PyErr_Occurred())
        return NULL;
    tri_server_log_finish(self->core, ms < 0 || ms > INT_MAX ? INT_MAX : (int)ms);
    tell_lost(self, true);
    tri_server_type_last_refusals(self);
    Py_RETURN_NONE;
}

/* --- setting it up --- */

/* A ValueError for a format that was refused. */
static PyObject *raise_fault(const tri_access_fault *fault, tri_span text)
{
    enum { SHOWN = 24 };
    size_t rest = text.n - fault->at;
    PyObject *shown = PyUnicode_DecodeUTF8(text.p + fault->at, (Py_ssize_t)(rest < SHOWN ? rest : SHOWN), "replace");
    if (shown != NULL)
        PyErr_Format(PyExc_ValueError, "%s, at position %zu: %R", fault->reason, fault->at, shown);
    Py_XDECREF(shown);
    return NULL;
}

PyObject *tri_access_check(PyObject *Py_UNUSED(module), PyObject *text)
{
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &n);
    tri_access_format *format = bytes == NULL ? NULL : PyMem_Malloc(sizeof *format);
    if (format == NULL)
        return bytes == NULL ? NULL : PyErr_NoMemory();
    tri_access_fault fault;
    tri_span span = { bytes, (size_t)n };
    int error = tri_access_format_compile(format, span, &fault);
    PyMem_Free(format);
    if (error != 0)
        return raise_fault(&fault, span);
    Py_RETURN_NONE;
}

/* Arguments of log_access(), all borrowed. */
typedef struct arguments {
    const char *format, *excluded, *library;
    Py_ssize_t n_format, n_excluded, n_library;
    int colors, fd, text;
    unsigned piece;
    unsigned long long seed;
    PyObject *call, *on_lost;
} arguments;

static int parse(arguments *in, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "format", "excluded", "colors", "library", "seed", "fd",
                                      "piece",  "call",     "text",   "on_lost", NULL };
    return PyArg_ParseTupleAndKeywords(args, kwargs, "$s#y#ps#KiIOpO:log_access", (char **)keywords, &in->format,
                                       &in->n_format, &in->excluded, &in->n_excluded, &in->colors, &in->library,
                                       &in->n_library, &in->seed, &in->fd, &in->piece, &in->call, &in->text,
                                       &in->on_lost)
               ? 0
               : -1;
}

PyObject *tri_access_log_to(PyObject *op, PyObject *args, PyObject *kwargs)
{
    tri_py_server *self = (tri_py_server *)op;
    arguments in = { 0 };
    if (parse(&in, args, kwargs) != 0)
        return NULL;
    const tri_access_config config = {
        .format = { in.format, (size_t)in.n_format },
        .excluded = { in.excluded, (size_t)in.n_excluded },
        .library = { in.library, (size_t)in.n_library },
        .colors = in.colors != 0,
        .pid = (uint32_t)getpid(),
        .seed = in.seed,
    };
    tri_access_fault fault;
    int error = tri_server_log_open(self->core, &config, in.fd, in.piece, &fault);
    if (error == TRI_EINVAL)
        return raise_fault(&fault, config.format);
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    Py_XSETREF(self->access_log, in.call == Py_None ? NULL : Py_NewRef(in.call));
    Py_XSETREF(self->on_lost, Py_NewRef(in.on_lost));
    self->access = TRI_ACCESS_OFF;
    if (in.fd >= 0)
        self->access = TRI_ACCESS_DIRECT;
    else if (self->access_log != NULL)
        self->access = in.text ? TRI_ACCESS_TEXT : TRI_ACCESS_CALL;
    Py_RETURN_NONE;
}
