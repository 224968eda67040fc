/* Accepting: in budgets, paused while descriptors are short, and to the last queued connection when the server stops.
 */
#include "server/internal.h"

/* Stops watching every listener until the retry time: no busy loop while descriptors are short. */
static void pause_accepting(tri_server *server)
{
    server->retry_at = server->now + TRI_SERVER_RETRY_MS;
    for (tri_list *node = server->listeners.next; node != &server->listeners; node = node->next) {
        tri_listener *listener = TRI_CONTAINER(node, tri_listener, link);
        if (tri_reactor_watch(server->reactor, &listener->source, 0) != 0)
            server->retry_at = server->now + 1;
    }
}

/* Accepts at most `budget` connections; server->retry_at tells afterwards whether that had to pause. */
static void accept_some(tri_server *server, tri_listener *listener, unsigned budget)
{
    while (budget-- > 0) {
        tri_addr peer;
        int fd = tri_socket_accept(listener->source.fd, &peer);
        if (fd == TRI_EAGAIN)
            return;
        if (fd == TRI_ECLOSED)
            continue;
        if (fd < 0) {
            pause_accepting(server);
            return;
        }
        tri_conn_open(server, fd, &peer, listener);
    }
}

/* A listener is readable: takes its share of connections for this turn. */
void tri_accept_ready(tri_server *server, tri_listener *listener)
{
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
    while (!tri_list_empty(&server->listeners)) {
        tri_listener *listener = TRI_CONTAINER(server->listeners.next, tri_listener, link);
        server->retry_at = 0;
        accept_some(server, listener, UINT16_MAX);
        if (server->retry_at != 0 && server->counters.open > 0)
            return;
        tri_accept_close(server, listener);
    }
    server->retry_at = 0;
}

/* Accepts again once the retry time has come. */
void tri_accept_resume(tri_server *server)
{
    if (server->retry_at == 0 || server->now < server->retry_at)
        return;
    server->retry_at = 0;
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
