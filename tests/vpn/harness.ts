/**
 * What the tests of vpn-tcp share: a played machine whose pod is a table in this process. Where no machine can be played
 * they are skipped, and one line says why.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  type Capture,
  type Machine as Helper,
  type MachineOptions,
  openMachine,
  startVpn,
  type VpnOptions,
} from "@/capture/mod.ts";
import type { DnsRecord } from "@/dns/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { type DatagramFlow, type DnsAnswer, LookupError, type Pod } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { makeFakePod } from "../shim/fake_pod.ts";
import { greeter } from "../netns/harness.ts";
import { type Machine, type Played, playMachine, whyNot } from "./played_machine.ts";

/** The helper, as it was built. */
export const HELPER_PATH = fileURLToPath(new URL("../../build/netns/telepresence-netns", import.meta.url));
const HELPER = await Deno.readFile(HELPER_PATH);
const reason = await whyNot();
if (reason !== undefined) {
  await Deno.stderr.write(new TextEncoder().encode(`tests/vpn are skipped: ${reason}\n`));
}

/** The machine that is played now, for pods that reach it. */
export const playing: Machine[] = [];

const hello = greeter("Hello from the pod\n");

/** The cluster of these tests: addresses by name; every address answers on port 80. */
export const NAMES: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.default.svc.cluster.local": ["10.96.0.1"],
  "helloworld.default.svc.cluster.local": ["10.96.7.7"],
  "both.default.svc.cluster.local": ["10.96.7.8", "fd00:96::7"],
  "six.default.svc.cluster.local": ["fd00:96::6"],
  "silent.default.svc.cluster.local": [],
  "far.default.svc.cluster.local": ["10.200.1.1"],
  "web.other.svc.cluster.local": ["10.96.8.8"],
  "db.private.example": ["10.77.0.5"],
  "six.private.example": ["2001:db8:77::6"],
  "db.cloud.example": ["203.0.113.5", "203.0.113.6", "2001:db8:5::1"],
};

/** Reads all of what a server says: a function of Python, `read(host)`. */
export const READ = `
import socket, errno
def read(host, port=80):
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    s = socket.socket(family, kind); s.settimeout(5)
    code = s.connect_ex(address)
    if code: return errno.errorcode[code]
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    text = b""
    while (part := s.recv(4096)): text += part
    return text.decode().strip().split("\\n")[-1]
`;

/** What a test has. */
export interface OnMachine {
  readonly machine: Machine;
  readonly capture: Capture;
  readonly pod: Pod & { readonly dials: string[]; readonly asked: string[] };
  readonly log: string[];
}

/** How the helper is started. */
export interface HelperStart extends Pick<MachineOptions, "asRoot" | "iptables" | "directories"> {
  /** What the session has in the helper's place. @default {the helper} */
  readonly around?: (helper: Helper) => Promise<Helper>;
}

/** Options of a test. */
export interface VpnTest {
  readonly played?: Played;
  readonly options?: Partial<VpnOptions>;
  /** How the helper is started there, and by what it makes its rules. */
  readonly helper?: HelperStart;
  /** What the pod is asked, where it is not the table. */
  readonly resolve?: (name: string, type: number) => Promise<DnsAnswer> | undefined;
}

/** A test of a session on a played machine. */
export function vpnTest(name: string, body: (on: OnMachine) => Promise<void>, test: VpnTest = {}): void {
  machineTest(name, async (machine) => {
    const log: string[] = [];
    const pod = makePod(test);
    playing[0] = machine;
    const before = await machine.state();
    {
      await using capture = await start(machine, pod, log, test.options, test.helper);
      await body({ machine, capture, pod, log }).catch((error) => {
        throw new Error(`${error instanceof Error ? error.message : error}\n${log.join("\n")}`, { cause: error });
      });
    }
    equals(await machine.state(), before, "the machine is as it was");
  }, test.played);
}

/** A test on a played machine. */
export function machineTest(name: string, body: (machine: Machine) => Promise<void>, played: Played = {}): void {
  Deno.test({
    name: reason === undefined ? name : `${name} (skipped: ${reason})`,
    ignore: reason !== undefined,
    async fn() {
      await using machine = await playMachine(played);
      await body(machine);
    },
  });
}

/** Starts carrying a played machine. */
export async function start(
  machine: Pick<Machine, "enter" | "path">,
  pod: Pod,
  log: string[] = [],
  options: Partial<VpnOptions> = {},
  { around = (helper) => Promise.resolve(helper), ...how }: HelperStart = {},
): Promise<Capture> {
  const told = makeLog((line) => void log.push(line), { verbose: true });
  const helper = await openMachine({ helper: HELPER, asRoot: [], enter: machine.enter, ...how, log: told });
  return await startVpn(pod, {
    machine: await around(helper),
    ranges: ["10.96.0.0/16", "fd00:96::/112"],
    namespace: "default",
    hostname: "developer",
    ownAddresses: () => ["127.0.0.1", "192.168.77.2"],
    resolve: (name) => Promise.resolve(name === "kept.example" ? ["10.96.9.9"] : []),
    resolvConf: machine.path("/etc/resolv.conf"),
    nsswitchConf: machine.path("/etc/nsswitch.conf"),
    log: told,
    ...options,
  });
}

