/* The scope of an HTTP exchange (ASGI, HTTP spec 2.5): a copy of what all have in common, and the request's own. */
#include <stdlib.h>

#include "py/module.h"
#include "py/websocket.h"

PyObject *tri_scope_text(tri_span bytes)
{
    return PyUnicode_DecodeLatin1(bytes.p, (Py_ssize_t)bytes.n, NULL);
}

/* The host as a str, or None for an address without one. */
static PyObject *host_text(const tri_addr *addr)
{
    char text[TRI_ADDR_TEXT];
    size_t n = tri_addr_text(addr, text);
    if (n == 0)
        Py_RETURN_NONE;
    return PyUnicode_DecodeASCII(text, (Py_ssize_t)n, NULL);
}

/* (host, port) of a host, which is stolen and may be NULL; None stays None. */
static PyObject *host_pair(PyObject *host, uint16_t port)
{
    if (host == NULL || host == Py_None)
        return host;
    PyObject *number = PyLong_FromLong(port);
    PyObject *pair = number != NULL ? PyTuple_New(2) : NULL;
    if (pair == NULL) {
        Py_DECREF(host);
        Py_XDECREF(number);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, host);
    PyTuple_SET_ITEM(pair, 1, number);
    return pair;
}

PyObject *tri_scope_address(const tri_addr *addr)
{
    return host_pair(host_text(addr), addr->port);
}

