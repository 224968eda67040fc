/* Opening listening sockets, before there is a server that takes them over. */
#include "net/listener.h"
#include "net/socket.h"
#include "py/module.h"

/* The descriptors as a list of int. */
static PyObject *fd_list(const int *fds, int n)
{
    PyObject *list = PyList_New(n);
    for (int i = 0; list != NULL && i < n; i++) {
        PyObject *number = PyLong_FromLong(fds[i]);
        if (number == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, number);
    }
    for (int i = 0; list == NULL && i < n; i++)
        tri_socket_close(fds[i]);
    return list;
}

PyObject *tri_listening_tcp(PyObject *module, PyObject *args)
{
    const char *host;
    int port, backlog, shared = 0;
    int fds[TRI_LISTENER_MAX];
    if (!PyArg_ParseTuple(args, "zii|p:listen_tcp", &host, &port, &backlog, &shared))
        return NULL;
    if (port < 0 || port > UINT16_MAX)
        return PyErr_Format(PyExc_ValueError, "port %d is not between 0 and 65535", port);
    int n = shared ? tri_listener_tcp_shared(host, (uint16_t)port, backlog, fds)
                   : tri_listener_tcp(host, (uint16_t)port, backlog, fds);
    if (n == TRI_EINVAL)
        return PyErr_Format(PyExc_ValueError, "the host %s has no address", host);
    if (n < 0) {
        tri_server_type_raise(PyModule_GetState(module), n);
        return NULL;
    }
    return fd_list(fds, n);
}

PyObject *tri_listening_unix(PyObject *module, PyObject *args)
{
    PyObject *path;
    int mode, backlog;
    if (!PyArg_ParseTuple(args, "O&ii:listen_unix", PyUnicode_FSConverter, &path, &mode, &backlog))
        return NULL;
    int fd = tri_listener_unix(PyBytes_AS_STRING(path), mode, backlog);
    Py_DECREF(path);
    if (fd < 0) {
        tri_server_type_raise(PyModule_GetState(module), fd);
        return NULL;
    }
    PyObject *number = PyLong_FromLong(fd);
    if (number == NULL)
        tri_socket_close(fd);
    return number;
}
