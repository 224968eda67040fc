/* The access log of a server: where its lines wait, and when they leave. */
#include "server/internal.h"

int tri_server_log_open(tri_server *server, const tri_access_config *config, int fd, uint32_t piece,
                        tri_access_fault *fault)
{
    tri_access_config own = *config;
    own.mem = server->mem;
    own.most = piece;
    if (server->log != NULL)
        return TRI_ESTATE;
    int error = tri_access_log_new(&server->log, &own, fault);
    if (error != 0)
        return error;
    const tri_access_format *format = tri_access_log_format(server->log);
    server->log_needs = format->needs;
    server->log_sent = format->n_sent;
    server->log_direct = fd >= 0;
    if (server->log_direct)
        tri_access_sink_init(&server->sink, server->mem, fd, piece);
    return 0;
}

void tri_server_log_fini(tri_server *server)
{
    if (server->log == NULL)
        return;
    if (server->log_direct) {
        tri_access_sink_write(&server->sink);
        tri_access_sink_fini(&server->sink);
    }
    tri_access_log_free(server->log);
}

/* A line waits, and perhaps nobody will have a turn soon: an application that had suspended has made it. */
void tri_server_log_wait(tri_server *server)
{
    if (server->log_at != 0)
        return;
    server->log_at = tri_reactor_now() + TRI_SERVER_LOG_MS;
    if (server->asleep)
        tri_reactor_arm(server->reactor, server->log_at);
}

void tri_server_log_write(tri_server *server)
{
    if (server->log_at == 0)
        return;
    server->log_at = 0;
    tri_access_sink_write(&server->sink);
    if (tri_access_sink_waits(&server->sink))
        tri_server_log_wait(server); /* it takes no more now: tried again then */
}

void tri_server_log_finish(tri_server *server, int ms)
{
    if (!server->log_direct)
        return;
    server->log_at = 0;
    tri_access_sink_finish(&server->sink, ms);
}

uint64_t tri_server_log_lost(tri_server *server, bool ending, int *why)
{
    *why = 0;
    if (server->sink.lost == 0)
        return 0;
    uint64_t now = tri_reactor_now();
    if (!ending && server->reported_at != 0 && now - server->reported_at < TRI_SERVER_LOST_MS)
        return 0;
    server->reported_at = now;
    return tri_access_sink_lost(&server->sink, why);
}
