"""Writes to the directory that it is given, which has room for 1 MiB and 16 names, and prints what came of each thing; then to
the same, read-only, as the second word says.

Run on a disk and through a mount, it must print the same, but for the two errors that protocol 3 of SFTP has no word for.
"""
import errno, os, sys

os.chdir(sys.argv[1])


def tell(name, act):
    try:
        result = act()
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{name}: {result!r}")


def put(path, count, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    """A program that looks at what each call says."""
    fd = os.open(path, flags, 0o644)
    try:
        for _ in range(count):
            done = 0
            while done < 65536:
                done += os.write(fd, b"x" * (65536 - done))
        os.fsync(fd)
    finally:
        os.close(fd)


def whole(path):
    with open(path, "rb") as file:
        text = file.read()
    return len(text) == os.stat(path).st_size and text == b"x" * len(text) and len(text) > 0


if sys.argv[2] == "full":
    tell("keep", lambda: put("kept", 2))
    tell("fill", lambda: put("much", 40))
    tell("what was written", lambda: (whole("much"), os.stat("much").st_size > 700_000))
    tell("what was there", lambda: (whole("kept"), os.stat("kept").st_size))
    tell("once more, in step", lambda: put("kept", 1, os.O_WRONLY | os.O_APPEND | os.O_SYNC))
    tell("room", lambda: os.statvfs(".").f_bavail)
    tell("remove", lambda: os.unlink("much"))
    tell("then there is room", lambda: (put("again", 10), whole("again")))
    tell("names", lambda: [os.mkdir(f"d{number}") for number in range(20)])
    tell("a file", lambda: put("one-more", 0))
    tell("a symlink", lambda: os.symlink("kept", "link"))
    tell("rename", lambda: (os.rename("again", "moved"), whole("moved")))
    tell("remove", lambda: [os.rmdir(name) for name in os.listdir(".") if os.path.isdir(name)] and None)
else:
    tell("read", lambda: whole("kept"))
    tell("open to write", lambda: os.open("kept", os.O_WRONLY))
    tell("open to append", lambda: os.open("kept", os.O_WRONLY | os.O_APPEND))
    tell("create", lambda: put("new", 1))
    tell("mkdir", lambda: os.mkdir("d"))
    tell("remove", lambda: os.unlink("kept"))
    tell("rename", lambda: os.rename("kept", "other"))
    tell("symlink", lambda: os.symlink("kept", "link"))
    tell("link", lambda: os.link("kept", "hard"))
    tell("truncate", lambda: os.truncate("kept", 1))
    tell("chmod", lambda: os.chmod("kept", 0o600))
    tell("times", lambda: os.utime("kept", (1, 1)))
    tell("names", lambda: sorted(os.listdir(".")))
    tell("read again", lambda: whole("kept"))
