#define _GNU_SOURCE 1
/* The board: what a server writes into its cell, and when; what cannot be attached; calls that fail. */
#include "serving.h"

#include <sys/syscall.h>

#include "server/board.h"

static bool fail_map;

/* These go before the C library's. */
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fail_map && (flags & MAP_SHARED)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

static int new_board(size_t size)
{
    int fd = memfd_create("board", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    return fd;
}

/* The test's own view. */
static tri_board_cell *view(int fd, size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void test_what_cannot_be_attached(void)
{
    tri_board board = { 0 };
    int fd = new_board((size_t)2 * TRI_BOARD_CELL);
    int small = new_board(TRI_BOARD_CELL - 1);
    int large = new_board((size_t)(TRI_BOARD_SLOTS + 5) * TRI_BOARD_CELL);
    CHECK(tri_board_attach(&board, fd, 2) == TRI_EINVAL && tri_board_attach(&board, small, 0) == TRI_EINVAL);
    CHECK(tri_board_attach(&board, large, TRI_BOARD_SLOTS) == TRI_EINVAL && board.cells == NULL);
    CHECK(tri_board_attach(&board, -1, 0) == TRI_ESYS && errno == EBADF);
    fail_map = true;
    CHECK(tri_board_attach(&board, fd, 0) == TRI_ESYS && errno == ENOMEM && board.cells == NULL);
    fail_map = false;
    CHECK(tri_board_attach(&board, large, TRI_BOARD_SLOTS - 1) == 0 && board.slots == TRI_BOARD_SLOTS);
    CHECK(tri_board_attach(&board, fd, 0) == TRI_ESTATE);
    tri_board_detach(&board);
    tri_board_detach(&board);
    CHECK(board.cells == NULL);
    close(fd);
    close(small);
    close(large);
}

/* Each turn writes the worker's own cell and no other; flags and open connections are there at once. */
static void test_a_server_reports(void)
{
    serving s;
    client c;
    tri_limits limits = short_limits();
    size_t size = (size_t)3 * TRI_BOARD_CELL;
    int fd = new_board(size);
    tri_board_cell *cells = view(fd, size);
    serving_init(&s, &limits, app_hold);
    CHECK(tri_server_report(s.server, fd, 3) == TRI_EINVAL);
    CHECK(tri_server_report(s.server, fd, 1) == 0 && tri_server_report(s.server, fd, 1) == TRI_ESTATE);
    close(fd);
    CHECK(cells[1].pid == (uint32_t)getpid() && cells[1].flags == 0 && cells[1].beat == 0);
    tri_server_set_ready(s.server, true);
    CHECK(cells[1].flags == TRI_BOARD_READY && cells[1].beat > 0); /* others give to it before its first turn */
    client_open(&c, &s);
    client_send(&c, GET("/"));
    SERVE_UNTIL(&s, s.n_held == 1);
    CHECK(cells[1].open == 1);
    serve_for(&s, 20);
    SERVE_UNTIL(&s, cells[1].active == 1 && cells[1].exchanges == 1);
    CHECK(answer(s.held[0], "hello") == 0);
    serving_release(&s);
    tri_server_stop(s.server);
    CHECK(cells[1].flags == TRI_BOARD_STOPPING);
    SERVE_UNTIL(&s, client_ended(&c));
    client_close(&c);
    SERVE_UNTIL(&s, cells[1].open == 0);
    serving_fini(&s);
    CHECK(cells[0].pid == 0 && cells[2].pid == 0 && cells[0].beat == 0 && cells[2].beat == 0);
    munmap(cells, size);
}

/* It beats though nothing happens. */
static void test_idle_beats(void)
{
    serving s;
    tri_limits limits = short_limits();
    int fd = new_board(TRI_BOARD_CELL);
    tri_board_cell *cell = view(fd, TRI_BOARD_CELL);
    serving_init(&s, &limits, app_hello);
    CHECK(tri_server_report(s.server, fd, 0) == 0);
    serving_turn(&s, 0);
    for (int i = 0; i < 3; i++) {
        uint64_t before = cell->beat;
        serving_turn(&s, 1000);
        CHECK(cell->beat > before && cell->beat - before < (uint64_t)600 * 1000000);
    }
    CHECK(s.turns <= 6);
    serving_fini(&s);
    munmap(cell, TRI_BOARD_CELL);
    close(fd);
}

/* A loop that does not come is late, and the cell says so. */
static void test_lag(void)
{
    serving s;
    tri_limits limits = short_limits();
    int fd = new_board(TRI_BOARD_CELL);
    tri_board_cell *cell = view(fd, TRI_BOARD_CELL);
    serving_init(&s, &limits, app_hello);
    CHECK(tri_server_lag_ms(s.server) == 0 && counters_of(&s).lag_ms == 0);
    CHECK(tri_server_report(s.server, fd, 0) == 0);
    serving_turn(&s, 0);
    serving_turn(&s, 1000);
    usleep(700000);
    serving_turn(&s, 0);
    CHECK(tri_server_lag_ms(s.server) >= 400 && cell->lag_ms >= 400);
    CHECK(counters_of(&s).lag_ms >= 400);
    serving_fini(&s);
    munmap(cell, TRI_BOARD_CELL);
    close(fd);
}

int main(void)
{
    test_what_cannot_be_attached();
    test_a_server_reports();
    test_idle_beats();
    test_lag();
    return check_report();
}
