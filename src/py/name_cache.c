#include "py/name_cache.h"

PyObject *tri_name_cache_get(tri_name_cache *cache, tri_span name, uint32_t hash)
{
    PyObject **slot = &cache->slots[(hash ^ (hash >> 8)) % TRI_NAME_CACHE_SLOTS];
    PyObject *held = *slot;
    if (held != NULL && (size_t)PyBytes_GET_SIZE(held) == name.n
        && memcmp(PyBytes_AS_STRING(held), name.p, name.n) == 0)
        return Py_NewRef(held);
    PyObject *made = PyBytes_FromStringAndSize(name.p, (Py_ssize_t)name.n);
    if (made != NULL && name.n <= TRI_NAME_CACHE_LONGEST)
        Py_XSETREF(*slot, Py_NewRef(made));
    return made;
}

void tri_name_cache_clear(tri_name_cache *cache)
{
    for (unsigned i = 0; i < TRI_NAME_CACHE_SLOTS; i++)
        Py_CLEAR(cache->slots[i]);
}
