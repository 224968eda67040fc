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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { SLOTS = 32, BUCKETS = 64 * SLOTS };

load_task task = { .connections = 1 };
load_phase phase;
int epoll_fd;
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
    blob content = { calloc(1, (size_t)size + 1), (size_t)size };
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

void watch(int operation, int fd, void *owner, bool blocked)
{
    struct epoll_event event = { .events = EPOLLIN | (blocked ? (uint32_t)EPOLLOUT : 0U), .data.ptr = owner };
    if (epoll_ctl(epoll_fd, operation, fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

/* Stores one option, if it is one of every generator. */
static bool task_set(int option, const char *value)
{
    switch (option) {
    case 'p':
        task.port = (unsigned)strtoul(value, NULL, 10);
        return true;
    case 'r':
        task.request = read_file(value);
        return true;
    case 'c':
        task.connections = (unsigned)strtoul(value, NULL, 10);
        return true;
    case 'n':
        task.requests = strtoull(value, NULL, 10);
        return true;
    case 't':
        task.seconds = strtod(value, NULL);
        return true;
    case 'w':
        task.warm = strtod(value, NULL);
        return true;
    case 'G':
        task.gate = true;
        return true;
    default:
        return false;
    }
}

void task_read(int argc, char **argv, const struct option *table, void (*set)(int option, const char *value))
{
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (option == '?')
            die("unknown option; the head of the program's source tells them");
        if (!task_set(option, optarg))
            set(option, optarg);
    }
    if (task.port == 0 || task.port > 65535 || !task.request.n || !task.connections)
        die("--port and --request are needed; --connections is at least 1");
    if (task.requests == 0 && task.seconds <= 0)
        die("--requests or --seconds is needed");
}

void *task_open(size_t size)
{
    void *connections = calloc(task.connections, size);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || !connections)
        die("out of memory or descriptors");
    return connections;
}

void gate_wait(void)
{
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        exit(0);
}

void task_run(void (*run)(uint64_t requests, double seconds), void (*wait)(void))
{
    if (task.warm > 0)
        run(0, task.warm);
    if (task.gate && (puts("ready"), fflush(stdout)))
        die("the caller is gone");
    if (task.gate)
        wait();
    uint64_t start = now_ns();
    run(task.requests, task.seconds);
    phase_print(start);
    if (task.gate)
        wait();
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
