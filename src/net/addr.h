/* A peer's or listener's address, small enough to keep with every connection. */
#ifndef TRI_NET_ADDR_H
#define TRI_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tri_family { TRI_FAMILY_NONE, TRI_FAMILY_IPV4, TRI_FAMILY_IPV6, TRI_FAMILY_UNIX };

typedef struct tri_addr {
    uint8_t family; /* enum tri_family */
    uint16_t port;  /* host byte order */
    uint8_t ip[16]; /* 4 or 16 bytes, network byte order; an IPv4-mapped IPv6 address is stored as IPv4 */
} tri_addr;

enum { TRI_ADDR_TEXT = 46 };

/* Takes over what the kernel said; family NONE for one that is not known. An IPv6 scope is not kept. */
struct sockaddr_storage;
void tri_addr_from(tri_addr *addr, const struct sockaddr_storage *from);

/* Writes the numeric host, terminated, and returns its length; "" and 0 for a family that has none. */
size_t tri_addr_text(const tri_addr *addr, char text[TRI_ADDR_TEXT]);
/* Reads a numeric host of `n` bytes, IPv4 or IPv6 without brackets and scope; the port is 0. False, and nothing is set,
   for anything else. */
bool tri_addr_parse(tri_addr *addr, const char *text, size_t n);

#endif
