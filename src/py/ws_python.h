/* The frames of a WebSocket read and written by a class in Python, behind the seam of ws/protocol.h. */
#ifndef TRI_PY_WS_PYTHON_H
#define TRI_PY_WS_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "server/tricorn.h"

/* What the WebSockets of a server share, all owned by the server's Python object. */
typedef struct tri_ws_python_kind {
    PyObject *make;    /* callable() that gives an object for a socket; NULL where C does it */
    PyObject *message; /* the classes of events */
    PyObject *ping;
    PyObject *pong;
    PyObject *close;
    PyObject *fail;
    PyObject *on_error; /* callable(exception): an object failed */
} tri_ws_python_kind;

/* Takes ("make", "message", "ping", "pong", "close", "fail", "on_error") from the attributes of `binding`; None leaves
   it to C. 0, or -1 with an exception. */
int tri_ws_python_kind_init(tri_ws_python_kind *kind, PyObject *binding);
int tri_ws_python_kind_traverse(tri_ws_python_kind *kind, visitproc visit, void *arg);
void tri_ws_python_kind_clear(tri_ws_python_kind *kind);
/* For the settings of a server; `kind` is borrowed for its life. */
tri_ws_kind tri_ws_python_protocol(tri_ws_python_kind *kind);

#endif
