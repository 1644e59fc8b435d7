/*
 * front - one file that runs anywhere: carries a runtime and a bundle, unpacks them once, and becomes the runtime.
 *
 * Theory of operation
 *
 * Both are in our read-only data, compressed (payload.S), and have names that hold a hash of their contents. A start
 * looks for both by name and size in a directory of the user's alone, and executes the runtime with the bundle and our
 * arguments: process id, descriptors, signals' dispositions, argv[0] and exit status are those of whoever started us.
 *
 * What is not there is unpacked under a lock, beside its place; it comes to its place by rename(2), after fsync(2). So
 * nobody ever sees half a file, of several first starts one unpacks, and one that was killed leaves nothing that the
 * next would trust. zstd's own checksum says that what we unpacked is what was packed.
 *
 * The directory is the first that will do: the user's cache, then the directory for temporary files. It has to be the
 * user's and writable by nobody else (its files become our code), and so has what leads there; on a file system that
 * lets programs be executed and has space. When none will do, each is told with its reason.
 *
 * No policy but this is here: what the arguments mean is the bundle's. Linked statically, so that any libc will do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "names.h" /* made by the build: names and sizes of both, the runtime's version */
#include "zstd.h"

/* What telepresence itself ends with when it fails. */
#define EXIT_FAILED 255
/* The user's cache, below the directory that XDG_CACHE_HOME or HOME name. */
#define BELOW_CACHE "telepresence/unpacked"
/* How long ago another version's files were used when they go: a month, longer than any session is thought to last. */
#define FORGOTTEN_AFTER_S (30 * 24 * 3600)

/* struct part - one of the two files that we carry */
struct part {
	const char *name;          /* in the directory; holds the hash of the contents */
	off_t size;                /* unpacked */
	mode_t mode;
	const unsigned char *data; /* packed */
	const unsigned char *end;
};

extern const unsigned char front_runtime[], front_runtime_end[];
extern const unsigned char front_bundle[], front_bundle_end[];

static const struct part runtime = { RUNTIME_NAME, RUNTIME_SIZE, 0500, front_runtime, front_runtime_end };
static const struct part bundle = { BUNDLE_NAME, BUNDLE_SIZE, 0400, front_bundle, front_bundle_end };

/* struct place - a directory that may do */
struct place {
	char path[PATH_MAX];
	size_t given;              /* length of the beginning that is not for us to judge: $HOME, /tmp */
	const char *why;           /* why it does not do; NULL while nothing is wrong */
	const char *name;          /* the file that went wrong, if one did */
};

/* refuse() - remembers why a place does not do. Return: false, for the caller to return */
static bool refuse(struct place *place, const char *why)
{
	place->why = why;
	return false;
}

/* is_ours() - whether a file or directory is the user's and nobody else may write to it. Sets why where it is not */
static bool is_ours(const struct stat *st, struct place *place)
{
	if (st->st_uid != geteuid())
		return refuse(place, "it belongs to somebody else");
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return refuse(place, "others may write to it");
	return true;
}

/* may_execute() - whether programs of this directory's file system can be executed */
static bool may_execute(int dir)
{
#ifdef __APPLE__
	struct statfs fs;

	return fstatfs(dir, &fs) != 0 || !(fs.f_flags & MNT_NOEXEC);
#else
	struct statvfs fs;

	return fstatvfs(dir, &fs) != 0 || !(fs.f_flag & ST_NOEXEC);
#endif
}

/* make_directories() - makes what lacks of the path. Return: false when it cannot be, with why */
static bool make_directories(struct place *place)
{
	for (char *c = place->path + 1;; c++) {
		if (*c != '/' && *c != '\0')
			continue;
		char end = *c;
		*c = '\0';
		int failed = mkdir(place->path, 0700) != 0 ? errno : 0;
		/* What is there may well say that it cannot be made: it is read-only, or not ours. */
		bool lacks = failed != 0 && failed != EEXIST && access(place->path, F_OK) != 0;
		*c = end;
		if (lacks)
			return refuse(place, strerror(failed));
		if (end == '\0')
			return true;
	}
}

/*
 * is_anothers_base() - whether we are below somebody else's directory, /tmp and its like excepted: as root in a user's
 * home (sudo keeps HOME) we would leave directories that he cannot write to. Sets why
 */
static bool is_anothers_base(struct place *place)
{
	struct stat st;
	char next = place->path[place->given];

	place->path[place->given] = '\0';
	bool theirs = stat(place->path, &st) == 0 && st.st_uid != geteuid() && !(st.st_mode & S_ISVTX);
	place->path[place->given] = next;
	if (theirs)
		refuse(place, "it belongs to somebody else");
	return theirs;
}

/*
 * is_way_ours() - whether nobody else can put another directory in the place of one that leads there: what was looked at
 * is executed by its path. Sets why
 */
