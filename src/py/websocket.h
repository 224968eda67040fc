/* The WebSocket half of ASGI: what a WebSocket's receive() gives, what its send() takes, and how it ends. */
#ifndef TRI_PY_WEBSOCKET_H
#define TRI_PY_WEBSOCKET_H

#include "py/module.h"

/* The event that is there: 1 with it, 0 when none is, -1 with an exception. */
int tri_websocket_event(tri_py_exchange *exchange, PyObject **event);
/* Hands a message of send() to the core; 0, or -1 with an exception. */
int tri_websocket_message(tri_py_exchange *exchange, PyObject *type, PyObject *message, bool *end);
/* Whether a message of send() is one for an open WebSocket to send. */
bool tri_websocket_is_data(const tri_py_exchange *exchange, PyObject *message);
/* The application has returned, or has failed: an open WebSocket is closed. Whether there is nothing to complain of. */
bool tri_websocket_finish(tri_py_exchange *exchange, PyObject *exception);
/* scope["subprotocols"]: those that the client offers, a new list. */
PyObject *tri_websocket_subprotocols(const tri_head *head);
/* broadcast(sends, message): see tricorn.broadcast. */
PyObject *tri_websocket_broadcast(PyObject *module, PyObject *args);

#endif
