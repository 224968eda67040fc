#include "py/websocket.h"

#include "py/awaitable.h"
#include "py/message.h"
#include "ws/ws_frame.h"
#include "ws/ws_handshake.h"

/* --- events --- */

/* A message as a str or bytes. */
static PyObject *message_data(const tri_ws_message *message)
{
    Py_ssize_t n = (Py_ssize_t)message->n;
    if (!message->text)
        return PyBytes_FromStringAndSize(message->bytes, n);
    if (!message->ascii || n < 2)
        return PyUnicode_DecodeUTF8(message->bytes, n, NULL); /* which shares texts of one character */
    PyObject *text = PyUnicode_New(n, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), message->bytes, message->n);
    return text;
}

/* {"type": "websocket.receive", "text": …, "bytes": …}: one of them is None (statement W6). */
static int fill_message(PyObject *event, const tri_state *state, const tri_ws_message *message)
{
    PyObject *data = message_data(message);
    int error = data == NULL || PyDict_SetItem(event, state->names.type, state->names.websocket_receive)
                || PyDict_SetItem(event, state->names.bytes, message->text ? Py_None : data)
                || PyDict_SetItem(event, state->names.text, message->text ? data : Py_None);
    Py_XDECREF(data);
    return error ? -1 : 0;
}

/* {"type": "websocket.disconnect", "code": …, "reason": …} (statement W8). */
static int fill_disconnect(PyObject *event, const tri_state *state, const tri_ws_received *received)
{
    PyObject *code = PyLong_FromLong(received->code);
    PyObject *reason = PyUnicode_DecodeUTF8(received->reason.p, (Py_ssize_t)received->reason.n, "replace");
    int error = code == NULL || reason == NULL
                || PyDict_SetItem(event, state->names.type, state->names.websocket_disconnect)
                || PyDict_SetItem(event, state->names.code, code) || PyDict_SetItem(event, state->names.reason, reason);
    Py_XDECREF(code);
    Py_XDECREF(reason);
    return error ? -1 : 0;
}

static int fill_event(PyObject *event, const tri_state *state, const tri_ws_received *received)
{
    switch (received->type) {
    case TRI_WS_RECEIVED_CONNECT:
        return PyDict_SetItem(event, state->names.type, state->names.websocket_connect);
    case TRI_WS_RECEIVED_MESSAGE:
        return fill_message(event, state, received->message);
    case TRI_WS_RECEIVED_DISCONNECT:
        break;
    }
    return fill_disconnect(event, state, received);
}

/* The dictionary is made first: that may collect garbage, whose finalizers may receive from this exchange. */
int tri_websocket_event(tri_py_exchange *exchange, PyObject **event)
{
    tri_ws_received received;
    if (tri_websocket_receive(exchange->core, &received) != 0)
        return 0;
    PyObject *made = PyDict_New();
    if (made == NULL)
        return -1;
    if (tri_websocket_receive(exchange->core, &received) != 0) {
        Py_DECREF(made);
        return 0;
    }
    if (fill_event(made, exchange->server->state, &received) != 0) {
        Py_DECREF(made);
        return -1;
    }
    if (received.type == TRI_WS_RECEIVED_DISCONNECT)
        exchange->told++;
    else
        tri_websocket_take(exchange->core);
    *event = made;
    return 1;
}

/* --- scope --- */

/* Appends the elements of one field to the list. */
static int add_subprotocols(PyObject *list, tri_span value)
{
    tri_span element;
    while (tri_ws_handshake_next(&value, &element)) {
        PyObject *text = tri_scope_text(element);
        int error = text == NULL ? -1 : PyList_Append(list, text);
        Py_XDECREF(text);
        if (error != 0)
            return -1;
    }
    return 0;
}

PyObject *tri_websocket_subprotocols(const tri_head *head)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; i < head->n_fields && list != NULL; i++) {
        if (!tri_span_eq(tri_head_span(head, head->fields[i].name), TRI_SPAN("sec-websocket-protocol")))
            continue;
        if (add_subprotocols(list, tri_head_span(head, head->fields[i].value)) != 0)
            Py_CLEAR(list);
    }
    return list;
}

/* --- messages --- */

static int raise_state(const char *text)
{
    PyErr_SetString(PyExc_RuntimeError, text);
    return -1;
}

/* The access log's line of a handshake. */
static void log_handshake(tri_py_exchange *exchange, int status)
{
    exchange->status = status;
    if (exchange->server->access != TRI_ACCESS_OFF)
        tri_access_tell(exchange);
}

/* message[key] when it is there and not None, borrowed; NULL without an exception when it is not. */
static PyObject *find(PyObject *message, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(message, key);
    return value == Py_None ? NULL : value;
}

