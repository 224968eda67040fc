/* The server as Python holds it: made from plain settings, attached to a backend, told to stop. */
#include "py/awaitable.h"
#include "py/drive.h"
#include "py/module.h"

#include "net/listener.h"
#include "net/socket.h"

enum notice { NOTICE_INTERRUPT = 1, NOTICE_DRAINED = 2, NOTICE_LIMIT = 3 };

int tri_server_type_raise(const tri_state *state, int error)
{
    if (error == TRI_ENOMEM)
        PyErr_NoMemory();
    else if (error == TRI_ESYS || error == TRI_EMFILE)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (error == TRI_ECLOSED)
        PyErr_SetString(state->client_disconnected, "the client has disconnected");
    else
        PyErr_SetString(PyExc_RuntimeError, tri_error_text(error));
    return -1;
}

/* --- what the log is told --- */

void tri_server_type_error(tri_py_exchange *exchange, PyObject *exception)
{
    tri_py_server *server = exchange->server;
    PyObject *error = exception == NULL ? Py_None : exception;
    bool accepted = exchange->websocket && tri_websocket_accepted(exchange->core);
    bool left = tri_exchange_left(exchange->core) || tri_exchange_dismissed(exchange->core);
    bool gone = accepted ? exchange->gone : left;
    bool started = tri_exchange_started(exchange->core);
    PyObject *told =
        PyObject_CallFunction(server->on_error, "OOOiO", error, gone ? Py_True : Py_False, started ? Py_True : Py_False,
                              exchange->cancelled, exchange->websocket ? Py_True : Py_False);
    if (told == NULL)
        PyErr_WriteUnraisable(server->on_error);
    Py_XDECREF(told);
}

/* Tells of one refusal. */
static void tell_refusal(tri_py_server *server, const tri_refusal *refusal)
{
    PyObject *peer = tri_scope_address(&refusal->peer);
    PyObject *told = NULL;
    if (peer != NULL)
        told = PyObject_CallFunction(server->on_refusal, "OisK", peer, refusal->status, refusal->reason,
                                     (unsigned long long)refusal->more);
    if (told == NULL)
        PyErr_WriteUnraisable(server->on_refusal);
    Py_XDECREF(told);
    Py_XDECREF(peer);
}

void tri_server_type_refusals(tri_py_server *server)
{
    tri_refusal refusal;
    while (tri_server_next_refusal(server->core, &refusal))
        tell_refusal(server, &refusal);
}

void tri_server_type_last_refusals(tri_py_server *server)
{
    tri_refusal refusal;
    while (tri_server_last_refusal(server->core, &refusal))
        tell_refusal(server, &refusal);
}

bool tri_server_type_ending(tri_py_server *server)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *ending = PyObject_CallNoArgs(server->ending);
    int truth = ending == NULL ? -1 : PyObject_IsTrue(ending);
    Py_XDECREF(ending);
    if (truth < 0)
        PyErr_WriteUnraisable(server->ending);
    PyErr_Restore(type, value, traceback);
    return truth > 0;
}

/* --- notices --- */

static bool drained_untold(const tri_py_server *server)
{
    return !server->drained_told && tri_server_drained(server->core);
}

unsigned tri_server_type_notice(tri_py_server *server)
{
    if (server->interrupts != server->noticed) {
        server->noticed++;
        return NOTICE_INTERRUPT;
    }
    if (tri_server_limit_reached(server->core)) {
        tri_server_limit(server->core, 0);
        return NOTICE_LIMIT;
    }
    if (!drained_untold(server))
        return 0;
    server->drained_told = true;
    return NOTICE_DRAINED;
}

void tri_server_type_notices(tri_py_server *server)
{
    if (server->interrupts != server->noticed || drained_untold(server) || tri_server_limit_reached(server->core))
        tri_list_take(&server->to_wake, &server->noticing);
}

/* --- making one --- */

