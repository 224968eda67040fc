/* Copies of a head: everything within one allocation, and independent of where the head came from. */
#include "check.h"
#include "http/head.h"

static char bytes[] = "GET /a?b HTTP/1.1\r\nhost: h\r\na: bc\r\n\r\n---";

static tri_field fields[4] = {
    { { 19, 4 }, { 25, 1 }, 7 },
    { { 28, 1 }, { 31, 2 }, 8 },
};

static tri_head sample(void)
{
    return (tri_head){
        .base = bytes,
        .size = sizeof bytes - 1,
        .method = { 0, 3 },
        .target = { 4, 4 },
        .path = { 4, 2 },
        .query = { 7, 1 },
        .host = { 25, 1 },
        .flags = TRI_HEAD_KEEP_ALIVE,
        .major = 1,
        .minor = 1,
        .content_length = 5,
        .n_fields = 2,
        .max_fields = 4,
        .fields = fields,
    };
}

/* Whether `copy` says what the sample says. */
static void check_copy(const tri_head *copy)
{
    CHECK(tri_span_eq(tri_head_span(copy, copy->method), TRI_SPAN("GET")));
    CHECK(tri_span_eq(tri_head_span(copy, copy->target), TRI_SPAN("/a?b")));
    CHECK(tri_span_eq(tri_head_span(copy, copy->path), TRI_SPAN("/a")));
    CHECK(tri_span_eq(tri_head_span(copy, copy->query), TRI_SPAN("b")));
    CHECK(tri_span_eq(tri_head_span(copy, copy->host), TRI_SPAN("h")));
    CHECK(copy->n_fields == 2 && copy->max_fields == 2);
    CHECK(copy->flags == TRI_HEAD_KEEP_ALIVE && copy->content_length == 5 && copy->minor == 1);
    CHECK(tri_span_eq(tri_head_span(copy, copy->fields[0].name), TRI_SPAN("host")));
    CHECK(tri_span_eq(tri_head_span(copy, copy->fields[1].value), TRI_SPAN("bc")));
    CHECK(copy->fields[1].hash == 8);
}

static void test_copy(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_head head = sample();
    tri_head *copy = tri_head_copy(&head, &mem.mem);
    CHECK(copy != NULL && mem.blocks_out == 1 && mem.bytes_out == tri_head_copy_size(&head));
    if (copy == NULL)
        return;
    CHECK(copy->base != head.base && copy->fields != head.fields);
    check_copy(copy);
    tri_head *second = tri_head_copy(copy, &mem.mem);
    tri_head_free(copy, &mem.mem);
    CHECK(second != NULL);
    if (second != NULL)
        check_copy(second);
    tri_head_free(second, &mem.mem);
    CHECK(mem.blocks_out == 0 && mem.bytes_out == 0);
}

/* The copy fits exactly the bytes that were asked for: one more would touch the protected page. */
static void test_copy_into(void)
{
    tri_head head = sample();
    size_t size = tri_head_copy_size(&head);
    CHECK(size % 8 == 0); /* so that the page's end is aligned */
    char *zeros = calloc(1, size);
    check_page page = check_page_copy(zeros, size);
    tri_head *copy = tri_head_copy_into(&head, page.p);
    CHECK((void *)copy == (void *)page.p);
    check_copy(copy);
    check_page_free(&page);
    free(zeros);
}

static void test_empty(void)
{
    check_mem mem;
    check_mem_init(&mem);
    tri_head head = { 0 };
    tri_head *copy = tri_head_copy(&head, &mem.mem);
    CHECK(copy != NULL && copy->n_fields == 0);
    tri_head_free(copy, &mem.mem);
    tri_head_free(NULL, &mem.mem);
    CHECK(mem.blocks_out == 0);
}

static void test_no_memory(void)
{
    check_mem mem;
    check_mem_init(&mem);
    mem.fail_at = 1;
    tri_head head = sample();
    CHECK(tri_head_copy(&head, &mem.mem) == NULL && mem.blocks_out == 0);
}

int main(void)
{
    test_copy();
    test_copy_into();
    test_empty();
    test_no_memory();
    return check_report();
}
