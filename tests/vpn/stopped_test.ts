/** A session that is stopped (Ctrl-Z, SIGSTOP) leaves the machine its own names. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { isAsBefore, machineTest, MUCH_TO_GIVE_BACK, READ, until } from "./harness.ts";
import { type Machine, type Played, serve, WORLD } from "./played_machine.ts";

const SESSION = fileURLToPath(new URL("./session.ts", import.meta.url));
const SERVICE = "helloworld.default.svc.cluster.local";
const TOLD = "This session was stopped: meanwhile this machine's own servers alone answered for names";

/**
 * Asks from the same port each time, as a resolver that keeps its socket does: the answer's code, and how many records
 * it has. A question that got no answer is sent again.
 */
const ASK = `
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 40053)); s.connect(("${WORLD}", 53)); s.settimeout(3)
name = b"".join(bytes([len(each)]) + each.encode() for each in sys.argv[1].split("."))
query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + struct.pack("!BHH", 0, 1, 1)
for _ in range(10):
    try:
        s.send(query)
        answer = s.recv(4096)
        print(answer[3] & 15, answer[7])
        break
    except OSError: pass
`;

/** Many programs that wait for the cluster, more than there is room for at the session's door. */
const CROWD = `
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
crowd = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(6000)]
for each in crowd: each.sendto(b"hello", ("10.96.7.7", 7))
`;

function stoppedTest(
  name: string,
  body: (on: { machine: Machine; pid: number; said: string }) => Promise<void>,
  played: Played = {},
): void {
  machineTest(name, async (machine) => {
    const said = await Deno.makeTempFile();
    const before = await machine.state();
    {
      const words = ["run", "-A", "--no-check", SESSION, said, machine.path(""), ...machine.enter];
      await using session = await serve([Deno.execPath(), ...words]);
      await body({ machine, pid: session.pid, said }).finally(() => Deno.kill(session.pid, "SIGCONT"));
    }
    await isAsBefore(machine, before);
    await Deno.remove(said);
  }, played);
}

stoppedTest("a machine keeps its own names while the session is stopped, and wakes to the cluster's", async (on) => {
  const { machine, pid, said } = on;
  const ask = (name: string) => machine.shell(`timeout 60 python3 -c '${ASK}' ${name}`);
  const resolve = (name: string) => machine.shell(`timeout 60 getent ahostsv4 ${name} | awk '{ print $1; exit }'`);
  equals(await ask(SERVICE), "0 1");
  const carried = await machine.state();
  Deno.kill(pid, "SIGSTOP");

  equals(await resolve("www.public.example"), WORLD);
  equals(await machine.shell(`timeout 60 python3 -c '${READ}\nprint(read("www.public.example"))'`), "of the world");
  equals(await machine.shell("RES_OPTIONS=use-vc timeout 60 getent ahostsv4 printer.corp.example | wc -l"), "3");
  equals(await ask("printer.corp.example"), "0 1");
  equals(await ask("nowhere.corp.example"), "3 0");
  equals(await ask(SERVICE), "2 0", "the machine's servers would deny a name of the cluster");
  equals(await machine.state(), carried, "nothing is given back");
  equals(await Deno.readTextFile(said), "");

  Deno.kill(pid, "SIGCONT");
  equals(await ask(SERVICE), "0 1");
  equals(await ask("printer.corp.example"), "0 1");
  equals(await machine.shell(`timeout 60 python3 -c '${READ}\nprint(read("helloworld"))'`), "Hello from the pod");
  await until(async () => await Deno.readTextFile(said) === `${TOLD}\n`, "it is told once");
}, MUCH_TO_GIVE_BACK);

stoppedTest("programs that wait for a stopped session hold up no names, however many they are", async (on) => {
  Deno.kill(on.pid, "SIGSTOP");
  await on.machine.shell(`timeout 60 python3 -c '${CROWD}'`);
  equals(await on.machine.shell(`timeout 60 python3 -c '${ASK}' printer.corp.example`), "0 1");
});

stoppedTest("a stopped session that is killed gives everything back", async ({ machine, pid }) => {
  Deno.kill(pid, "SIGSTOP");
  equals(await machine.shell(`timeout 60 python3 -c '${ASK}' printer.corp.example`), "0 1");
  Deno.kill(pid, "SIGKILL");
}, MUCH_TO_GIVE_BACK);