/* The subprotocol that is accepted, in latin-1 as fields are: a new bytes object, empty for none. */
static PyObject *read_subprotocol(const tri_state *state, PyObject *message)
{
    PyObject *value = find(message, state->names.subprotocol);
    if (value == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(state->empty_bytes);
    if (PyUnicode_Check(value))
        return PyUnicode_AsLatin1String(value);
    PyErr_Format(PyExc_TypeError, "subprotocol must be a str, not %.200s", Py_TYPE(value)->tp_name);
    return NULL;
}

/* Completes the handshake. */
static int accept_with(tri_py_exchange *exchange, PyObject *subprotocol, PyObject *headers)
{
    tri_message_fields fields;
    if (tri_message_fields_keep(&fields, headers) != 0)
        return -1;
    tri_span name = { PyBytes_AS_STRING(subprotocol), (size_t)PyBytes_GET_SIZE(subprotocol) };
    int error = 0;
    for (size_t i = 0; i < fields.n; i++)
        if (fields.fields[i].name.n == 22 && PyOS_strnicmp(fields.fields[i].name.p, "sec-websocket-protocol", 22) == 0)
            error = TRI_EINVAL;
    if (error == 0)
        error = tri_websocket_accept(exchange->core, fields.fields, fields.n, name);
    tri_message_fields_drop(&fields);
    if (error == 0)
        log_handshake(exchange, 101);
    if (error == 0)
        tri_websocket_drop_head(exchange->core);
    if (error == TRI_EINVAL)
        PyErr_SetString(PyExc_ValueError,
                        "header names must be tokens, header values and the subprotocol must not hold "
                        "control characters, and sec-websocket-protocol is the subprotocol's");
    else if (error == TRI_ESTATE)
        raise_state("websocket.accept was sent already, or the WebSocket was denied");
    else if (error != 0)
        tri_server_type_raise(exchange->server->state, error);
    return error == 0 ? 0 : -1;
}

/* websocket.accept. */
static int send_accept(tri_py_exchange *exchange, PyObject *message)
{
    const tri_state *state = exchange->server->state;
    PyObject *subprotocol = read_subprotocol(state, message);
    if (subprotocol == NULL)
        return -1;
    PyObject *headers = find(message, state->names.headers);
    int error = headers == NULL && PyErr_Occurred() ? -1 : accept_with(exchange, subprotocol, headers);
    Py_DECREF(subprotocol);
    return error;
}

/* What is sent, lent from the object's own memory; which of both it is. */
static int read_data(const tri_state *state, PyObject *message, tri_loan *loan, enum tri_ws_data *data)
{
    PyObject *text = find(message, state->names.text);
    PyObject *bytes = text == NULL && PyErr_Occurred() ? NULL : find(message, state->names.bytes);
    if (PyErr_Occurred())
        return -1;
    if ((text == NULL) == (bytes == NULL)) {
        PyErr_SetString(PyExc_ValueError, "websocket.send must have either text or bytes");
        return -1;
    }
    *data = text != NULL ? TRI_WS_TEXT : TRI_WS_BINARY;
    return text != NULL ? tri_message_loan_text(text, loan) : tri_message_loan(bytes, loan);
}

static int raise_closed(tri_py_exchange *exchange, int error)
{
    if (error == TRI_ESTATE)
        return raise_state("websocket.accept must be sent first");
    if (error == TRI_EINVAL)
        return raise_state("the message cannot be sent");
    return tri_server_type_raise(exchange->server->state, error);
}

/* websocket.send. */
static int send_data(tri_py_exchange *exchange, PyObject *message)
{
    tri_loan loan;
    enum tri_ws_data data;
    if (read_data(exchange->server->state, message, &loan, &data) != 0)
        return -1;
    int error = tri_websocket_send(exchange->core, &loan, data);
    if (error == 0)
        return 0;
    loan.release(loan.owner);
    return raise_closed(exchange, error);
}

/* message["code"]: what a close frame may carry. */
static int read_code(const tri_state *state, PyObject *message, int *code)
{
    PyObject *value = find(message, state->names.code);
    *code = TRI_WS_NORMAL;
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "code must be an int, not %.200s", Py_TYPE(value)->tp_name);
        return -1;
    }
    int overflow;
    long number = PyLong_AsLongAndOverflow(value, &overflow);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (overflow != 0 || number < 0 || number > 4999 || !tri_ws_frame_code_ok((int)number)) {
        PyErr_SetString(PyExc_ValueError,
                        "code must be one that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999");
        return -1;
    }
    *code = (int)number;
    return 0;
}

