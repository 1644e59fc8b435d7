/*
 * beside.c - whether a volume is found by what libc opens by itself
 *
 * beside VOLUME: VOLUME holds `run` and `sub`. One line for each function: whether it found something there.
 */
#include <dlfcn.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __GLIBC__
#include <fts.h>
#endif

static void tell(const char *name, int found)
{
    printf("%s: %s\n", name, found ? "something" : "nothing");
}

static int go_on(const char *path, const struct stat *about, int kind)
{
    (void)path;
    (void)about;
    (void)kind;
    return 0;
}

/* `run` is a program, so that it is never loaded: the error says whether it was read */
static int loads(const char *path)
{
    return dlopen(path, RTLD_NOW) || !strstr(dlerror(), "No such file");
}

static int globs(const char *path)
{
    glob_t found;
    int code = glob(path, 0, NULL, &found);

    if (code == 0)
        globfree(&found);
    return code == 0;
}

#ifdef __GLIBC__
static int walks(char *path)
{
    char *const paths[] = {path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL, NULL);
    FTSENT *first = tree ? fts_read(tree) : NULL;
    int found = first && first->fts_info == FTS_D;

    if (tree)
        fts_close(tree);
    return found;
}
#endif

int main(int argc, char **argv)
{
    char program[PATH_MAX], pattern[PATH_MAX];

    if (argc != 2)
        return 2;
    snprintf(program, sizeof(program), "%s/run", argv[1]);
    snprintf(pattern, sizeof(pattern), "%s/s*b", argv[1]);
    tell("dlopen", loads(program));
    tell("ftw", ftw(argv[1], go_on, 4) == 0);
    tell("glob", globs(pattern));
#ifdef __GLIBC__
    tell("fts_open", walks(argv[1]));
#endif
    return 0;
}
