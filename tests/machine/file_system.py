"""Does hard things to files in the directory that it is given, and prints what came of each, one line a thing.

Run on a directory of a disk and on the same through a mount, it must print the same. Left out is what protocol 3 of SFTP
and sshfs cannot do; docs/volumes.md says it: times below a second, errno beyond a few (ENOTEMPTY of a rename), the true
inode behind two hard links, and that a file which is replaced while it is open has a name until it is closed. Names that
are not UTF-8 are in byte_names.py, volumes that are full or read-only in full_volume.py.
"""
import errno, mmap, os, stat, sys, threading

os.chdir(sys.argv[1])
os.umask(0o022)


def tell(name, act):
    try:
        result = act()
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{name}: {result!r}")


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644, at=None):
    fd = os.open(path, flags, mode)
    try:
        return os.pwrite(fd, data, at) if at is not None else os.write(fd, data)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def mode(path):
    return oct(os.lstat(path).st_mode)


def names(path="."):
    return sorted(name for name in os.listdir(path) if not name.startswith(".fuse_hidden"))


# Flags of open.
tell("open what is not there", lambda: os.open("none", os.O_RDONLY))
tell("create", lambda: write("f", b"12345", mode=0o640))
tell("mode of a new file", lambda: mode("f"))
tell("create exclusively what is there", lambda: os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
tell("write over the beginning", lambda: write("f", b"x", os.O_WRONLY))
tell("then", lambda: read("f"))
tell("append", lambda: write("f", b"6", os.O_WRONLY | os.O_APPEND))
tell("then", lambda: read("f"))
tell("truncate by open", lambda: write("f", b"ab", os.O_WRONLY | os.O_TRUNC))
tell("then", lambda: read("f"))
tell("write to what is open for reading", lambda: os.write(os.open("f", os.O_RDONLY), b"x"))
tell("open a directory for writing", lambda: os.open(".", os.O_WRONLY))
tell("open a file as a directory", lambda: os.open("f", os.O_RDONLY | os.O_DIRECTORY))
tell("a file below a file", lambda: os.open("f/x", os.O_RDONLY))

# Truncate, sparse files, large offsets.
tell("truncate to more", lambda: os.truncate("f", 10))
tell("then", lambda: read("f"))
tell("truncate to less", lambda: os.truncate("f", 1))
tell("then", lambda: read("f"))
tell("write behind 2 GiB", lambda: write("far", b"end", at=2**31 + 7))
tell("its size", lambda: os.stat("far").st_size)
tell("its hole", lambda: (lambda fd: (os.pread(fd, 4, 2**31 + 4), os.close(fd)))(os.open("far", os.O_RDONLY)))
tell("write behind 4 GiB", lambda: write("far", b"end", os.O_WRONLY, at=2**32 + 7))
tell("its size", lambda: os.stat("far").st_size)
tell("truncate it", lambda: (os.truncate("far", 0), os.stat("far").st_size))

# Rename.
write("a", b"a"), write("b", b"b")
held = os.open("b", os.O_RDONLY)
tell("rename over", lambda: os.rename("a", "b"))
tell("then", lambda: (names(), read("b")))
tell("what was replaced, still open", lambda: os.pread(held, 10, 0))
os.close(held)
os.mkdir("d"), os.mkdir("d/e"), write("d/f", b"")
tell("rename a directory", lambda: (os.rename("d", "d2"), names("d2")))
tell("rename onto an empty directory", lambda: (os.mkdir("x"), os.rename("d2", "x"), names("x")))
tell("rename what is not there", lambda: os.rename("none", "none2"))

# Remove while open.
write("open", b"still here")
held = os.open("open", os.O_RDWR)
os.unlink("open")
tell("read what was removed", lambda: os.pread(held, 100, 0))
tell("write to it", lambda: os.pwrite(held, b"and on", 10))
tell("read it again", lambda: os.pread(held, 100, 0))
tell("it is not there", lambda: os.path.exists("open"))
os.close(held)
tell("nothing of it is left", lambda: [name for name in os.listdir(".") if "open" in name or "fuse" in name])
tell("remove a directory with something in it", lambda: os.rmdir("x") if not os.listdir("x") else "not empty")
tell("remove what is not there", lambda: os.unlink("none"))
tell("remove a directory", lambda: (os.mkdir("gone"), os.rmdir("gone"), os.path.exists("gone")))

# Directories.
tell("mkdir over a file", lambda: os.mkdir("f"))
tell("mkdir below what is not there", lambda: os.mkdir("none/d"))
tell("mode of a new directory", lambda: (os.mkdir("m", 0o777), mode("m")))
tell("many entries", lambda: (os.mkdir("many"), [write(f"many/{n}", b"") for n in range(700)] and len(names("many"))))

# Symlinks.
tell("a symlink", lambda: (os.symlink("f", "l"), os.readlink("l"), read("l"), stat.S_ISLNK(os.lstat("l").st_mode)))
tell("through a directory", lambda: (os.symlink("m", "lm"), write("lm/in", b"1"), read("m/in")))
tell("upwards", lambda: (os.symlink("../f", "m/up"), os.readlink("m/up"), read("m/up")))
tell("to nothing", lambda: (os.symlink("none", "dangling"), os.path.lexists("dangling"), os.path.exists("dangling")))
tell("a loop", lambda: (os.symlink("loop", "loop"), read("loop")))
tell("write through one to nothing", lambda: (write("dangling", b"made"), read("none")))
tell("rename one", lambda: (os.rename("l", "l2"), os.readlink("l2"), read("f")))
tell("remove one", lambda: (os.unlink("l2"), read("f")))
tell("the switch of a ConfigMap", lambda: (
    os.mkdir("..1"), write("..1/k", b"one"), os.symlink("..1", "..data"), os.symlink("..data/k", "k"), read("k"),
    os.mkdir("..2"), write("..2/k", b"two"), os.symlink("..2", "..tmp"), os.rename("..tmp", "..data"))[4])

# Names.
for name in ["blank and  two", " lead", "tab\tnew\nline", "quote'\"`$", "back\\slash", "-dash", "*?[", "ünïcödé", "😀", "e\u0301",
             "x" * 255, "".join(chr(c) for c in range(1, 128) if chr(c) != "/")]:
    tell(f"the name {name[:20]!r}", lambda: (write(name, name.encode()), name in os.listdir("."), read(name) == name.encode(),
                                             os.rename(name, "moved"), os.unlink("moved")))

# Attributes.
tell("chmod", lambda: [(os.chmod("f", bits), mode("f")) for bits in (0o600, 0o755, 0o444, 0o1777, 0o644)])
tell("times", lambda: (os.utime("f", (10**9, 2 * 10**9)), os.stat("f").st_atime, os.stat("f").st_mtime))
tell("owner is who runs this", lambda: (os.stat("f").st_uid == os.getuid(), os.stat("f").st_gid == os.getgid()))
tell("fsync", lambda: (lambda fd: (os.write(fd, b"s"), os.fsync(fd), os.fdatasync(fd), os.close(fd)))(os.open("s", os.O_WRONLY | os.O_CREAT)))
tell("space", lambda: os.statvfs(".").f_blocks > 0)
tell("hard link", lambda: (os.link("f", "hard"), read("hard"), os.unlink("f"), read("hard")))

# Memory.
def through_memory():
    fd = os.open("mem", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8192)
    with mmap.mmap(fd, 8192) as memory:
        memory[4096:4101] = b"hello"
        memory.flush()
    os.close(fd)
    return read("mem")[4090:4104]
tell("a shared mapping", through_memory)

# Readers and writers together.
def together():
    block = 8192
    write("shared", b"\0" * block * 16)
    wrong = []
    def writer(number):
        fd = os.open("shared", os.O_WRONLY)
        for turn in range(20):
            os.pwrite(fd, bytes([number + 1]) * block, block * number)
        os.close(fd)
    def reader():
        fd = os.open("shared", os.O_RDONLY)
        for turn in range(40):
            for number in range(16):
                seen = set(os.pread(fd, block, block * number))
                if not seen <= {0, number + 1}:
                    wrong.append((number, seen))
        os.close(fd)
    threads = [threading.Thread(target=writer, args=(n,)) for n in range(16)] + [threading.Thread(target=reader) for _ in range(3)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    return wrong, [read("shared")[block * n:block * (n + 1)] == bytes([n + 1]) * block for n in range(16)]
tell("readers and writers together", together)
tell("at the end", lambda: len(names()))
