"""A played machine's forwarder of names, as dnsmasq or systemd-resolved is one, for a cluster that asks this machine.

forwarder.py NAMESPACE ADDRESS SERVER

It listens where it was started, at ADDRESS, which the cluster reaches; it asks SERVER as any program of the machine
does, whose network namespace is NAMESPACE. Says "ready" when it listens, and ends with its standard input.
"""
import ctypes, os, socket, sys, threading

CLONE_NEWNET = 0x40000000
namespace, address, server = sys.argv[1:]
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind((address, 53))
if ctypes.CDLL(None, use_errno=True).setns(os.open(namespace, os.O_RDONLY), CLONE_NEWNET):
    sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")


def ask(query, peer):
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there.settimeout(10)
    there.connect((server, 53))
    try:
        there.send(query)
        here.sendto(there.recv(65535), peer)
    except OSError:
        pass  # who asked asks again, or gives up
    there.close()


def listen():
    while True:
        query, peer = here.recvfrom(65535)
        # setns() is a thread's own, and a new thread has its maker's.
        threading.Thread(target=ask, args=(query, peer), daemon=True).start()


print("ready", flush=True)
threading.Thread(target=listen, daemon=True).start()
sys.stdin.read()
os._exit(0)
