/* Lines on their way to a descriptor that takes them, some of them, or none. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/access_sink.h"

enum { LINE = 100 };

static char text[LINE + 1];
static check_mem mem;

static void add(tri_access_sink *sink, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        tri_access_sink_add(sink, (tri_span){ text, LINE });
}

/* Reads all that is there; returns how many bytes, and counts the reads. */
static size_t drain(int fd, unsigned *reads)
{
    static char bytes[1 << 16];
    size_t all = 0;
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0)
            return all;
        CHECK(bytes[n - 1] == '\n');
        all += (size_t)n;
        (*reads)++;
    }
}

static void open_pipe(int ends[2])
{
    CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
}

static void end(tri_access_sink *sink, int ends[2])
{
    tri_access_sink_fini(sink);
    CHECK(mem.blocks_out == 0);
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
}

static void test_batches(void)
{
    int ends[2];
    unsigned reads = 0;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], 0);
    add(&sink, 3);
    CHECK(tri_access_sink_waits(&sink) && drain(ends[0], &reads) == 0);
    tri_access_sink_write(&sink);
    CHECK(!tri_access_sink_waits(&sink) && drain(ends[0], &reads) == 300 && reads == 1);
    tri_access_sink_write(&sink);
    CHECK(drain(ends[0], &reads) == 0);
    add(&sink, TRI_ACCESS_SINK_FULL / LINE + 1); /* not waited with */
    CHECK(!tri_access_sink_waits(&sink) && drain(ends[0], &reads) == TRI_ACCESS_SINK_FULL / LINE * LINE + LINE);
    int why;
    CHECK(tri_access_sink_lost(&sink, &why) == 0);
    end(&sink, ends);
}

/* Of a pipe that others write to, too, each write is of whole lines and undivided. */
static void test_pieces(void)
{
    int ends[2];
    tri_access_sink sink;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0); /* keeps writes apart */
    tri_access_sink_init(&sink, &mem.mem, ends[1], 250);
    CHECK(sink.socket);
    add(&sink, 5);
    tri_access_sink_write(&sink);
    unsigned reads = 0;
    CHECK(drain(ends[0], &reads) == 500 && reads == 3);
    char longer[401];
    memset(longer, 'b', sizeof longer);
    longer[400] = '\n';
    tri_access_sink_add(&sink, (tri_span){ longer, sizeof longer }); /* cannot be helped: in parts */
    tri_access_sink_write(&sink);
    char bytes[512];
    CHECK(read(ends[0], bytes, sizeof bytes) == 250 && read(ends[0], bytes, sizeof bytes) == 151);
    end(&sink, ends);
}

/* A reader that is slow loses nothing at first, then whole lines; when it reads on, the rest comes. */
static void test_slow(void)
{
    int ends[2], why;
    unsigned reads = 0;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], PIPE_BUF);
    unsigned lines = 0;
    while (lines < 4 * TRI_ACCESS_SINK_HELD / LINE && sink.lost == 0) {
        add(&sink, 1);
        lines++;
    }
    CHECK(sink.lost == 1 && sink.held.cap <= TRI_ACCESS_SINK_HELD);
    CHECK(tri_access_sink_lost(&sink, &why) == 1 && why == EAGAIN);
    CHECK(tri_access_sink_lost(&sink, &why) == 0);
    size_t all = 0;
    while (tri_access_sink_waits(&sink)) {
        all += drain(ends[0], &reads);
        tri_access_sink_write(&sink);
    }
    all += drain(ends[0], &reads);
    CHECK(all == (size_t)(lines - 1) * LINE);
    CHECK(sink.held.cap == 0); /* what was needed for once is given back */
    end(&sink, ends);
}

/* Milliseconds of a clock. */
static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts a process that reads all of a pipe, but not at once. */
static pid_t start_reader(int ends[2])
{
    static char bytes[1 << 16];
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    close(ends[1]);
    fcntl(ends[0], F_SETFL, 0);
    usleep(20000);
    while (read(ends[0], bytes, sizeof bytes) > 0) {
    }
    _exit(0);
}

