#define _GNU_SOURCE 1
/* Evening out: two workers in one process, with a board and channels between them. Connections go where there are less,
   none is lost whatever becomes of a channel, and no descriptor is left behind. */
#include "serving.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "server/balance.h"

enum { WORKERS = 2, CLIENTS = 100 };

static client clients[CLIENTS];

/* Two workers and what is between them. */
typedef struct pair {
    serving s[WORKERS];
    tri_board_cell *cells;
    int board;
    int send[WORKERS];
    int receive[WORKERS];
} pair;

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

/* Turns both, without waiting. */
static void turn(pair *p)
{
    for (int i = 0; i < WORKERS; i++)
        if (p->s[i].server != NULL)
            serving_turn(&p->s[i], 0);
}

static void turns(pair *p, unsigned n)
{
    while (n-- > 0)
        turn(p);
}

#define PAIR_UNTIL(p, condition)                            \
    do {                                                    \
        uint64_t give_up_ = now_ms() + SERVING_PATIENCE_MS; \
        while (!(condition) && now_ms() < give_up_)         \
            turn(p);                                        \
        CHECK(condition);                                   \
    } while (0)

/* Starts the worker of a slot. */
static void start(pair *p, unsigned slot)
{
    tri_limits limits = short_limits();
    serving_init(&p->s[slot], &limits, app_hello);
    CHECK(tri_server_report(p->s[slot].server, p->board, slot) == 0);
    int channels[WORKERS] = { p->send[0], p->send[1] };
    channels[slot] = -1;
    CHECK(tri_server_balance(p->s[slot].server, p->receive[slot], channels, WORKERS) == 0);
    CHECK(tri_server_balance(p->s[slot].server, -1, channels, WORKERS) == TRI_ESTATE);
    tri_server_set_ready(p->s[slot].server, true);
}

/* Both have beaten lately. */
static void refresh(pair *p)
{
    usleep(2000);
    for (int i = 0; i < WORKERS; i++) {
        tri_server_wake(p->s[i].server);
        serving_turn(&p->s[i], 0);
    }
}

static void pair_init(pair *p)
{
    memset(p, 0, sizeof *p);
    size_t size = (size_t)WORKERS * TRI_BOARD_CELL;
    p->board = memfd_create("board", MFD_CLOEXEC);
    CHECK(ftruncate(p->board, (off_t)size) == 0);
    p->cells = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p->board, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        int ends[2];
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        p->send[i] = ends[0];
        p->receive[i] = ends[1];
    }
    for (unsigned i = 0; i < WORKERS; i++)
        start(p, i);
    refresh(p);
}

static void pair_fini(pair *p)
{
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd > 0)
            client_close(&clients[i]);
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < WORKERS; i++) {
        if (p->s[i].server != NULL)
            serving_fini(&p->s[i]);
        close(p->send[i]);
        close(p->receive[i]);
    }
    munmap(p->cells, (size_t)WORKERS * TRI_BOARD_CELL);
    close(p->board);
}

static uint32_t open_of(const pair *p, int slot)
{
    return counters_of(&p->s[slot]).open;
}

/* Everybody who has connected is answered. */
static void all_are_served(pair *p, int n)
{
    for (int i = 0; i < n; i++)
        client_send(&clients[i], GET("/"));
    for (int i = 0; i < n; i++)
        PAIR_UNTIL(p, client_has(&clients[i], "hello"));
}

/* One worker gets all connections, one after another: half of them end at the other. */
static void test_one_after_another(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i], &p.s[0]);
        turn(&p);
    }
    PAIR_UNTIL(&p, open_of(&p, 0) + open_of(&p, 1) == CLIENTS);
    CHECK(open_of(&p, 0) >= 45 && open_of(&p, 0) <= 55);
    CHECK(counters_of(&p.s[0]).given == counters_of(&p.s[1]).taken && counters_of(&p.s[1]).given == 0);
    CHECK(counters_of(&p.s[0]).connections + counters_of(&p.s[1]).connections == CLIENTS);
    all_are_served(&p, CLIENTS);
    CHECK(p.cells[0].coming == 0 && p.cells[1].coming == 0);
    pair_fini(&p);
}

