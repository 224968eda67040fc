/* TLS as Python asks for it. */
#include "net/tls.h"
#include "net/tls_dev.h"
#include "py/module.h"

static const char CAPSULE[] = "tricorn._core.tls";

/* What tri_tls_make is called with, as far as it is owned while the call lasts. */
typedef struct arguments {
    PyObject *certificate, *key, *authorities; /* bytes; the last may be NULL */
    PyObject *more, *revoked;                  /* tuples of pairs of bytes, and of bytes */
    Py_buffer seed;
    int http2, tells_faults;
    tri_tls_pair *pairs;
    const char **lists;
    tri_tls_options options;
} arguments;

/* A path that may be None. */
static int optional_path(PyObject *object, void *out)
{
    if (object == Py_None)
        return 1;
    return PyUnicode_FSConverter(object, out);
}

/* Reads what the options point to from the arguments; 0, or -1 with an exception. */
static int read_lists(arguments *self)
{
    Py_ssize_t pairs = PyTuple_GET_SIZE(self->more), lists = PyTuple_GET_SIZE(self->revoked);
    if (pairs >= TRI_TLS_PAIRS || lists >= TRI_TLS_PAIRS) {
        PyErr_Format(PyExc_ValueError, "there may be %d certificates and lists at most", TRI_TLS_PAIRS - 1);
        return -1;
    }
    self->pairs = PyMem_New(tri_tls_pair, (size_t)pairs + 1);
    self->lists = PyMem_New(const char *, (size_t)lists + 1);
    if (self->pairs == NULL || self->lists == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < pairs; i++) {
        tri_tls_pair *pair = &self->pairs[i];
        PyObject *item = PyTuple_GET_ITEM(self->more, i);
        if (!PyTuple_Check(item)) {
            PyErr_SetString(PyExc_TypeError, "pairs are tuples");
            return -1;
        }
        if (!PyArg_ParseTuple(item, "yy;pairs of bytes", &pair->certificate, &pair->key))
            return -1;
    }
    for (Py_ssize_t i = 0; i < lists; i++) {
        self->lists[i] = PyBytes_AsString(PyTuple_GET_ITEM(self->revoked, i));
        if (self->lists[i] == NULL)
            return -1;
    }
    self->options.more = self->pairs;
    self->options.more_n = (unsigned)pairs;
    self->options.revoked = self->lists;
    self->options.revoked_n = (unsigned)lists;
    return 0;
}

/* Turns the arguments into options; 0, or -1 with an exception. */
static int read_options(arguments *self)
{
    tri_tls_options *options = &self->options;
    if (self->seed.buf != NULL && self->seed.len != TRI_TLS_SEED) {
        PyErr_Format(PyExc_ValueError, "a seed has %d bytes", TRI_TLS_SEED);
        return -1;
    }
    if (options->clients > TRI_TLS_REQUIRED) {
        PyErr_SetString(PyExc_ValueError, "clients is 0, 1 or 2");
        return -1;
    }
    options->certificate = PyBytes_AS_STRING(self->certificate);
    options->key = PyBytes_AS_STRING(self->key);
    options->authorities = self->authorities == NULL ? NULL : PyBytes_AS_STRING(self->authorities);
    options->seed = self->seed.buf;
    options->protocols = TRI_TLS_HTTP1 | (self->http2 ? TRI_TLS_HTTP2 : 0U);
    options->tells_faults = self->tells_faults != 0;
    return read_lists(self);
}

/* Parses a call; 0, or -1 with an exception. */
static int parse(arguments *self, PyObject *args, PyObject *kwargs)
{
    static const char *const keywords[] = { "certificate", "key",          "password",       "http2",
                                            "lowest",      "highest",      "ciphers",        "suites",
                                            "clients",     "tells_faults", "authorities",    "revoked",
                                            "more",        "seed",         "ticket_seconds", NULL };
    tri_tls_options *options = &self->options;
    unsigned clients = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O&O&zpiizzIpO&O!O!z*I:make_tls", (char **)(uintptr_t)keywords,
                                     PyUnicode_FSConverter, &self->certificate, PyUnicode_FSConverter, &self->key,
                                     &options->password, &self->http2, &options->lowest, &options->highest,
                                     &options->ciphers, &options->suites, &clients, &self->tells_faults, optional_path,
                                     &self->authorities, &PyTuple_Type, &self->revoked, &PyTuple_Type, &self->more,
                                     &self->seed, &options->ticket_s))
        return -1;
    options->clients = clients;
    return read_options(self);
}

