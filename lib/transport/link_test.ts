import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { type Duplex, duplexPair, readFull, sleep, writeAll } from "@/util/mod.ts";
import {
  encodeFrame,
  encodeOffset,
  encodeOpening,
  FrameType,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  ProtocolError,
} from "./frame.ts";
import { type Link, LinkLost, type LinkOptions, openLink } from "./link.ts";
import { openMux } from "./mux.ts";
import { encodeSegment, type SegmentHeader, SegmentKind } from "./segment.ts";

/** Two links with `count` carriers between them, an echo at the agent's. */
function pair(count: number, options: LinkOptions = {}) {
  const [host, agent] = [openLink(options), openLink(options)];
  const carriers = Array.from({ length: count }, (_, index) => connect(index, host, agent));
  const onOpen = (incoming: { accept(): Duplex }) => void echo(incoming.accept()).catch(() => {});
  return {
    host: openMux(host, { role: "host", onOpen: () => {} }),
    agent: openMux(agent, { role: "agent", onOpen }),
    hostLink: host,
    agentLink: agent,
    carriers,
  };
}

/** One carrier between two links, with what it carried; `cut` ends it at both ends. */
function connect(index: number, host: Link, agent: Link) {
  const [a, b] = duplexPair();
  const carrier = {
    sent: 0,
    held: undefined as Promise<void> | undefined,
    cut() {
      a.close();
      b.close();
    },
  };
  const counted: Duplex = {
    ...a,
    async write(bytes) {
      await carrier.held;
      carrier.sent += bytes.length;
      return await a.write(bytes);
    },
  };
  host.attach(index, counted);
  agent.attach(index, b);
  return carrier;
}

async function echo(stream: Duplex): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (let count; (count = await stream.read(buffer)) !== null;) await writeAll(stream, buffer.subarray(0, count));
  await stream.closeWrite();
}

const BYTES = new Uint8Array(3_000_000).map((_, index) => index * 31 >> 3);

async function roundTrip(stream: Duplex, bytes: Uint8Array): Promise<void> {
  const received = new Uint8Array(bytes.length);
  await Promise.all([writeAll(stream, bytes), readFull(stream, received)]);
  equals(received, bytes);
}

Deno.test("a link goes on when all of its carriers were lost, with every byte once", async () => {
  const ends = pair(2);
  await using host = ends.host;
  await using _agent = ends.agent;
  const stream = await host.open(new Uint8Array());
  for (let round = 0; round < 3; round++) {
    const under = roundTrip(stream, BYTES);
    await sleep(1);
    ends.carriers.splice(0).forEach((carrier) => carrier.cut());
    while (ends.hostLink.carrierCount + ends.agentLink.carrierCount > 0) await sleep(1);
    ends.carriers.push(connect(0, ends.hostLink, ends.agentLink), connect(1, ends.hostLink, ends.agentLink));
    await under;
  }
});

/** Lets the clock stand still: a stream on a busy machine says as much at a time as on an idle one. */
function stillClock(): Disposable {
  const { now } = performance;
  const still = now.call(performance);
  performance.now = () => still;
  return { [Symbol.dispose]: () => performance.now = now };
}

Deno.test("small streams keep to the first carrier, bulk to the others", async () => {
  using _still = stillClock();
  const ends = pair(3);
  await using host = ends.host;
  await using _agent = ends.agent;
  const small = await host.open(new Uint8Array());
  await roundTrip(small, BYTES.subarray(0, 1000));
  const pingAndPong = 2 * 20;
  equals(ends.carriers.slice(1).map(({ sent }) => sent), [pingAndPong, pingAndPong]);
  const bulk = await host.open(new Uint8Array());
  await roundTrip(bulk, BYTES);
  const [express = 0, ...others] = ends.carriers.map(({ sent }) => sent);
  ok(express < 600_000, `the express lane carried ${express} bytes`);
  ok(others.every((sent) => sent > 500_000), `the others carried ${others}`);
});

Deno.test("a bulk lane that stands still does not hold up a small answer", async () => {
  const ends = pair(2);
  await using host = ends.host;
  await using _agent = ends.agent;
  const bulk = await host.open(new Uint8Array());
  await roundTrip(bulk, BYTES);
  const go = Promise.withResolvers<void>();
  const [, second] = ends.carriers;
  ok(second);
  second.held = go.promise;
  const under = roundTrip(bulk, BYTES);
  await roundTrip(await host.open(new Uint8Array()), BYTES.subarray(0, 100));
  go.resolve();
  await under;
});

Deno.test("a link without a carrier is lost after the time of grace, and says for how long and why", async () => {
  const ends = pair(1, { graceMs: 30 });
  const stream = await ends.host.open(new Uint8Array());
  ends.carriers[0]?.cut();
  await rejects(stream.read(new Uint8Array(1)), LinkLost);
  await rejects(ends.host.closed, /connection to the other end was lost.*reset/);
  await rejects(ends.agent.closed, LinkLost);
  await Promise.all([ends.host[Symbol.asyncDispose](), ends.agent[Symbol.asyncDispose]()]);
});

