#include "server/balance.h"

#include <string.h>

#include "net/socket.h"

static const uint32_t magic = 0x54524931; /* TRI1 */

int tri_balance_init(tri_balance *balance, const tri_mem *mem, int receive, const int *channels, unsigned n)
{
    int *copy = n == 0 ? NULL : tri_mem_alloc(mem, n * sizeof *copy);
    if (n != 0 && copy == NULL)
        return TRI_ENOMEM;
    for (unsigned i = 0; i < n; i++)
        copy[i] = channels[i];
    *balance = (tri_balance){ .source = { .fd = receive }, .channels = copy, .n = n };
    return TRI_OK;
}

void tri_balance_fini(tri_balance *balance, const tri_mem *mem)
{
    tri_mem_free(mem, balance->channels, balance->n * sizeof *balance->channels);
    *balance = (tri_balance){ .source = { .fd = -1 } };
}

/* Whether a slot's worker takes connections: it has said lately that it is ready. */
static bool is_taking(const tri_balance *balance, const tri_board *board, unsigned slot, uint64_t now)
{
    const tri_board_cell *cell = board->cells + slot;
    if (cell == board->own || balance->channels[slot] < 0)
        return false;
    if (__atomic_load_n(&cell->flags, __ATOMIC_RELAXED) != TRI_BOARD_READY)
        return false;
    return now < __atomic_load_n(&cell->beat, __ATOMIC_RELAXED) / 1000000 + TRI_BOARD_FRESH_MS;
}

uint32_t tri_balance_load(const tri_board *board, unsigned slot)
{
    const tri_board_cell *cell = board->cells + slot;
    int32_t coming = __atomic_load_n(&cell->coming, __ATOMIC_RELAXED);
    return __atomic_load_n(&cell->open, __ATOMIC_RELAXED) + (coming > 0 ? (uint32_t)coming : 0);
}

/* The least loaded other worker that takes connections, -1 if there is none; `*load` is what it has. */
static int find_least(const tri_balance *balance, const tri_board *board, uint64_t now, uint32_t *load)
{
    int least = -1;
    unsigned n = balance->n < board->slots ? balance->n : board->slots;
    for (unsigned i = 0; i < n; i++) {
        if (!is_taking(balance, board, i, now))
            continue;
        uint32_t its = tri_balance_load(board, i);
        if (least >= 0 && its >= *load)
            continue;
        least = (int)i;
        *load = its;
    }
    return least;
}

bool tri_balance_give(tri_balance *balance, tri_board *board, uint64_t now, int fd, const tri_balance_message *message)
{
    uint32_t load = 0;
    int least = find_least(balance, board, now, &load);
    balance->looked_at = now;
    balance->most = least < 0 ? UINT32_MAX : load + TRI_BALANCE_MARGIN + load / TRI_BALANCE_SHARE;
    if (tri_balance_load(board, board->slot) < balance->most)
        return false;
    tri_balance_message full = *message;
    tri_board_cell *cell = board->cells + least;
    full.magic = magic;
    __atomic_add_fetch(&cell->coming, 1, __ATOMIC_RELAXED);
    if (tri_socket_give(balance->channels[least], &full, sizeof full, fd) != 0) {
        __atomic_sub_fetch(&cell->coming, 1, __ATOMIC_RELAXED);
        balance->most = UINT32_MAX; /* its channel is full or broken: kept until the next look */
        return false;
    }
    tri_socket_close(fd);
    return true;
}

/* Whether what came with a descriptor is a message of another worker's. */
static bool is_message(const tri_balance_message *message, ptrdiff_t n)
{
    return n == (ptrdiff_t)sizeof *message && message->magic == magic && message->proxied <= 1
           && message->peer.family <= TRI_FAMILY_UNIX && message->listener.family <= TRI_FAMILY_UNIX;
}

int tri_balance_take(tri_balance *balance, tri_board *board, tri_balance_message *message)
{
    int fd = -1;
    memset(message, 0, sizeof *message);
    ptrdiff_t n = tri_socket_take(balance->source.fd, message, sizeof *message, &fd);
    tri_board_cell *own = board->own;
    if (n == TRI_EAGAIN && own != NULL)
        __atomic_store_n(&own->coming, 0, __ATOMIC_RELAXED);
    if (n < 0)
        return (int)n;
    if (fd >= 0 && own != NULL)
        __atomic_sub_fetch(&own->coming, 1, __ATOMIC_RELAXED);
    if (fd >= 0 && is_message(message, n))
        return fd;
    if (fd >= 0)
        tri_socket_close(fd);
    return TRI_EPROTO;
}
