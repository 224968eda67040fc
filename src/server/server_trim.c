/* Memory of a server that nobody needs any more: when it goes back to the system. */
#include "server/internal.h"

/* Whether more lies idle in the pools than is kept for good. */
static bool has_spare(const tri_server *server)
{
    return server->conn_pool.idle > TRI_SERVER_SPARE || server->exchange_pool.idle > TRI_SERVER_SPARE
           || server->handshakes >= TRI_SERVER_SPARE || server->chains.blocks.idle > TRI_SERVER_SPARE
           || tri_small_has_spare(&server->small, TRI_SERVER_SPARE)
           || tri_ws_deflate_shared_has_spare(&server->ws.deflate);
}

/* Whether a rush of handshakes is over, of which OpenSSL's buffers have left gaps everywhere between what is kept;
   called once in a while. */
static bool has_calmed(tri_server *server)
{
    bool calm = server->handshakes >= TRI_SERVER_SPARE && server->handshakes - server->handshakes_seen < 8;
    server->handshakes_seen = server->handshakes;
    if (calm)
        server->handshakes = server->handshakes_seen = 0;
    return calm;
}

/* Some time after a rush, what it has left in the pools and nobody has needed since goes back to the system. */
void tri_server_trim(tri_server *server)
{
    if (server->trim_at == 0 || server->now < server->trim_at) {
        if (server->trim_at == 0 && has_spare(server))
            server->trim_at = server->now + TRI_SERVER_TRIM_MS;
        return;
    }
    bool conns = tri_pool_trim(&server->conn_pool, TRI_SERVER_SPARE);
    bool exchanges = tri_pool_trim(&server->exchange_pool, TRI_SERVER_SPARE);
    bool chains = tri_chain_pool_trim(&server->chains, TRI_SERVER_SPARE);
    bool small = tri_small_trim(&server->small, TRI_SERVER_SPARE);
    bool streams = tri_ws_deflate_shared_trim(&server->ws.deflate);
    bool calm = has_calmed(server);
    if ((conns || exchanges || chains || small || streams || calm) && server->mem->trim != NULL)
        server->mem->trim(server->mem->context);
    server->trim_at = has_spare(server) ? server->now + TRI_SERVER_TRIM_MS : 0;
}
