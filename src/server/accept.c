/* Accepting: in budgets, paused while descriptors are short, and to the last queued connection when the server stops.
 */
#include <errno.h>

#include "server/internal.h"

/* Why connections wait, in words for the log. */
static const char *shortage(int number)
{
    switch (number) {
    case EMFILE:
        return "this process has as many descriptors open as it may";
    case ENFILE:
        return "the system has as many descriptors open as it may";
    case ENOBUFS:
    case ENOMEM:
        return "the system has no memory for more";
    default:
        return "the system refuses them";
    }
}

/* Has the log told that connections wait, once for as long as that happens again and again. */
static void tell_shortage(tri_server *server, int number)
{
    bool again = server->short_at != 0 && server->now - server->short_at < TRI_SERVER_SHORT_MS;
    if (again || tri_server_short(server, shortage(number)))
        server->short_at = server->now;
}

/* Watches for what others hand over; when that cannot be done it is tried again later. */
static void watch_channel(tri_server *server)
{
    if (server->balance.source.fd >= 0 && tri_reactor_watch(server->reactor, &server->balance.source, TRI_READ) != 0)
        server->retry_at = server->now + TRI_SERVER_RETRY_MS;
}

/* Stops watching every listener until the retry time: no busy loop while descriptors are short. */
static void pause_accepting(tri_server *server)
{
    server->retry_at = server->now + TRI_SERVER_RETRY_MS;
    if (server->balance.source.fd >= 0 && tri_reactor_watch(server->reactor, &server->balance.source, 0) != 0)
        server->retry_at = server->now + 1;
    for (tri_list *node = server->listeners.next; node != &server->listeners; node = node->next) {
        tri_listener *listener = TRI_CONTAINER(node, tri_listener, link);
        if (tri_reactor_watch(server->reactor, &listener->source, 0) != 0)
            server->retry_at = server->now + 1;
    }
}

/* Hands a connection that was accepted over to a worker that has clearly less; returns whether that was done. */
static bool hand_over(tri_server *server, int fd, const tri_addr *peer, const tri_listener *listener)
{
    const tri_balance_message message = { .proxied = listener->proxied, .peer = *peer, .listener = listener->address };
    if (server->leaving)
        return false;
    if (!tri_balance_give(&server->balance, &server->board, server->now, fd, &message))
        return false;
    server->counters.given++;
    return true;
}

/* Accepts at most `budget` connections; server->retry_at tells afterwards whether that had to pause. So many failures
   in a row are not of the connections: something forbids all of them. */
static void accept_some(tri_server *server, tri_listener *listener, unsigned budget)
{
    unsigned failures = 0;
    while (budget-- > 0) {
        tri_addr peer;
        int fd = tri_socket_accept(listener->source.fd, &peer);
        if (fd == TRI_EAGAIN)
            return;
        if (fd == TRI_ECLOSED && ++failures < TRI_SERVER_ACCEPTS)
            continue;
        if (fd < 0) {
            tell_shortage(server, errno);
            pause_accepting(server);
            return;
        }
        failures = 0;
        bool due = tri_balance_is_due(&server->balance, &server->board);
        if (!due || !hand_over(server, fd, &peer, listener))
            tri_conn_open(server, fd, &peer, listener);
    }
}

/* Nothing that others hand over is taken any more. */
void tri_accept_forget_channel(tri_server *server)
{
    int ignored = tri_reactor_watch(server->reactor, &server->balance.source, 0); /* it was not watched then, either */
    (void)ignored;
    server->balance.source.fd = -1;
}

/* Takes at most `budget` of what others have handed over. */
static void take_some(tri_server *server, unsigned budget)
{
    while (budget-- > 0) {
        tri_balance_message message;
        int fd = tri_balance_take(&server->balance, &server->board, &message);
        if (fd == TRI_EPROTO)
            continue;
        if (fd == TRI_EMFILE) {
            tell_shortage(server, EMFILE);
            pause_accepting(server);
        }
        if (fd == TRI_ECLOSED || fd == TRI_ESYS)
            tri_accept_forget_channel(server);
        if (fd < 0)
            return;
        const tri_listener listener = { .address = message.listener, .proxied = message.proxied != 0 };
        server->counters.taken++;
        tri_conn_open(server, fd, &message.peer, &listener);
    }
}

/* The channel is readable: others have handed connections over. */
void tri_accept_handed(tri_server *server)
{
    take_some(server, TRI_SERVER_ACCEPTS);
}

/* A listener is readable: takes its share of connections for this turn. */
void tri_accept_ready(tri_server *server, tri_listener *listener)
{
    if (server->balance.looked_at != server->now)
        server->balance.most = 0; /* what the others have is looked at once in a millisecond, and where it matters */
    accept_some(server, listener, TRI_SERVER_ACCEPTS);
}

/* Stops watching a listener, closes it and gives it back. */
void tri_accept_close(tri_server *server, tri_listener *listener)
{
    int ignored = tri_reactor_watch(server->reactor, &listener->source, 0); /* closing unwatches it, too */
    (void)ignored;
    tri_list_remove(&listener->link);
    tri_socket_close(listener->source.fd);
    tri_mem_free(server->mem, listener, sizeof *listener);
}

/* Takes every connection that the kernel has queued, so that none of them is reset, and closes the listeners. While
   descriptors are short, the rest waits for open connections to close. */
void tri_accept_drain(tri_server *server)
{
    if (server->balance.source.fd >= 0)
        take_some(server, UINT16_MAX);
    while (!tri_list_empty(&server->listeners)) {
        tri_listener *listener = TRI_CONTAINER(server->listeners.next, tri_listener, link);
        server->retry_at = 0;
        accept_some(server, listener, UINT16_MAX);
        if (server->retry_at != 0 && server->counters.open > 0)
            return;
        tri_accept_close(server, listener);
    }
    server->retry_at = 0;
    watch_channel(server);
}

/* Accepts again once the retry time has come. */
void tri_accept_resume(tri_server *server)
{
    if (server->retry_at == 0 || server->now < server->retry_at)
        return;
    server->retry_at = 0;
    watch_channel(server);
    if (server->stopping) {
        tri_accept_drain(server);
        return;
    }
    for (tri_list *node = server->listeners.next; node != &server->listeners; node = node->next) {
        tri_listener *listener = TRI_CONTAINER(node, tri_listener, link);
        if (tri_reactor_watch(server->reactor, &listener->source, TRI_READ) != 0)
            server->retry_at = server->now + TRI_SERVER_RETRY_MS;
    }
}
