/* Heads with fields of proxies, and what is read of them. */
#ifndef TRI_TESTS_FORWARDING_H
#define TRI_TESTS_FORWARDING_H

#include "check.h"

#include "server/forwarded.h"

enum { FORWARDING_FIELDS = 128 };

/* A head of field lines "name: value\n…", its bytes at a protected page; and what was read. */
typedef struct forwarding {
    tri_field fields[FORWARDING_FIELDS];
    tri_head head;
    tri_addr client;
    tri_forwarded said;
    char text[512]; /* all of it as words, of which the client comes first */
} forwarding;

/* Splits the lines; a Host field is the head's host. */
static inline void forwarding_split(forwarding *self, const char *base, size_t n)
{
    const char *at = base, *end = base + n;
    self->head = (tri_head){ .base = base, .size = (uint32_t)n, .fields = self->fields };
    while (at < end && self->head.n_fields < FORWARDING_FIELDS) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf == NULL ? end : lf;
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        const char *name_end = colon == NULL ? stop : colon;
        const char *value = colon == NULL ? stop : colon + 1;
        while (value < stop && *value == ' ')
            value++;
        tri_field *field = &self->fields[self->head.n_fields++];
        field->name = (tri_slice){ (uint32_t)(at - base), (uint32_t)(name_end - at) };
        field->hash = UINT32_C(2166136261);
        for (const char *p = at; p < name_end; p++)
            field->hash = (field->hash ^ (unsigned char)*p) * UINT32_C(16777619);
        field->value = (tri_slice){ (uint32_t)(value - base), (uint32_t)(stop - value) };
        if (tri_span_eq(tri_head_span(&self->head, field->name), TRI_SPAN("host")))
            self->head.host = field->value;
        at = stop + 1;
    }
}

static inline void forwarding_write(forwarding *self)
{
    static const char *const schemes[] = { "", " plain", " secure" };
    char host[TRI_ADDR_TEXT];
    size_t n = tri_addr_text(&self->client, host);
    int at = snprintf(self->text, sizeof self->text, "%s %u%s", n == 0 ? "none" : host, self->client.port,
                      schemes[self->said.scheme]);
    if (self->said.host.n > 0)
        at += snprintf(self->text + at, sizeof self->text - (size_t)at, " host=%.*s", (int)self->said.host.n,
                       self->head.base + self->said.host.at);
    if (self->said.port != 0)
        at += snprintf(self->text + at, sizeof self->text - (size_t)at, " port=%u", self->said.port);
    if (self->said.prefix.n > 0)
        snprintf(self->text + at, sizeof self->text - (size_t)at, " prefix=%.*s", (int)self->said.prefix.n,
                 self->head.base + self->said.prefix.at);
}

/* Reads the fields as they come from 10.0.0.1, port 7, under rules with that list of proxies. */
static inline const char *forwarding_read(forwarding *self, tri_span lines, const char *trusted, uint32_t fields,
                                          uint32_t hops)
{
    tri_trust trust;
    memset(self, 0, sizeof *self);
    CHECK(tri_addr_parse(&self->client, "10.0.0.1", 8));
    self->client.port = 7;
    CHECK(tri_trust_init(&trust, tri_mem_libc(), (tri_span){ trusted, strlen(trusted) }) == 0);
    const tri_forwarded_rules rules = { &trust, fields, hops };
    check_page page = check_page_copy(lines.p, lines.n);
    forwarding_split(self, page.p, lines.n);
    tri_forwarded_read(&self->head, &rules, &self->client, &self->said);
    forwarding_write(self);
    check_page_free(&page);
    tri_trust_fini(&trust, tri_mem_libc());
    return self->text;
}

#endif