/* Whether both are the same host. */
static bool same_host(const tri_addr *a, const tri_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* scope["client"]: the hosts of the peers seen last are kept, the pairs are not. */
static PyObject *client_pair(tri_py_server *server, const tri_addr *peer)
{
    unsigned slot = peer->ip[3] ^ peer->ip[15];
    slot = (slot ^ (slot >> 4)) % TRI_PEER_CACHE;
    PyObject **kept = &server->peer_hosts[slot];
    if (*kept == NULL || !same_host(&server->peer_addrs[slot], peer)) {
        PyObject *host = host_text(peer);
        if (host == NULL)
            return NULL;
        Py_XSETREF(*kept, host);
        server->peer_addrs[slot] = *peer;
    }
    return host_pair(Py_NewRef(*kept), peer->port);
}

/* scope["server"]: of a connection over TCP a tuple, so that it can be shared while it is the same. */
static PyObject *server_pair(tri_py_server *server, const tri_addr *local)
{
    if (local->family == TRI_FAMILY_UNIX) /* its port is the listener's tag */
        return Py_XNewRef(PyList_GetItem(server->unix_names, local->port));
    if (server->local_pair == NULL || server->local_addr.port != local->port
        || !same_host(&server->local_addr, local)) {
        PyObject *pair = tri_scope_address(local);
        if (pair == NULL)
            return NULL;
        Py_XSETREF(server->local_pair, pair);
        server->local_addr = *local;
    }
    return Py_NewRef(server->local_pair);
}

void tri_scope_forget(tri_py_server *server)
{
    Py_CLEAR(server->local_pair);
    for (unsigned i = 0; i < TRI_PEER_CACHE; i++)
        Py_CLEAR(server->peer_hosts[i]);
}

/* One (name, value) pair of bytes. */
static PyObject *field_pair(tri_py_server *server, const tri_head *head, const tri_field *field)
{
    PyObject *name = tri_name_cache_get(&server->names, tri_head_span(head, field->name), field->hash);
    if (name == NULL)
        return NULL;
    tri_span text = tri_head_span(head, field->value);
    PyObject *value = PyBytes_FromStringAndSize(text.p, (Py_ssize_t)text.n);
    PyObject *pair = value != NULL ? PyTuple_New(2) : NULL;
    if (pair == NULL) {
        Py_DECREF(name);
        Py_XDECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, name);
    PyTuple_SET_ITEM(pair, 1, value);
    PyObject_GC_UnTrack(pair); /* bytes are in no cycle: the collector need not walk them */
    return pair;
}

/* scope["headers"]: in the order received, duplicates kept. */
static PyObject *field_list(tri_py_server *server, const tri_head *head)
{
    PyObject *list = PyList_New((Py_ssize_t)head->n_fields);
    if (list == NULL)
        return NULL;
    for (uint32_t i = 0; i < head->n_fields; i++) {
        PyObject *pair = field_pair(server, head, &head->fields[i]);
        if (pair == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
    }
    return list;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes into `out`, which has room for as many bytes; a percent sign without two digits stands for itself. */
static size_t percent_decode(tri_span in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        int high = -1, low = -1;
        if (in.p[i] == '%' && in.n - i > 2) {
            high = hex_value(in.p[i + 1]);
            low = hex_value(in.p[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = in.p[i];
        }
    }
    return n;
}

/* The path, percent-decoded and then decoded as UTF-8 (statement H4); bytes that are not UTF-8 become U+FFFD. */
static PyObject *decoded_path(tri_span path)
{
    if (memchr(path.p, '%', path.n) == NULL)
        return PyUnicode_DecodeASCII(path.p, (Py_ssize_t)path.n, "replace");
    char small[512];
    small[0] = '\0';
    char *bytes = path.n <= sizeof small ? small : PyMem_Malloc(path.n);
    if (bytes == NULL)
        return PyErr_NoMemory();
    size_t n = percent_decode(path, bytes);
    PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)n, "replace");
    if (bytes != small)
        PyMem_Free(bytes);
    return text;
}

/* `path` and `raw_path`, both with the root path in front, as PATH_INFO plus SCRIPT_NAME would be. */
static int set_paths(tri_py_server *server, PyObject *scope, const tri_head *head)
{
    const tri_state *state = server->state;
    tri_span raw = tri_head_span(head, head->path);
    if (raw.n == 0)
        raw = TRI_SPAN("/");
    PyObject *path = decoded_path(raw);
    PyObject *raw_path = PyBytes_FromStringAndSize(raw.p, (Py_ssize_t)raw.n);
    bool below = PyUnicode_GET_LENGTH(server->root_path) > 0 && !tri_span_eq(raw, TRI_SPAN("*"));
    if (path != NULL && raw_path != NULL && below) {
        Py_SETREF(path, PyUnicode_Concat(server->root_path, path));
        PyObject *prefix = PyUnicode_AsUTF8String(server->root_path);
        if (prefix != NULL)
            PyBytes_ConcatAndDel(&prefix, raw_path);
        else
            Py_DECREF(raw_path);
        raw_path = prefix;
    }
    int error = -1;
    if (path != NULL && raw_path != NULL)
        error =
            PyDict_SetItem(scope, state->names.path, path) || PyDict_SetItem(scope, state->names.raw_path, raw_path);
    Py_XDECREF(path);
    Py_XDECREF(raw_path);
    return error ? -1 : 0;
}

/* The method as an interned str where it is a common one. */
static PyObject *method_text(const tri_state *state, tri_span method)
{
    PyObject *const known[] = { state->names.GET,    state->names.POST,  state->names.HEAD,   state->names.PUT,
                                state->names.DELETE, state->names.PATCH, state->names.OPTIONS };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if ((size_t)PyUnicode_GET_LENGTH(known[i]) == method.n
            && memcmp(PyUnicode_1BYTE_DATA(known[i]), method.p, method.n) == 0)
            return Py_NewRef(known[i]);
    }
    PyObject *text = tri_scope_text(method);
    if (text != NULL)
        Py_SETREF(text, PyObject_CallMethod(text, "upper", NULL)); /* statement H2 */
    return text;
}

/* Stores `value`, a new reference or NULL, and drops it. */
static int set_new(PyObject *scope, PyObject *name, PyObject *value)
{
    if (value == NULL)
        return -1;
    int error = PyDict_SetItem(scope, name, value);
    Py_DECREF(value);
    return error;
}

/* http_version, where it is none of HTTP/1.1. */
static PyObject *version_text(const tri_state *state, const tri_head *head)
{
    return head->major == 1 ? state->names.v1_0 : state->names.v2;
}

/* What belongs to the request. */
static int set_request(tri_py_server *server, PyObject *scope, const tri_head *head)
{
    const tri_state *state = server->state;
    PyObject *query = head->query.n == 0 ? Py_NewRef(state->empty_bytes)
                                         : PyBytes_FromStringAndSize(head->base + head->query.at, head->query.n);
    if (set_new(scope, state->names.query_string, query) != 0)
        return -1;
    bool usual = head->major == 1 && head->minor == 1;
    if (!usual && PyDict_SetItem(scope, state->names.http_version, version_text(state, head)) != 0)
        return -1;
    if (set_paths(server, scope, head) != 0)
        return -1;
    return set_new(scope, state->names.headers, field_list(server, head));
}

/* What only requests have, or only WebSockets. */
static int set_kind(tri_py_server *server, PyObject *scope, const tri_head *head, bool websocket)
{
    const tri_state *state = server->state;
    if (websocket)
        return set_new(scope, state->names.subprotocols, tri_websocket_subprotocols(head));
    return set_new(scope, state->names.method, method_text(state, tri_head_span(head, head->method)));
}

/* The extensions that are offered; a WebSocket's handshake can be answered as a request (statement E1). */
static PyObject *own_extensions(tri_py_server *server, const tri_exchange *exchange)
{
    bool websocket = tri_exchange_is_websocket(exchange);
    PyObject *extensions = PyDict_Copy(server->extensions);
    if (extensions != NULL && websocket && set_new(extensions, server->state->names.websocket_response, PyDict_New()))
        Py_CLEAR(extensions);
    if (extensions != NULL && tri_exchange_tls(exchange) != NULL
        && tri_tls_scope_add(server, extensions, exchange) != 0)
        Py_CLEAR(extensions);
    return extensions;
}

/* What must never be shared between exchanges (statements G12, H10, F5). */
static int set_own_dicts(tri_py_server *server, PyObject *scope, const tri_exchange *exchange)
{
    const tri_state *state = server->state;
    if (set_new(scope, state->names.asgi, PyDict_Copy(server->asgi)) != 0)
        return -1;
    if (set_new(scope, state->names.extensions, own_extensions(server, exchange)) != 0)
        return -1;
    if (server->lifespan_state == NULL)
        return 0;
    return set_new(scope, state->names.state, PyDict_Copy(server->lifespan_state));
}

/* The prototype of WebSockets: that of requests, with other values. */
static PyObject *websocket_prototype(const tri_state *state, PyObject *prototype)
{
    PyObject *copy = PyDict_Copy(prototype);
    if (copy == NULL)
        return NULL;
    bool secure = false;
    PyObject *scheme = PyDict_GetItemWithError(prototype, state->names.scheme);
    if (scheme != NULL && PyUnicode_Check(scheme))
        secure = PyUnicode_CompareWithASCIIString(scheme, "https") == 0;
    PyObject *of_socket = secure ? PyUnicode_FromString("wss") : Py_NewRef(state->names.ws);
    bool made = set_new(copy, state->names.scheme, of_socket) == 0
                && PyDict_SetItem(copy, state->names.type, state->names.websocket) == 0
                && PyDict_DelItem(copy, state->names.method) == 0
                && PyDict_SetItem(copy, state->names.subprotocols, Py_None) == 0;
    if (!made)
        Py_CLEAR(copy);
    return copy;
}

int tri_scope_prepare(tri_py_server *server)
{
    const tri_state *state = server->state;
    PyObject *const own[] = { state->names.query_string, state->names.method,  state->names.path,
                              state->names.raw_path,     state->names.headers, state->names.asgi,
                              state->names.extensions,   state->names.client,  state->names.server,
                              state->names.http_version, state->names.state };
    size_t n = sizeof own / sizeof *own - (server->lifespan_state == NULL);
    PyObject *prototype = PyDict_Copy(server->scope);
    if (prototype == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (PyDict_SetDefault(prototype, own[i], Py_None) == NULL) {
            Py_DECREF(prototype);
            return -1;
        }
    }
    Py_XSETREF(server->prototype, prototype);
    Py_XSETREF(server->ws_prototype, websocket_prototype(state, prototype));
    return server->ws_prototype == NULL ? -1 : 0;
}

PyObject *tri_scope_new(tri_py_server *server, const tri_exchange *exchange)
{
    const tri_state *state = server->state;
    bool websocket = tri_exchange_is_websocket(exchange);
    PyObject *scope = PyDict_Copy(websocket ? server->ws_prototype : server->prototype);
    if (scope == NULL)
        return NULL;
    const tri_addr *local = tri_exchange_local(exchange);
    int error = set_request(server, scope, tri_exchange_head(exchange));
    if (error == 0)
        error = set_kind(server, scope, tri_exchange_head(exchange), websocket);
    if (error == 0)
        error = set_own_dicts(server, scope, exchange);
    if (error == 0)
        error = set_new(scope, state->names.client, client_pair(server, tri_exchange_peer(exchange)));
    if (error == 0)
        error = set_new(scope, state->names.server, server_pair(server, local));
    if (error == 0 && tri_forwarded_any(tri_exchange_forwarded(exchange)))
        error = tri_proxying_apply(server, scope, exchange);
    if (error != 0)
        Py_CLEAR(scope);
    return scope;
}
