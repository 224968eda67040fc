#include "load_base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SLOTS = 32, BUCKETS = 64 * SLOTS };

load_phase phase;
static uint64_t latency_max, latency[BUCKETS];

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

blob read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        die("%s: %s", path, strerror(errno));
    long size = ftell(file);
    rewind(file);
    blob content = { malloc((size_t)size + 1), (size_t)size };
    if (!content.p || fread(content.p, 1, content.n, file) != content.n)
        die("%s: cannot be read", path);
    fclose(file);
    return content;
}

int connect_to(unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect: %s", strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        die("socket: %s", strerror(errno));
    return fd;
}

void make_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        die("socket: %s", strerror(errno));
}

/* The histogram's bucket of a latency: 32 to each power of two, so the error is at most 3 %. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < SLOTS)
        return (unsigned)ns;
    unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - 5U;
    return (shift + 1) * SLOTS + (unsigned)((ns >> shift) - SLOTS);
}

/* The largest latency that belongs to a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < SLOTS)
        return bucket;
    unsigned shift = bucket / SLOTS - 1;
    return (((uint64_t)SLOTS + bucket % SLOTS + 1) << shift) - 1;
}

/* The latency in microseconds that the share `part` of all answers did not exceed. */
static double percentile_us(double part)
{
    uint64_t wanted = (uint64_t)(part * (double)phase.answered), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += latency[i];
        if (seen > wanted)
            return (double)(bucket_top(i) < latency_max ? bucket_top(i) : latency_max) / 1e3;
    }
    return (double)latency_max / 1e3;
}

void phase_begin(uint64_t requests, double seconds)
{
    memset(&phase, 0, sizeof phase);
    memset(latency, 0, sizeof latency);
    latency_max = 0;
    phase.limit = requests ? requests : UINT64_MAX;
    phase.deadline = seconds > 0 ? now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
}

unsigned phase_allows(unsigned most, uint64_t now)
{
    uint64_t left = now >= phase.deadline ? 0 : phase.limit - phase.issued;
    return left < most ? (unsigned)left : most;
}

void phase_answer(uint64_t started)
{
    uint64_t took = now_ns() - started;
    latency[bucket_of(took)]++;
    if (took > latency_max)
        latency_max = took;
    phase.answered++;
}

void phase_print(uint64_t start)
{
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"bytes\": %llu, "
           "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
           (unsigned long long)phase.answered, (double)(now_ns() - start) / 1e9, (unsigned long long)phase.bytes,
           percentile_us(0.5), percentile_us(0.9), percentile_us(0.99), (double)latency_max / 1e3);
    fflush(stdout);
}
