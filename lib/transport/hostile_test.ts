/**
 * A peer that is up to no good costs a bounded memory, and nobody waits for it for ever: `spec.md`, "Limits".
 *
 * @module
 */
import { deepStrictEqual as equals, ok, rejects, throws } from "node:assert/strict";
import { collectGarbage, duplexPair, sleep, writeAll } from "@/util/mod.ts";
import { encodeFrame, encodeOpening, type Frame, FrameType, HEADER_BYTES, ProtocolError } from "./frame.ts";
import { LinkLost, openLink } from "./link.ts";
import { type Incoming, MAX_OPENING, openMux } from "./mux.ts";
import { MuxStream, StreamReset } from "./mux_stream.ts";
import { encodeSegment, SegmentKind } from "./segment.ts";
import { WindowBudget } from "./window.ts";

const MIB = 1024 * 1024;
const WINDOW = MIB / 4;

/** A stream alone, of which the test is the mux. */
function lone(budget: WindowBudget, window: number): MuxStream {
  const nothing = () => {};
  const data = () => Promise.resolve();
  return new MuxStream(
    { data, credit: nothing, fin: nothing, reset: nothing, done: nothing, roundTripMs: () => 0, budget },
    window,
  );
}

async function memory(): Promise<number> {
  await collectGarbage();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

Deno.test("a window that is filled byte by byte costs little more than its bytes", async () => {
  const stream = lone(new WindowBudget(), WINDOW);
  const sent = new Uint8Array(WINDOW).map((_, index) => index * 31 >> 3);
  const before = await memory();
  for (let at = 0; at < WINDOW; at++) stream.receive(at, sent.subarray(at, at + 1));
  const cost = await memory() - before;
  ok(cost < 3 * MIB, `${cost} bytes for ${WINDOW}`);
  const got = new Uint8Array(WINDOW);
  for (let at = 0; at < WINDOW;) at += await stream.read(got.subarray(at, at + 777)) ?? WINDOW;
  equals(got, sent);
});

Deno.test("pieces that wait for what is before them are counted over all streams, and forgotten with theirs", () => {
  const budget = new WindowBudget();
  const streams = [lone(budget, MIB), lone(budget, MIB)];
  const everyOther = (stream: MuxStream | undefined, pieces: number) => {
    for (let piece = 0; piece < pieces; piece++) stream?.receive(1 + 2 * piece, new Uint8Array(1));
  };
  everyOther(streams[0], 100_000);
  throws(() => everyOther(streams[1], 100_000), ProtocolError);
  for (const stream of streams) stream.close();
  everyOther(lone(budget, MIB), 131_072);
});

/** A link whose peer the test plays: it says frames, and what it is told is `told`. */
function played(role: "host" | "agent", onOpen: (incoming: Incoming) => void) {
  const link = openLink();
  const mux = openMux(link, { role, onOpen });
  const [ours, theirs] = duplexPair({ capacityBytes: MIB });
  const gone = link.attach(0, ours);
  let told = 0;
  let number = 0;
  return {
    mux,
    told: () => told,
    async say(...frames: Frame[]) {
      const body = new Uint8Array(frames.reduce((sum, { payload }) => sum + HEADER_BYTES + payload.length, 0));
      let end = 0;
      for (const frame of frames) end = encodeFrame(frame, body, end);
      const header = { kind: SegmentKind.EXPRESS, place: number, acknowledged: 0, number };
      number++;
      await writeAll(theirs, encodeSegment(header, body)).catch(() => {}); // the link may be over
    },
    /** Reads, and acknowledges nothing, until the link is over. */
    async listen() {
      const buffer = new Uint8Array(65536);
      for (let count; (count = await theirs.read(buffer).catch(() => null)) !== null;) told += count;
    },
    async [Symbol.asyncDispose]() {
      theirs.close();
      await mux[Symbol.asyncDispose]();
      await gone;
    },
  };
}

const opening = (stream: number, credit = 0, request = new Uint8Array()): Frame => ({
  type: FrameType.OPEN,
  stream,
  payload: encodeOpening(credit, request),
});

/** Opens streams until the link is over, `most` of them. @returns what ended it */
async function openMany(peer: ReturnType<typeof played>, most: number): Promise<unknown> {
  let reason: unknown;
  peer.mux.closed.catch((error) => reason = error);
  for (let stream = 1; reason === undefined && stream < 2 * most; stream += 2000) {
    await peer.say(...Array.from({ length: 1000 }, (_, index) => opening(stream + 2 * index)));
    await sleep(0);
  }
  return reason;
}

Deno.test("a peer that has us answer and reads no answer is given up", async () => {
  await using peer = played("agent", (incoming) => incoming.refuse({ code: "EPERM", message: "not here" }));
  ok(await openMany(peer, 150_000) instanceof LinkLost);
});

Deno.test("a peer that has us answer and acknowledges no answer costs a bounded memory, and is given up", async () => {
  await using peer = played("agent", (incoming) => incoming.refuse({ code: "EPERM", message: "no".repeat(1000) }));
  const listening = peer.listen();
  ok(await openMany(peer, 40_000) instanceof LinkLost);
  await listening;
  ok(peer.told() < 17 * MIB, `${peer.told()} bytes were sent without an acknowledgement`);
});

Deno.test("a peer that has more OPENs without an answer than it may breaks the protocol", async () => {
  await using peer = played("agent", () => {});
  await peer.say(...Array.from({ length: MAX_OPENING }, (_, index) => opening(1 + 2 * index)));
  await peer.say(opening(2 * MAX_OPENING + 1));
  await rejects(peer.mux.closed, ProtocolError);
});

Deno.test("long requests without an answer are refused beyond 4 MiB of them, and taken again when there is room", async () => {
  const asked: Incoming[] = [];
  const [a, b] = duplexPair();
  const [ours, theirs] = [openLink({ graceMs: 0 }), openLink({ graceMs: 0 })];
  await using _agent = openMux(theirs, { role: "agent", onOpen: (incoming) => void asked.push(incoming) });
  await using host = openMux(ours, { role: "host", onOpen: () => {} });
  ours.attach(0, a);
  theirs.attach(0, b);
  const long = new Uint8Array(128 * 1000);
  const first = Array.from({ length: 32 }, () => host.open(long));
  await rejects(host.open(long), (error: unknown) => error instanceof StreamReset && error.code === "ENOBUFS");
  equals(asked.length, first.length);
  for (const incoming of asked.splice(0)) incoming.refuse({ code: "EPERM", message: "not here" });
  await Promise.allSettled(first);
  const again = host.open(long);
  while (asked.at(0) === undefined) await sleep(1);
  asked[0]?.accept();
  (await again).close();
});

Deno.test("a first credit that no window has breaks the protocol before anything is made of it", async (t) => {
  await t.step("in OPEN", async () => {
    await using peer = played("agent", () => {});
    await peer.say(opening(1, 2 ** 31));
    await rejects(peer.mux.closed, ProtocolError);
  });
  await t.step("in ACCEPT", async () => {
    await using peer = played("host", () => {});
    const opened = peer.mux.open(new Uint8Array());
    await peer.say({ type: FrameType.ACCEPT, stream: 1, payload: encodeOpening(2 ** 31, new Uint8Array()) });
    await rejects(opened, ProtocolError);
  });
});
