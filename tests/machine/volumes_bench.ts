/**
 * What volumes cost: each line is one thing measured beside its yardstick, in the same run.
 *
 * `deno run --allow-all tests/machine/volumes_bench.ts`
 *
 * @module
 */
import { listenForHosts } from "@/agent/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { openPod, type Pod } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { type Duplex, writeAll } from "@/util/mod.ts";
import { openVolumes } from "@/volumes/mod.ts";

const MEGABYTES = 200;
const ENTRIES = 5_000;

for (const delayMs of [0, 10]) {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "telepresence-bench-" }));
  try {
    await withDelayedPod(delayMs, async (pod) => await measure(pod, directory, 2 * delayMs));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function measure(pod: Pod, directory: string, roundTripMs: number): Promise<void> {
  await using volumes = await openVolumes(pod, [directory], { at: { kind: "temporary" }, mode: "live" }, {
    title: "bench",
    say,
    log: silentLog,
    signal: new AbortController().signal,
  });
  const mount = `${volumes.root}${directory}`;
  await Deno.mkdir(`${directory}/many`);
  for (let n = 0; n < ENTRIES; n++) await Deno.writeTextFile(`${directory}/many/entry-${n}`, "");
  const write = await timed("dd", "if=/dev/zero", `of=${mount}/f`, "bs=1M", `count=${MEGABYTES}`, "conv=fsync");
  const up = await tunnelSeconds(pod, "up");
  const read = await timed("dd", `if=${mount}/f`, "of=/dev/null", "bs=1M");
  const down = await tunnelSeconds(pod, "down");
  const list = await timed("ls", "-l", `${mount}/many`);
  const rate = (seconds: number) => `${(MEGABYTES / seconds).toFixed(0)} MB/s`;
  say(`at ${roundTripMs} ms: write ${rate(write)}, ${(up / write).toFixed(2)} of the tunnel's ${rate(up)}`);
  say(`at ${roundTripMs} ms: read ${rate(read)}, ${(down / read).toFixed(2)} of the tunnel's ${rate(down)}`);
  say(`at ${roundTripMs} ms: ls -l of ${ENTRIES} entries ${list.toFixed(2)} s`);
}

async function timed(...command: [string, ...string[]]): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await runProgram(command);
  if (code !== 0) throw new Error(stderr);
  return (performance.now() - start) / 1000;
}

/** How long the same bytes take through a stream of the same tunnel, to or from a socket. */
async function tunnelSeconds(pod: Pod, way: "up" | "down"): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [here, there] = await Promise.all([
    pod.dial({ host: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const [from, to]: [Duplex, Duplex] = way === "up" ? [here, there] : [there, here];
  const start = performance.now();
  const block = new Uint8Array(256 * 1024);
  const sending = (async () => {
    for (let sent = 0; sent < MEGABYTES * 1024 * 1024; sent += block.length) await writeAll(from, block);
    await from.closeWrite();
  })();
  const buffer = new Uint8Array(256 * 1024);
  while (await to.read(buffer) !== null);
  await sending;
  const seconds = (performance.now() - start) / 1000;
  here.close();
  there.close();
  return seconds;
}

/** A pod behind a connection each direction of which takes `delayMs`. */
async function withDelayedPod(delayMs: number, body: (pod: Pod) => Promise<void>): Promise<void> {
  const { privateKey, publicKey } = await makeSessionKey();
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const between = (async () => {
    const [near, far] = [await listener.accept(), await Deno.connect({ hostname: "127.0.0.1", port: agent.port })];
    await Promise.all([delayed(near, far, delayMs), delayed(far, near, delayMs)]);
  })();
  {
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    carrier.setNoDelay(true);
    await greetAgent(carrier, privateKey, { version: "1" });
    await using pod = openPod(carrier);
    await body(pod);
  }
  await between;
}

/** Carries bytes, each of which arrives so much later, whatever is on the way meanwhile. */
async function delayed(from: Deno.TcpConn, to: Deno.TcpConn, delayMs: number): Promise<void> {
  from.setNoDelay(true);
  let sent: Promise<void> = Promise.resolve();
  const buffer = new Uint8Array(256 * 1024);
  for (let count; (count = await from.read(buffer).catch(() => null)) !== null;) {
    const bytes = buffer.slice(0, count);
    const due = delayMs === 0 ? undefined : new Promise((resolve) => setTimeout(resolve, delayMs));
    const before = sent;
    sent = (async () => {
      await due;
      await before;
      await writeAll(to, bytes).catch(() => {});
    })();
    if (due === undefined) await sent;
  }
  await sent;
  await to.closeWrite().catch(() => {});
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
