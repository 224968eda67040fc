#include "http/head.h"

#include <string.h>

size_t tri_head_copy_size(const tri_head *head)
{
    return sizeof(tri_head) + head->n_fields * sizeof(tri_field) + head->size;
}

tri_head *tri_head_copy_into(const tri_head *head, void *memory)
{
    tri_head *copy = memory;
    tri_field *fields = (tri_field *)(void *)(copy + 1);
    char *bytes = (char *)(fields + head->n_fields);
    *copy = *head;
    if (head->n_fields > 0)
        memcpy(fields, head->fields, head->n_fields * sizeof(tri_field));
    if (head->size > 0)
        memcpy(bytes, head->base, head->size);
    copy->base = bytes;
    copy->fields = fields;
    copy->max_fields = head->n_fields;
    return copy;
}

tri_head *tri_head_copy(const tri_head *head, const tri_mem *mem)
{
    void *memory = tri_mem_alloc(mem, tri_head_copy_size(head));
    return memory == NULL ? NULL : tri_head_copy_into(head, memory);
}

void tri_head_free(tri_head *copy, const tri_mem *mem)
{
    if (copy != NULL)
        tri_mem_free(mem, copy, tri_head_copy_size(copy));
}
