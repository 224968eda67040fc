#include "base/timer.h"

#include <assert.h>

/* Bits of a tick that one level sees. */
enum { LEVEL_BITS = 6, SLOT_MASK = TRI_WHEEL_SLOTS - 1 };
/* Ticks that the levels together reach ahead. */
static const uint64_t horizon = (uint64_t)1 << (LEVEL_BITS * TRI_WHEEL_LEVELS);
static const uint64_t no_tick = UINT64_MAX;

/* The first tick that is not before `deadline`. */
static uint64_t deadline_tick(uint64_t deadline)
{
    return deadline / TRI_WHEEL_TICK + (deadline % TRI_WHEEL_TICK != 0);
}

/* `bits` turned so that bit `by` comes first. */
static uint64_t rotate_right(uint64_t bits, unsigned by)
{
    return by == 0 ? bits : bits >> by | bits << (64 - by);
}

/* Links `timer` into the slot that its deadline has, seen from the wheel's tick. */
static void file(tri_wheel *wheel, tri_timer *timer)
{
    uint64_t tick = deadline_tick(timer->deadline);
    if (tick < wheel->tick)
        tick = wheel->tick;
    if (tick - wheel->tick >= horizon)
        tick = wheel->tick + horizon - 1;
    unsigned level = 0;
    while ((tick - wheel->tick) >> (LEVEL_BITS * (level + 1)) != 0)
        level++;
    unsigned slot = (unsigned)(tick >> (LEVEL_BITS * level)) & SLOT_MASK;
    tri_list_append(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= (uint64_t)1 << slot;
}

/* Empties a slot into `list`. */
static void take_slot(tri_wheel *wheel, unsigned level, unsigned slot, tri_list *list)
{
    tri_list_init(list);
    tri_list_take(list, &wheel->slots[level][slot]);
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
}

/* The next tick at which a slot of `level` fires or is filed again one level down. */
static uint64_t level_next(const tri_wheel *wheel, unsigned level)
{
    uint64_t bits = wheel->occupied[level];
    if (bits == 0)
        return no_tick;
    unsigned shift = LEVEL_BITS * level;
    uint64_t turn = wheel->tick >> shift;
    if (turn << shift != wheel->tick)
        turn++; /* this level's slot for the present was already emptied; it holds the next round */
    return (turn + (unsigned)__builtin_ctzll(rotate_right(bits, (unsigned)turn & SLOT_MASK))) << shift;
}

/* The next tick at which any slot has something to do. */
static uint64_t next_tick(const tri_wheel *wheel)
{
    uint64_t next = no_tick;
    for (unsigned level = 0; level < TRI_WHEEL_LEVELS; level++) {
        uint64_t tick = level_next(wheel, level);
        if (tick < next)
            next = tick;
    }
    return next;
}

/* Files the timers of the higher levels whose turn comes at the wheel's tick. */
static void cascade(tri_wheel *wheel)
{
    for (unsigned level = 1; level < TRI_WHEEL_LEVELS; level++) {
        unsigned shift = LEVEL_BITS * level;
        if ((wheel->tick & (((uint64_t)1 << shift) - 1)) != 0)
            return;
        tri_list list;
        take_slot(wheel, level, (unsigned)(wheel->tick >> shift) & SLOT_MASK, &list);
        for (tri_list *node = tri_list_shift(&list); node != NULL; node = tri_list_shift(&list))
            file(wheel, TRI_CONTAINER(node, tri_timer, link));
    }
}

/* Moves the timers of the wheel's tick to `due` and goes to the next tick. */
static void fire(tri_wheel *wheel, tri_list *due)
{
    tri_list list;
    take_slot(wheel, 0, (unsigned)wheel->tick & SLOT_MASK, &list);
    uint64_t tick = wheel->tick++;
    for (tri_list *node = tri_list_shift(&list); node != NULL; node = tri_list_shift(&list)) {
        tri_timer *timer = TRI_CONTAINER(node, tri_timer, link);
        if (deadline_tick(timer->deadline) > tick) {
            file(wheel, timer);
            continue;
        }
        timer->deadline = 0;
        tri_list_append(due, node);
    }
}

void tri_wheel_init(tri_wheel *wheel, uint64_t now)
{
    for (unsigned level = 0; level < TRI_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < TRI_WHEEL_SLOTS; slot++)
            tri_list_init(&wheel->slots[level][slot]);
    }
    wheel->tick = now / TRI_WHEEL_TICK + 1;
}

void tri_timer_init(tri_timer *timer)
{
    tri_list_init(&timer->link);
    timer->deadline = 0;
}

void tri_wheel_set(tri_wheel *wheel, tri_timer *timer, uint64_t deadline)
{
    if (deadline == 0)
        deadline = 1;
    if (timer->deadline != 0 && deadline >= timer->deadline) {
        timer->deadline = deadline; /* its old slot comes first, and files it again */
        return;
    }
    tri_wheel_unset(wheel, timer);
    timer->deadline = deadline;
    file(wheel, timer);
}

void tri_wheel_unset(tri_wheel *wheel, tri_timer *timer)
{
    tri_list *other = timer->link.next;
    bool alone = timer->deadline != 0 && other == timer->link.prev;
    tri_list_remove(&timer->link);
    timer->deadline = 0;
    if (!alone)
        return;
    size_t slot = (size_t)(other - &wheel->slots[0][0]);
    assert(slot < TRI_WHEEL_LEVELS * TRI_WHEEL_SLOTS);
    wheel->occupied[slot / TRI_WHEEL_SLOTS] &= ~((uint64_t)1 << slot % TRI_WHEEL_SLOTS);
}

void tri_wheel_advance(tri_wheel *wheel, uint64_t now, tri_list *due)
{
    uint64_t last = now / TRI_WHEEL_TICK;
    while (wheel->tick <= last) {
        uint64_t next = next_tick(wheel);
        if (next > last) {
            wheel->tick = last + 1;
            return;
        }
        wheel->tick = next;
        cascade(wheel);
        fire(wheel, due);
    }
}

uint64_t tri_wheel_next(const tri_wheel *wheel)
{
    uint64_t tick = next_tick(wheel);
    return tick == no_tick ? 0 : tick * TRI_WHEEL_TICK;
}