static bool is_way_ours(struct place *place)
{
	struct stat way, entry;

	for (char *slash = place->path + place->given; slash != NULL; slash = strchr(slash + 1, '/')) {
		bool is_base = slash == place->path + place->given;
		*slash = '\0';
		bool there = stat(place->path, &way) == 0 && lstat(place->path, &entry) == 0;
		*slash = '/';
		if (!there)
			return refuse(place, strerror(errno));
		if ((way.st_mode & S_IWOTH) && !(way.st_mode & S_ISVTX))
			return refuse(place, "others may write to a directory that leads there");
		if (!is_base && (entry.st_uid != geteuid() || (way.st_uid != geteuid() && way.st_uid != 0)))
			return refuse(place, "a directory that leads there belongs to somebody else");
	}
	return true;
}

/* open_place() - the directory itself, made where it lacks. Return: a descriptor, or -1 with why */
static int open_place(struct place *place)
{
	struct stat st;

	if (is_anothers_base(place) || !make_directories(place) || !is_way_ours(place))
		return -1;
	int dir = open(place->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) != 0)
		refuse(place, strerror(errno));
	else if (is_ours(&st, place) && !may_execute(dir))
		refuse(place, "it is mounted noexec");
	if (place->why == NULL)
		return dir;
	if (dir >= 0)
		close(dir);
	return -1;
}

/* is_there() - whether the directory has the whole part, and as we left it */
static bool is_there(int dir, const struct part *part, struct place *place)
{
	struct stat st;

	if (fstatat(dir, part->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	return S_ISREG(st.st_mode) && st.st_size == part->size && is_ours(&st, place);
}

/* write_all() - Return: 0, or errno's value */
static int write_all(int fd, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t written = write(fd, bytes, count);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno;
		bytes += written;
		count -= (size_t)written;
	}
	return 0;
}

/* decompress() - unpacks a part to a descriptor. Return: NULL, or why it failed */
static const char *decompress(const struct part *part, int fd)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	size_t room = ZSTD_DStreamOutSize();
	char *buffer = malloc(room);
	ZSTD_inBuffer in = { part->data, (size_t)(part->end - part->data), 0 };
	const char *why = stream == NULL || buffer == NULL ? strerror(ENOMEM) : NULL;
	size_t left = 1;

	while (why == NULL && left != 0) {
		ZSTD_outBuffer out = { buffer, room, 0 };
		left = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(left) || (left != 0 && out.pos == 0 && in.pos == in.size)) {
			why = "this program's file is damaged: get it anew";
			break;
		}
		int failed = write_all(fd, buffer, out.pos);
		if (failed != 0)
			why = strerror(failed);
	}
	free(buffer);
	ZSTD_freeDStream(stream);
	return why;
}

/* unpack() - puts a part at its place; the caller holds the lock. Return: false when it cannot be, with why */
static bool unpack(int dir, const struct part *part, struct place *place)
{
	char fresh[NAME_MAX];
	const char *why = NULL;

	snprintf(fresh, sizeof(fresh), "%s.part", part->name);
	unlinkat(dir, fresh, 0); /* of one that was killed, as nobody else is here */
	int fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse(place, strerror(errno));
	why = decompress(part, fd);
	if (why == NULL && (fchmod(fd, part->mode) != 0 || fsync(fd) != 0))
		why = strerror(errno);
	if (close(fd) != 0 && why == NULL)
		why = strerror(errno);
	if (why == NULL && renameat(dir, fresh, dir, part->name) != 0)
		why = strerror(errno);
	if (why == NULL)
		return true;
	unlinkat(dir, fresh, 0);
	return refuse(place, why);
}

