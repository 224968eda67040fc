#include "server/forwarded.h"

#include "http/authority.h"

/* One element of Forwarded: what it says, without quotes. */
typedef struct element {
    tri_span node, proto, host;
    bool node_escaped, proto_escaped, host_escaped; /* it has quoted pairs */
    unsigned seen;
} element;

/* The way along the proxies, from the right. */
typedef struct walk {
    const tri_forwarded_rules *rules;
    tri_addr *client;
    uint32_t depth; /* of the element last looked at, from the right, which is 1 */
} walk;

/* --- words --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (tri_span_lower(c) >= 'a' && tri_span_lower(c) <= 'z');
}

/* Whether it may stand in a token (RFC 9110 §5.6.2). */
static bool is_token_char(char c)
{
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip(tri_span *rest, size_t n)
{
    rest->p += n;
    rest->n -= n;
}

static void skip_space(tri_span *rest)
{
    while (rest->n > 0 && is_space(rest->p[0]))
        skip(rest, 1);
}

/* Takes the last element of a comma-separated list; whether there are others before it. */
static bool take_last(tri_span *list, tri_span *last)
{
    const char *comma = list->n == 0 ? NULL : memrchr(list->p, ',', list->n);
    if (comma == NULL) {
        *last = tri_span_trim(*list);
        return false;
    }
    size_t before = (size_t)(comma - list->p);
    *last = tri_span_trim((tri_span){ comma + 1, list->n - before - 1 });
    list->n = before;
    return true;
}

/* A port of one to five digits; -1 for anything else. */
static int32_t read_port(tri_span digits)
{
    int32_t value = 0;
    if (digits.n == 0 || digits.n > 5)
        return -1;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return -1;
        value = value * 10 + (digits.p[i] - '0');
    }
    return value <= UINT16_MAX ? value : -1;
}

static enum tri_forwarded_scheme read_scheme(tri_span text)
{
    if (tri_span_is_word(text, TRI_SPAN("https")) || tri_span_is_word(text, TRI_SPAN("wss")))
        return TRI_FORWARDED_SECURE;
    bool plain = tri_span_is_word(text, TRI_SPAN("http")) || tri_span_is_word(text, TRI_SPAN("ws"));
    return plain ? TRI_FORWARDED_PLAIN : TRI_FORWARDED_SAME;
}

/* --- nodes --- */

/* The port of a node, behind its colon: digits, or a name that hides it (RFC 7239 §6.2), which is 0. */
static bool read_node_port(tri_span text, uint16_t *port)
{
    bool hidden = text.n > 1 && text.p[0] == '_';
    int32_t value = read_port(text);
    for (size_t i = 1; i < text.n && hidden; i++)
        hidden = is_alnum(text.p[i]) || strchr("._-", text.p[i]) != NULL;
    if (value < 0 && !hidden)
        return false;
    *port = value < 0 ? 0 : (uint16_t)value;
    return true;
}

/* Reads an address with or without a port; IPv6 with one stands in brackets. False for a name, "unknown" and whatever
   is malformed. */
static bool read_node(tri_span text, tri_addr *addr)
{
    uint16_t port = 0;
    tri_span host = text;
    const char *colon = text.n == 0 ? NULL : memchr(text.p, ':', text.n);
    const char *bracket = text.n > 0 && text.p[0] == '[' ? memchr(text.p, ']', text.n) : NULL;
    if (bracket != NULL) {
        host = (tri_span){ text.p + 1, (size_t)(bracket - text.p) - 1 };
        colon = bracket + 1 == text.p + text.n ? NULL : bracket + 1;
        if ((colon != NULL && *colon != ':') || memchr(host.p, ':', host.n) == NULL)
            return false;
    } else if (colon != NULL && memchr(colon + 1, ':', text.n - (size_t)(colon - text.p) - 1) == NULL) {
        host.n = (size_t)(colon - text.p);
    } else {
        colon = NULL; /* an IPv6 address alone */
    }
    if (colon != NULL && !read_node_port((tri_span){ colon + 1, text.n - (size_t)(colon - text.p) - 1 }, &port))
        return false;
    if (!tri_addr_parse(addr, host.p, host.n))
        return false;
    addr->port = port;
    return true;
}

