/* scope["extensions"]["tls"] (ASGI, TLS extension 0.2). It is made once for all connections that do not differ in it,
   or for a connection whose client has a certificate; every exchange gets a copy, so that what an application changes
   in its own is not told to the next one. */
#include "net/tls_facts.h"
#include "py/module.h"

/* A text that `append` gives, or None where there is none. */
static PyObject *text_of(const tri_tls_facts *facts, int (*append)(const tri_tls_facts *, tri_buf *))
{
    tri_buf text = { 0 };
    PyObject *made = NULL;
    if (append(facts, &text) != 0)
        PyErr_NoMemory();
    else if (tri_buf_len(&text) == 0)
        made = Py_NewRef(Py_None);
    else
        made = PyUnicode_DecodeUTF8(tri_buf_data(&text), (Py_ssize_t)tri_buf_len(&text), "replace");
    tri_buf_release(&text, tri_tls_facts_mem(facts));
    return made;
}

/* The certificates of the client as PEM, its own first; a tuple, as it is shared. */
static PyObject *chain_of(const tri_tls_facts *facts)
{
    unsigned n = tri_tls_facts_certificates(facts);
    PyObject *chain = PyTuple_New((Py_ssize_t)n);
    for (unsigned i = 0; i < n && chain != NULL; i++) {
        tri_buf text = { 0 };
        PyObject *one = NULL;
        if (tri_tls_facts_client(facts, i, &text) == 0)
            one = PyUnicode_DecodeASCII(tri_buf_data(&text), (Py_ssize_t)tri_buf_len(&text), NULL);
        else
            PyErr_NoMemory();
        tri_buf_release(&text, tri_tls_facts_mem(facts));
        if (one == NULL)
            Py_CLEAR(chain);
        else
            PyTuple_SET_ITEM(chain, (Py_ssize_t)i, one);
    }
    return chain;
}

/* The name of the client's certificate, which is "" where it names nobody; None without one. */
static PyObject *name_of(const tri_tls_facts *facts)
{
    PyObject *name = text_of(facts, tri_tls_facts_name);
    if (name == Py_None && tri_tls_facts_certificates(facts) > 0)
        Py_SETREF(name, PyUnicode_FromString(""));
    return name;
}

/* What the extension tells, in a new dictionary. */
static PyObject *describe(const tri_tls_facts *facts)
{
    PyObject *server = text_of(facts, tri_tls_facts_server);
    PyObject *chain = server == NULL ? NULL : chain_of(facts);
    PyObject *name = chain == NULL ? NULL : name_of(facts);
    PyObject *made = NULL;
    if (name != NULL)
        made = Py_BuildValue("{sOsOsOszsIsI}", "server_cert", server, "client_cert_chain", chain, "client_cert_name",
                             name, "client_cert_error", tri_tls_facts_error(facts), "tls_version",
                             tri_tls_facts_version(facts), "cipher_suite", tri_tls_facts_cipher(facts));
    Py_XDECREF(server);
    Py_XDECREF(chain);
    Py_XDECREF(name);
    return made;
}

/* Gives back what a connection's facts keep. */
static void release(void *kept)
{
    Py_DECREF((PyObject *)kept);
}

/* The facts among those seen last that tell the same, or NULL. */
static tri_tls_facts *seen(const tri_py_server *server, const tri_tls_facts *facts)
{
    for (unsigned i = 0; i < TRI_TLS_CACHE; i++)
        if (server->tls_facts[i] != NULL && tri_tls_facts_alike(server->tls_facts[i], facts))
            return server->tls_facts[i];
    return NULL;
}

/* Keeps the facts, which have their dictionary, for the connections to come. */
static void remember(tri_py_server *server, tri_tls_facts *facts)
{
    tri_tls_facts **place = &server->tls_facts[server->tls_next++ % TRI_TLS_CACHE];
    if (*place != NULL)
        tri_tls_facts_unref(*place);
    *place = tri_tls_facts_ref(facts);
}

/* What the facts' connection has in common for all its exchanges, borrowed; NULL with an exception. */
static PyObject *shared_by(tri_py_server *server, tri_tls_facts *facts)
{
    PyObject *kept = tri_tls_facts_kept(facts);
    if (kept != NULL)
        return kept;
    const tri_tls_facts *same = seen(server, facts);
    kept = same != NULL ? Py_NewRef((PyObject *)tri_tls_facts_kept(same)) : describe(facts);
    if (kept == NULL)
        return NULL;
    tri_tls_facts_keep(facts, kept, release);
    if (same == NULL && tri_tls_facts_certificates(facts) == 0)
        remember(server, facts);
    return kept;
}

/* A list of what a tuple holds. PySequence_List loses the tuple when its memory runs out, in Python 3.11. */
static PyObject *list_of(PyObject *tuple)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; i < n && list != NULL; i++)
        PyList_SET_ITEM(list, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
    return list;
}

int tri_tls_scope_add(tri_py_server *server, PyObject *extensions, const tri_exchange *exchange)
{
    const tri_state *state = server->state;
    PyObject *shared = shared_by(server, tri_exchange_tls(exchange));
    PyObject *own = shared == NULL ? NULL : PyDict_Copy(shared);
    PyObject *chain = own == NULL ? NULL : list_of(PyDict_GetItem(shared, state->names.client_cert_chain));
    int error = -1;
    if (chain != NULL)
        error = PyDict_SetItem(own, state->names.client_cert_chain, chain);
    if (error == 0)
        error = PyDict_SetItem(extensions, state->names.tls, own);
    Py_XDECREF(chain);
    Py_XDECREF(own);
    return error;
}

void tri_tls_scope_forget(tri_py_server *server)
{
    for (unsigned i = 0; i < TRI_TLS_CACHE; i++) {
        if (server->tls_facts[i] != NULL)
            tri_tls_facts_unref(server->tls_facts[i]);
        server->tls_facts[i] = NULL;
    }
}