/* All at once, unevenly, and the first worker is done before the second begins: nothing goes back and forth. */
static void test_all_at_once(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i], &p.s[i % 10 < 3 ? 1 : 0]);
    for (int i = 0; i < 4; i++)
        serving_turn(&p.s[0], 0);
    CHECK(open_of(&p, 0) >= 35 && open_of(&p, 0) <= 39 && counters_of(&p.s[0]).given >= 31);
    PAIR_UNTIL(&p, open_of(&p, 0) + open_of(&p, 1) == CLIENTS);
    CHECK(open_of(&p, 0) >= 45 && open_of(&p, 0) <= 55);
    all_are_served(&p, CLIENTS);
    pair_fini(&p);
}

/* While the load is even nothing is handed over. */
static void test_even_load(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i], &p.s[i / 3 % 2]);
        turn(&p);
    }
    PAIR_UNTIL(&p, open_of(&p, 0) + open_of(&p, 1) == CLIENTS);
    CHECK(counters_of(&p.s[0]).given + counters_of(&p.s[1]).given == 0);
    pair_fini(&p);
}

static void not_ready(pair *p)
{
    tri_server_set_ready(p->s[1].server, false);
}

static void stopping(pair *p)
{
    p->cells[1].flags |= TRI_BOARD_STOPPING;
}

static void stuck(pair *p)
{
    p->cells[1].beat -= (uint64_t)(TRI_BOARD_FRESH_MS + 1) * 1000000;
}

static void broken(pair *p)
{
    tri_server_close(p->s[1].server);
    close(p->receive[1]);
    p->receive[1] = dup(p->board);
}

/* Whoever is not fit to take connections gets none, and nobody notices. */
static void test_unfit(void)
{
    void (*const ways[])(pair *) = { not_ready, stopping, stuck, broken };
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        pair p;
        pair_init(&p);
        ways[k](&p);
        for (int i = 0; i < 20; i++)
            client_open(&clients[i], &p.s[0]);
        for (int i = 0; i < 4; i++)
            serving_turn(&p.s[0], 0);
        CHECK(open_of(&p, 0) == 20 && counters_of(&p.s[0]).given == 0);
        pair_fini(&p);
    }
}

/* A worker that stops hands nothing over. */
static void test_giver_stops(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < 20; i++)
        client_open(&clients[i], &p.s[0]);
    tri_server_stop(p.s[0].server);
    CHECK(counters_of(&p.s[0]).given == 0);
    all_are_served(&p, 20);
    pair_fini(&p);
}

/* A channel that is full: what does not go in is kept. */
static void test_full_channel(void)
{
    pair p;
    pair_init(&p);
    int small = 1;
    CHECK(setsockopt(p.send[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i], &p.s[0]);
    for (int i = 0; i < 8; i++)
        serving_turn(&p.s[0], 0);
    uint64_t given = counters_of(&p.s[0]).given;
    CHECK(given > 0 && given < 45 && open_of(&p, 0) + given == CLIENTS && p.cells[1].coming == (int32_t)given);
    PAIR_UNTIL(&p, open_of(&p, 1) == given);
    all_are_served(&p, CLIENTS);
    pair_fini(&p);
}

/* What is in the channel when its worker stops is served by it; when it is gone, by its successor. */
static void test_successor(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < 30; i++)
        client_open(&clients[i], &p.s[0]);
    serving_turn(&p.s[0], 0);
    CHECK(counters_of(&p.s[0]).given > 10);
    tri_server_stop(p.s[1].server);
    CHECK(open_of(&p, 1) == counters_of(&p.s[0]).given);
    all_are_served(&p, 30);
    for (int i = 0; i < 30; i++)
        client_close(&clients[i]);
    PAIR_UNTIL(&p, open_of(&p, 0) == 0 && open_of(&p, 1) == 0);
    serving_fini(&p.s[1]);
    p.cells[1].flags = TRI_BOARD_READY; /* as a worker is seen that has just been killed */
    p.cells[1].beat = now_ms() * 1000000;
    uint64_t before = counters_of(&p.s[0]).given;
    for (int i = 0; i < 30; i++)
        client_open(&clients[i], &p.s[0]);
    serving_turn(&p.s[0], 0);
    uint64_t waiting = counters_of(&p.s[0]).given - before;
    CHECK(waiting > 10);
    memset(&p.cells[1], 0, sizeof p.cells[1]);
    start(&p, 1);
    PAIR_UNTIL(&p, open_of(&p, 1) == waiting && p.cells[1].coming == 0);
    all_are_served(&p, 30);
    pair_fini(&p);
}