/* Where each entry of the limits' dictionary goes. */
static const struct {
    const char *name;
    size_t offset;
    size_t size;
} limit_entries[] = {
#define LIMIT(field)                                                          \
    {                                                                         \
#field, offsetof(tri_limits, field), sizeof(((tri_limits *)0)->field) \
    }
    LIMIT(request_line),
    LIMIT(head),
    LIMIT(fields),
    LIMIT(trailers),
    LIMIT(chunk_ext),
    LIMIT(body),
    LIMIT(body_buffer),
    LIMIT(send_high),
    LIMIT(send_low),
    LIMIT(connections),
    LIMIT(exchanges),
    LIMIT(first_head_ms),
    LIMIT(handshake_ms),
    LIMIT(head_ms),
    LIMIT(keep_alive_ms),
    LIMIT(body_ms),
    LIMIT(body_rate),
    LIMIT(write_ms),
    LIMIT(drain),
    LIMIT(linger_ms),
    LIMIT(request_ms),
    LIMIT(ws_message),
    LIMIT(ws_fragments),
    LIMIT(ws_controls),
    LIMIT(ws_queue),
    LIMIT(ws_queue_bytes),
    LIMIT(ws_ping_ms),
    LIMIT(ws_pong_ms),
    LIMIT(ws_handshake_ms),
    LIMIT(ws_close_ms),
    LIMIT(h2_streams),
    LIMIT(h2_window),
    LIMIT(h2_connection_window),
    LIMIT(h2_frame),
    LIMIT(h2_resets),
    LIMIT(h2_pings),
    LIMIT(h2_settings),
    LIMIT(h2_empty),
    LIMIT(h2_small),
    LIMIT(h2_priorities),
    LIMIT(h2_window_updates),
    LIMIT(h2_unknown),
    LIMIT(h2_continuations),
    LIMIT(h2_queue),
#undef LIMIT
};

/* Stores one limit. */
static int set_limit(tri_limits *limits, const char *name, PyObject *value)
{
    for (size_t i = 0; i < sizeof limit_entries / sizeof *limit_entries; i++) {
        if (strcmp(limit_entries[i].name, name) != 0)
            continue;
        unsigned long long number = PyLong_AsUnsignedLongLong(value);
        if (number == (unsigned long long)-1 && PyErr_Occurred())
            return -1;
        char *place = (char *)limits + limit_entries[i].offset;
        if (limit_entries[i].size == sizeof(uint64_t)) {
            memcpy(place, &(uint64_t){ number }, sizeof(uint64_t));
            return 0;
        }
        if (number > UINT32_MAX) {
            PyErr_Format(PyExc_ValueError, "the limit %s is over 4294967295", name);
            return -1;
        }
        memcpy(place, &(uint32_t){ (uint32_t)number }, sizeof(uint32_t));
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "there is no limit called %s", name);
    return -1;
}

static int set_limits(tri_limits *limits, PyObject *given)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    tri_limits_default(limits);
    while (PyDict_Next(given, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key);
        if (name == NULL || set_limit(limits, name, value) != 0)
            return -1;
    }
    return 0;
}

/* An entry of the WebSockets' dictionary, an int; `*value` stays as it is when there is none. */
static int read_setting(PyObject *given, const char *name, int *value)
{
    PyObject *found = PyDict_GetItemString(given, name);
    if (found == NULL)
        return 0;
    *value = (int)PyLong_AsLong(found);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

/* What WebSockets are to do, None for none at all. */
static int set_websockets(tri_settings *settings, PyObject *given)
{
    if (given == Py_None)
        return 0;
    if (!PyDict_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "websockets must be a dict or None");
        return -1;
    }
    int deflate = 1, alone = 0, client_alone = 0, window = 12, level = 2, memory = 5, least = 128, streams = 128;
    int code = TRI_WS_RESTART;
    const struct {
        const char *name;
        int *value;
    } entries[] = { { "deflate", &deflate },    { "no_context", &alone }, { "client_no_context", &client_alone },
                    { "window_bits", &window }, { "level", &level },      { "mem_level", &memory },
                    { "min_size", &least },     { "streams", &streams },  { "stop_code", &code } };
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (read_setting(given, entries[i].name, entries[i].value) != 0)
            return -1;
    settings->websockets = true;
    settings->ws_stop_code = code;
    settings->deflate = (tri_ws_deflate_options){ .enabled = deflate != 0,
                                                  .no_context = alone != 0,
                                                  .client_no_context = client_alone != 0,
                                                  .window_bits = (uint8_t)window,
                                                  .level = (uint8_t)level,
                                                  .mem_level = (uint8_t)memory,
                                                  .min_size = (uint32_t)least,
                                                  .streams = (uint32_t)streams };
    return 0;
}