/* A reader that has had no turn for a while is given one before anything is lost. */
static void test_busy_reader(void)
{
    int ends[2];
    tri_access_sink sink;
    open_pipe(ends);
    pid_t reader = start_reader(ends);
    CHECK(reader > 0);
    tri_access_sink_init(&sink, &mem.mem, ends[1], PIPE_BUF);
    add(&sink, 4 * TRI_ACCESS_SINK_HELD / LINE);
    tri_access_sink_finish(&sink, 10000);
    CHECK(sink.lost == 0);
    end(&sink, ends);
    CHECK(waitpid(reader, NULL, 0) == reader);
}

/* One that takes nothing is waited for once. */
static void test_stuck_reader(void)
{
    int ends[2];
    unsigned reads = 0;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], PIPE_BUF);
    long began = now_ms();
    add(&sink, 2 * TRI_ACCESS_SINK_HELD / LINE);
    long first = now_ms();
    CHECK(sink.lost > 100 && sink.stuck && first - began >= TRI_ACCESS_SINK_WAIT - 1);
    add(&sink, 1000);
    CHECK(now_ms() - first < TRI_ACCESS_SINK_WAIT);
    while (tri_access_sink_waits(&sink)) {
        CHECK(sink.stuck && drain(ends[0], &reads) > 0);
        tri_access_sink_write(&sink);
    }
    CHECK(!sink.stuck);
    end(&sink, ends);
}

static void test_finish(void)
{
    int ends[2], why;
    unsigned reads = 0;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], PIPE_BUF);
    add(&sink, 2);
    tri_access_sink_finish(&sink, 0);
    CHECK(drain(ends[0], &reads) == 200);
    add(&sink, 2000); /* more than the pipe holds */
    tri_access_sink_finish(&sink, 20);
    size_t taken = drain(ends[0], &reads);
    uint64_t lost = tri_access_sink_lost(&sink, &why);
    CHECK(!tri_access_sink_waits(&sink) && lost > 0 && why == EAGAIN && taken + lost * LINE == 2000 * LINE);
    end(&sink, ends);
}

static void test_broken(void)
{
    int ends[2], why;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], 0);
    close(ends[0]);
    ends[0] = -1;
    add(&sink, 3);
    tri_access_sink_write(&sink);
    CHECK(!tri_access_sink_waits(&sink));
    CHECK(tri_access_sink_lost(&sink, &why) == 3 && why == EPIPE);
    end(&sink, ends);
}

/* A full disk: lines wait, so that none is torn, and are lost when there are too many. */
static void test_full_disk(void)
{
    int ends[2] = { -1, open("/dev/full", O_WRONLY | O_CLOEXEC) }, why;
    tri_access_sink sink;
    tri_access_sink_init(&sink, &mem.mem, ends[1], 0);
    add(&sink, 2);
    tri_access_sink_write(&sink);
    CHECK(tri_access_sink_waits(&sink) && tri_access_sink_lost(&sink, &why) == 0);
    tri_access_sink_finish(&sink, 1000); /* is not waited for */
    CHECK(tri_access_sink_lost(&sink, &why) == 2 && why == ENOSPC);
    end(&sink, ends);
}

static void test_no_memory(void)
{
    int ends[2], why;
    unsigned reads = 0;
    tri_access_sink sink;
    open_pipe(ends);
    tri_access_sink_init(&sink, &mem.mem, ends[1], 0);
    mem.fail_at = mem.requests + 1;
    mem.fail_more = 0;
    add(&sink, 2);
    CHECK(tri_access_sink_lost(&sink, &why) == 1 && why == ENOMEM);
    tri_access_sink_write(&sink);
    CHECK(drain(ends[0], &reads) == 100);
    end(&sink, ends);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    check_mem_init(&mem);
    memset(text, 'a', LINE - 1);
    text[LINE - 1] = '\n';
    test_batches();
    test_pieces();
    test_slow();
    test_busy_reader();
    test_stuck_reader();
    test_finish();
    test_broken();
    test_full_disk();
    test_no_memory();
    return check_report();
}
