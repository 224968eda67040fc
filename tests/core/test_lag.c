/* How late the loop is: what is noted, and how it is forgotten. */
#include "check.h"
#include "server/lag.h"

static void test_off(void)
{
    tri_lag lag = { 0 };
    CHECK(tri_lag_ms(&lag, 10000) == 0 && !lag.on && lag.due == 0);
}

/* Nobody comes before the library runs: the first turn is not late, however late it is. */
static void test_first_turn(void)
{
    tri_lag lag = { 0 };
    tri_lag_start(&lag, 1000);
    CHECK(lag.on && lag.due == 1000 + TRI_LAG_IDLE_MS);
    CHECK(tri_lag_turn(&lag, 9000, true, false));
    CHECK(tri_lag_ms(&lag, 9000) == 0 && lag.due == 9000 + TRI_LAG_IDLE_MS);
    tri_lag_start(&lag, 9100);
    CHECK(lag.due == 9000 + TRI_LAG_IDLE_MS);
}

/* A loop that was waiting is late by as much as the turn is behind its look. */
static void test_late_look(void)
{
    tri_lag lag = { 0 };
    tri_lag_start(&lag, 1000);
    tri_lag_turn(&lag, 1000, true, true);
    tri_lag_wait(&lag, 1001, true);
    CHECK(lag.due == 1001 + TRI_LAG_BUSY_MS);
    CHECK(!tri_lag_turn(&lag, 1020, true, true) && tri_lag_ms(&lag, 1020) <= 1);
    CHECK(tri_lag_turn(&lag, 1551, true, false) && tri_lag_ms(&lag, 1551) == 500);
    CHECK(lag.due == 1551 + TRI_LAG_IDLE_MS);
}

/* What an application takes within the turn counts, told at the turn's end or at the next turn's begin. */
static void test_slow_batch(void)
{
    tri_lag lag = { 0 };
    tri_lag_start(&lag, 1000);
    tri_lag_turn(&lag, 1000, true, true);
    tri_lag_wait(&lag, 1090, true);
    CHECK(tri_lag_ms(&lag, 1090) == 90);
    tri_lag_turn(&lag, 1100, true, true);
    tri_lag_turn(&lag, 1300, false, true);
    CHECK(tri_lag_ms(&lag, 1300) == 200);
}

/* A peak decays over five seconds; a lower one takes its place once it is below. */
static void test_decay(void)
{
    tri_lag lag = { .on = true, .turn = 1, .due = UINT64_MAX, .peak = 1000, .peak_at = 10000 };
    CHECK(tri_lag_ms(&lag, 9000) == 1000 && tri_lag_ms(&lag, 12500) == 500 && tri_lag_ms(&lag, 15000) == 0);
    lag.turn = 12000;
    tri_lag_turn(&lag, 12500, false, false);
    CHECK(lag.peak == 500 && lag.peak_at == 12500);
    lag.turn = 12600;
    tri_lag_turn(&lag, 12700, false, false);
    CHECK(lag.peak == 500);
}

int main(void)
{
    test_off();
    test_first_turn();
    test_late_look();
    test_slow_batch();
    test_decay();
    return check_report();
}