/* message["reason"], borrowed from the message. */
static int read_reason(const tri_state *state, PyObject *message, tri_span *reason)
{
    PyObject *value = find(message, state->names.reason);
    *reason = (tri_span){ NULL, 0 };
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "reason must be a str, not %.200s", Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_ssize_t n;
    reason->p = PyUnicode_AsUTF8AndSize(value, &n);
    if (reason->p == NULL)
        return -1;
    reason->n = (size_t)n;
    if (n <= TRI_WS_REASON_MOST)
        return 0;
    PyErr_SetString(PyExc_ValueError, "reason must be at most 123 bytes of UTF-8");
    return -1;
}

/* Refuses the handshake with a 403 (statement W7). */
static int send_refusal(tri_py_exchange *exchange)
{
    const tri_response response = { .status = 403, .close = true };
    const tri_loan nothing = { { NULL, 0 }, NULL, NULL };
    int error = tri_websocket_deny(exchange->core);
    if (error == 0)
        error = tri_exchange_respond(exchange->core, &response);
    if (error == 0)
        error = tri_exchange_write(exchange->core, &nothing, true);
    if (error == TRI_ECLOSED)
        return 0; /* nobody is left to be refused */
    if (error != 0)
        return tri_server_type_raise(exchange->server->state, error);
    log_handshake(exchange, 403);
    return 0;
}

/* websocket.close; what is closed stays so (statement G7). */
static int send_close(tri_py_exchange *exchange, PyObject *message)
{
    const tri_state *state = exchange->server->state;
    int code;
    tri_span reason;
    if (read_code(state, message, &code) != 0 || read_reason(state, message, &reason) != 0)
        return -1;
    if (tri_websocket_is_undecided(exchange->core))
        return send_refusal(exchange);
    int error = tri_websocket_close(exchange->core, code, reason);
    return error == 0 || error == TRI_ECLOSED ? 0 : raise_closed(exchange, error);
}

/* websocket.http.response.start and .body: the handshake is answered as any request (statement E1). */
static int send_denial(tri_py_exchange *exchange, PyObject *message, bool *end)
{
    int error = tri_websocket_deny(exchange->core);
    if (error == TRI_ESTATE)
        return raise_state("the WebSocket was accepted already");
    if (error != 0)
        return tri_server_type_raise(exchange->server->state, error);
    if (end == NULL)
        return tri_message_start(exchange, message);
    return tri_message_body(exchange, message, end);
}

int tri_websocket_message(tri_py_exchange *exchange, PyObject *type, PyObject *message, bool *end)
{
    const tri_state *state = exchange->server->state;
    *end = false;
    if (type == state->names.websocket_send || PyUnicode_Compare(type, state->names.websocket_send) == 0)
        return send_data(exchange, message);
    *end = true;
    if (PyUnicode_Compare(type, state->names.websocket_accept) == 0)
        return send_accept(exchange, message);
    if (PyUnicode_Compare(type, state->names.websocket_close) == 0)
        return send_close(exchange, message);
    if (PyUnicode_Compare(type, state->names.websocket_start) == 0)
        return send_denial(exchange, message, NULL);
    if (PyUnicode_Compare(type, state->names.websocket_body) == 0)
        return send_denial(exchange, message, end);
    PyErr_Format(PyExc_ValueError, "unknown message type '%U' for a WebSocket", type);
    return -1;
}

bool tri_websocket_is_data(const tri_py_exchange *exchange, PyObject *message)
{
    const tri_state *state = exchange->server->state;
    if (!tri_websocket_is_open(exchange->core) || !PyDict_Check(message))
        return false;
    PyObject *type = find(message, state->names.type);
    if (type == NULL)
        PyErr_Clear(); /* send() finds it again */
    return type != NULL && PyUnicode_Check(type) && PyUnicode_Compare(type, state->names.websocket_send) == 0;
}

bool tri_websocket_finish(tri_py_exchange *exchange, PyObject *exception)
{
    tri_exchange *core = exchange->core;
    if (!tri_websocket_accepted(core))
        return tri_exchange_complete(core);
    exchange->gone = !tri_websocket_is_open(core);
    int error = tri_websocket_close(core, exception == NULL ? TRI_WS_NORMAL : TRI_WS_INTERNAL, (tri_span){ NULL, 0 });
    (void)error; /* it is closed already */
    return true;
}

/* --- broadcast --- */

enum { WINDOWS = 16 };