/* Looks at the next node to the left; whether to go on behind it. The client is the last address that was said by a
   proxy: whatever is no address ends the way, unless it is known as the name of a proxy. */
static bool step(walk *self, tri_span node)
{
    const tri_forwarded_rules *rules = self->rules;
    tri_addr addr = { 0 };
    bool known = read_node(node, &addr);
    self->depth++;
    if (known && (rules->hops == 0 || self->depth == rules->hops))
        *self->client = addr;
    if (rules->hops != 0)
        return self->depth < rules->hops;
    bool trusted = known ? tri_trust_has(rules->trust, &addr) : node.n > 0 && tri_trust_names(rules->trust, node);
    return trusted && self->depth < TRI_FORWARDED_MOST;
}

/* --- X-Forwarded-… --- */

/* Which of the fields it is, 0 for none. */
static unsigned kind_of(tri_span name)
{
    static const struct {
        tri_span name;
        unsigned kind;
    } known[] = {
        { { "x-forwarded-for", 15 }, TRI_FORWARDED_FOR },       { { "x-forwarded-proto", 17 }, TRI_FORWARDED_PROTO },
        { { "x-forwarded-host", 16 }, TRI_FORWARDED_HOST },     { { "x-forwarded-port", 16 }, TRI_FORWARDED_PORT },
        { { "x-forwarded-prefix", 18 }, TRI_FORWARDED_PREFIX }, { { "forwarded", 9 }, TRI_FORWARDED_STANDARD },
    };
    const unsigned lengths = 1U << 9 | 1U << 15 | 1U << 16 | 1U << 17 | 1U << 18;
    if (name.n > 18 || !(lengths >> name.n & 1))
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tri_span_eq(name, known[i].name))
            return known[i].kind;
    return 0;
}

/* Which of them a head has. All requests of a trusted peer come by here, and most have none: bits of the names' hashes
   tell, which hardly any other name has. */
static unsigned find_kinds(const tri_head *head)
{
    enum { SHIFT = 0 };
    const uint64_t bits = UINT64_C(0x200088200004100); /* of the six names */
    unsigned found = 0;
    const tri_field *end = head->fields + head->n_fields;
    for (const tri_field *field = head->fields; field < end; field++)
        if (bits >> (field->hash >> SHIFT & 63) & 1)
            found |= kind_of(tri_head_span(head, field->name));
    return found;
}

/* The last field before `*at` that is of that kind; false when there is none. */
static bool previous(const tri_head *head, unsigned kind, uint32_t *at, tri_span *value)
{
    while (*at > 0) {
        const tri_field *field = &head->fields[--*at];
        if (kind_of(tri_head_span(head, field->name)) != kind)
            continue;
        *value = tri_head_span(head, field->value);
        return true;
    }
    return false;
}

/* Goes along X-Forwarded-For, of which several fields are one list. */
static void walk_for(walk *self, const tri_head *head)
{
    tri_span list, node;
    uint32_t at = head->n_fields;
    while (previous(head, TRI_FORWARDED_FOR, &at, &list)) {
        bool more;
        do {
            more = take_last(&list, &node);
            if (!step(self, node))
                return;
        } while (more);
    }
}

/* What the same proxy has said in another field, which may be a list, too: the element that stands as far from the
   right, or the left-most where there are fewer. */
static tri_span pick(const tri_head *head, unsigned kind, uint32_t depth)
{
    tri_span list, found = { NULL, 0 };
    uint32_t at = head->n_fields;
    while (depth > 0 && previous(head, kind, &at, &list)) {
        bool more = true;
        while (depth > 0 && more) {
            more = take_last(&list, &found);
            depth--;
        }
    }
    return found;
}

static tri_slice slice_of(const tri_head *head, tri_span span)
{
    return (tri_slice){ (uint32_t)(span.p - head->base), (uint32_t)span.n };
}

