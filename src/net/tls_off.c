/* The calls of net/tls.h in a build without OpenSSL: no context can be made, so that the others have nothing to do. */
#include <stdio.h>

#include "net/tls.h"
#include "net/tls_dev.h"
#include "net/tls_facts.h"

#ifndef TRI_TLS

bool tri_tls_is_built(void)
{
    return false;
}

const char *tri_tls_version(void)
{
    return NULL;
}

int tri_tls_context_new(tri_tls_context **out, const tri_mem *mem, const tri_tls_options *options, char *fault)
{
    (void)mem;
    (void)options;
    *out = NULL;
    (void)snprintf(fault, TRI_TLS_FAULT, "this build does not speak TLS");
    return TRI_EINVAL;
}

int tri_tls_dev_make(const tri_mem *mem, const tri_tls_dev_plan *what, tri_buf *certificate, tri_buf *key)
{
    (void)mem;
    (void)what;
    (void)certificate;
    (void)key;
    return TRI_EINVAL;
}

unsigned tri_tls_context_pairs(const tri_tls_context *context)
{
    (void)context;
    return 0;
}

tri_tls_validity tri_tls_context_validity(const tri_tls_context *context, unsigned which)
{
    (void)context;
    (void)which;
    return (tri_tls_validity){ 0 };
}

void tri_tls_context_ref(tri_tls_context *context)
{
    (void)context;
}

void tri_tls_context_unref(tri_tls_context *context)
{
    (void)context;
}

int tri_tls_new(tri_tls **out, tri_tls_context *context, int fd)
{
    (void)context;
    (void)fd;
    *out = NULL;
    return TRI_ENOMEM;
}

void tri_tls_free(tri_tls *tls)
{
    (void)tls;
}

int tri_tls_feed(tri_tls *tls, tri_span bytes)
{
    (void)tls;
    (void)bytes;
    return TRI_ENOMEM;
}

const char *tri_tls_fault(const tri_tls *tls)
{
    (void)tls;
    return NULL;
}

bool tri_tls_is_shaking(const tri_tls *tls)
{
    (void)tls;
    return false;
}

int tri_tls_handshake(tri_tls *tls)
{
    (void)tls;
    return TRI_ECLOSED;
}

unsigned tri_tls_protocol(const tri_tls *tls)
{
    (void)tls;
    return 0;
}

bool tri_tls_wants_write(const tri_tls *tls)
{
    (void)tls;
    return false;
}

bool tri_tls_has_pending(const tri_tls *tls)
{
    (void)tls;
    return false;
}

ptrdiff_t tri_tls_read(tri_tls *tls, void *bytes, size_t n)
{
    (void)tls;
    (void)bytes;
    (void)n;
    return TRI_ECLOSED;
}

ptrdiff_t tri_tls_writev(tri_tls *tls, const struct iovec *iov, int n)
{
    (void)tls;
    (void)iov;
    (void)n;
    return TRI_ECLOSED;
}

int tri_tls_end(tri_tls *tls)
{
    (void)tls;
    return 0;
}

int tri_tls_facts_of(tri_tls *tls, tri_tls_facts **out)
{
    (void)tls;
    *out = NULL;
    return TRI_ENOMEM;
}

tri_tls_facts *tri_tls_facts_ref(tri_tls_facts *facts)
{
    return facts;
}

void tri_tls_facts_unref(tri_tls_facts *facts)
{
    (void)facts;
}

unsigned tri_tls_facts_version(const tri_tls_facts *facts)
{
    (void)facts;
    return 0;
}

unsigned tri_tls_facts_cipher(const tri_tls_facts *facts)
{
    (void)facts;
    return 0;
}

unsigned tri_tls_facts_certificates(const tri_tls_facts *facts)
{
    (void)facts;
    return 0;
}

int tri_tls_facts_client(const tri_tls_facts *facts, unsigned which, tri_buf *out)
{
    (void)facts;
    (void)which;
    (void)out;
    return 0;
}

int tri_tls_facts_server(const tri_tls_facts *facts, tri_buf *out)
{
    (void)facts;
    (void)out;
    return 0;
}

int tri_tls_facts_name(const tri_tls_facts *facts, tri_buf *out)
{
    (void)facts;
    (void)out;
    return 0;
}

const char *tri_tls_facts_error(const tri_tls_facts *facts)
{
    (void)facts;
    return NULL;
}

bool tri_tls_facts_alike(const tri_tls_facts *a, const tri_tls_facts *b)
{
    return a == b;
}

void tri_tls_facts_keep(tri_tls_facts *facts, void *user, void (*release)(void *))
{
    (void)facts;
    (void)user;
    (void)release;
}

void *tri_tls_facts_kept(const tri_tls_facts *facts)
{
    (void)facts;
    return NULL;
}

const tri_mem *tri_tls_facts_mem(const tri_tls_facts *facts)
{
    (void)facts;
    return tri_mem_libc();
}

#endif
