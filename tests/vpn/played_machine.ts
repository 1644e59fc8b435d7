/**
 * A developer's machine, played in network and mount namespaces of its own, with a network around it in others: nothing
 * of the machine that runs the tests is changed. Needs root.
 *
 * ```
 *   machine (192.168.77.2, its own /run, /etc/resolv.conf, /etc/nsswitch.conf) ---- world (192.168.77.1: DNS, web)
 * ```
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Finished, runProgram } from "@/process/mod.ts";
import type { Service } from "./real_services.ts";

/** How a machine is played. */
export interface Played {
  /** The text of its resolv.conf. @default {the world's name server} */
  readonly resolvConf?: string;
  /** What its resolv.conf is. @default {"file"} */
  readonly resolver?: "file" | "read-only" | "symlink" | "bind";
  /** The `hosts` line of its nsswitch.conf. @default {"files dns"} */
  readonly hosts?: string;
  /** Commands of a shell on the machine before anything else: more addresses, routes. */
  readonly setUp?: string;
  /** Names that the world's name server knows, with their addresses. */
  readonly names?: Readonly<Record<string, string>>;
  /** Where a name server listens on the machine itself, as systemd-resolved does. */
  readonly stub?: string;
  /** A true service that runs there, from before the session till after it. */
  readonly service?: Service;
  /** Whether a VPN takes everything but the wire's own network, by rules as wg-quick makes them. @default {false} */
  readonly vpn?: boolean;
  /** A TCP address outside of the played world that is reached by it. */
  readonly way?: { readonly address: string; readonly port: number };
}

/** The address of the world, where its name server and web server are. */
export const WORLD = "192.168.77.1";
/** The machine's own address. */
export const OWN = "192.168.77.2";

const SCRIPT = fileURLToPath(new URL("./world.py", import.meta.url));
const NAMES = { "printer.corp.example": "192.168.77.9", "www.public.example": WORLD };

/** A played machine. Disposing it ends it with all that runs there. */
export interface Machine extends AsyncDisposable {
  /** The words before a command that have it run there. */
  readonly enter: readonly string[];
  /** Paths of its files, as seen from outside. */
  path(inside: string): string;
  /** Runs a command there. */
  run(...command: [string, ...string[]]): Promise<Finished>;
  /** The same with the lines of a shell; must end well. @returns its standard output without the last newline */
  shell(lines: string): Promise<string>;
  /** All that a session could change there: rules, routes, mounts, files of the resolver, files on /run. */
  state(): Promise<string>;
  /** What the world's name server was asked since the last time. */
  asked(): Promise<string[]>;
}

/** Whether machines can be played here; if not, why. */
export async function whyNot(): Promise<string | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "they need root on Linux";
  for (const program of ["ip", "nft", "unshare", "nsenter", "python3"]) {
    if ((await runProgram(["sh", "-c", `command -v ${program}`])).code !== 0) return `${program} is not installed`;
  }
  const { code, stderr } = await runProgram(["unshare", "--net", "--mount", "true"]);
  return code === 0 ? undefined : `no namespaces here: ${stderr.trim()}`;
}

