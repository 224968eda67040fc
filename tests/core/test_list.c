/* Intrusive lists. */
#include "check.h"

#include "base/list.h"

typedef struct item {
    int number;
    tri_list link;
} item;

/* Whether `list` holds exactly the `n` given numbers, forwards and backwards. */
static bool holds(const tri_list *list, const int *numbers, int n)
{
    const tri_list *node = list->next;
    for (int i = 0; i < n; i++, node = node->next) {
        if (node == list || TRI_CONTAINER(node, item, link)->number != numbers[i])
            return false;
    }
    if (node != list)
        return false;
    node = list->prev;
    for (int i = n - 1; i >= 0; i--, node = node->prev) {
        if (node == list || TRI_CONTAINER(node, item, link)->number != numbers[i])
            return false;
    }
    return node == list;
}

/* `n` items numbered from `first`, in no list. */
static void number(item *items, int n, int first)
{
    for (int i = 0; i < n; i++) {
        items[i].number = first + i;
        tri_list_init(&items[i].link);
    }
}

static void test_append_remove_shift(void)
{
    tri_list list;
    item items[4];
    number(items, 4, 0);
    tri_list_init(&list);
    CHECK(tri_list_empty(&list));
    CHECK(tri_list_shift(&list) == NULL);
    for (int i = 0; i < 4; i++) {
        CHECK(tri_list_empty(&items[i].link));
        tri_list_append(&list, &items[i].link);
        CHECK(!tri_list_empty(&items[i].link));
    }
    CHECK(holds(&list, (const int[]){ 0, 1, 2, 3 }, 4));
    tri_list_remove(&items[2].link);
    CHECK(tri_list_empty(&items[2].link));
    CHECK(holds(&list, (const int[]){ 0, 1, 3 }, 3));
    tri_list_remove(&items[2].link); /* in no list: nothing happens */
    CHECK(holds(&list, (const int[]){ 0, 1, 3 }, 3));
    CHECK(tri_list_shift(&list) == &items[0].link);
    CHECK(tri_list_empty(&items[0].link));
    tri_list_remove(&items[3].link);
    CHECK(tri_list_shift(&list) == &items[1].link);
    CHECK(tri_list_empty(&list));
}

static void test_take(void)
{
    tri_list a, b;
    item items[5];
    number(items, 5, 0);
    tri_list_init(&a);
    tri_list_init(&b);
    tri_list_take(&a, &b);
    CHECK(tri_list_empty(&a) && tri_list_empty(&b));
    tri_list_append(&b, &items[0].link);
    tri_list_append(&b, &items[1].link);
    tri_list_take(&a, &b);
    CHECK(tri_list_empty(&b) && holds(&a, (const int[]){ 0, 1 }, 2));
    tri_list_append(&b, &items[2].link);
    tri_list_append(&b, &items[3].link);
    tri_list_take(&a, &b);
    CHECK(tri_list_empty(&b) && holds(&a, (const int[]){ 0, 1, 2, 3 }, 4));
    tri_list_take(&a, &b);
    CHECK(holds(&a, (const int[]){ 0, 1, 2, 3 }, 4));
    tri_list_append(&b, &items[4].link);
    CHECK(holds(&b, (const int[]){ 4 }, 1));
}

int main(void)
{
    test_append_remove_shift();
    test_take();
    return check_report();
}