/* Arguments of the constructor, all borrowed. */
typedef struct arguments {
    PyObject *app, *limits, *scope, *asgi, *on_error, *on_refusal, *access_log, *root_path, *parser, *extensions;
    PyObject *websockets, *ws_protocol;
    int cancels;
    tri_settings settings;
} arguments;

static int parse(arguments *in, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "app",        "limits",     "scope",      "asgi",        "root_path", "on_error",
                                      "on_refusal", "access_log", "date",       "server",      "fields",    "parser",
                                      "extensions", "cancels",    "websockets", "ws_protocol", "http2",     NULL };
    const char *server, *fields;
    Py_ssize_t server_size, fields_size;
    int date, http2 = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O$O!O!O!UOOOpy#y#OO!iOOp:Server", (char **)keywords, &in->app,
                                     &PyDict_Type, &in->limits, &PyDict_Type, &in->scope, &PyDict_Type, &in->asgi,
                                     &in->root_path, &in->on_error, &in->on_refusal, &in->access_log, &date, &server,
                                     &server_size, &fields, &fields_size, &in->parser, &PyDict_Type, &in->extensions,
                                     &in->cancels, &in->websockets, &in->ws_protocol, &http2))
        return -1;
    in->settings.mem = tri_mem_libc();
    in->settings.date = date != 0;
    in->settings.http2_unasked = http2 != 0;
    in->settings.server = (tri_span){ server, (size_t)server_size };
    in->settings.defaults = (tri_span){ fields, (size_t)fields_size };
    if (set_websockets(&in->settings, in->websockets) != 0)
        return -1;
    return set_limits(&in->settings.limits, in->limits);
}

