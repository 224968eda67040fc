/* TLS as Python asks for it. */
#include "net/tls.h"
#include "py/module.h"

PyObject *tri_tls_set(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static const char *const keywords[] = { "certificate", "key", "password", "http2", NULL };
    tri_py_server *self = (tri_py_server *)op;
    PyObject *certificate = NULL, *key = NULL;
    const char *password;
    int http2 = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O&O&zp:set_tls", (char **)(uintptr_t)keywords,
                                     PyUnicode_FSConverter, &certificate, PyUnicode_FSConverter, &key, &password,
                                     &http2))
        return NULL;
    const tri_tls_options options = { .certificate = PyBytes_AS_STRING(certificate),
                                      .key = PyBytes_AS_STRING(key),
                                      .password = password,
                                      .protocols = TRI_TLS_HTTP1 | (http2 ? TRI_TLS_HTTP2 : 0U) };
    char fault[TRI_TLS_FAULT];
    tri_tls_context *context = NULL;
    int error = tri_tls_context_new(&context, tri_mem_libc(), &options, fault);
    Py_DECREF(certificate);
    Py_DECREF(key);
    if (error == TRI_EINVAL)
        return PyErr_Format(PyExc_ValueError, "%s", fault);
    if (error != 0)
        return PyErr_NoMemory();
    tri_server_set_tls(self->core, context);
    Py_RETURN_NONE;
}
