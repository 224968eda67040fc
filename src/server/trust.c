#include "server/trust.h"

/* How many bits an address of that family has. */
static unsigned width_of(uint8_t family)
{
    return family == TRI_FAMILY_IPV4 ? 32 : 128;
}

/* Whether the first `bits` bits are the same. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

/* The length of a network's prefix: one to three digits, at most `most`; -1 for anything else. */
static int prefix_length(tri_span digits, unsigned most)
{
    unsigned value = 0;
    if (digits.n == 0 || digits.n > 3)
        return -1;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return -1;
        value = value * 10 + (unsigned)(digits.p[i] - '0');
    }
    return value <= most ? (int)value : -1;
}

/* Whether all bits behind the prefix are 0. */
static bool is_network(const tri_addr *net, unsigned bits)
{
    unsigned width = width_of(net->family);
    for (unsigned bit = bits; bit < width; bit++)
        if (net->ip[bit / 8] & (0x80U >> bit % 8))
            return false;
    return true;
}

/* Reads one of the list, an address, a network or a word, into `entry`. TRI_EINVAL. */
static int read_entry(tri_trust_entry *entry, tri_span text)
{
    const char *slash = memchr(text.p, '/', text.n);
    size_t n = slash == NULL ? text.n : (size_t)(slash - text.p);
    *entry = (tri_trust_entry){ .word = text };
    if (!tri_addr_parse(&entry->net, text.p, n))
        return 0;
    unsigned width = width_of(entry->net.family);
    /* An IPv4 address that was written as one of IPv6 is kept as the former. */
    bool mapped = width == 32 && memchr(text.p, ':', n) != NULL;
    int bits = slash == NULL ? (int)(mapped ? 128 : width) : -1;
    if (slash != NULL)
        bits = prefix_length((tri_span){ slash + 1, text.n - n - 1 }, mapped ? 128 : width);
    if (mapped)
        bits -= 96;
    if (bits < 0 || !is_network(&entry->net, (unsigned)bits))
        return TRI_EINVAL;
    entry->bits = (uint8_t)bits;
    return 0;
}

/* Takes the first element of the list, without white space around it; false when there is none. */
static bool next_element(tri_span *list, tri_span *element)
{
    if (list->n == 0)
        return false;
    const char *comma = memchr(list->p, ',', list->n);
    size_t n = comma == NULL ? list->n : (size_t)(comma - list->p);
    *element = (tri_span){ list->p, n };
    size_t used = comma == NULL ? n : n + 1;
    list->p += used;
    list->n -= used;
    while (element->n > 0 && element->p[0] == ' ') {
        element->p++;
        element->n--;
    }
    while (element->n > 0 && element->p[element->n - 1] == ' ')
        element->n--;
    return true;
}

/* Reads the elements of the copied list. */
static int read_all(tri_trust *trust)
{
    tri_span rest = { trust->text, trust->text_size }, element;
    while (next_element(&rest, &element)) {
        if (element.n == 0)
            continue;
        if (tri_span_eq(element, TRI_SPAN("*"))) {
            trust->all = true;
            continue;
        }
        if (tri_span_eq(element, TRI_SPAN("unix"))) {
            trust->over_unix = true;
            continue;
        }
        int error = read_entry(&trust->entries[trust->n++], element);
        if (error != 0)
            return error;
    }
    return 0;
}

/* How many entries a list of so many elements may have. */
static size_t room_for(size_t list_size)
{
    return (list_size + 1) / 2;
}

int tri_trust_init(tri_trust *trust, const tri_mem *mem, tri_span list)
{
    memset(trust, 0, sizeof *trust);
    if (list.n == 0)
        return 0;
    trust->text_size = list.n;
    trust->text = tri_mem_alloc(mem, list.n);
    trust->entries = tri_mem_alloc(mem, room_for(list.n) * sizeof *trust->entries);
    int error = TRI_ENOMEM;
    if (trust->text != NULL && trust->entries != NULL) {
        memcpy(trust->text, list.p, list.n);
        error = read_all(trust);
    }
    if (error != 0)
        tri_trust_fini(trust, mem);
    return error;
}

void tri_trust_fini(tri_trust *trust, const tri_mem *mem)
{
    tri_mem_free(mem, trust->entries, room_for(trust->text_size) * sizeof *trust->entries);
    tri_mem_free(mem, trust->text, trust->text_size);
    memset(trust, 0, sizeof *trust);
}

bool tri_trust_has(const tri_trust *trust, const tri_addr *addr)
{
    if (trust->all)
        return true;
    if (addr->family == TRI_FAMILY_UNIX)
        return trust->over_unix;
    if (addr->family == TRI_FAMILY_NONE)
        return false;
    for (uint32_t i = 0; i < trust->n; i++) {
        const tri_trust_entry *entry = &trust->entries[i];
        if (entry->net.family == addr->family && same_bits(entry->net.ip, addr->ip, entry->bits))
            return true;
    }
    return false;
}

bool tri_trust_names(const tri_trust *trust, tri_span word)
{
    if (trust->all)
        return true;
    for (uint32_t i = 0; i < trust->n; i++) {
        const tri_trust_entry *entry = &trust->entries[i];
        if (entry->net.family == TRI_FAMILY_NONE && tri_span_eq(entry->word, word))
            return true;
    }
    return false;
}