/* The extensions that every scope offers: those given, and our own. */
static int set_extensions(tri_py_server *self, PyObject *given)
{
    self->extensions = PyDict_Copy(given);
    PyObject *own = self->extensions == NULL ? NULL : tri_cancel_extension(self);
    int error = own == NULL ? -1 : PyDict_SetItemString(self->extensions, "tricorn.cancel_on_disconnect", own);
    Py_XDECREF(own);
    return error;
}

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    arguments in = { 0 };
    if (parse(&in, args, kwargs) != 0)
        return NULL;
    tri_py_server *self = (tri_py_server *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = tri_state_of(type);
    tri_list_init(&self->to_wake);
    tri_list_init(&self->noticing);
    tri_list_init(&self->posted);
    self->app = Py_NewRef(in.app);
    self->scope = Py_NewRef(in.scope);
    self->asgi = Py_NewRef(in.asgi);
    self->root_path = Py_NewRef(in.root_path);
    self->on_error = Py_NewRef(in.on_error);
    self->on_refusal = Py_NewRef(in.on_refusal);
    self->access_log = in.access_log == Py_None ? NULL : Py_NewRef(in.access_log);
    self->access = self->access_log == NULL ? TRI_ACCESS_OFF : TRI_ACCESS_CALL;
    self->cancels = (unsigned)in.cancels;
    self->unix_names = PyList_New(0);
    int error = self->unix_names == NULL ? -1 : set_extensions(self, in.extensions);
    if (error == 0)
        error = tri_parser_kind_init(&self->parser, in.parser);
    if (error == 0)
        error = tri_ws_python_kind_init(&self->ws_python, in.ws_protocol);
    if (error == 0) {
        in.settings.http = tri_parser_protocol(&self->parser);
        in.settings.ws = tri_ws_python_protocol(&self->ws_python);
        error = tri_server_new(&self->core, &in.settings);
        if (error != 0)
            tri_server_type_raise(self->state, error);
    }
    if (error != 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int server_traverse(PyObject *op, visitproc visit, void *arg)
{
    tri_py_server *self = (tri_py_server *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->app);
    Py_VISIT(self->scope);
    Py_VISIT(self->prototype);
    Py_VISIT(self->ws_prototype);
    Py_VISIT(self->asgi);
    Py_VISIT(self->lifespan_state);
    Py_VISIT(self->access_log);
    Py_VISIT(self->on_lost);
    Py_VISIT(self->on_error);
    Py_VISIT(self->on_refusal);
    Py_VISIT(self->spawn);
    Py_VISIT(self->wait);
    Py_VISIT(self->park);
    Py_VISIT(self->checkpoint);
    Py_VISIT(self->ending);
    Py_VISIT(self->stray);
    Py_VISIT(self->refuse);
    Py_VISIT(self->context);
    Py_VISIT(self->canceller);
    Py_VISIT(self->extensions);
    Py_VISIT(self->unix_names);
    int found = tri_parser_kind_traverse(&self->parser, visit, arg);
    return found != 0 ? found : tri_ws_python_kind_traverse(&self->ws_python, visit, arg);
}

static int server_clear(PyObject *op)
{
    tri_py_server *self = (tri_py_server *)op;
    Py_CLEAR(self->app);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->prototype);
    Py_CLEAR(self->ws_prototype);
    Py_CLEAR(self->asgi);
    Py_CLEAR(self->lifespan_state);
    Py_CLEAR(self->access_log);
    Py_CLEAR(self->on_lost);
    self->access = TRI_ACCESS_OFF;
    Py_CLEAR(self->on_error);
    Py_CLEAR(self->on_refusal);
    Py_CLEAR(self->spawn);
    Py_CLEAR(self->wait);
    Py_CLEAR(self->park);
    Py_CLEAR(self->checkpoint);
    Py_CLEAR(self->ending);
    Py_CLEAR(self->stray);
    Py_CLEAR(self->refuse);
    Py_CLEAR(self->context);
    Py_CLEAR(self->canceller);
    Py_CLEAR(self->extensions);
    Py_CLEAR(self->unix_names);
    return 0;
}

static void server_dealloc(PyObject *op)
{
    tri_py_server *self = (tri_py_server *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->core != NULL)
        tri_server_free(self->core);
    tri_name_cache_clear(&self->names);
    tri_scope_forget(self);
    tri_tls_scope_forget(self);
    server_clear(op);
    tri_parser_kind_clear(&self->parser); /* connections that end may still have called it */
    tri_ws_python_kind_clear(&self->ws_python);
    Py_CLEAR(self->root_path);
    type->tp_free(op);
    Py_DECREF(type);
}

/* --- listening --- */

/* Takes over a listening descriptor; `name` is the scope's "server" of what comes by a Unix socket, and `proxied` says
   that connections begin with a PROXY header. */
static int listen_on(tri_py_server *self, int fd, PyObject *name, int proxied)
{
    Py_ssize_t tag = PyList_GET_SIZE(self->unix_names);
    if (tag > UINT16_MAX || PyList_Append(self->unix_names, name) != 0) {
        tri_socket_close(fd);
        return tag > UINT16_MAX ? TRI_EMFILE : TRI_ENOMEM;
    }
    return proxied ? tri_server_listen_proxied(self->core, fd, (uint16_t)tag)
                   : tri_server_listen(self->core, fd, (uint16_t)tag);
}

static PyObject *server_listen(PyObject *op, PyObject *args)
{
    tri_py_server *self = (tri_py_server *)op;
    PyObject *name = Py_None;
    int fd, backlog, proxied = 0;
    tri_addr addr;
    if (!PyArg_ParseTuple(args, "ii|Op:listen", &fd, &backlog, &name, &proxied))
        return NULL;
    int error = tri_listener_adopt(fd, backlog);
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    tri_listener_address(fd, &addr);
    error = listen_on(self, fd, name, proxied); /* owns it in any case */
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    return tri_scope_address(&addr);
}

/* --- running --- */

static PyObject *server_fileno(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(tri_server_fd(((tri_py_server *)op)->core));
}

static PyObject *server_attach(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "spawn", "wait",   "park",      "checkpoint", "ending",
                                      "stray", "refuse", "canceller", "state",      NULL };
    tri_py_server *self = (tri_py_server *)op;
    PyObject *spawn, *wait, *park, *checkpoint, *ending, *stray, *refuse, *canceller, *lifespan_state;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OOOOOOOOO:attach", (char **)keywords, &spawn, &wait, &park,
                                     &checkpoint, &ending, &stray, &refuse, &canceller, &lifespan_state))
        return NULL;
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL)
        return NULL;
    Py_XSETREF(self->spawn, Py_NewRef(spawn));
    Py_XSETREF(self->wait, Py_NewRef(wait));
    Py_XSETREF(self->park, Py_NewRef(park));
    Py_XSETREF(self->checkpoint, Py_NewRef(checkpoint));
    Py_XSETREF(self->ending, Py_NewRef(ending));
    Py_XSETREF(self->stray, Py_NewRef(stray));
    Py_XSETREF(self->refuse, Py_NewRef(refuse));
    Py_XSETREF(self->canceller, Py_NewRef(canceller));
    Py_XSETREF(self->context, context);
    self->turned = true;
    Py_XSETREF(self->lifespan_state, PyDict_Check(lifespan_state) ? Py_NewRef(lifespan_state) : NULL);
    if (tri_scope_prepare(self) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *server_runner(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (((tri_py_server *)op)->spawn == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "attach() a backend to the server first");
        return NULL;
    }
    return tri_runner_new((tri_py_server *)op);
}