/* Sends what no worker would, with so many descriptors. */
static void send_odd(int channel, const void *bytes, size_t n, unsigned fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fds > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        control.header.cmsg_len = CMSG_LEN(fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        for (unsigned i = 0; i < fds; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &(int){ 1 }, sizeof(int));
    }
    CHECK(sendmsg(channel, &message, MSG_NOSIGNAL) == (ssize_t)n);
}

/* Foreign and damaged messages are dropped with what they hold, and what comes behind them is taken. */
static void test_foreign_messages(void)
{
    pair p;
    pair_init(&p);
    char bytes[sizeof(tri_balance_message) + 1] = { 0 };
    unsigned before = count_descriptors();
    for (unsigned fds = 0; fds <= 6; fds++) {
        send_odd(p.send[1], bytes, 0, fds);
        send_odd(p.send[1], bytes, 3, fds);
        send_odd(p.send[1], bytes, sizeof bytes - 1, fds);
        send_odd(p.send[1], bytes, sizeof bytes, fds);
    }
    tri_balance_message good = { .magic = 0x54524931, .peer = { .family = 77 } };
    send_odd(p.send[1], &good, sizeof good, 1);
    good = (tri_balance_message){ .magic = 0x54524931, .listener = { .family = 77 } };
    send_odd(p.send[1], &good, sizeof good, 1);
    good = (tri_balance_message){ .magic = 0x54524931, .proxied = 2 };
    send_odd(p.send[1], &good, sizeof good, 1);
    turns(&p, 3);
    CHECK(open_of(&p, 1) == 0 && count_descriptors() == before && counters_of(&p.s[1]).taken == 0);
    for (int i = 0; i < 20; i++)
        client_open(&clients[i], &p.s[0]);
    PAIR_UNTIL(&p, open_of(&p, 1) > 5 && open_of(&p, 0) + open_of(&p, 1) == 20);
    all_are_served(&p, 20);
    pair_fini(&p);
}

/* When nobody can hand over any more the channel is left alone: it would be readable for ever. */
static void test_hang_up(void)
{
    pair p;
    pair_init(&p);
    close(p.send[1]);
    p.send[1] = dup(p.board);
    turns(&p, 3);
    unsigned before = p.s[1].turns;
    serve_for(&p.s[1], 100);
    CHECK(p.s[1].turns - before <= 4);
    pair_fini(&p);
}

/* While descriptors are short, what was handed over waits. */
static void test_no_descriptors(void)
{
    pair p;
    pair_init(&p);
    for (int i = 0; i < 20; i++)
        client_open(&clients[i], &p.s[0]);
    serving_turn(&p.s[0], 0);
    uint64_t given = counters_of(&p.s[0]).given;
    CHECK(given > 5);
    struct rlimit usual;
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    struct rlimit none = { 0, usual.rlim_max };
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    serving_turn(&p.s[1], 0);
    unsigned before = p.s[1].turns;
    serve_for(&p.s[1], 250);
    CHECK(open_of(&p, 1) == 0 && p.s[1].turns - before < 10);
    CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    PAIR_UNTIL(&p, open_of(&p, 1) == given);
    all_are_served(&p, 20);
    pair_fini(&p);
}

/* Without memory a connection that was handed over is closed, as an accepted one is. */
static void test_no_memory(void)
{
    pair p;
    pair_init(&p);
    tri_server *server;
    check_mem *mem = &p.s[1].mem;
    for (int i = 0; i < 10; i++)
        client_open(&clients[i], &p.s[0]);
    serving_turn(&p.s[0], 0);
    mem->fail_at = mem->requests + 1;
    mem->fail_more = 1000000;
    serving_turn(&p.s[1], 0);
    CHECK(open_of(&p, 1) == 0 && counters_of(&p.s[1]).taken > 0);
    mem->fail_at = 0;
    check_mem own;
    check_mem_init(&own);
    tri_limits limits = short_limits();
    const tri_settings settings = { .mem = &own.mem, .limits = limits };
    CHECK(tri_server_new(&server, &settings) == 0);
    own.fail_at = own.requests + 1;
    CHECK(tri_server_balance(server, p.receive[0], p.send, WORKERS) == TRI_ENOMEM);
    own.fail_at = 0;
    CHECK(tri_server_balance(server, p.board, p.send, WORKERS) == TRI_ESYS);
    CHECK(tri_server_balance(server, p.receive[0], p.send, WORKERS) == 0);
    tri_server_free(server);
    CHECK(own.blocks_out == 0);
    pair_fini(&p);
}

