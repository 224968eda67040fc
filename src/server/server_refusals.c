/* What the log is told of requests that the core has refused, and of connections that it has given up: how often is the
   peers' to choose, how many messages they are worth is not. */
#include "server/internal.h"

/* How far the messages may be ahead of one a second. */
enum { AHEAD_MS = (TRI_SERVER_REFUSALS - 1) * TRI_SERVER_REFUSAL_MS };

/* Has the log told; false when too much waits for it already. */
static bool tell(tri_server *server, const tri_refusal *refusal)
{
    tri_refusals *all = &server->refusals;
    if (all->n == TRI_SERVER_REFUSALS)
        return false;
    all->waiting[(all->first + all->n++) % TRI_SERVER_REFUSALS] = *refusal;
    tri_server_work(server);
    return true;
}

/* The same, if there may be a message at `now`. */
static bool tell_in_time(tri_server *server, const tri_refusal *refusal, uint64_t now)
{
    tri_refusals *all = &server->refusals;
    if (all->paid_until > now + AHEAD_MS || !tell(server, refusal))
        return false;
    all->paid_until = (all->paid_until > now ? all->paid_until : now) + TRI_SERVER_REFUSAL_MS;
    return true;
}

void tri_server_refused(tri_server *server, const tri_addr *client, int status, const char *reason)
{
    tri_refusals *all = &server->refusals;
    tri_refusal refusal = { .peer = *client, .status = status, .reason = reason };
    uint64_t now = tri_server_now(server);
    server->counters.refusals++;
    if (all->tell_at == 0 && tell_in_time(server, &refusal, now))
        return;
    refusal.more = all->tell_at == 0 ? 0 : all->last.more + 1;
    all->last = refusal;
    if (all->tell_at != 0)
        return;
    all->tell_at = all->paid_until > now + AHEAD_MS ? all->paid_until - AHEAD_MS : now + TRI_SERVER_REFUSAL_MS;
    tri_server_work(server); /* who sleeps has to know of that time */
}

bool tri_server_short(tri_server *server, const char *reason)
{
    return tell(server, &(tri_refusal){ .status = TRI_REFUSAL_WAIT, .reason = reason });
}

void tri_server_tell_last(tri_server *server)
{
    tri_refusals *all = &server->refusals;
    if (all->tell_at == 0 || server->now < all->tell_at)
        return;
    all->tell_at = tell_in_time(server, &all->last, server->now) ? 0 : server->now + TRI_SERVER_REFUSAL_MS;
}

bool tri_server_next_refusal(tri_server *server, tri_refusal *out)
{
    tri_refusals *all = &server->refusals;
    if (all->n == 0)
        return false;
    *out = all->waiting[all->first];
    all->first = (all->first + 1) % TRI_SERVER_REFUSALS;
    all->n--;
    return true;
}

bool tri_server_last_refusal(tri_server *server, tri_refusal *out)
{
    tri_refusals *all = &server->refusals;
    if (tri_server_next_refusal(server, out))
        return true;
    if (all->tell_at == 0)
        return false;
    all->tell_at = 0;
    *out = all->last;
    return true;
}
