/* What the server is told of the proxies in front of it, and of the paths by which they see how it is. */
#include "server/internal.h"

enum {
    BEATS = 4,
    LONGEST_BEAT_MS = 1000
}; /* how often the lag is measured: so many times in the lag that is allowed */

/* Copies both paths, one behind the other. */
static int keep_paths(tri_server *server, const tri_proxy_options *options)
{
    tri_proxies *self = &server->proxies;
    self->paths_size = options->health_path.n + options->ready_path.n;
    if (self->paths_size == 0)
        return 0;
    self->paths = tri_mem_alloc(server->mem, self->paths_size);
    if (self->paths == NULL)
        return TRI_ENOMEM;
    if (options->health_path.n > 0)
        memcpy(self->paths, options->health_path.p, options->health_path.n);
    if (options->ready_path.n > 0)
        memcpy(self->paths + options->health_path.n, options->ready_path.p, options->ready_path.n);
    self->health_path = (tri_span){ self->paths, options->health_path.n };
    self->ready_path = (tri_span){ self->paths + options->health_path.n, options->ready_path.n };
    return 0;
}

void tri_proxies_fini(tri_server *server)
{
    tri_proxies *self = &server->proxies;
    tri_trust_fini(&self->trust, server->mem);
    tri_mem_free(server->mem, self->paths, self->paths_size);
    memset(self, 0, sizeof *self);
}

/* As tri_server_set_proxies. */
int tri_proxies_set(tri_server *server, const tri_proxy_options *options)
{
    tri_proxies *self = &server->proxies;
    tri_proxies_fini(server);
    int error = tri_trust_init(&self->trust, server->mem, options->allow);
    if (error == 0)
        error = keep_paths(server, options);
    if (error != 0) {
        tri_proxies_fini(server);
        return error;
    }
    self->rules = (tri_forwarded_rules){ &self->trust, options->fields, options->hops };
    self->ready_lag_ms = options->ready_lag_ms;
    if (self->ready_lag_ms != 0)
        tri_server_measure(server);
    return 0;
}
