/* The board: shared memory in which each worker keeps a cell of its own up to date, for its supervisor and the other
   workers to read. There is no lock: a cell has one writer, but for one count, and each value in it is read by itself.
 */
#ifndef TRI_SERVER_BOARD_H
#define TRI_SERVER_BOARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { TRI_BOARD_SLOTS = 1024, TRI_BOARD_CELL = 64, TRI_BOARD_FRESH_MS = 1000 };

enum tri_board_flag { TRI_BOARD_READY = 1, TRI_BOARD_STOPPING = 2 };

/* A worker's cell, laid out as tricorn/board.py reads it. */
typedef struct tri_board_cell {
    uint64_t beat;      /* ns of CLOCK_MONOTONIC: the last turn; 0 before the first */
    uint64_t exchanges; /* begun since the start */
    uint32_t open;      /* connections now */
    uint32_t active;    /* exchanges at work now */
    uint32_t lag_ms;
    uint32_t flags; /* enum tri_board_flag */
    uint32_t pid;
    int32_t coming; /* connections that others have handed over and that it has not taken; also written by them */
    uint32_t unused[6];
} tri_board_cell;

/* Zeroed it is not attached. */
typedef struct tri_board {
    tri_board_cell *cells; /* NULL while not attached */
    tri_board_cell *own;   /* that of this worker */
    unsigned slot;
    unsigned slots;
    size_t size;
} tri_board;

/* What a turn writes. */
typedef struct tri_board_values {
    uint64_t now; /* ms */
    uint64_t exchanges;
    uint64_t lag_ms;
    uint32_t open;
    uint32_t active;
} tri_board_values;

/* Maps the board that `fd` holds, which stays the caller's, and takes its cell `slot`. TRI_EINVAL: the descriptor holds
   no such cell; TRI_ESTATE: a board is attached already; TRI_ESYS: errno. */
TRI_NODISCARD int tri_board_attach(tri_board *board, int fd, unsigned slot);
void tri_board_detach(tri_board *board);
/* These need an attached board. */
void tri_board_beat(tri_board *board, const tri_board_values *values);
void tri_board_set_open(tri_board *board, uint32_t open);
void tri_board_set_flags(tri_board *board, uint32_t flags);

#endif
