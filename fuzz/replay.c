/* Runs a fuzzer's function over the files that are named, or all those in the folders: what was found once is found
   again without libFuzzer. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { FILE_MAX = 1 << 16 };

static unsigned replay_file(const char *path)
{
    static uint8_t bytes[FILE_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees where it ends */
    if (exact == NULL)
        abort();
    memcpy(exact, bytes, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return 1;
}

/* Replays a file, or a folder's files; returns how many. A folder that is not there has none. */
static unsigned replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        struct stat status;
        return stat(path, &status) == 0 ? replay_file(path) : 0;
    }
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        n += replay_file(inside);
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    CHECK(n > 0);
    printf("%u inputs\n", n);
    return check_report();
}
