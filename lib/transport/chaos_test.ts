/**
 * The tunnel's property: whatever happens to its carriers, each stream's bytes arrive equal, in order, none lost and
 * none doubled, every end of stream and every reset arrives, and nothing is left.
 *
 * `CHAOS_SEED=n` replays one seed, `CHAOS_SEEDS=n` runs so many (`make chaos`).
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { deadline, type Duplex, messageOf, sleep, writeAll } from "@/util/mod.ts";
import { chaosPair, type Mischief, pick, seededRandom } from "./_chaos.ts";
import { admitHost, greetAgent, makeSessionKey, nameNewLink } from "./handshake.ts";
import { keepCarriers } from "./keep_carriers.ts";
import { openLink } from "./link.ts";
import { type Incoming, type Mux, openMux } from "./mux.ts";
import { type MuxStream, StreamReset } from "./mux_stream.ts";

const SEEDS = Number(Deno.env.get("CHAOS_SEEDS") ?? 200);
const ONE = Deno.env.get("CHAOS_SEED");
/** A run that does not end has lost something. */
const RUN_MS = 60_000;

Deno.test(`${ONE === undefined ? SEEDS : 1} seeds of chaos: streams stay what they are over carriers that do not`, async () => {
  const key = await makeSessionKey();
  const seeds = ONE === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONE)];
  const worker = async () => {
    for (let seed; (seed = seeds.shift()) !== undefined;) {
      try {
        using late = deadline(RUN_MS, () => new Error("It does not end"));
        await runSeed(seed, key, late.signal);
      } catch (cause) {
        throw new Error(`Seed ${seed} fails (replay: make chaos SEED=${seed}): ${messageOf(cause)}`, { cause });
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker)); // they wait more than they compute
});

/** What one stream is to do; both ends know it from the request. */
interface Script {
  readonly id: number;
  /** Bytes from the opener to the acceptor, and back. */
  readonly there: number;
  readonly back: number;
  /** Where the acceptor resets it instead of writing on; undefined for a stream that ends in order. */
  readonly resetAt: number | undefined;
  readonly pauses: boolean;
}

async function runSeed(
  seed: number,
  key: { privateKey: CryptoKey; publicKey: string },
  signal: AbortSignal,
): Promise<void> {
  const random = seededRandom(seed);
  const mischief: Mischief = { random, cuts: Math.floor(random() * 12), swaps: Math.floor(random() * 4) };
  const agentLink = openLink({ graceMs: RUN_MS });
  const hostLink = openLink({ graceMs: RUN_MS });
  const performing: Promise<unknown>[] = [];
  const dial = () => {
    const [host, agent] = chaosPair(mischief);
    const admitting = admitHost(agent, key.publicKey, { version: "1", knows: () => true });
    performing.push(admitting.then(({ carrier }) => void agentLink.attach(carrier, agent), () => {})); // maybe cut
    return Promise.resolve(host);
  };
  const name = nameNewLink();
  const duplex = await firstCarrier(dial, key.privateKey, name);
  const options = {
    dial,
    key: key.privateKey,
    version: "1",
    random,
    pauseMs: 2,
    carriers: 1 + Math.floor(random() * 4),
  };
  performing.push(keepCarriers(hostLink, { name, duplex }, options));
  const onOpen = (incoming: Incoming) => performing.push(perform(incoming, random));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => void await Promise.all(performing));
  await using agent = openMux(agentLink, { role: "agent", onOpen });
  await using host = openMux(hostLink, { role: "host", onOpen });
  const scripts = Array.from({ length: 1 + Math.floor(random() * 8) }, (_, id): Script => ({
    id,
    there: sizeBy(random),
    back: sizeBy(random),
    resetAt: random() < 0.15 ? sizeBy(random) : undefined,
    pauses: random() < 0.2,
  }));
  const late = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const opened = scripts.map((script) => open(pick(random, [host, host, agent]), script, random));
  await Promise.race([Promise.all(opened), late]);
  while (host.streamCount + agent.streamCount > 0) {
    signal.throwIfAborted(); // a stream is left
    await sleep(1);
  }
}

async function firstCarrier(dial: () => Promise<Duplex>, key: CryptoKey, name: ReturnType<typeof nameNewLink>) {
  for (;;) {
    const duplex = await dial();
    try {
      await greetAgent(duplex, key, { version: "1", name });
      return duplex;
    } catch {
      // Cut in its handshake: as in life, one tries again.
    }
  }
}

function sizeBy(random: () => number): number {
  return Math.floor(random() * pick(random, [1, 100, 70_000, 600_000, 1_500_000]));
}

/** The opener's part. */
async function open(mux: Mux, script: Script, random: () => number): Promise<void> {
  const stream = await mux.open(new TextEncoder().encode(JSON.stringify(script)));
  equals(stream.reply, new Uint8Array([script.id]));
  if (script.resetAt === undefined) {
    await Promise.all([
      say(stream, script.id * 2, script.there),
      hear(stream, script.id * 2 + 1, script.back, script, random),
    ]);
    return;
  }
  const isReset = (error: unknown) => {
    if (!(error instanceof StreamReset) || error.code !== "EPIPE") throw error;
  };
  await Promise.all([
    say(stream, script.id * 2, script.there).catch(isReset),
    hear(stream, script.id * 2 + 1, Infinity, script, random).catch(isReset),
  ]);
}

/** The acceptor's part. */
async function perform(incoming: Incoming, random: () => number): Promise<void> {
  const script: Script = JSON.parse(new TextDecoder().decode(incoming.request));
  const stream = incoming.accept(new Uint8Array([script.id]));
  if (script.resetAt === undefined) {
    await Promise.all([
      say(stream, script.id * 2 + 1, script.back),
      hear(stream, script.id * 2, script.there, script, random),
    ]);
    return;
  }
  const hearing = hear(stream, script.id * 2, script.there, script, random).catch(() => {});
  await writeAll(stream, pattern(script.id * 2 + 1, 0, script.resetAt));
  stream.reset({ code: "EPIPE", message: "as the script says" });
  await hearing;
}

async function say(stream: MuxStream, kind: number, length: number): Promise<void> {
  for (let at = 0; at < length;) {
    const chunk = pattern(kind, at, Math.min(length - at, 1 + (at * 7 + kind * 1000) % 50_000));
    await writeAll(stream, chunk);
    at += chunk.length;
  }
  await stream.closeWrite();
}

/** Reads to the end and checks every byte on the way. */
async function hear(
  stream: MuxStream,
  kind: number,
  length: number,
  { pauses }: Script,
  random: () => number,
): Promise<void> {
  const buffer = new Uint8Array(pick(random, [1000, 65536, 200_000]));
  let at = 0;
  for (let count; (count = await stream.read(buffer)) !== null;) {
    const want = pattern(kind, at, count);
    for (let index = 0; index < count; index++) {
      if (buffer[index] !== want[index]) throw new Error(`Byte ${at + index} of direction ${kind} is wrong`);
    }
    at += count;
    if (pauses && random() < 0.2) await sleep(random() * 5);
  }
  equals(at, length, `length of direction ${kind}`);
}

/** Bytes that differ by direction and by place, with no short period. */
function pattern(kind: number, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const place = at + index;
    bytes[index] = place ^ place >>> 8 ^ place >>> 16 ^ kind * 37;
  }
  return bytes;
}