Deno.test("a carrier takes the place of the one with its index", async () => {
  const ends = pair(1);
  await using host = ends.host;
  await using _agent = ends.agent;
  const stream = await host.open(new Uint8Array());
  const under = roundTrip(stream, BYTES);
  for (let round = 0; round < 5; round++) {
    await sleep(1);
    connect(0, ends.hostLink, ends.agentLink);
    equals(ends.hostLink.carrierCount, 1);
  }
  await under;
});

/** A link against a peer that the test plays: what it writes are segments. */
async function withLiar(
  body: (link: Link, say: (header: Partial<SegmentHeader>, bytes?: Uint8Array) => Promise<void>) => Promise<void>,
) {
  const link = openLink({ graceMs: 60_000 });
  const mux = openMux(link, { role: "agent", onOpen: (incoming) => incoming.refuse({ code: "EPERM", message: "" }) });
  const [a, b] = duplexPair({ capacityBytes: 1 << 20 });
  const gone = link.attach(0, a);
  let place = 0;
  await body(link, async (header, bytes = new Uint8Array()) => {
    const whole = { kind: SegmentKind.EXPRESS, place: place++, acknowledged: 0, number: 0, ...header };
    await writeAll(b, encodeSegment(whole, bytes)).catch(() => {}); // it may be cut off already
  });
  b.close();
  await gone;
  await mux[Symbol.asyncDispose]();
}

const OPEN = new Uint8Array(HEADER_BYTES + 4);
encodeFrame({ type: FrameType.OPEN, stream: 1, payload: encodeOpening(0, new Uint8Array()) }, OPEN);

Deno.test("a lie about the carrier costs the carrier, a lie about the lane the link", async (t) => {
  const costs = {
    carrier: [
      { name: "a place too far", header: { place: 5 }, body: OPEN },
      { name: "a place again", header: { place: 2 ** 32 - 1 }, body: OPEN },
      {
        name: "an acknowledgement of what was not sent",
        header: { kind: SegmentKind.ACK, acknowledged: 9 },
        body: new Uint8Array(),
      },
    ],
    link: [{ name: "a number that is too far ahead", header: { number: 70_000 } }],
  } as const;
  for (const { name, header, body } of costs.carrier) {
    await t.step(name, () =>
      withLiar(async (link, say) => {
        await say(header, body);
        while (link.carrierCount > 0) await sleep(1);
        equals(await Promise.race([link.closed, sleep(5).then(() => "goes on")]), "goes on");
      }));
  }
  for (const { name, header } of costs.link) {
    await t.step(name, () =>
      withLiar(async (link, say) => {
        await say(header, OPEN);
        await rejects(link.closed, ProtocolError);
      }));
  }
});

Deno.test("what comes twice is taken once", async () => {
  await withLiar(async (link, say) => {
    await say({ number: 0 }, OPEN);
    await say({ number: 0 }, OPEN); // a second OPEN of the same number would end the link
    await say({ number: 0 }, OPEN);
    equals(await Promise.race([link.closed, sleep(5).then(() => "goes on")]), "goes on");
  });
});

Deno.test("the express lane is taken in the order of its numbers, whatever order they come in", async () => {
  const fin = new Uint8Array(HEADER_BYTES + 8);
  encodeFrame({ type: FrameType.FIN, stream: 1, payload: encodeOffset(0, new Uint8Array(8)) }, fin);
  await withLiar(async (link, say) => {
    await say({ number: 1 }, fin); // the end of a stream that was not opened would end the link
    await say({ number: 0 }, OPEN);
    equals(await Promise.race([link.closed, sleep(5).then(() => "goes on")]), "goes on");
  });
});

Deno.test("a peer that keeps breaking its carriers is given up", async () => {
  const link = openLink();
  const mux = openMux(link, { role: "agent", onOpen: () => {} });
  for (let round = 0; round < 8; round++) {
    const [a, b] = duplexPair();
    const gone = link.attach(0, a);
    await writeAll(b, new Uint8Array(20).fill(77));
    await gone;
  }
  await rejects(link.closed, ProtocolError);
  await mux[Symbol.asyncDispose]();
});

/** Takes whatever frames come, of any stream. */
const TAKES_ALL = { take: () => {}, end: () => {} };

/**
 * A link whose carrier goes deaf, once it has carried bulk and, beyond its first MB, said so after `lateMs`.
 *
 * @returns what it takes then
 */
