#include "ws/ws_message.h"

tri_ws_message *tri_ws_message_new(const tri_mem *mem, size_t room)
{
    tri_ws_message *message = tri_mem_alloc(mem, sizeof *message + room);
    if (message == NULL)
        return NULL;
    tri_list_init(&message->link);
    message->n = 0;
    message->room = room;
    message->text = false;
    message->ascii = false;
    return message;
}

int tri_ws_message_reserve(tri_ws_message **message, const tri_mem *mem, size_t more, size_t most)
{
    tri_ws_message *old = *message;
    size_t wanted = old->n + more;
    if (wanted <= old->room)
        return TRI_OK;
    size_t room = old->room < most / 2 ? old->room * 2 : most;
    room = room < wanted ? wanted : room;
    tri_ws_message *grown = tri_mem_resize(mem, old, sizeof *old + old->room, sizeof *old + room);
    if (grown == NULL)
        return TRI_ENOMEM;
    tri_list_init(&grown->link);
    grown->room = room;
    *message = grown;
    return TRI_OK;
}

void tri_ws_message_free(tri_ws_message *message, const tri_mem *mem)
{
    if (message != NULL)
        tri_mem_free(mem, message, sizeof *message + message->room);
}