/* lock() - until the descriptor is closed nobody else unpacks here. Return: a descriptor, or -1 with why */
static int lock(int dir, struct place *place)
{
	int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	refuse(place, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* forget_old() - removes what other versions of us unpacked here and did not use for long; the caller holds the lock */
static void forget_old(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	time_t long_ago = time(NULL) - FORGOTTEN_AFTER_S;
	struct stat st;

	if (entries == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		const char *name = entry->d_name;
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_mtime < long_ago &&
		    strcmp(name, "lock") != 0 && strcmp(name, runtime.name) != 0 && strcmp(name, bundle.name) != 0)
			unlinkat(dir, name, 0);
	}
	closedir(entries);
}

/* use() - says by its time that a part is in use; where that cannot be written, nobody forgets it either */
static void use(int dir, const struct part *part)
{
	(void)!utimensat(dir, part->name, NULL, AT_SYMLINK_NOFOLLOW);
}

/* fill() - has both parts in this place. Return: whether they are there */
static bool fill(struct place *place)
{
	int dir = open_place(place);

	if (dir < 0)
		return false;
	bool full = is_there(dir, &runtime, place) && is_there(dir, &bundle, place);
	int fd = full ? -1 : lock(dir, place);
	if (fd >= 0) {
		full = (is_there(dir, &runtime, place) || unpack(dir, &runtime, place)) &&
			(is_there(dir, &bundle, place) || unpack(dir, &bundle, place));
		forget_old(dir);
		close(fd);
	}
	use(dir, &runtime);
	use(dir, &bundle);
	close(dir);
	return full;
}

/* name_place() - Return: whether there is such a place: the base is an absolute path, and all of it fits */
static bool name_place(struct place *place, const char *base, const char *below)
{
	memset(place, 0, sizeof(*place));
	if (base == NULL || base[0] != '/')
		return false;
	place->given = strlen(base);
	int length = snprintf(place->path, sizeof(place->path), "%s/%s", base, below);
	/* Room for the names of the parts as well. */
	return length > 0 && (size_t)length + NAME_MAX < sizeof(place->path);
}

/* become() - executes the runtime with the bundle and our arguments. Returns when it cannot be, with why */
static void become(struct place *place, int argc, char **argv)
{
	static char program[PATH_MAX + NAME_MAX], script[PATH_MAX + NAME_MAX], cache[PATH_MAX + NAME_MAX];
	static char *words[] = { "run", "--allow-all", "--quiet", "--no-config", "--no-lock" };
	size_t given = sizeof(words) / sizeof(*words), count = 0;
	char **all = calloc(given + (size_t)argc + 4, sizeof(*all));

	if (all == NULL) {
		place->why = strerror(ENOMEM);
		return;
	}
	snprintf(program, sizeof(program), "%s/%s", place->path, runtime.name);
	snprintf(script, sizeof(script), "%s/%s", place->path, bundle.name);
	all[count++] = argc > 0 ? argv[0] : "telepresence";
	for (size_t i = 0; i < given; i++)
		all[count++] = words[i];
	all[count++] = script;
	for (int i = 1; i < argc; i++)
		all[count++] = argv[i];
	/* Deno would ask whether there is a newer one of itself. The mark tells that the user's programs lack the variable. */
	if (getenv("DENO_NO_UPDATE_CHECK") == NULL) {
		setenv("DENO_NO_UPDATE_CHECK", "1", 1);
		setenv("DENO_NO_UPDATE_CHECK_BY", "telepresence", 1);
	}
	/* What Deno keeps of the bundle's compiled code goes with us; in its own place it would outlive our removal. */
	if (getenv("DENO_DIR") == NULL) {
		snprintf(cache, sizeof(cache), "%s/cache", place->path);
		setenv("DENO_DIR", cache, 1);
		setenv("DENO_DIR_BY", "telepresence", 1);
	}
	execv(program, all);
	int failed = errno;
	place->why = strerror(failed);
	place->name = runtime.name;
	free(all);
	if (failed != ENOENT)
		return;
	/* The file is there, so what is not there is the loader that it names. */
	fprintf(stderr, "T: Error: Cannot start Deno " RUNTIME_VERSION ": it needs glibc, and this system has none\n");
	exit(EXIT_FAILED);
}

/* tell() - says what no start came of */
static void tell(const struct place *places, size_t count)
{
	fprintf(stderr, "T: Error: Cannot unpack Deno " RUNTIME_VERSION ", %lld MB, for the first start: no directory will do\n",
		(long long)(runtime.size + bundle.size) / 1000000 + 1);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "T: Cause: %s%s%s: %s\n", places[i].path, places[i].name ? "/" : "",
			places[i].name ? places[i].name : "", places[i].why);
	fprintf(stderr, "T: Hint: XDG_CACHE_HOME=DIRECTORY names another one: yours alone, with space, not mounted noexec\n");
}

int main(int argc, char **argv)
{
	static struct place places[4];
	char cwd[PATH_MAX], user[64];
	size_t count = 0;

	/* The runtime itself would fail without a sentence here. */
	if (getcwd(cwd, sizeof(cwd)) == NULL && errno == ENOENT) {
		fprintf(stderr, "T: Error: Current working directory does not exist.\n");
		return EXIT_FAILED;
	}
	const char *home = getenv("HOME"), *temporary = getenv("TMPDIR");
	snprintf(user, sizeof(user), "telepresence-%lu", (unsigned long)geteuid());
	if (temporary != NULL && strcmp(temporary, "/tmp") == 0)
		temporary = NULL;
	const char *candidates[][2] = {
		{ getenv("XDG_CACHE_HOME"), BELOW_CACHE },
		{ home, ".cache/" BELOW_CACHE },
		{ temporary, user },
		{ "/tmp", user },
	};
	for (size_t i = 0; i < sizeof(candidates) / sizeof(*candidates); i++) {
		struct place *place = &places[count];
		if (!name_place(place, candidates[i][0], candidates[i][1]))
			continue;
		count++;
		if (fill(place))
			become(place, argc, argv);
	}
	tell(places, count);
	return EXIT_FAILED;
}