static PyObject *server_notice(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (((tri_py_server *)op)->park == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "attach() a backend to the server first");
        return NULL;
    }
    return tri_awaitable_new(TRI_AWAITABLE_NOTICE, (tri_py_server *)op, NULL);
}

static PyObject *server_interrupt(PyObject *op, PyObject *args)
{
    tri_py_server *self = (tri_py_server *)op;
    int leave = 1;
    if (!PyArg_ParseTuple(args, "|p:interrupt", &leave))
        return NULL;
    self->interrupts++;
    if (leave)
        tri_server_leave(self->core);
    tri_server_wake(self->core);
    Py_RETURN_NONE;
}

static PyObject *server_relieve(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_server_relieve(((tri_py_server *)op)->core);
    Py_RETURN_NONE;
}

static PyObject *server_stop(PyObject *op, PyObject *args)
{
    tri_server *core = ((tri_py_server *)op)->core;
    int dismiss = 0;
    if (!PyArg_ParseTuple(args, "|p:stop", &dismiss))
        return NULL;
    if (dismiss)
        tri_server_dismiss(core);
    tri_server_stop(core);
    Py_RETURN_NONE;
}

static PyObject *server_limit(PyObject *op, PyObject *args)
{
    unsigned long long most;
    if (!PyArg_ParseTuple(args, "K:limit", &most))
        return NULL;
    tri_server_limit(((tri_py_server *)op)->core, most);
    Py_RETURN_NONE;
}

static PyObject *server_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_py_server *self = (tri_py_server *)op;
    self->closed = true;
    tri_server_close(self->core);
    tri_server_wake(self->core);
    Py_RETURN_NONE;
}

