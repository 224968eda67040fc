/* What proxies are believed, and what of a scope that changes. */
#include "py/module.h"

PyObject *tri_proxying_set(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *const keywords[] = { "allow", "fields", "hops", "health_path", "ready_path", "ready_lag_ms", NULL };
    tri_py_server *self = (tri_py_server *)op;
    const char *allow, *health, *ready;
    Py_ssize_t allow_size, health_size, ready_size;
    unsigned fields, hops, lag;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$s#IIs#s#I:set_proxies", (char **)keywords, &allow, &allow_size,
                                     &fields, &hops, &health, &health_size, &ready, &ready_size, &lag))
        return NULL;
    const tri_proxy_options options = { .allow = { allow, (size_t)allow_size },
                                        .fields = fields,
                                        .hops = hops,
                                        .health_path = { health, (size_t)health_size },
                                        .ready_path = { ready, (size_t)ready_size },
                                        .ready_lag_ms = lag };
    int error = tri_server_set_proxies(self->core, &options);
    if (error == TRI_EINVAL)
        return PyErr_Format(PyExc_ValueError, "a network of %s has bits set behind its prefix", allow);
    if (error != 0) {
        tri_server_type_raise(self->state, error);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* scope["scheme"], of which a WebSocket has words of its own. */
static int set_scheme(const tri_state *state, PyObject *scope, const tri_exchange *exchange)
{
    bool secure = tri_exchange_forwarded(exchange)->scheme == TRI_FORWARDED_SECURE;
    PyObject *scheme = secure ? state->names.https : state->names.http;
    if (tri_exchange_is_websocket(exchange))
        scheme = secure ? state->names.wss : state->names.ws;
    return PyDict_SetItem(scope, state->names.scheme, scheme);
}

/* The value that the Host field has now, bytes. */
static PyObject *host_value(const tri_head *head, const tri_forwarded *said)
{
    tri_span host = tri_head_span(head, said->host.n > 0 ? said->host : head->host);
    if (said->port == 0)
        return PyBytes_FromStringAndSize(host.p, (Py_ssize_t)host.n);
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)host.n + 6);
    if (value == NULL)
        return NULL;
    char *text = PyBytes_AS_STRING(value);
    memcpy(text, host.p, host.n);
    int n = snprintf(text + host.n, 7, ":%u", (unsigned)said->port);
    _PyBytes_Resize(&value, (Py_ssize_t)host.n + n);
    return value;
}

/* Puts the pair in the place of the Host field, or behind the others where there is none. */
static int put_host(PyObject *fields, const tri_head *head, PyObject *pair)
{
    for (uint32_t i = 0; i < head->n_fields; i++)
        if (tri_span_eq(tri_head_span(head, head->fields[i].name), TRI_SPAN("host")))
            return PyList_SetItem(fields, (Py_ssize_t)i, Py_NewRef(pair));
    return PyList_Append(fields, pair);
}

/* scope["headers"]: the host that the client has asked for. */
static int set_host(const tri_state *state, PyObject *scope, const tri_head *head, const tri_forwarded *said)
{
    PyObject *fields = PyDict_GetItemWithError(scope, state->names.headers);
    PyObject *value = host_value(head, said);
    PyObject *pair = value == NULL ? NULL : Py_BuildValue("(yO)", "host", value);
    int error = pair == NULL || fields == NULL ? -1 : put_host(fields, head, pair);
    Py_XDECREF(pair);
    Py_XDECREF(value);
    return error;
}

/* Puts `prefix` in front of an entry of the scope, a str or bytes; both are of the same type. */
static int put_before(PyObject *scope, PyObject *name, PyObject *prefix)
{
    PyObject *rest = PyDict_GetItemWithError(scope, name);
    PyObject *whole = rest == NULL ? NULL : PySequence_Concat(prefix, rest);
    int error = whole == NULL ? -1 : PyDict_SetItem(scope, name, whole);
    Py_XDECREF(whole);
    return error;
}

/* root_path, path and raw_path, each with the prefix in front, as --root-path would have it. */
static int set_prefix(const tri_state *state, PyObject *scope, const tri_head *head, tri_span prefix)
{
    PyObject *text = PyUnicode_DecodeASCII(prefix.p, (Py_ssize_t)prefix.n, NULL);
    PyObject *bytes = PyBytes_FromStringAndSize(prefix.p, (Py_ssize_t)prefix.n);
    int error = text == NULL || bytes == NULL ? -1 : put_before(scope, state->names.root_path, text);
    bool below = !tri_span_eq(tri_head_span(head, head->path), TRI_SPAN("*"));
    if (error == 0 && below)
        error = put_before(scope, state->names.path, text);
    if (error == 0 && below)
        error = put_before(scope, state->names.raw_path, bytes);
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    return error;
}

int tri_proxying_apply(tri_py_server *server, PyObject *scope, const tri_exchange *exchange)
{
    const tri_state *state = server->state;
    const tri_forwarded *said = tri_exchange_forwarded(exchange);
    const tri_head *head = tri_exchange_head(exchange);
    int error = 0;
    if (said->scheme != TRI_FORWARDED_SAME)
        error = set_scheme(state, scope, exchange);
    if (error == 0 && (said->host.n > 0 || said->port != 0))
        error = set_host(state, scope, head, said);
    if (error == 0 && said->prefix.n > 0)
        error = set_prefix(state, scope, head, tri_head_span(head, said->prefix));
    return error;
}