async function sentToDeaf(
  { carried, lateMs, lanes }: { carried: number; lateMs: number; lanes: boolean[] },
  enough: number,
): Promise<number> {
  const [link, peer, over] = [openLink(), openLink(), new AbortController()];
  link.start(TAKES_ALL);
  peer.start(TAKES_ALL);
  const [ours, theirs] = duplexPair({ capacityBytes: 64e6 });
  peer.attach(0, theirs);
  let swallowed: number | undefined;
  let given = 0;
  const came: { readonly bytes: Uint8Array; readonly dueMs: number }[] = [];
  const coming = (async () => {
    const buffer = new Uint8Array(1000);
    for (let count; swallowed === undefined && (count = await ours.read(buffer)) !== null;) {
      came.push({ bytes: buffer.slice(0, count), dueMs: performance.now() + (given > 1e6 ? lateMs : 0) });
    }
  })().catch(() => {});
  link.attach(0, {
    async read(into) {
      for (;;) {
        if (over.signal.aborted) return null;
        const next = swallowed === undefined ? came[0] : undefined;
        if (next !== undefined && next.dueMs <= performance.now()) break;
        await sleep(1);
      }
      const { bytes = new Uint8Array() } = came.shift() ?? {};
      into.set(bytes);
      return bytes.length;
    },
    write(bytes) {
      given += bytes.length;
      if (swallowed === undefined) return ours.write(bytes);
      swallowed += bytes.length;
      return Promise.resolve(bytes.length);
    },
    closeWrite: () => Promise.resolve(),
    close: () => ours.close(),
  });
  const payload = new Uint8Array(65528);
  const send = async (bulk: boolean, bytes: number) => {
    for (let position = 0; position < bytes; position += payload.length) {
      await link.data({ stream: 1, position, payload, bulk });
    }
  };
  await send(true, carried);
  await sleep(2 * lateMs); // nothing is under way
  swallowed = 0;
  for (const bulk of lanes) void send(bulk, Infinity).catch(() => {});
  while (swallowed < enough) await sleep(1);
  await sleep(100);
  over.abort();
  await Promise.all([link[Symbol.asyncDispose](), peer[Symbol.asyncDispose](), coming, sleep(5)]);
  return swallowed;
}

Deno.test("a peer that reads nothing and acknowledges nothing costs a bounded memory", async () => {
  const sent = await sentToDeaf({ carried: 40e6, lateMs: 0, lanes: [true, false] }, 38e6);
  ok(sent < 43e6, `${sent} bytes were sent without an acknowledgement`); // what the specification allows
});

Deno.test("a carrier whose bytes stand in a queue is not given all that may be under way", async () => {
  const sent = await sentToDeaf({ carried: 40e6, lateMs: 150, lanes: [true] }, 1);
  ok(sent < 9e6, `${sent} bytes were sent without an acknowledgement`);
});

Deno.test("a new carrier is given little until it has shown to carry, and the others go on without it", async () => {
  await using link = openLink();
  await using peer = openLink();
  link.start(TAKES_ALL);
  peer.start(TAKES_ALL);
  const given = [0, 0, 0];
  const attach = (index: number, [ours, theirs]: [Duplex, Duplex | undefined]) => {
    const write = (bytes: Uint8Array) => {
      given[index] = (given[index] ?? 0) + bytes.length;
      return ours.write(bytes);
    };
    link.attach(index, { ...ours, write });
    if (theirs !== undefined) peer.attach(index, theirs);
  };
  attach(0, duplexPair());
  attach(1, duplexPair());
  const [cold] = duplexPair({ capacityBytes: 64e6 });
  attach(2, [cold, undefined]); // a connection whose window is small: it takes much and carries little
  const payload = new Uint8Array(MAX_DATA_BYTES);
  for (let position = 0; position < 30e6; position += payload.length) {
    await link.data({ stream: 1, position, payload, bulk: true });
  }
  ok((given[2] ?? 0) > 0 && (given[2] ?? 0) < 500_000, `${given} bytes were given to the carriers`);
});

Deno.test("carriers that carry alike are given alike, even when the first one would take all of it", async () => {
  const [link, peer] = [openLink(), openLink()];
  link.start(TAKES_ALL);
  peer.start(TAKES_ALL);
  const given = [0, 0, 0, 0];
  const over = new AbortController();
  for (const index of given.keys()) {
    const [ours, theirs] = duplexPair({ capacityBytes: 8e6 });
    peer.attach(index, theirs);
    const write = (bytes: Uint8Array) => {
      given[index] = (given[index] ?? 0) + bytes.length;
      return ours.write(bytes);
    };
    const read = async (into: Uint8Array) => { // what says that it has arrived comes late, as on a long path
      const count = await ours.read(into);
      await sleep(20, over.signal).catch(() => {});
      return count;
    };
    link.attach(index, { ...ours, write, read });
  }
  const payload = new Uint8Array(MAX_DATA_BYTES);
  for (let position = 0; position < 20e6; position += payload.length) {
    await link.data({ stream: 1, position, payload, bulk: true });
    await sleep(0); // what is said is less than what could be carried: all carriers wait for it
  }
  const [, ...bulk] = given;
  over.abort();
  await Promise.all([link[Symbol.asyncDispose](), peer[Symbol.asyncDispose]()]);
  ok(Math.min(...bulk) > 4e6, `${given} bytes were given to the carriers`);
});
