import { sleep } from "@/util/mod.ts";
import { canonicalAddress, type Endpoint } from "./protocol.ts";

/** How often the kernel's table is read, while there is a connect under way. */
const LOOK_MS = 1_000;

/** Socket states of `include/net/tcp_states.h` in which a program still has its socket open: ESTABLISHED to SYN_RECV. */
const OPEN_STATES = new Set(["01", "02", "03"]);

/** Watches connections for programs that close them while their connect is under way. */
export interface Watch extends AsyncDisposable {
  /** Calls `gone` when the program has closed its end; disposing it ends that. */
  add(from: Endpoint, gone: () => void): Disposable;
}

/** Options of {@linkcode watchAbandoned}. */
export interface WatchOptions {
  /** The text of the kernel's tables. @default {that of /proc/net/tcp and /proc/net/tcp6} */
  readonly readTables?: () => Promise<string>;
  /** @default {1000} */
  readonly lookMs?: number;
}

/**
 * A program that gives up a non-blocking connect closes its descriptor, and the kernel keeps that to itself: the FIN
 * waits behind the plug, which is not read before the pod has answered. The kernel's table tells it all the same, so that
 * the pod's connect ends when the program's does, and not minutes later.
 */
export function watchAbandoned({ readTables = readProc, lookMs = LOOK_MS }: WatchOptions = {}): Watch {
  const watched = new Map<string, () => void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let looking = Promise.resolve();
  let ended = false;
  const schedule = () => {
    if (timer === undefined && watched.size > 0 && !ended) timer = setTimeout(() => looking = look(), lookMs);
  };
  const look = async () => {
    const before = new Set(watched.keys());
    const open = new Set<string>();
    for (const part of partsOf(await readTables().catch(() => ""))) {
      for (const endpoint of openEndpoints(part)) open.add(endpoint);
      await sleep(0); // connects that are asked for meanwhile are answered between two parts
    }
    timer = undefined;
    // An empty table is one that could not be read: there is at least the connection that is watched.
    for (const [key, gone] of open.size > 0 ? [...watched] : []) if (before.has(key) && !open.has(key)) gone();
    schedule();
  };
  return {
    add(from, gone) {
      const key = `${from.address} ${from.port}`;
      watched.set(key, gone);
      schedule();
      return {
        [Symbol.dispose]() {
          if (watched.get(key) === gone) watched.delete(key);
        },
      };
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      watched.clear();
      clearTimeout(timer);
      await looking;
    },
  };
}

/**
 * The local ends of all sockets that a program has open, as "address port".
 *
 * @param tables the text of `/proc/net/tcp` and `/proc/net/tcp6` (proc(5)): after a number the local and the remote end in
 *   hexadecimal, then the state; addresses are words of 32 bits in the machine's order
 */
export function openEndpoints(tables: string): Set<string> {
  const open = new Set<string>();
  for (const [, address = "", port = "", state = ""] of tables.matchAll(ROW)) {
    if (OPEN_STATES.has(state)) open.add(`${parseAddress(address)} ${parseInt(port, 16)}`);
  }
  return open;
}

/**
 * How much of a table is read at a time. All of that of 2000 pending connects took 100 ms, for which every other connect
 * stood still.
 */
const PART_CHARS = 32 * 1024;

/** A text in parts of whole lines. */
export function* partsOf(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = text.indexOf("\n", start + PART_CHARS) + 1 || text.length;
    yield text.slice(start, end);
    start = end;
  }
}

const ROW = /^ *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm;

/** An address as the kernel's tables have it. */
export function parseAddress(words: string): string {
  const bytes = (words.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).reverse());
  if (bytes.length === 4) return bytes.map((byte) => parseInt(byte, 16)).join(".");
  const text = Array.from({ length: 8 }, (_, i) => `${bytes[2 * i]}${bytes[2 * i + 1]}`).join(":");
  return canonicalAddress(text) ?? text;
}

async function readProc(): Promise<string> {
  const read = (path: string) => Deno.readTextFile(path).catch(() => "");
  return `${await read("/proc/net/tcp")}\n${await read("/proc/net/tcp6")}`;
}
