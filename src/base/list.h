/* Intrusive doubly linked lists: the node lives in the object, so linking never allocates. */
#ifndef TRI_BASE_LIST_H
#define TRI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tri_list {
    struct tri_list *next;
    struct tri_list *prev;
} tri_list;

/* The object of `type` whose `member` is at `node`. */
#define TRI_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Makes `list` an empty head, or a node that is in no list. */
static inline void tri_list_init(tri_list *list)
{
    list->next = list;
    list->prev = list;
}

/* For a head: nothing is in it. For a node: it is in no list. */
static inline bool tri_list_empty(const tri_list *list)
{
    return list->next == list;
}

/* Adds `node`, which must be in no list, as the last of `list`. */
static inline void tri_list_append(tri_list *list, tri_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Takes `node` out of its list, if it is in one. */
static inline void tri_list_remove(tri_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    tri_list_init(node);
}

/* Takes the first node out and returns it; NULL when the list is empty. */
static inline tri_list *tri_list_shift(tri_list *list)
{
    tri_list *node = list->next;
    if (node == list)
        return NULL;
    tri_list_remove(node);
    return node;
}

/* Moves every node of `from` behind the last of `list`; `from` is empty afterwards. */
static inline void tri_list_take(tri_list *list, tri_list *from)
{
    if (tri_list_empty(from))
        return;
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    tri_list_init(from);
}

#endif
