/**
 * Properties of the state machines, over random runs of each (a failing seed is named): what a lane hands on, what a
 * stream makes of frames in any order that the specification allows, and what a mux makes of a peer that says anything.
 *
 * @module
 */
import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { pick, seededRandom } from "./_chaos.ts";
import { Arrivals } from "./arrivals.ts";
import { encodeOffset, encodeOpening, type Frame, FrameType, ProtocolError } from "./frame.ts";
import { openLink } from "./link.ts";
import { MuxStream, type StreamPort } from "./mux_stream.ts";
import { openMux } from "./mux.ts";
import { WindowBudget } from "./window.ts";

const SEEDS = 300;

/** Runs `check` for every seed, and names the one that fails. */
async function forSeeds(check: (random: () => number) => void | Promise<void>): Promise<void> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await check(seededRandom(seed));
    } catch (cause) {
      throw new Error(`Seed ${seed} fails`, { cause });
    }
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at).map(({ item }) => item);
}

Deno.test("a lane hands on each number once, and in order where order counts, however often and late they come", async () => {
  await forSeeds((random) => {
    for (const ordered of [true, false]) {
      const got: number[] = [];
      const lane = new Arrivals(ordered, ([value = -1]) => void got.push(value));
      const numbers = Array.from({ length: 1 + Math.floor(random() * 100) }, (_, index) => index);
      const again = numbers.filter(() => random() < 0.3);
      for (const number of shuffled([...numbers, ...again], random)) lane.take(number, new Uint8Array([number]));
      if (!ordered) got.sort((a, b) => a - b);
      equals(got, numbers);
    }
  });
});

/** One end of a stream whose frames go into `sent`, and what became of it. */
function endOf(sent: Frame[], window: number) {
  const state = { done: 0, granted: window };
  const port: StreamPort = {
    data(position, payload) {
      const bytes = new Uint8Array(8 + payload.length);
      encodeOffset(position, bytes);
      bytes.set(payload, 8);
      sent.push({ type: FrameType.DATA, stream: 1, payload: bytes });
      return Promise.resolve();
    },
    credit(bytes) {
      state.granted += bytes;
      sent.push({ type: FrameType.CREDIT, stream: bytes, payload: new Uint8Array() });
    },
    fin: (position) =>
      void sent.push({ type: FrameType.FIN, stream: 1, payload: encodeOffset(position, new Uint8Array(8)) }),
    reset: () => void sent.push({ type: FrameType.RESET, stream: 1, payload: new Uint8Array() }),
    done: () => void state.done++,
    roundTripMs: () => 0,
    budget: new WindowBudget(),
  };
  return { state, stream: new MuxStream(port, window) };
}

Deno.test("a stream gives its bytes in order and its end once, in whatever order its frames come", async () => {
  await forSeeds(async (random) => {
    const window = 1 + Math.floor(random() * 5000);
    const [there, back]: [Frame[], Frame[]] = [[], []];
    const [writer, reader] = [endOf(there, window), endOf(back, window)];
    writer.stream.accepted(new Uint8Array(), window);
    const bytes = new Uint8Array(Math.floor(random() * 20_000)).map(() => random() * 256);
    const got: number[] = [];
    let ended = false;
    const writing = (async () => {
      for (let at = 0; at < bytes.length;) {
        at += await writer.stream.write(bytes.subarray(at, at + 1 + Math.floor(random() * 3000)));
      }
      await writer.stream.closeWrite();
    })();
    const reading = (async () => {
      const buffer = new Uint8Array(1 + Math.floor(random() * 4000));
      for (let count; (count = await reader.stream.read(buffer)) !== null;) got.push(...buffer.subarray(0, count));
      ended = true;
    })();
    await reader.stream.closeWrite();
    let received = 0;
    while (!ended) {
      await undefined;
      // Any frame under way may be the next to come; CREDIT and FIN travel in a lane that keeps its order.
      const next = there.splice(Math.floor(random() * there.length), 1)[0];
      if (next?.type === FrameType.DATA) {
        reader.stream.receive(new DataView(next.payload.buffer).getUint32(4), next.payload.subarray(8));
        received += next.payload.length - 8;
        ok(received <= reader.state.granted, "no more came than was granted");
      } else if (next !== undefined) reader.stream.finish(bytes.length);
      const answer = back.shift();
      if (answer?.type === FrameType.CREDIT) writer.stream.grant(answer.stream);
      if (answer?.type === FrameType.FIN) writer.stream.finish(0);
    }
    await Promise.all([writing, reading]);
    for (const answer of back.splice(0)) if (answer.type === FrameType.FIN) writer.stream.finish(0);
    equals(new Uint8Array(got), bytes);
    equals([writer.state.done, reader.state.done], [1, 1], "each end is done once");
  });
});

Deno.test("a peer that says anything ends the link with a protocol error or leaves it whole, and leaves no stream", async () => {
  let refused = 0;
  await forSeeds(async (random) => {
    const link = openLink();
    const mux = openMux(link, {
      role: "agent",
      onOpen(incoming) {
        if (random() < 0.3) return incoming.refuse({ code: "EPERM", message: "by the test" });
        const stream = incoming.accept();
        stream.read(new Uint8Array(100)).catch(() => {});
        if (random() < 0.3) stream.closeWrite();
        if (random() < 0.2) stream.close();
      },
    });
    const taker = mux as unknown as { take(frame: Frame): void };
    let opened = 1;
    try {
      for (let step = 0; step < 200; step++) {
        const known = 1 + 2 * Math.floor(random() * opened);
        taker.take(anyFrame(random, known, () => 2 * opened++ + 1));
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      refused++;
      link.end(error);
    }
    await mux[Symbol.asyncDispose]();
    equals(mux.streamCount, 0);
  });
  ok(refused > SEEDS / 10 && refused < SEEDS, `${refused} of ${SEEDS} runs were refused`);
});

/** A frame of any type whose form is right, and whose meaning mostly is. */
function anyFrame(random: () => number, known: number, fresh: () => number): Frame {
  const number = (most: number) => Math.floor(random() * most);
  const at = (position: number, length: number) => encodeOffset(position, new Uint8Array(8 + length));
  return pick(random, [
    () => ({ type: FrameType.OPEN, stream: fresh(), payload: encodeOpening(number(1 << 20), new Uint8Array()) }),
    () => ({ type: FrameType.DATA, stream: known, payload: at(random() < 0.8 ? 0 : number(1000), number(100)) }),
    () => ({ type: FrameType.CREDIT, stream: known, payload: new Uint8Array([0, 0, number(256), 0]) }),
    () => ({ type: FrameType.FIN, stream: known, payload: at(random() < 0.9 ? 0 : 1000, 0) }),
    () => ({ type: FrameType.RESET, stream: known, payload: new Uint8Array([0]) }),
    () => ({ type: FrameType.RESET, stream: known, payload: new Uint8Array([0]) }),
    () => ({
      type: random() < 0.02 ? FrameType.ACCEPT : FrameType.OPEN,
      stream: fresh(),
      payload: encodeOpening(0, new Uint8Array()),
    }),
  ])();
}
