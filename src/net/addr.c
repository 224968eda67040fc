#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Takes over an IPv6 address, or the IPv4 address that is mapped into it. */
static void take_ipv6(tri_addr *addr, const struct sockaddr_in6 *from)
{
    addr->port = ntohs(from->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
        addr->family = TRI_FAMILY_IPV4;
        memcpy(addr->ip, from->sin6_addr.s6_addr + 12, 4);
    } else {
        addr->family = TRI_FAMILY_IPV6;
        memcpy(addr->ip, from->sin6_addr.s6_addr, 16);
    }
}

void tri_addr_from(tri_addr *addr, const struct sockaddr_storage *from)
{
    memset(addr, 0, sizeof *addr);
    switch (from->ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        addr->family = TRI_FAMILY_IPV4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, 4);
        break;
    }
    case AF_INET6:
        take_ipv6(addr, (const struct sockaddr_in6 *)from);
        break;
    case AF_UNIX:
        addr->family = TRI_FAMILY_UNIX;
        break;
    default:
        break;
    }
}

size_t tri_addr_text(const tri_addr *addr, char text[TRI_ADDR_TEXT])
{
    int family = addr->family == TRI_FAMILY_IPV4 ? AF_INET : AF_INET6;
    text[0] = '\0';
    if (addr->family != TRI_FAMILY_IPV4 && addr->family != TRI_FAMILY_IPV6)
        return 0;
    if (inet_ntop(family, addr->ip, text, TRI_ADDR_TEXT) == NULL)
        return 0;
    return strlen(text);
}

bool tri_addr_parse(tri_addr *addr, const char *text, size_t n)
{
    char host[TRI_ADDR_TEXT];
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (n == 0 || n >= sizeof host || memchr(text, '\0', n) != NULL)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    bool is_ipv4 = inet_pton(AF_INET, host, &in.sin_addr) == 1;
    if (!is_ipv4 && inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return false;
    struct sockaddr_storage storage = { 0 };
    if (is_ipv4)
        memcpy(&storage, &in, sizeof in);
    else
        memcpy(&storage, &in6, sizeof in6);
    tri_addr_from(addr, &storage);
    return true;
}
