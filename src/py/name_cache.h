/* A bounded cache from the bytes of a field name to one bytes object: the same few names come with every request. */
#ifndef TRI_PY_NAME_CACHE_H
#define TRI_PY_NAME_CACHE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "base/span.h"

enum { TRI_NAME_CACHE_SLOTS = 256, TRI_NAME_CACHE_LONGEST = 64 };

/* Direct-mapped: a name that falls on another's slot replaces it, so that a peer's inventions cost no memory. */
typedef struct tri_name_cache {
    PyObject *slots[TRI_NAME_CACHE_SLOTS];
} tri_name_cache;

/* A new reference to bytes equal to `name`, or NULL. `hash` is the name's FNV-1a. */
PyObject *tri_name_cache_get(tri_name_cache *cache, tri_span name, uint32_t hash);
void tri_name_cache_clear(tri_name_cache *cache);

#endif
