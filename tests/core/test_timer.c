/* The timer wheel, against a plain array of deadlines. */
#include "check.h"
#include "random.h"

#include "base/timer.h"

enum { LATE = 2 * TRI_WHEEL_TICK };

/* Advances to `now` and returns how many timers came due, each left in no list. */
static int advance(tri_wheel *wheel, uint64_t now)
{
    tri_list due;
    int count = 0;
    tri_list_init(&due);
    tri_wheel_advance(wheel, now, &due);
    for (tri_list *node = tri_list_shift(&due); node != NULL; node = tri_list_shift(&due)) {
        CHECK(TRI_CONTAINER(node, tri_timer, link)->deadline == 0);
        count++;
    }
    return count;
}

/* A single timer, for deadlines around every boundary of the levels and several starting times: it goes off once, in
   time. */
static void test_boundaries(void)
{
    static const uint64_t starts[] = {
        0, 1, 7, 8, 504, 511, 512, 520, 32767, 32768, 2097152 - 8, 2097152, 134217728 - 3,
    };
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        for (uint64_t span = 1; span < (uint64_t)1 << 29; span = span * 2) {
            for (uint64_t extra = 0; extra < 3; extra++) {
                tri_wheel wheel;
                tri_timer timer;
                tri_wheel_init(&wheel, starts[s]);
                tri_timer_init(&timer);
                uint64_t deadline = starts[s] + span + extra * 7;
                tri_wheel_set(&wheel, &timer, deadline);
                CHECK(tri_wheel_next(&wheel) != 0 && tri_wheel_next(&wheel) < deadline + LATE);
                CHECK(advance(&wheel, deadline - 1) == 0);
                CHECK(timer.deadline == deadline);
                CHECK(advance(&wheel, deadline + LATE) == 1);
                CHECK(tri_wheel_next(&wheel) == 0);
                CHECK(advance(&wheel, deadline * 2) == 0);
            }
        }
    }
}

/* Driven only by tri_wheel_next, a timer goes off in time after few wake-ups, however far away. */
static void test_driven_by_next(void)
{
    static const uint64_t spans[] = { 1, 300, 5000, 60000, 3600000, 86400000, 400000000, 3000000000 };
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        tri_wheel wheel;
        tri_timer timer;
        uint64_t now = 123456789, deadline = now + spans[i];
        int wakes = 0, fired = 0;
        tri_wheel_init(&wheel, now);
        tri_timer_init(&timer);
        tri_wheel_set(&wheel, &timer, deadline);
        while (fired == 0 && wakes < 200) {
            uint64_t next = tri_wheel_next(&wheel);
            CHECK(next > now);
            now = next;
            fired = advance(&wheel, now);
            wakes++;
        }
        CHECK(fired == 1 && now >= deadline && now <= deadline + LATE);
        CHECK(wakes < 40);
    }
}

/* Deadlines that have passed, the present and the end of time. */
static void test_extremes(void)
{
    tri_wheel wheel;
    tri_timer past, zero, never;
    tri_wheel_init(&wheel, 100000);
    tri_timer_init(&past);
    tri_timer_init(&zero);
    tri_timer_init(&never);
    CHECK(tri_wheel_next(&wheel) == 0);
    tri_wheel_set(&wheel, &past, 5);
    tri_wheel_set(&wheel, &zero, 0);
    tri_wheel_set(&wheel, &never, UINT64_MAX);
    CHECK(zero.deadline != 0);
    CHECK(advance(&wheel, 100000 + TRI_WHEEL_TICK) == 2);
    CHECK(never.deadline == UINT64_MAX);
    CHECK(advance(&wheel, 50) == 0); /* a clock that goes back does no harm */
    CHECK(advance(&wheel, (uint64_t)1 << 40) == 0);
    tri_wheel_unset(&wheel, &never);
    CHECK(tri_wheel_next(&wheel) == 0);
}

/* The wheel forgets what is unset, so that it does not wake for it. */
static void test_unset(void)
{
    tri_wheel wheel;
    tri_timer timers[3];
    tri_wheel_init(&wheel, 0);
    for (int i = 0; i < 3; i++) {
        tri_timer_init(&timers[i]);
        tri_wheel_unset(&wheel, &timers[i]);
        tri_wheel_set(&wheel, &timers[i], 1000);
    }
    tri_wheel_unset(&wheel, &timers[1]);
    tri_wheel_unset(&wheel, &timers[1]);
    CHECK(timers[1].deadline == 0 && tri_wheel_next(&wheel) != 0);
    tri_wheel_unset(&wheel, &timers[0]);
    CHECK(tri_wheel_next(&wheel) != 0);
    tri_wheel_unset(&wheel, &timers[2]);
    CHECK(tri_wheel_next(&wheel) == 0);
    CHECK(advance(&wheel, 5000) == 0);
}