/** A pod whose cluster is the table. */
export function makePod({ resolve }: VpnTest = {}): OnMachine["pod"] {
  const asked: string[] = [];
  const services = new Proxy({}, { get: (_, key) => String(key).endsWith(" 80") ? hello.port : "ECONNREFUSED" });
  const fake = makeFakePod({ services, names: {} });
  return {
    ...fake,
    dials: fake.dials,
    asked,
    resolve(name, type) {
      asked.push(`${name} ${type}`);
      return resolve?.(name, type) ?? Promise.resolve(lookUp(name, type));
    },
    datagrams: () => Promise.resolve(echoFlow()),
  };
}

/** An answer of the table. */
export function lookUp(name: string, type: number): DnsAnswer {
  const searched = [name.replace(/\.$/, ""), ...(name.endsWith(".") ? [] : [`${name}.cluster.local`])];
  const found = searched.find((each) => NAMES[each] !== undefined);
  if (found === undefined) return { rcode: 3, name: searched[0] ?? "", records: [], authority: [] };
  const records = (NAMES[found] ?? []).filter((address) => address.includes(":") === (type === 28))
    .map((address): DnsRecord => ({
      name: found,
      ttl: 5,
      data: { type: address.includes(":") ? "AAAA" : "A", address },
    }));
  return { rcode: 0, name: found, records: type === 1 || type === 28 ? records : [], authority: [] };
}

/** What programs of the machine say to each other, at each of its own addresses, by TCP and UDP. */
const OWN_SERVERS = `
import socket, threading
said = []
for host in "127.0.0.1", "127.8.8.8", "192.168.77.2", "::1", "fd77::2":
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 80), family=family)
    server.settimeout(5); accept = threading.Thread(target=lambda: server.accept()[0].sendall(b"own"), daemon=True); accept.start()
    client = socket.create_connection((host, 80), 5); client.settimeout(5); said.append(client.recv(100)); accept.join(5)
    one, other = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    one.bind((host, 81)); one.settimeout(5); other.sendto(b"own", (host, 81)); said.append(one.recv(100))
    refused = socket.socket(family); said.append(refused.connect_ex((host, 7)) == 111)
print(said == [b"own", b"own", True] * 5 or said)`;

/** The machine's own addresses are its own, though everything is led to the pod; one that comes later too. */
export async function staysOwn({ machine, pod }: OnMachine): Promise<void> {
  equals(await machine.shell(`python3 -c '${OWN_SERVERS}'`), "True");
  await machine.shell("ip address add 203.0.113.77/32 dev wire");
  const later = OWN_SERVERS.replaceAll("192.168.77.2", "203.0.113.77");
  await until(
    async () => (await machine.run("python3", "-c", later)).stdout.trim() === "True",
    "an address that comes is known",
  );
  await machine.shell("ip address del 203.0.113.77/32 dev wire");
  equals(pod.dials, []);
  const others = `${READ}\nprint(read("198.51.100.9"), read("192.168.77.1"))`;
  equals(await machine.shell(`python3 -c '${others}'`), "Hello from the pod Hello from the pod");
}

/** Waits for a condition, for ten seconds. @throws that says what was waited for */
export async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; !await isTrue(); await sleep(50)) {
    if (performance.now() > end) throw new Error(`Waited ten seconds until ${what}`);
  }
}

/** A machine on which there is something of each kind to give back. */
export const MUCH_TO_GIVE_BACK: Played = { hosts: "files mdns4_minimal [NOTFOUND=return] dns", resolver: "symlink" };

/** Processes of the helper: the guardian, and the relay. */
export async function processesOf(machine: Machine): Promise<{ guardian: number; relay: number }> {
  const guardian = Number(/pid (\d+)/.exec(await machine.shell("cat /run/telepresence-vpn-*"))?.[1]);
  return { guardian, relay: Number(await Deno.readTextFile(`/proc/${guardian}/task/${guardian}/children`)) };
}

/** Waits until a machine is as it was. */
export async function isAsBefore(machine: Machine, before: string): Promise<void> {
  for (const end = performance.now() + 10_000; await machine.state() !== before; await sleep(50)) {
    if (performance.now() > end) return equals(await machine.state(), before);
  }
}

/** Compiles a program of these tests. @returns its path */
export async function buildProgram(name: string): Promise<string> {
  const [source, program] = [`./${name}.c`, `../../build/${name}`].map((path) =>
    fileURLToPath(new URL(path, import.meta.url))
  );
  const words = ["-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program ?? "", source ?? ""];
  const { code, stderr } = await runProgram(["gcc", ...words]);
  equals(code, 0, stderr);
  return program ?? "";
}

/** The pod's name servers do not answer. */
export function noAnswer(): Promise<never> {
  return Promise.reject(new LookupError("EAI_AGAIN", "No name server answers"));
}

/** Datagrams come back in capitals. */
function echoFlow(): DatagramFlow {
  const waiting: Uint8Array[] = [];
  let wake = () => {};
  let over = false;
  return {
    send(payload) {
      waiting.push(new TextEncoder().encode(new TextDecoder().decode(payload).toUpperCase()));
      wake();
      return Promise.resolve();
    },
    async *received() {
      while (!over) {
        for (let next; (next = waiting.shift()) !== undefined;) yield next;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    [Symbol.asyncDispose]() {
      over = true;
      wake();
      return Promise.resolve();
    },
  };
}
