"""Names that are not UTF-8: LOCAL MOUNT, the same directory twice. Makes some by the former, tries them by the latter.

Deno cannot name such files, so the agent cannot; what counts is that it says so, and never takes another file for one.
"""
import errno, os, sys

local, mount = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])


def put(path, text):
    with open(path, "wb") as file:
        file.write(text)


def get(path):
    with open(path, "rb") as file:
        return file.read()


def tree():
    return sorted((path, os.readlink(path) if os.path.islink(path) else get(path)) for path in
                  (os.path.join(at, name) for at, _, names in os.walk(local) for name in names))


def refused(act, what, want=errno.EOPNOTSUPP):
    try:
        act()
    except OSError as error:
        got = os.strerror(error.errno)
        assert got == os.strerror(want), f"{what}: {got}, wanted {os.strerror(want)}"
    else:
        raise AssertionError(f"{what}: was not refused")


# U+FFFD is what stands for such bytes where they are taken for text: one file really has it in its name.
put(local + b"/only\xff", b"only")
put(local + b"/twin\xff", b"hidden twin")
put(local + "/twin\ufffd".encode(), b"true twin")
put(local + b"/plain", b"plain")
os.mkdir(local + b"/dir\xfe"), put(local + b"/dir\xfe/in", b"in")
os.mkdir(local + b"/holds"), put(local + b"/holds/\xe9t\xe9", b"latin")
os.symlink(b"twin\xff", local + b"/to-bytes")
os.symlink("twin\ufffd", local + b"/to-twin")
before = tree()

assert sorted(os.listdir(mount)) == sorted([b"twin\xef\xbf\xbd", b"plain", b"holds", b"to-bytes", b"to-twin"]), os.listdir(mount)
assert get(mount + "/twin\ufffd".encode()) == get(mount + b"/to-twin") == b"true twin"
refused(lambda: os.stat(mount + "/only\ufffd".encode()), "what an entry seems to be called", errno.ENOENT)
assert os.listdir(mount + b"/holds") == []
refused(lambda: os.rmdir(mount + b"/holds"), "rmdir of what seems empty", errno.ENOTEMPTY)

for byte in range(0x80, 0x100):
    name = mount + b"/n" + bytes([byte])
    for what, act in {
        "create": lambda: os.open(name, os.O_CREAT | os.O_WRONLY, 0o644),
        "open": lambda: os.open(name, os.O_RDONLY),
        "stat": lambda: os.stat(name),
        "mkdir": lambda: os.mkdir(name),
        "rename to": lambda: os.rename(mount + b"/plain", name),
        "link to": lambda: os.link(mount + b"/plain", name),
        "symlink at": lambda: os.symlink("plain", name),
        "symlink to": lambda: os.symlink(bytes([byte]), mount + b"/s"),
        "unlink": lambda: os.unlink(name),
        "list": lambda: os.listdir(name),
    }.items():
        refused(act, f"{what} {name}")
for name in [b"only\xff", b"twin\xff", b"dir\xfe", b"dir\xfe/in", b"holds/\xe9t\xe9"]:
    refused(lambda: os.stat(mount + b"/" + name), name)
    refused(lambda: os.open(mount + b"/" + name, os.O_RDWR), name)
    refused(lambda: os.unlink(mount + b"/" + name), name)
for what, act in {
    "readlink": lambda: os.readlink(mount + b"/to-bytes"),
    "read": lambda: get(mount + b"/to-bytes"),
    "write": lambda: put(mount + b"/to-bytes", b"x"),
}.items():
    refused(act, f"{what} of a symlink to bytes")
assert tree() == before, (before, tree())

put(mount + "/twin\ufffd".encode(), b"written")
os.rename(mount + "/twin\ufffd".encode(), mount + b"/moved")
assert get(local + b"/moved") == b"written" and get(local + b"/twin\xff") == b"hidden twin"
os.unlink(mount + b"/to-bytes")
assert not os.path.lexists(local + b"/to-bytes") and get(local + b"/twin\xff") == b"hidden twin"
print("as they should be")