static tri_addr seen_peer, seen_local;

static void app_addresses(serving *self, tri_exchange *exchange)
{
    seen_peer = *tri_exchange_peer(exchange);
    seen_local = *tri_exchange_local(exchange);
    app_hello(self, exchange);
}

/* The application sees the client and where it has connected to: over TCP, and by a Unix socket with its tag. */
static void test_addresses(void)
{
    pair p;
    pair_init(&p);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/tricorn-balance-%d", (int)getpid());
    int listener = tri_listener_unix(at.sun_path, 0600, 64);
    CHECK(listener >= 0 && tri_server_listen(p.s[0].server, listener, 7) == 0);
    p.s[1].app = app_addresses;
    for (int i = 0; i < 6; i++)
        client_open(&clients[i], &p.s[0]);
    PAIR_UNTIL(&p, open_of(&p, 0) + open_of(&p, 1) == 6 && open_of(&p, 1) > 0);
    struct sockaddr_in name;
    all_are_served(&p, 6);
    bool known = false;
    for (int i = 0; i < 6; i++) {
        CHECK(getsockname(clients[i].fd, (struct sockaddr *)&name, &(socklen_t){ sizeof name }) == 0);
        known = known || ntohs(name.sin_port) == seen_peer.port;
    }
    CHECK(known && seen_peer.family == TRI_FAMILY_IPV4 && seen_local.port == p.s[0].port);
    int fds[12];
    for (int i = 0; i < 12; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(fds[i], (struct sockaddr *)&at, sizeof at) == 0);
        CHECK(send(fds[i], GET("/"), strlen(GET("/")), 0) > 0);
    }
    PAIR_UNTIL(&p, seen_local.family == TRI_FAMILY_UNIX);
    CHECK(seen_local.port == 7 && seen_peer.family == TRI_FAMILY_UNIX);
    for (int i = 0; i < 12; i++)
        close(fds[i]);
    unlink(at.sun_path);
    pair_fini(&p);
}

/* A PROXY header is read by the worker that the connection ends at. */
static void test_proxied(void)
{
    pair p;
    int fds[TRI_LISTENER_MAX];
    tri_addr address;
    const tri_proxy_options options = { .allow = TRI_SPAN("127.0.0.1") };
    pair_init(&p);
    for (int i = 0; i < WORKERS; i++)
        CHECK(tri_server_set_proxies(p.s[i].server, &options) == 0);
    CHECK(tri_listener_tcp("127.0.0.1", 0, 64, fds) == 1);
    tri_listener_address(fds[0], &address);
    CHECK(tri_server_listen_proxied(p.s[0].server, fds[0], 0) == 0);
    p.s[0].port = address.port;
    p.s[1].app = app_addresses;
    for (int i = 0; i < 10; i++)
        client_open(&clients[i], &p.s[0]);
    PAIR_UNTIL(&p, open_of(&p, 0) + open_of(&p, 1) == 10);
    CHECK(open_of(&p, 1) >= 3);
    for (int i = 0; i < 10; i++)
        client_send(&clients[i], "PROXY TCP4 192.0.2.9 192.0.2.1 7777 80\r\n" GET("/"));
    for (int i = 0; i < 10; i++)
        PAIR_UNTIL(&p, client_has(&clients[i], "hello"));
    CHECK(seen_peer.port == 7777 && seen_peer.ip[3] == 9 && seen_local.port == 80);
    pair_fini(&p);
}

int main(void)
{
    unsigned before = count_descriptors();
    test_one_after_another();
    test_all_at_once();
    test_even_load();
    test_unfit();
    test_giver_stops();
    test_full_channel();
    test_successor();
    test_foreign_messages();
    test_hang_up();
    test_no_descriptors();
    test_no_memory();
    test_addresses();
    test_proxied();
    CHECK(count_descriptors() == before);
    return check_report();
}