/* Takes over a host that is well-formed. */
static void set_host(const tri_head *head, tri_span host, tri_forwarded *out)
{
    if (host.n > 0 && tri_authority_ok(host.p, host.n))
        out->host = slice_of(head, host);
}

/* Takes over a port that the host does not have, and that is not the scheme's own. */
static void set_port(const tri_head *head, tri_span text, tri_forwarded *out)
{
    tri_span host = tri_head_span(head, out->host.n > 0 ? out->host : head->host);
    int32_t port = read_port(text);
    int32_t own = out->scheme == TRI_FORWARDED_SECURE ? 443 : 80;
    if (port > 0 && port != own && host.n > 0 && !tri_authority_has_port(host))
        out->port = (uint16_t)port;
}

/* Whether a segment of a path says nothing but its name: not empty, nor one that leads elsewhere. */
static bool is_plain_segment(tri_span segment)
{
    for (size_t i = 0; i < segment.n; i++)
        if (!is_alnum(segment.p[i]) && (segment.p[i] == '\0' || strchr("-._~!$&'()*+;=:@", segment.p[i]) == NULL))
            return false;
    return segment.n > 0 && !tri_span_eq(segment, TRI_SPAN(".")) && !tri_span_eq(segment, TRI_SPAN(".."));
}

/* Takes over a prefix of segments; a slash at its end is dropped. */
static void set_prefix(const tri_head *head, tri_span prefix, tri_forwarded *out)
{
    if (prefix.n > 1 && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    tri_span rest = prefix;
    if (prefix.n < 2 || prefix.p[0] != '/')
        return;
    while (rest.n > 0) {
        skip(&rest, 1);
        const char *slash = memchr(rest.p, '/', rest.n);
        size_t n = slash == NULL ? rest.n : (size_t)(slash - rest.p);
        if (!is_plain_segment((tri_span){ rest.p, n }))
            return;
        skip(&rest, n);
    }
    out->prefix = slice_of(head, prefix);
}

static void read_separate(const tri_head *head, unsigned found, walk *self, tri_forwarded *out)
{
    if (found & TRI_FORWARDED_FOR)
        walk_for(self, head);
    uint32_t depth = self->rules->hops != 0 ? self->rules->hops : self->depth;
    if (depth == 0)
        depth = 1;
    if (found & TRI_FORWARDED_PROTO)
        out->scheme = (uint8_t)read_scheme(pick(head, TRI_FORWARDED_PROTO, depth));
    if (found & TRI_FORWARDED_HOST)
        set_host(head, pick(head, TRI_FORWARDED_HOST, depth), out);
    if (found & TRI_FORWARDED_PORT)
        set_port(head, pick(head, TRI_FORWARDED_PORT, depth), out);
    if (found & TRI_FORWARDED_PREFIX)
        set_prefix(head, pick(head, TRI_FORWARDED_PREFIX, depth), out);
}

/* --- Forwarded (RFC 7239 §4) --- */

/* Takes the token at the start; an empty one when there is none. */
static tri_span take_token(tri_span *rest)
{
    size_t n = 0;
    while (n < rest->n && is_token_char(rest->p[n]))
        n++;
    tri_span token = { rest->p, n };
    skip(rest, n);
    return token;
}

/* Takes the quoted string at the start, whose quotes are left out; false when it does not end. */
static bool take_quoted(tri_span *rest, tri_span *value, bool *escaped)
{
    size_t n = 1;
    while (n < rest->n && rest->p[n] != '"') {
        if (rest->p[n] == '\\') {
            *escaped = true;
            n++;
        }
        n++;
    }
    if (n >= rest->n)
        return false;
    *value = (tri_span){ rest->p + 1, n - 1 };
    skip(rest, n + 1);
    return true;
}

/* Takes name=value; false when it is malformed, or one that this element has already. */
static bool take_pair(tri_span *rest, element *out)
{
    struct {
        tri_span name;
        tri_span *value;
        bool *escaped;
    } known[] = { { TRI_SPAN("for"), &out->node, &out->node_escaped },
                  { TRI_SPAN("proto"), &out->proto, &out->proto_escaped },
                  { TRI_SPAN("host"), &out->host, &out->host_escaped } };
    tri_span name = take_token(rest), value;
    bool escaped = false;
    if (name.n == 0 || rest->n < 2 || rest->p[0] != '=')
        return false;
    skip(rest, 1);
    bool quoted = rest->p[0] == '"';
    if (!quoted)
        value = take_token(rest);
    if (quoted ? !take_quoted(rest, &value, &escaped) : value.n == 0)
        return false;
    out->seen |= 8U;
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (!tri_span_is_word(name, known[i].name))
            continue;
        if (out->seen & 1U << i)
            return false;
        out->seen |= 1U << i;
        *known[i].value = value;
        *known[i].escaped = escaped;
    }
    return true;
}

