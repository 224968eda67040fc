/* Evening out: a worker that has just accepted a connection while it has clearly more open than another hands it over,
   by that one's channel. A channel is a pair of sockets (SOCK_SEQPACKET) that the supervisor made and keeps, so that
   what is in it outlives the worker. */
#ifndef TRI_SERVER_BALANCE_H
#define TRI_SERVER_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "net/addr.h"
#include "net/reactor.h"
#include "server/board.h"

/* A connection stays where it is if its worker has at most so many more than the least loaded, and a 32nd of those. */
enum { TRI_BALANCE_MARGIN = 4, TRI_BALANCE_SHARE = 32 };

/* Zeroed but for the source's descriptor, -1, it does nothing. */
typedef struct tri_balance {
    tri_source source;  /* what others hand over to this worker; -1 for none */
    int *channels;      /* to each slot of the board, -1 for none */
    unsigned n;         /* of them; 0 while nothing is handed over */
    uint32_t most;      /* open connections up to which nothing is; as of `looked_at` */
    uint64_t looked_at; /* ms */
} tri_balance;

/* What goes with a descriptor. */
typedef struct tri_balance_message {
    uint32_t magic;
    uint32_t proxied; /* whether the connection begins with a PROXY header */
    tri_addr peer;
    tri_addr listener; /* the address that it was accepted on */
} tri_balance_message;

/* Takes `n` channels, copied; the descriptors stay the caller's for as long as the server lives. TRI_ENOMEM. */
TRI_NODISCARD int tri_balance_init(tri_balance *balance, const tri_mem *mem, int receive, const int *channels,
                                   unsigned n);
void tri_balance_fini(tri_balance *balance, const tri_mem *mem);
/* The connections of a slot's worker, with those that are on their way to it. */
uint32_t tri_balance_load(const tri_board *board, unsigned slot);
/* Whether this worker might hand a connection over: what a connection that it keeps costs. */
static inline bool tri_balance_is_due(const tri_balance *balance, const tri_board *board)
{
    return balance->n != 0 && board->own != NULL && tri_balance_load(board, board->slot) >= balance->most;
}
/* Hands the connection `fd` over, if another worker has clearly less than this one. Then it is closed here, and
   true returned; else it stays as it was. */
bool tri_balance_give(tri_balance *balance, tri_board *board, uint64_t now, int fd, const tri_balance_message *message);
/* Takes the next connection that was handed over: its descriptor, which the caller owns. TRI_EAGAIN: there is none;
   TRI_ECLOSED: there will be none; TRI_EMFILE: there is no room for one, and it waits; TRI_EPROTO: what came was none
   and has been dropped. */
TRI_NODISCARD int tri_balance_take(tri_balance *balance, tri_board *board, tri_balance_message *message);

#endif
