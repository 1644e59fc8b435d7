import type { Address } from "@/pod/mod.ts";

/** The process that has an end of a connection. */
export interface Owner {
  readonly pid: number;
  /** Its name, as `ps` shows it. */
  readonly program: string;
}

/** What the system tells of processes: `/proc`, or what a test has in its place. */
export interface ProcessTable {
  /** The entries of a directory; none where it cannot be read. */
  list(path: string): Promise<readonly string[]>;
  /** A file; empty where it cannot be read. */
  read(path: string): Promise<string>;
  /** Where a link leads; empty where it cannot be read. */
  link(path: string): Promise<string>;
}

const PROC: ProcessTable = {
  async list(path) {
    try {
      return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
    } catch {
      return [];
    }
  },
  read: (path) => Deno.readTextFile(path).catch(() => ""),
  link: (path) => Deno.readLink(path).catch(() => ""),
};

/** The name of a process, as `ps` shows it; a question mark where there is none. */
export function programOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trim() || "?";
  } catch {
    return "?";
  }
}

/**
 * Finds whose ends of connections are, from what the kernel tells the user of the user's own processes (proc(5)): in
 * our network namespace first, then in those of the user's other processes, where a command may have one of its own.
 *
 * @returns an owner for each address that has one, by `host port`
 */
export async function findOwners(
  addresses: readonly Address[],
  proc: ProcessTable = PROC,
): Promise<Map<string, Owner>> {
  const wanted = new Set(addresses.map(keyOf));
  const found = new Map<string, Owner>();
  if (wanted.size === 0) return found;
  const pids = (await proc.list("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const namespaces = new Map<string, number>();
  const own = await proc.link("/proc/self/ns/net");
  if (own !== "") namespaces.set(own, -1);
  for (const pid of pids) {
    const namespace = await proc.link(`/proc/${pid}/ns/net`);
    if (namespace !== "" && !namespaces.has(namespace)) namespaces.set(namespace, pid);
  }
  const inodes = new Map<string, string>();
  for (const pid of namespaces.values()) {
    const folder = `/proc/${pid < 0 ? "self" : pid}/net`;
    for (const table of ["tcp", "tcp6", "udp", "udp6"]) {
      for (const { key, inode } of parseTable(await proc.read(`${folder}/${table}`))) {
        if (wanted.has(key) && ![...inodes.values()].includes(key)) inodes.set(inode, key);
      }
    }
    if (inodes.size >= wanted.size) break;
  }
  for (const pid of pids) {
    if (inodes.size === 0) break;
    for (const fd of await proc.list(`/proc/${pid}/fd`)) {
      const [, inode = ""] = /^socket:\[(\d+)\]$/.exec(await proc.link(`/proc/${pid}/fd/${fd}`)) ?? [];
      const key = inodes.get(inode);
      if (key === undefined) continue;
      inodes.delete(inode);
      found.set(key, { pid, program: (await proc.read(`/proc/${pid}/comm`)).trim() || "?" });
    }
  }
  return found;
}

/** How an address is called in the answer. */
export function keyOf({ host, port }: Address): string {
  return `${host} ${port}`;
}

/** The local ends in a table of the kernel, with the inodes of their sockets. */
export function parseTable(text: string): { readonly key: string; readonly inode: string }[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , , , , , , , inode = "0"] = fields;
    const [address = "", port = ""] = local.split(":");
    if (!/^([0-9A-F]{8}|[0-9A-F]{32})$/.test(address) || inode === "0") return [];
    return [{ key: `${addressOf(address)} ${parseInt(port, 16)}`, inode }];
  });
}

/** An address as the kernel writes it: words of four bytes, each in the order of this machine (little-endian). */
function addressOf(hex: string): string {
  const bytes = hex.match(/.{8}/g)?.flatMap((word) => (word.match(/../g) ?? []).reverse()) ?? [];
  const numbers = bytes.map((byte) => parseInt(byte, 16));
  const isMapped = numbers.length === 16 && numbers.slice(0, 10).every((byte) => byte === 0) && numbers[10] === 255;
  if (numbers.length === 4) return numbers.join(".");
  if (isMapped) return numbers.slice(12).join(".");
  const groups = Array.from(
    { length: 8 },
    (_, at) => ((numbers[2 * at] ?? 0) << 8 | (numbers[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
