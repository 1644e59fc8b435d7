"""What a program has of a method: methods.py HOST PORT [names]

Prints connects in a row per second, MB/s of one download, and p50 and p99 of name lookups in ms, each name a new one.
"""
import socket, sys, time

host, port, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["names"]


def connects(count=60):
    began = time.perf_counter()
    for _ in range(count):
        socket.create_connection((host, port)).close()
    return count / (time.perf_counter() - began)


def download():
    s = socket.create_connection((host, port))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    began, total = time.perf_counter(), 0
    while part := s.recv(1 << 18):
        total += len(part)
    return total / (time.perf_counter() - began) / 1e6


def lookups(count=150):
    taken, salt = [], time.time_ns() % 60000
    for at in range(count):
        number = salt + at
        name = f"10-99-{number >> 8}-{number & 255}.default.pod.cluster.local"
        began = time.perf_counter()
        socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return taken[count // 2], taken[count * 99 // 100]


connects(3)
print(connects(), download(), *(lookups() if names else ("nan", "nan")))