/* One message on its way to many. */
typedef struct broadcast {
    tri_loan loan;
    enum tri_ws_data data;
    PyObject *frames[WINDOWS]; /* bytes: by the window's bits, the first uncompressed; made when they are needed */
    PyObject *missed;          /* list of those that did not take it */
    PyObject *foreign;         /* list of those that are not ours */
    tri_py_server *server;     /* of the last that is ours, borrowed */
    unsigned tried;            /* how many are ours, those included that did not take it */
} broadcast;

/* The frame for a window, borrowed; NULL with an exception. */
static PyObject *frame_for(broadcast *self, tri_py_server *server, unsigned bits)
{
    if (self->frames[bits] != NULL)
        return self->frames[bits];
    tri_span payload = self->loan.bytes;
    unsigned first = TRI_WS_FRAME_FIN | (self->data == TRI_WS_TEXT ? TRI_WS_FRAME_TEXT : TRI_WS_FRAME_BINARY);
    int error = bits == 0 ? 0 : tri_server_deflate(server->core, bits, self->loan.bytes, &payload);
    if (error != 0) {
        tri_server_type_raise(server->state, error);
        return NULL;
    }
    unsigned char head[TRI_WS_FRAME_HEAD];
    size_t n = tri_ws_frame_head(head, bits == 0 ? first : first | TRI_WS_FRAME_RSV1, payload.n);
    PyObject *frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n + payload.n));
    if (frame == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(frame), head, n);
    memcpy(PyBytes_AS_STRING(frame) + n, payload.p, payload.n);
    self->frames[bits] = frame;
    return frame;
}

/* Sends to one of ours: 1, 0 when it did not take it, -1 with an exception. */
static int send_to(broadcast *self, tri_py_exchange *exchange)
{
    self->server = exchange->server;
    self->tried++;
    if (!exchange->websocket || !tri_websocket_is_open(exchange->core) || !tri_exchange_writable(exchange->core))
        return 0;
    int bits = tri_websocket_shares(exchange->core, self->loan.bytes.n);
    int error;
    if (bits < 0) {
        tri_loan copied = { .bytes = self->loan.bytes };
        error = tri_websocket_send(exchange->core, &copied, self->data);
    } else {
        PyObject *frame = frame_for(self, exchange->server, (unsigned)bits);
        if (frame == NULL)
            return -1;
        tri_loan loan = tri_message_loan_bytes(frame);
        error = tri_websocket_send_shared(exchange->core, &loan, bits != 0);
        if (error != 0)
            loan.release(loan.owner);
    }
    return error == 0 ? 1 : 0;
}

/* Sends to each; 0, or -1 with an exception. */
static int send_to_all(broadcast *self, PyObject *sends)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(sends); i++) {
        PyObject *send = PyTuple_GET_ITEM(sends, i);
        tri_py_exchange *exchange = tri_exchange_type_of(send);
        int took = exchange == NULL ? 0 : send_to(self, exchange);
        if (took < 0)
            return -1;
        if (took == 0 && PyList_Append(exchange == NULL ? self->foreign : self->missed, send) != 0)
            return -1;
    }
    return 0;
}

/* What the caller awaits: so many sends in a row are to give others their turn (I9). */
static PyObject *pause_after(const broadcast *self)
{
    if (self->server == NULL)
        return Py_NewRef(Py_None);
    tri_py_server *server = self->server;
    server->broadcasts += self->tried;
    if (server->broadcasts < TRI_SEND_RUN)
        return Py_NewRef(Py_None);
    server->broadcasts = 0;
    return tri_awaitable_new(TRI_AWAITABLE_CHECKPOINT, server, NULL);
}

PyObject *tri_websocket_broadcast(PyObject *module, PyObject *args)
{
    const tri_state *state = PyModule_GetState(module);
    PyObject *given, *message;
    if (!PyArg_ParseTuple(args, "OO!:broadcast", &given, &PyDict_Type, &message))
        return NULL;
    broadcast self = { .loan = { { NULL, 0 }, NULL, NULL } };
    if (read_data(state, message, &self.loan, &self.data) != 0)
        return NULL;
    PyObject *result = NULL;
    PyObject *sends = PySequence_Tuple(given);
    self.missed = PyList_New(0);
    self.foreign = PyList_New(0);
    if (sends != NULL && self.missed != NULL && self.foreign != NULL && send_to_all(&self, sends) == 0)
        result = Py_BuildValue("(OON)", self.missed, self.foreign, pause_after(&self));
    for (size_t i = 0; i < WINDOWS; i++)
        Py_XDECREF(self.frames[i]);
    Py_XDECREF(self.missed);
    Py_XDECREF(self.foreign);
    Py_XDECREF(sends);
    self.loan.release(self.loan.owner);
    return result;
}