/** Plays a machine. */
export async function playMachine(played: Played = {}): Promise<Machine> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "telepresence-machine-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const machine = stack.use(await hold("--net", "--mount", "--propagation", "private"));
  const world = stack.use(await hold("--net"));
  const enter = ["nsenter", `--net=/proc/${machine.pid}/ns/net`, `--mount=/proc/${machine.pid}/ns/mnt`, "--"];
  const run = (...command: [string, ...string[]]) => {
    const [program = "", ...words] = [...enter, ...command];
    return runProgram([program, ...words]);
  };
  const shell = async (lines: string) => {
    const { code, stdout, stderr } = await run("sh", "-euc", lines);
    equals(code, 0, `${lines}\n${stdout}\n${stderr}`);
    return stdout.trimEnd();
  };
  await shell(`${DETACH}
ip link set lo up
ip link add name wire type veth peer name wire netns ${world.pid}
ip link set wire addrgenmode none; ip address add ${OWN}/24 dev wire; ip address add fd77::2/64 dev wire nodad
ip link set wire up
ip route add default via ${WORLD}
${
    played.vpn
      ? `ip link add name vpn type veth peer name vpn netns ${world.pid}
ip link set vpn addrgenmode none; ip address add 10.8.0.2/32 dev vpn; ip link set vpn up
ip route add default dev vpn table 51820; ip route add 10.8.0.1/32 dev vpn
ip rule add not fwmark 51820 lookup 51820; ip rule add lookup main suppress_prefixlength 0`
      : ""
  }
${filesOf(played, directory)}
${played.service?.setUp ?? ""}
${played.setUp ?? ""}`);
  const around = ["nsenter", `--net=/proc/${world.pid}/ns/net`, "--"];
  const setUpWorld = `ip link set lo up; ip address add ${WORLD}/24 dev wire; ip link set wire up
${
    played.vpn
      ? "ip address add 10.8.0.1/24 dev vpn; ip link set vpn up; echo 1 >/proc/sys/net/ipv4/conf/vpn/proxy_arp"
      : ""
  }
${played.way === undefined ? "" : `ip address add ${played.way.address}/32 dev lo`}`;
  const { code, stderr } = await runProgram(["nsenter", ...around.slice(1), "sh", "-euc", setUpWorld]);
  equals(code, 0, stderr);
  const names = Object.entries({ ...NAMES, ...played.names }).map(([name, address]) => `${name}=${address}`).join();
  const way = played.way && stack.use(openWay(`${directory}/way`, played.way));
  const outside = stack.use(await serve([...around, "python3", SCRIPT, WORLD, names, ...way?.words ?? []]));
  const servers = [outside];
  if (played.stub !== undefined) {
    servers.push(stack.use(await serve([...enter, "python3", SCRIPT, played.stub, names])));
  }
  if (played.service !== undefined) stack.use(await serve([...enter, "sh", "-euc", untilEnd(played.service)]));
  const owned = stack.move();
  return {
    enter,
    path: (inside) => `/proc/${machine.pid}/root${inside}`,
    run,
    shell,
    state: () => shell(`set +e; ${STATE}`),
    async asked() {
      const lines = await Promise.all(servers.map(async ({ pid }) => {
        const file = `/tmp/asked-${pid}`;
        const text = await Deno.readTextFile(file).catch(() => "");
        await Deno.remove(file).catch(() => {});
        return text.trimEnd().split("\n").filter((line) => line !== "");
      }));
      return lines.flat();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Takes away mounts that other programs of the machine that runs the tests may end at any moment: a directory that is
 * removed there takes its mount away here as well, and the machine would not be as it was. One may go while we look.
 */
const DETACH = `
awk '/ fuse[.]/ || $5 ~ "^/(run|tmp|var/lib)/" { print $5 }' /proc/self/mountinfo | while read -r mounted
do umount -l "$mounted" 2>/dev/null || ! grep -qF " $mounted " /proc/self/mountinfo
done`;

/** Everything that is to be byte for byte the same afterwards. */
const STATE = `
nft list ruleset; iptables-legacy -t mangle -S 2>&1; ip6tables-legacy -t mangle -S 2>&1; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip -o address
cut -d' ' -f4- /proc/self/mountinfo
ls -l /etc/resolv.conf; cat /etc/resolv.conf /etc/nsswitch.conf; ls -A /run`;

/** The files of the resolver, each as a machine may have it. */
function filesOf(
  { resolver = "file", resolvConf = `nameserver ${WORLD}\n`, hosts = "files dns" }: Played,
  directory: string,
) {
  const target = resolver === "symlink" ? "/run/resolver/resolv.conf" : "/etc/resolv.conf";
  return `
mount -t tmpfs own /run
cp -a /etc ${directory}/etc
mount --bind ${directory}/etc /etc
rm -f /etc/resolv.conf
mkdir -p /run/resolver
printf '%s' '${resolvConf}' >${target}
${resolver === "symlink" ? "ln -s ../run/resolver/resolv.conf /etc/resolv.conf" : ""}
${resolver === "bind" ? "cp /etc/resolv.conf /run/bound; mount --bind /run/bound /etc/resolv.conf" : ""}
printf 'passwd: files\\nhosts: %s\\n' '${hosts}' >/etc/nsswitch.conf
${resolver === "read-only" ? "mount -o remount,bind,ro /etc" : ""}`;
}

/** A service, from when it serves until the standard input ends. */
function untilEnd({ start, ready }: Service): string {
  return `${start}
for i in $(seq 200); do [ ! -e ${ready} ] || break; sleep 0.05; done
[ -e ${ready} ] || { kill $pid; exit 1; }
echo ready
read -r _ || kill $pid; wait $pid || true`;
}

/** A process that holds namespaces. */
async function hold(...words: string[]): Promise<AsyncDisposable & { readonly pid: number }> {
  return await serve(["unshare", ...words, "sh", "-c", "echo ready; read _"]);
}

/** A program that says "ready" and ends with its standard input. */
export async function serve(command: readonly string[]): Promise<AsyncDisposable & { readonly pid: number }> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const reader = child.stdout.getReader();
  let said = "";
  for (let part; !said.includes("\n") && !(part = await reader.read()).done;) {
    said += new TextDecoder().decode(part.value);
  }
  reader.releaseLock();
  equals(said, "ready\n", `${command.join(" ")} said ${JSON.stringify(said)}`);
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      await child.stdin.close().catch(() => {});
      await child.stdout.cancel();
      await child.status;
      await Deno.remove(`/tmp/asked-${child.pid}`).catch(() => {});
    },
  };
}

/** Leads connections to a socket to an address that this process reaches, for a world that does not. */
function openWay(path: string, { address, port }: { address: string; port: number }) {
  const listener = Deno.listen({ transport: "unix", path });
  const open = new Set<Deno.Conn>();
  const closeAll = () => open.forEach((conn) => closeOnce(conn, open));
  void (async () => {
    for await (const conn of listener) {
      open.add(conn);
      void (async () => {
        try {
          const other = await Deno.connect({ hostname: address, port });
          other.setNoDelay(true);
          open.add(other);
          await Promise.allSettled([carry(conn, other), carry(other, conn)]);
          closeOnce(other, open);
        } catch {
          // what is not there is refused by the end of the connection
        }
        closeOnce(conn, open);
      })();
    }
  })();
  return {
    words: [path, String(port)],
    [Symbol.dispose]() {
      listener.close();
      closeAll();
    },
  };
}

function closeOnce(conn: Deno.Conn, open: Set<Deno.Conn>): void {
  if (open.delete(conn)) conn.close();
}

async function carry(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let count; (count = await from.read(buffer)) !== null;) {
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
  await to.closeWrite();
}
