#include "server/lag.h"

/* Takes in how late it was now. */
static void note(tri_lag *lag, uint64_t now, uint64_t late)
{
    if (late < tri_lag_ms(lag, now))
        return;
    lag->peak = late;
    lag->peak_at = now;
}

/* How long it is to the next look. */
static uint64_t pause_ms(bool busy)
{
    return busy ? TRI_LAG_BUSY_MS : TRI_LAG_IDLE_MS;
}

void tri_lag_start(tri_lag *lag, uint64_t now)
{
    if (lag->on)
        return;
    *lag = (tri_lag){ .on = true, .due = now + TRI_LAG_IDLE_MS };
}

bool tri_lag_turn(tri_lag *lag, uint64_t now, bool waited, bool busy)
{
    bool is_due = now >= lag->due;
    bool first = lag->turn == 0; /* nobody came to the reactor before: that is no lateness */
    if (!first && is_due)
        note(lag, now, now - lag->due);
    if (!first && !waited && now > lag->turn)
        note(lag, now, now - lag->turn);
    if (is_due)
        lag->due = now + pause_ms(busy);
    lag->turn = now;
    return is_due;
}

void tri_lag_wait(tri_lag *lag, uint64_t now, bool busy)
{
    if (lag->turn != 0 && now > lag->turn)
        note(lag, now, now - lag->turn);
    if (busy && lag->due > now + TRI_LAG_BUSY_MS)
        lag->due = now + TRI_LAG_BUSY_MS;
}

uint64_t tri_lag_ms(const tri_lag *lag, uint64_t now)
{
    uint64_t age = now > lag->peak_at ? now - lag->peak_at : 0;
    return age >= TRI_LAG_DECAY_MS ? 0 : lag->peak - lag->peak * age / TRI_LAG_DECAY_MS;
}
