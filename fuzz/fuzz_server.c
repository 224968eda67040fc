/* Clients of a whole server without TLS: see fuzz_server.h. */
#include "fuzz_server.h"

static void line_serve(world *self)
{
    (void)self;
}

static void line_open(world *self, unsigned which)
{
    (void)self, (void)which;
}

static void line_close(const world *self, unsigned which)
{
    (void)self, (void)which;
}

static void line_put(const world *self, unsigned which, const void *bytes, size_t n)
{
    (void)!send(self->clients[which], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void line_take(const world *self, unsigned which)
{
    static char sink[1 << 16];
    while (recv(self->clients[which], sink, sizeof sink, MSG_DONTWAIT) > 0)
        continue;
}

static void line_end(const world *self, unsigned which)
{
    (void)shutdown(self->clients[which], SHUT_WR);
}
