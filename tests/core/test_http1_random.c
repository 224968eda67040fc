/* Requests with random damage, cut at random: the events must not depend on the cuts. */
#include <time.h>

#include "http1_record.h"
#include "random.h"

enum { ROUNDS = 200000, BYTES_MAX = 1024 };

static const char *const seeds[] = {
    "GET /a?b HTTP/1.1\r\nHost: example.org:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
    "GET http://[::1]:80/x?y HTTP/1.1\r\nHost: h\r\nCookie: a=b; c=d\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n3\r\nabc\r\n0\r\nT:u\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
};

/* What damage is made of: the bytes that mean something. */
static const char spice[] = "\r\n\r\n\r\n :;,\t\0019aF-/?*#%@[]\x7f\x80\xff\"chunked";

static record whole, pieces;

/* Fills `bytes` with requests and damages some of them; returns how many bytes. */
static size_t make_input(uint64_t *random, char *bytes)
{
    size_t n = 0;
    for (uint64_t count = 1 + random_below(random, 3); count > 0; count--) {
        const char *seed = seeds[random_below(random, sizeof seeds / sizeof *seeds)];
        memcpy(bytes + n, seed, strlen(seed));
        n += strlen(seed);
    }
    for (uint64_t count = random_below(random, 4); count > 0; count--) {
        size_t at = (size_t)random_below(random, n);
        char c = spice[random_below(random, sizeof spice)];
        uint64_t kind = random_below(random, 3);
        if (kind == 0) {
            bytes[at] = c;
        } else if (kind == 1) {
            memmove(bytes + at + 1, bytes + at, n - at);
            bytes[at] = c;
            n++;
        } else {
            memmove(bytes + at, bytes + at + 1, n - at - 1);
            n--;
        }
    }
    return n;
}

/* Feeds `bytes` in pieces of 1 to `most` bytes, or at once when `most` is 0, then ends the connection. */
static void run(record *self, const tri_limits *limits, const char *bytes, size_t n, uint64_t *random, uint64_t most)
{
    record_init(self);
    self->limits = *limits;
    CHECK(record_open(self) == 0);
    for (size_t at = 0; at < n;) {
        size_t take = most == 0 ? n : 1 + (size_t)random_below(random, most);
        take = take < n - at ? take : n - at;
        size_t left = record_feed(self, bytes + at, take);
        at += take;
        if (left > 0)
            break;
    }
    record_eof(self);
    CHECK(self->error == 0);
    record_close(self);
}

/* Small limits now and then, so that they are reached. */
static void choose_limits(uint64_t *random, tri_limits *limits)
{
    tri_limits_default(limits);
    if (random_below(random, 2) == 0)
        return;
    limits->request_line = 16 + (uint32_t)random_below(random, 30);
    limits->head = 20 + (uint32_t)random_below(random, 120);
    limits->fields = (uint32_t)random_below(random, 5);
    limits->body = random_below(random, 20);
    limits->trailers = (uint32_t)random_below(random, 10);
    limits->chunk_ext = (uint32_t)random_below(random, 6);
}

int main(void)
{
    uint64_t random = 20240611;
    clock_t end = clock() + 2 * CLOCKS_PER_SEC;
    for (unsigned round = 0; round < ROUNDS && clock() < end; round++) {
        char bytes[BYTES_MAX];
        tri_limits limits;
        choose_limits(&random, &limits);
        size_t n = make_input(&random, bytes);
        run(&whole, &limits, bytes, n, &random, 0);
        run(&pieces, &limits, bytes, n, &random, 1 + random_below(&random, 40));
        bool same = strcmp(whole.log, pieces.log) == 0 && whole.out_n == pieces.out_n
                    && memcmp(whole.out, pieces.out, whole.out_n) == 0;
        CHECK(same);
        if (!same) {
            fprintf(stderr, "round %u, in one piece:\n%sin pieces:\n%s", round, whole.log, pieces.log);
            break;
        }
    }
    return check_report();
}
