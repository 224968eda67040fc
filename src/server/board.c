#include "server/board.h"

#include "net/sys.h"

_Static_assert(sizeof(tri_board_cell) == TRI_BOARD_CELL, "a cell is a line of the cache");

int tri_board_attach(tri_board *board, int fd, unsigned slot)
{
    if (board->cells != NULL)
        return TRI_ESTATE;
    off_t size = tri_sys_file_size(fd);
    if (size < 0)
        return TRI_ESYS;
    if (size > (off_t)TRI_BOARD_SLOTS * TRI_BOARD_CELL)
        size = (off_t)TRI_BOARD_SLOTS * TRI_BOARD_CELL;
    unsigned slots = (unsigned)(size / TRI_BOARD_CELL);
    if (slot >= slots)
        return TRI_EINVAL;
    void *memory = tri_sys_map(fd, (size_t)size);
    if (memory == NULL)
        return TRI_ESYS;
    *board = (tri_board){ .cells = memory, .slot = slot, .slots = slots, .size = (size_t)size };
    board->own = board->cells + slot;
    __atomic_store_n(&board->own->pid, tri_sys_pid(), __ATOMIC_RELAXED);
    return TRI_OK;
}

void tri_board_detach(tri_board *board)
{
    if (board->cells != NULL)
        tri_sys_unmap(board->cells, board->size);
    *board = (tri_board){ 0 };
}

void tri_board_beat(tri_board *board, const tri_board_values *values)
{
    tri_board_cell *cell = board->own;
    uint32_t lag_ms = values->lag_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)values->lag_ms;
    __atomic_store_n(&cell->exchanges, values->exchanges, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->open, values->open, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->active, values->active, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->lag_ms, lag_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->beat, values->now * 1000000, __ATOMIC_RELAXED);
}

void tri_board_set_open(tri_board *board, uint32_t open)
{
    __atomic_store_n(&board->own->open, open, __ATOMIC_RELAXED);
}

void tri_board_set_flags(tri_board *board, uint32_t flags)
{
    __atomic_store_n(&board->own->flags, flags, __ATOMIC_RELAXED);
}
