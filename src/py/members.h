/* What a binding written in Python hands over as the attributes of one object, kept in a struct of the C. */
#ifndef TRI_PY_MEMBERS_H
#define TRI_PY_MEMBERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* An attribute, and where its PyObject pointer stands in the struct. */
typedef struct tri_member {
    const char *name; /* NULL behind the last */
    size_t offset;
} tri_member;

/* Takes each attribute of `binding` into the struct at `base`. 0, or -1 with an exception; what was taken stays. */
int tri_members_take(void *base, const tri_member *members, PyObject *binding);
/* For the tp_traverse of who owns the struct. */
int tri_members_traverse(void *base, const tri_member *members, visitproc visit, void *arg);
/* Drops them all. */
void tri_members_clear(void *base, const tri_member *members);

#endif
