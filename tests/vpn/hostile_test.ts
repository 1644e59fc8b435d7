/** vpn-tcp where somebody makes it hard: floods, slow clients, kills at odd moments, others who change the machine. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { sleep } from "@/util/mod.ts";
import {
  HELPER_PATH,
  isAsBefore,
  machineTest,
  makePod,
  MUCH_TO_GIVE_BACK,
  processesOf,
  start,
  until,
  vpnTest,
} from "./harness.ts";
import type { Machine } from "./played_machine.ts";

/** Asks a question from each of many sockets at once, never again, and counts the answers. */
const FLOOD = `
import select, socket, struct, sys, time
count, name, server = int(sys.argv[1]), sys.argv[2], "192.168.77.1"
def query(i, name):
    return struct.pack("!HHHHHH", i, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0" + struct.pack("!HH", 1, 1)
sockets = {}
for i in range(count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((server, 53)); sockets[s.fileno()] = (s, i)
poll = select.poll()
for s, i in sockets.values(): poll.register(s, select.POLLIN)
for s, i in sockets.values(): s.send(query(i, name.replace("%", str(i))))
answered, end = 0, time.time() + 20
while answered < count and time.time() < end:
    for fd, what in poll.poll(1000):
        s, i = sockets[fd]; m = s.recv(2000); poll.unregister(fd)
        answered += struct.unpack("!H", m[:2])[0] == i
print(answered)`;

for (const name of ["helloworld.default.svc.cluster.local", "www.public.example", "nowhere-%.example"]) {
  vpnTest(`500 questions at once for ${name} are all answered`, async ({ machine }) => {
    equals(await machine.shell(`ulimit -n 4096; python3 -c '${FLOOD}' 500 ${name}`), "500");
  });
}

/** A client of DNS over TCP that is slow to ask, one that is slow to hear, and one beside them. */
const SLOW = `
import socket, struct
def query(i):
    q = struct.pack("!HHHHHH", i, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l for l in (b"helloworld", b"default", b"svc", b"cluster", b"local")) + b"\\0" + struct.pack("!HH", 1, 1)
    return struct.pack("!H", len(q)) + q
def connect():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096); s.settimeout(10); s.connect(("192.168.77.1", 53)); return s
def hear(s):
    f = s.makefile("rb"); return struct.unpack("!HH", f.read(4))[1], f.read(2)
asks, hears = connect(), connect()
asks.sendall(query(1)[:1])
hears.settimeout(2)
try:
    for i in range(1000000): hears.sendall(query(i % 65536))
    print("never held up")
except TimeoutError: print("held up")
for i in range(3):
    s = connect(); s.sendall(query(7)); print(hear(s)[0]); s.close()
for each in query(1)[1:]: asks.sendall(bytes([each]))
print(hear(asks)[0])`;

vpnTest("clients of DNS over TCP that are slow hold up nobody else", async ({ machine }) => {
  equals((await machine.shell(`timeout 60 python3 -c '${SLOW}'`)).split("\n"), ["held up", "7", "7", "7", "1"]);
});

/** Kills a helper's guardian, its relay or both, some time after it has begun to change the machine. */
async function killSoon(machine: Machine, whom: "guardian" | "relay" | "both", afterMs: number): Promise<void> {
  await until(async () => (await machine.run("sh", "-c", "cat /run/telepresence-vpn-*")).stdout !== "", "it has begun");
  await sleep(afterMs);
  const { guardian, relay } = await processesOf(machine);
  if (whom === "both") Deno.kill(guardian, "SIGSTOP"); // so that it does not see the other's end before its own
  for (const [pid, is] of [[relay, "relay"], [guardian, "guardian"]] as const) {
    if ((whom === "both" || whom === is) && pid > 0) Deno.kill(pid, "SIGKILL");
  }
}

for (const whom of ["guardian", "relay", "both"] as const) {
  machineTest(
    `kill -9 of ${whom} at any moment of the start leaves nothing that is not given back`,
    async (machine) => {
      const before = await machine.state();
      for (const afterMs of [0, 5, 10, 20, 40, 80, 160]) {
        const killing = killSoon(machine, whom, afterMs);
        // Whether the start was over by then does not matter; nor what it says.
        const starting = start(machine, makePod()).then(async (capture) => {
          await capture.closed.catch(() => {});
          await capture[Symbol.asyncDispose]();
        }).catch(() => {});
        await Promise.all([killing, starting]);
        if (whom === "both") {
          await until(async () => (await machine.run(HELPER_PATH, "--give-back")).code === 0, "recovered");
        }
        await isAsBefore(machine, before);
      }
    },
    MUCH_TO_GIVE_BACK,
  );
}