static PyObject *server_counters(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_counters now;
    tri_server_counters(((tri_py_server *)op)->core, &now);
    return Py_BuildValue("{s:K,s:K,s:K,s:I,s:I,s:I,s:K,s:K}", "connections", (unsigned long long)now.connections,
                         "exchanges", (unsigned long long)now.exchanges, "refusals", (unsigned long long)now.refusals,
                         "open", now.open, "active", now.active, "lag_ms", now.lag_ms, "given",
                         (unsigned long long)now.given, "taken", (unsigned long long)now.taken);
}

static PyObject *server_report(PyObject *op, PyObject *args)
{
    tri_py_server *self = (tri_py_server *)op;
    int fd;
    unsigned slot;
    if (!PyArg_ParseTuple(args, "iI:report", &fd, &slot))
        return NULL;
    int error = tri_server_report(self->core, fd, slot);
    if (error == TRI_EINVAL) {
        PyErr_Format(PyExc_ValueError, "the board has no slot %u", slot);
        return NULL;
    }
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Copies the numbers of a list of descriptors; NULL with an exception. */
static int *read_descriptors(PyObject *list, unsigned *n)
{
    Py_ssize_t size = PyList_GET_SIZE(list);
    int *fds = PyMem_New(int, size > 0 ? (size_t)size : 1);
    if (fds == NULL)
        return (int *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < size; i++) {
        long fd = PyLong_AsLong(PyList_GET_ITEM(list, i));
        if (fd == -1 && PyErr_Occurred()) {
            PyMem_Free(fds);
            return NULL;
        }
        fds[i] = fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
    }
    *n = (unsigned)size;
    return fds;
}

static PyObject *server_balance(PyObject *op, PyObject *args)
{
    tri_py_server *self = (tri_py_server *)op;
    PyObject *list;
    int receive;
    unsigned n = 0;
    if (!PyArg_ParseTuple(args, "iO!:balance", &receive, &PyList_Type, &list))
        return NULL;
    if (PyList_GET_SIZE(list) > TRI_SERVER_SLOTS) {
        PyErr_Format(PyExc_ValueError, "at most %d channels", TRI_SERVER_SLOTS);
        return NULL;
    }
    int *fds = read_descriptors(list, &n);
    if (fds == NULL)
        return NULL;
    int error = tri_server_balance(self->core, receive, fds, n);
    PyMem_Free(fds);
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *server_measure(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    tri_server_measure(((tri_py_server *)op)->core);
    Py_RETURN_NONE;
}

static PyObject *server_set_ready(PyObject *op, PyObject *ready)
{
    int truth = PyObject_IsTrue(ready);
    if (truth < 0)
        return NULL;
    tri_server_set_ready(((tri_py_server *)op)->core, truth != 0);
    Py_RETURN_NONE;
}

static PyMethodDef server_methods[] = {
    { "listen", server_listen, METH_VARARGS,
      PyDoc_STR(
          "listen($self, fd, backlog, name=None, proxy=False, /)\n--\n\nTake over a listening socket; returns its "
          "address. The name is the scope's server of what comes by a Unix socket; proxy has connections begin with a "
          "PROXY header.") },
    { "set_proxies", (PyCFunction)(void (*)(void))tri_proxying_set, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR("set_proxies($self, *, allow, fields, hops, health_path, ready_path, ready_lag_ms)\n--\n\n"
                "Say which proxies are believed, and which paths are answered without the application; before "
                "listening.") },
    { "set_tls", tri_tls_set, METH_O,
      PyDoc_STR("set_tls($self, tls, /)\n--\n\nHave new connections speak TLS, as make_tls() was told.") },
    { "fileno", server_fileno, METH_NOARGS,
      PyDoc_STR("fileno($self, /)\n--\n\nThe reactor's descriptor: readable when a turn has something to do.") },
    { "attach", (PyCFunction)(void (*)(void))server_attach, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR("attach($self, *, spawn, wait, park, checkpoint, ending, stray, refuse, canceller, state)\n--\n\n"
                "Use a backend's calls, and the context variables of the caller.") },
    { "runner", server_runner, METH_NOARGS,
      PyDoc_STR("runner($self, /)\n--\n\nA new Runner: the coroutine of a serving task.") },
    { "notice", server_notice, METH_NOARGS,
      PyDoc_STR(
          "notice($self, /)\n--\n\nAwait the next notice: 1 for an interrupt, 2 once a stop has drained, 3 at the "
          "limit of requests.") },
    { "limit", server_limit, METH_VARARGS,
      PyDoc_STR("limit($self, requests, /)\n--\n\nGive the notice 3 after so many requests; 0 takes that back.") },
    { "interrupt", server_interrupt, METH_VARARGS,
      PyDoc_STR("interrupt($self, leave=True, /)\n--\n\nAsk for a notice; with leave a stop follows, of which answers "
                "tell already. Callable in signal handlers and from other threads.") },
    { "relieve", server_relieve, METH_NOARGS,
      PyDoc_STR("relieve($self, /)\n--\n\nOthers serve on at the same addresses: a stop is not told to balancers. "
                "Callable in signal handlers.") },
    { "stop", server_stop, METH_VARARGS,
      PyDoc_STR("stop($self, dismiss=False, /)\n--\n\nAnswer what is queued, each with Connection: close, and take no "
                "more. With dismiss, receive() says http.disconnect to those that have read their body.") },
    { "close", server_close, METH_NOARGS,
      PyDoc_STR("close($self, /)\n--\n\nClose every connection and listener and let the leader end.") },
    { "log_access", (PyCFunction)(void (*)(void))tri_access_log_to, METH_VARARGS | METH_KEYWORDS,
      PyDoc_STR("log_access($self, *, format, excluded, colors, library, seed, fd, piece, call, text, on_lost)\n--\n\n"
                "Log requests from now on: to a descriptor, or by a call with their data or with a line of text.") },
    { "finish_log", tri_access_finish, METH_O,
      PyDoc_STR(
          "finish_log($self, milliseconds, /)\n--\n\nWrite what waits for the access log's descriptor, for at most "
          "so long, and tell of the refusals that were left out.") },
    { "counters", server_counters, METH_NOARGS,
      PyDoc_STR("counters($self, /)\n--\n\nWhat was counted so far, a dict.") },
    { "report", server_report, METH_VARARGS,
      PyDoc_STR("report($self, fd, slot, /)\n--\n\nKeep a cell of the board in fd up to date; the descriptor stays the "
                "caller's.") },
    { "balance", server_balance, METH_VARARGS,
      PyDoc_STR(
          "balance($self, receive, channels, /)\n--\n\nHand new connections over to workers that have clearly less, "
          "by the channel of each slot of the board, -1 for none, and take those that come by receive.") },
    { "measure", server_measure, METH_NOARGS,
      PyDoc_STR("measure($self, /)\n--\n\nMeasure from now on how late the loop comes to the reactor.") },
    { "set_ready", server_set_ready, METH_O,
      PyDoc_STR("set_ready($self, ready, /)\n--\n\nSay whether the server is ready for new connections.") },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot server_slots[] = {
    { Py_tp_doc,
      "Server(app, *, limits, scope, asgi, root_path, on_error, on_refusal, access_log, date, server, fields, parser, "
      "extensions, cancels, websockets, ws_protocol, http2)\n--\n\n"
      "The C core, serving one application." },
    { Py_tp_new, server_new },
    { Py_tp_methods, server_methods },
    { Py_tp_traverse, server_traverse },
    { Py_tp_clear, server_clear },
    { Py_tp_dealloc, server_dealloc },
    { 0, NULL },
};

static PyType_Spec server_spec = {
    .name = "tricorn._core.Server",
    .basicsize = sizeof(tri_py_server),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

int tri_server_type_add(PyObject *module, tri_state *state)
{
    return tri_module_add_type(module, &server_spec, &state->server_type);
}
