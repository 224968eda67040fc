/* The peers that are proxies: what they say of a request is believed. A list of addresses, networks and words, as
   --forwarded-allow-ips has it. */
#ifndef TRI_SERVER_TRUST_H
#define TRI_SERVER_TRUST_H

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"
#include "net/addr.h"

/* One of the list: a network, of which an address is the smallest, or (family NONE) a word. */
typedef struct tri_trust_entry {
    tri_addr net;
    uint8_t bits; /* of the address that count */
    tri_span word;
} tri_trust_entry;

typedef struct tri_trust {
    bool all;       /* "*": every peer */
    bool over_unix; /* "unix": whoever comes by a Unix socket */
    uint32_t n;
    /* private */
    tri_trust_entry *entries;
    char *text;
    size_t text_size;
} tri_trust;

/* Reads a comma-separated list; zeroed memory is an empty one. TRI_EINVAL: a network has bits set that its length
   leaves out; TRI_ENOMEM; then it is empty. */
TRI_NODISCARD int tri_trust_init(tri_trust *trust, const tri_mem *mem, tri_span list);
void tri_trust_fini(tri_trust *trust, const tri_mem *mem);
/* Whether that address is a proxy's. */
bool tri_trust_has(const tri_trust *trust, const tri_addr *addr);
/* Whether what stands where an address should, such as "_proxy1", is a word of the list. */
bool tri_trust_names(const tri_trust *trust, tri_span word);

#endif
