#include "py/members.h"

/* Where a member is kept. */
static PyObject **place_of(void *base, const tri_member *member)
{
    return (PyObject **)(void *)((char *)base + member->offset);
}

int tri_members_take(void *base, const tri_member *members, PyObject *binding)
{
    for (; members->name != NULL; members++) {
        PyObject **place = place_of(base, members);
        *place = PyObject_GetAttrString(binding, members->name);
        if (*place == NULL)
            return -1;
    }
    return 0;
}

int tri_members_traverse(void *base, const tri_member *members, visitproc visit, void *arg)
{
    for (; members->name != NULL; members++)
        Py_VISIT(*place_of(base, members));
    return 0;
}

void tri_members_clear(void *base, const tri_member *members)
{
    for (; members->name != NULL; members++)
        Py_CLEAR(*place_of(base, members));
}