/* Takes an element, up to the comma behind it; false when it is malformed. */
static bool take_element(tri_span *rest, element *out)
{
    *out = (element){ .seen = 0 };
    for (;;) {
        skip_space(rest);
        if (rest->n == 0 || rest->p[0] == ',')
            return true;
        if (rest->p[0] != ';' && !take_pair(rest, out))
            return false;
        skip_space(rest);
        if (rest->n > 0 && rest->p[0] == ';')
            skip(rest, 1);
        else if (rest->n > 0 && rest->p[0] != ',')
            return false;
    }
}

/* Reads a field's elements, of which the last TRI_FORWARDED_MOST are kept in a ring; how many there were, -1 when it is
   malformed. */
static int64_t read_elements(tri_span rest, element ring[TRI_FORWARDED_MOST])
{
    int64_t n = 0;
    while (rest.n > 0) {
        element *next = &ring[n % TRI_FORWARDED_MOST];
        if (!take_element(&rest, next))
            return -1;
        n += next->seen != 0; /* empty elements of a list do not count: RFC 9110 §5.6.1 */
        if (rest.n > 0)
            skip(&rest, 1);
    }
    return n;
}

/* The value without its backslashes, in `out` when it has any; empty when it is longer than anything of use. */
static tri_span unescape(tri_span value, bool escaped, char out[TRI_ADDR_TEXT + 8])
{
    size_t n = 0;
    if (!escaped)
        return value;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\')
            i++;
        if (n == TRI_ADDR_TEXT + 8)
            return (tri_span){ NULL, 0 };
        out[n++] = value.p[i];
    }
    return (tri_span){ out, n };
}

/* Goes along the fields; whether an element was reached, which is left in `out`. */
static bool walk_elements(walk *self, const tri_head *head, element *out)
{
    element ring[TRI_FORWARDED_MOST];
    char text[TRI_ADDR_TEXT + 8];
    tri_span line;
    uint32_t at = head->n_fields;
    while (previous(head, TRI_FORWARDED_STANDARD, &at, &line)) {
        int64_t n = read_elements(line, ring);
        if (n < 0)
            break;
        int64_t last = n > TRI_FORWARDED_MOST ? n - TRI_FORWARDED_MOST : 0;
        while (n-- > last) {
            *out = ring[n % TRI_FORWARDED_MOST];
            if (!step(self, unescape(out->node, out->node_escaped, text)))
                return self->rules->hops == 0 || self->depth == self->rules->hops;
        }
    }
    return self->depth > 0 && self->rules->hops == 0;
}

static void read_standard(const tri_head *head, walk *self, tri_forwarded *out)
{
    element found;
    char text[TRI_ADDR_TEXT + 8];
    if (!walk_elements(self, head, &found))
        return;
    out->scheme = (uint8_t)read_scheme(unescape(found.proto, found.proto_escaped, text));
    if (!found.host_escaped) /* nothing that a host may have needs a backslash */
        set_host(head, found.host, out);
}

void tri_forwarded_read(const tri_head *head, const tri_forwarded_rules *rules, tri_addr *client, tri_forwarded *out)
{
    walk self = { rules, client, 0 };
    if (rules->fields == 0)
        return;
    unsigned found = find_kinds(head) & rules->fields;
    if (found & ~(unsigned)TRI_FORWARDED_STANDARD)
        read_separate(head, found, &self, out);
    else if (found != 0)
        read_standard(head, &self, out);
}
