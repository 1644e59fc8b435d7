"""Random operations on one file, each checked against the same in memory: FILE SEED COUNT [LARGEST]."""
import mmap, os, random, sys

path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
LIMIT = int(sys.argv[4]) if len(sys.argv) > 4 else 300_000
want = bytearray()
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def place():
    return chance.randrange(LIMIT), chance.choice([1, 511, 4096, 65536, chance.randrange(1, 40_000)])


def write():
    at, length = place()
    data = chance.randbytes(min(length, LIMIT - at))
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)
    if len(want) < at:
        want.extend(bytes(at - len(want)))
    want[at:at + len(data)] = data


def read():
    at, length = place()
    got = os.pread(fd, length, at)
    expected = bytes(want[at:at + length])
    assert got == expected, f"read {length} at {at}: got {len(got)} bytes, wanted {len(expected)}, first difference at " + str(
        next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), "the end"))


def truncate():
    size = chance.randrange(LIMIT)
    os.ftruncate(fd, size)
    del want[size:]
    want.extend(bytes(size - len(want)))


def map_and_write():
    if not want:
        return
    at = chance.randrange(len(want))
    data = chance.randbytes(min(chance.randrange(1, 10_000), len(want) - at))
    with mmap.mmap(fd, len(want)) as memory:
        memory[at:at + len(data)] = data
        memory.flush()
    want[at:at + len(data)] = data


def map_and_read():
    if want:
        with mmap.mmap(fd, len(want), prot=mmap.PROT_READ) as memory:
            assert memory[:] == bytes(want), "mapping"


def reopen():
    global fd
    os.close(fd)
    fd = os.open(path, os.O_RDWR)


def forget():
    """Has the kernel ask the file system for what it holds."""
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def scan():
    """From front to back in even steps, as `cat` does, by a handle of its own; now and then the file is written meanwhile."""
    forget()
    other = os.open(path, os.O_RDONLY)
    at, step = chance.choice([0, chance.randrange(len(want) + 1)]), chance.choice([4096, 65536, 300_000])
    while at < len(want):
        expected = bytes(want[at:at + step])
        got = os.pread(other, step, at)
        assert got == expected, f"scan by {step} at {at}: got {len(got)} bytes, wanted {len(expected)}"
        at += step
        if chance.random() < 0.03:
            chance.choice([write, truncate, forget])()
    os.close(other)


def check():
    assert os.fstat(fd).st_size == len(want), f"size {os.fstat(fd).st_size}, wanted {len(want)}"


for number in range(count):
    act = chance.choices([write, read, truncate, map_and_write, map_and_read, reopen, check, forget, scan],
                         [30, 30, 8, 10, 5, 5, 10, 2, 5])[0]
    try:
        act()
    except AssertionError as error:
        sys.exit(f"seed {seed}, operation {number}: {error}")
os.close(fd)
with open(path, "rb") as file:
    assert file.read() == bytes(want), "at the end"
print(f"{count} operations, {len(want)} bytes")