/* Gives back what a call holds. */
static void release(arguments *self)
{
    Py_XDECREF(self->certificate);
    Py_XDECREF(self->key);
    Py_XDECREF(self->authorities);
    if (self->seed.obj != NULL)
        PyBuffer_Release(&self->seed);
    PyMem_Free(self->pairs);
    PyMem_Free((void *)self->lists);
}

/* Gives a capsule's reference back. */
static void forget(PyObject *capsule)
{
    tri_tls_context *context = PyCapsule_GetPointer(capsule, CAPSULE);
    if (context != NULL)
        tri_tls_context_unref(context);
}

/* Raises what is wrong with the files. Names of files need not be UTF-8, nor whole here. */
static void blame(const char *fault)
{
    PyObject *text = PyUnicode_DecodeUTF8(fault, (Py_ssize_t)strlen(fault), "replace");
    if (text != NULL)
        PyErr_SetObject(PyExc_ValueError, text);
    Py_XDECREF(text);
}

/* How long each certificate is good: a list of pairs of seconds from now, of its begin and its end. */
static PyObject *validities(const tri_tls_context *context)
{
    unsigned n = tri_tls_context_pairs(context);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (unsigned i = 0; list != NULL && i < n; i++) {
        tri_tls_validity one = tri_tls_context_validity(context, i);
        PyObject *pair = Py_BuildValue("LL", (long long)one.begins, (long long)one.ends);
        if (pair == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
    }
    return list;
}

PyObject *tri_tls_make(PyObject *module, PyObject *args, PyObject *kwargs)
{
    arguments self = { 0 };
    char fault[TRI_TLS_FAULT];
    tri_tls_context *context = NULL;
    int error = 0;
    (void)module;
    if (parse(&self, args, kwargs) == 0) {
        PyThreadState *thread = PyEval_SaveThread(); /* files may be slow, and many take a second */
        error = tri_tls_context_new(&context, tri_mem_libc(), &self.options, fault);
        PyEval_RestoreThread(thread);
        if (error == TRI_EINVAL)
            blame(fault);
        else if (error != 0)
            PyErr_NoMemory();
    }
    release(&self);
    if (context == NULL)
        return NULL;
    PyObject *capsule = PyCapsule_New(context, CAPSULE, forget);
    if (capsule == NULL) {
        tri_tls_context_unref(context);
        return NULL;
    }
    return Py_BuildValue("NN", capsule, validities(context));
}

PyObject *tri_tls_set(PyObject *op, PyObject *capsule)
{
    tri_py_server *self = (tri_py_server *)op;
    tri_tls_context *context = PyCapsule_GetPointer(capsule, CAPSULE);
    if (context == NULL)
        return NULL;
    tri_tls_context_ref(context);
    tri_server_set_tls(self->core, context);
    Py_RETURN_NONE;
}

PyObject *tri_tls_dev(PyObject *module, PyObject *args)
{
    const tri_mem *mem = tri_mem_libc();
    tri_tls_dev_plan what;
    tri_buf certificate = { 0 }, key = { 0 };
    PyObject *pair = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "ssI:make_dev_cert", &what.subject, &what.hosts, &what.days))
        return NULL;
    int error = tri_tls_dev_make(mem, &what, &certificate, &key);
    if (error == TRI_EINVAL)
        PyErr_Format(PyExc_ValueError, "%s cannot be in a certificate", what.hosts);
    else if (error != 0)
        PyErr_NoMemory();
    else
        pair = Py_BuildValue("y#y#", tri_buf_data(&certificate), (Py_ssize_t)tri_buf_len(&certificate),
                             tri_buf_data(&key), (Py_ssize_t)tri_buf_len(&key));
    tri_buf_release(&certificate, mem);
    tri_buf_release(&key, mem);
    return pair;
}