/* Moving a timer: later, much later, earlier; only the last deadline counts. */
static void test_move(void)
{
    tri_wheel wheel;
    tri_timer timer;
    tri_wheel_init(&wheel, 0);
    tri_timer_init(&timer);
    tri_wheel_set(&wheel, &timer, 100);
    tri_wheel_set(&wheel, &timer, 5000);
    CHECK(advance(&wheel, 200) == 0);
    tri_wheel_set(&wheel, &timer, 900000);
    CHECK(advance(&wheel, 6000) == 0);
    tri_wheel_set(&wheel, &timer, 7000);
    CHECK(tri_wheel_next(&wheel) <= 7000 + LATE);
    CHECK(advance(&wheel, 6999) == 0);
    CHECK(advance(&wheel, 7000 + LATE) == 1);
    CHECK(advance(&wheel, 2000000) == 0);
}

/* While a list of due timers is worked on, those still in it may be unset or set again. */
static void test_change_inside_due(void)
{
    tri_wheel wheel;
    tri_timer timers[4];
    tri_list due;
    tri_list_init(&due);
    tri_wheel_init(&wheel, 0);
    for (int i = 0; i < 4; i++) {
        tri_timer_init(&timers[i]);
        tri_wheel_set(&wheel, &timers[i], 50);
    }
    tri_wheel_advance(&wheel, 100, &due);
    tri_wheel_unset(&wheel, &timers[1]);
    tri_wheel_set(&wheel, &timers[2], 400);
    tri_wheel_set(&wheel, &timers[3], 60);
    tri_wheel_set(&wheel, &timers[3], 500);
    CHECK(tri_list_shift(&due) == &timers[0].link);
    CHECK(tri_list_empty(&due));
    CHECK(advance(&wheel, 399) == 0);
    CHECK(advance(&wheel, 400 + LATE) == 1);
    CHECK(advance(&wheel, 500 + LATE) == 1);
    /* The only one in the due list, so that its neighbours are both the list's head. */
    tri_wheel_set(&wheel, &timers[0], 600);
    tri_wheel_advance(&wheel, 700, &due);
    tri_wheel_unset(&wheel, &timers[0]);
    CHECK(tri_list_empty(&due) && tri_wheel_next(&wheel) == 0);
}

enum { TIMERS = 200 };

/* The model: a wheel and the deadlines that it should know. */
typedef struct model {
    tri_wheel wheel;
    tri_timer timers[TIMERS];
    uint64_t deadlines[TIMERS]; /* 0 while not set */
    uint64_t now;
    uint64_t state;
} model;

/* A length of time: mostly short, sometimes across every level. */
static uint64_t random_span(uint64_t *state)
{
    return random_below(state, (uint64_t)1 << (1 + random_below(state, 30)));
}

/* Sets, moves or unsets one timer. */
static void model_change(model *self)
{
    size_t i = random_below(&self->state, TIMERS);
    if (random_below(&self->state, 4) == 0) {
        tri_wheel_unset(&self->wheel, &self->timers[i]);
        self->deadlines[i] = 0;
        return;
    }
    self->deadlines[i] = self->now + random_span(&self->state);
    tri_wheel_set(&self->wheel, &self->timers[i], self->deadlines[i]);
}

/* Lets time pass, and compares what came due with the model. */
static void model_advance(model *self)
{
    tri_list due;
    tri_list_init(&due);
    self->now += random_span(&self->state) / 16;
    tri_wheel_advance(&self->wheel, self->now, &due);
    bool right = true;
    for (tri_list *node = tri_list_shift(&due); node != NULL; node = tri_list_shift(&due)) {
        size_t i = (size_t)(TRI_CONTAINER(node, tri_timer, link) - self->timers);
        right = right && self->deadlines[i] != 0 && self->deadlines[i] <= self->now;
        self->deadlines[i] = 0;
    }
    uint64_t soonest = UINT64_MAX;
    for (size_t i = 0; i < TIMERS; i++) {
        right = right && self->timers[i].deadline == self->deadlines[i];
        if (self->deadlines[i] == 0)
            continue;
        right = right && self->deadlines[i] + LATE > self->now;
        soonest = self->deadlines[i] < soonest ? self->deadlines[i] : soonest;
    }
    CHECK(right);
    uint64_t next = tri_wheel_next(&self->wheel);
    CHECK((next == 0) == (soonest == UINT64_MAX));
    CHECK(next == 0 || next <= soonest + LATE);
}

static void test_model(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static model self;
        self.state = seed * 77;
        self.now = random_below(&self.state, (uint64_t)1 << 36);
        tri_wheel_init(&self.wheel, self.now);
        for (size_t i = 0; i < TIMERS; i++) {
            tri_timer_init(&self.timers[i]);
            self.deadlines[i] = 0;
        }
        for (int round = 0; round < 2000; round++) {
            for (uint64_t changes = random_below(&self.state, 20); changes > 0; changes--)
                model_change(&self);
            model_advance(&self);
        }
    }
}

int main(void)
{
    test_boundaries();
    test_driven_by_next();
    test_extremes();
    test_unset();
    test_move();
    test_change_inside_due();
    test_model();
    return check_report();
}
