import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { tlsFile } from "../../tests/testkit/kubeconfig.ts";
import { collectGarbage, type Duplex, duplexPair, readFull, sleep, splice, writeAll } from "@/util/mod.ts";
import { encodeFrame, encodeOffset, encodeOpening, FrameType, HEADER_BYTES, ProtocolError } from "./frame.ts";
import { LinkLost, type LinkOptions, openLink } from "./link.ts";
import { type Incoming, MAX_OPENING, MAX_STREAMS, type Mux, type MuxOptions, openMux as openMuxOver } from "./mux.ts";
import { type MuxStream, StreamReset } from "./mux_stream.ts";
import { encodeSegment, SegmentKind } from "./segment.ts";
import { FIRST_WINDOW_BYTES } from "./window.ts";

/** A mux over a link of one carrier, with which it ends. */
function openMux(carrier: Duplex, options: MuxOptions & LinkOptions): Mux {
  const link = openLink({ graceMs: 0, ...options });
  const mux = openMuxOver(link, options);
  link.attach(0, carrier);
  return mux;
}

const text = (value: string) => new TextEncoder().encode(value);
const words = (value: Uint8Array) => new TextDecoder().decode(value);

/**
 * The carriers over which each promise must hold: memory, memory cut into few bytes, TCP and TLS on loopback. Over a
 * WebSocket and SPDY they do in tests/session and tests/e2e, where those come from.
 */
const CARRIERS: { name: string; open: () => Promise<[Duplex, Duplex]> }[] = [
  { name: "memory", open: () => Promise.resolve(duplexPair()) },
  { name: "memory, 7 bytes at a time", open: () => Promise.resolve(duplexPair({ chunkBytes: 7 })) },
  { name: "TCP", open: tcpPair },
  { name: "TLS", open: tlsPair },
];

async function tcpPair(): Promise<[Duplex, Duplex]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  return await Promise.all([Deno.connect({ hostname: "127.0.0.1", port }), listener.accept()]);
}

async function tlsPair(): Promise<[Duplex, Duplex]> {
  const [cert, key, authority] = [tlsFile("server.pem"), tlsFile("server.key"), tlsFile("authority.pem")];
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const { port } = listener.addr as Deno.NetAddr;
  return await Promise.all([
    Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [authority] }),
    listener.accept(),
  ]);
}

interface Ends {
  host: Mux;
  agent: Mux;
}

/** Runs `body` with both ends of a tunnel over each carrier; the agent does with its streams what `onOpen` says. */
function check(name: string, onOpen: (incoming: Incoming) => void, body: (ends: Ends) => Promise<void>): void {
  Deno.test(`openMux() ${name}`, async (t) => {
    for (const carrier of CARRIERS) {
      await t.step(`over ${carrier.name}`, async () => {
        const [a, b] = await carrier.open();
        await using agent = openMux(b, { role: "agent", onOpen });
        await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
        await body({ host, agent });
      });
    }
  });
}

const NO = { code: "EPERM", message: "not here" };

/** Gives back what it is sent. */
const echo = (incoming: Incoming) => {
  const stream = incoming.accept(text(`for ${words(incoming.request)}`));
  splice(stream, loop());
};

/** A duplex that reads what was written to it. */
function loop(): Duplex {
  const [a, b] = duplexPair({ capacityBytes: 1024 });
  return {
    read: (into) => b.read(into),
    write: (from) => a.write(from),
    closeWrite: () => a.closeWrite(),
    close: a.close,
  };
}

async function readAll(stream: Duplex): Promise<Uint8Array> {
  const parts: number[] = [];
  const buffer = new Uint8Array(100_000);
  for (let count; (count = await stream.read(buffer)) !== null;) {
    for (const b of buffer.subarray(0, count)) parts.push(b);
  }
  return new Uint8Array(parts);
}

check("carries a request, an answer, bytes both ways and both ends of stream", echo, async ({ host, agent }) => {
  const stream = await host.open(text("tea"));
  equals(words(stream.reply), "for tea");
  const sent = crypto.getRandomValues(new Uint8Array(50_000));
  const [received] = await Promise.all([readAll(stream), writeAll(stream, sent).then(() => stream.closeWrite())]);
  equals(received, sent);
  equals(host.streamCount, 0);
  equals(agent.streamCount, 0);
});

check("keeps many streams apart", echo, async ({ host, agent }) => {
  await Promise.all(Array.from({ length: 200 }, async (_, index) => {
    const stream = await host.open(text(`${index}`));
    await writeAll(stream, text(`stream ${index}`));
    await stream.closeWrite();
    equals(words(await readAll(stream)), `stream ${index}`);
  }));
  equals([host.streamCount, agent.streamCount], [0, 0]);
});

check("tells why a stream was refused", (incoming) => incoming.refuse(NO), async ({ host }) => {
  await rejects(host.open(text("x")), (error: unknown) => error instanceof StreamReset && error.code === "EPERM");
});

check("passes a reset on, with its code, to a reader and to a writer", (incoming) => {
  const stream = incoming.accept();
  if (words(incoming.request) === "reset") stream.reset({ code: "ECONNRESET", message: "by peer" });
}, async ({ host }) => {
  const stream = await host.open(text("reset"));
  const isReset = (error: unknown) => error instanceof StreamReset && error.code === "ECONNRESET";
  await rejects(stream.read(new Uint8Array(1)), isReset);
  await rejects(stream.write(text("x")), isReset);
  equals(host.streamCount, 0);
});

check("gives up an unanswered stream when its signal says so", () => {}, async ({ host, agent }) => {
  const controller = new AbortController();
  const opening = host.open(text("never"), { signal: controller.signal });
  controller.abort(new Error("enough"));
  await rejects(opening, /enough/);
  equals(host.streamCount, 0);
  while (agent.streamCount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("a stream whose reader stops holds one window and does not hold up another", async () => {
  const [a, b] = duplexPair();
  await using agent = openMux(b, { role: "agent", onOpen: echoOrStall });
  await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const stalled = await host.open(text("stall"));
  let written = 0;
  const filling = (async () => {
    const chunk = new Uint8Array(65536);
    while (true) written += await stalled.write(chunk);
  })();
  filling.catch(() => {}); // looked at below
  const other = await host.open(text("echo"));
  const message = new Uint8Array(3 * FIRST_WINDOW_BYTES).map((_, index) => index * 31 >> 3);
  const answer = new Uint8Array(message.length);
  await Promise.all([writeAll(other, message), readFull(other, answer)]);
  equals(answer, message);
  equals(written, FIRST_WINDOW_BYTES);
  stalled.close();
  await rejects(filling, StreamReset);
  await other.closeWrite();
  await readAll(other);
  equals([host.streamCount, agent.streamCount], [0, 0]);
});

function echoOrStall(incoming: Incoming): void {
  if (words(incoming.request) === "stall") incoming.accept();
  else echo(incoming);
}

Deno.test("the end of the carrier ends every stream, every opening and the mux, with one reason", async () => {
  const [a, b] = duplexPair();
  const mux = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const { promise: accepted, resolve } = Promise.withResolvers<MuxStream>();
  const peer = openMux(b, {
    role: "agent",
    onOpen: (i) => words(i.request) === "yes" ? resolve(i.accept()) : undefined,
  });
  const stream = await mux.open(text("yes"));
  const opening = mux.open(text("maybe"));
  const reading = stream.read(new Uint8Array(1));
  await accepted;
  b.close();
  const isLost = (error: unknown) => error instanceof LinkLost;
  await rejects(reading, isLost);
  await rejects(opening, isLost);
  await rejects(mux.closed, isLost);
  await rejects(mux.open(text("late")), isLost);
  await mux[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

Deno.test("disposing one end says goodbye to the other", async () => {
  const [a, b] = duplexPair();
  const host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const agent = openMux(b, { role: "agent", onOpen: echo });
  await host[Symbol.asyncDispose]();
  await host.closed;
  await rejects(agent.closed, /The other end is done/);
  await agent[Symbol.asyncDispose]();
});

Deno.test("a silent peer is dead after the time for silence; one that pings is not", async () => {
  const options: MuxOptions & LinkOptions = { role: "host", onOpen: () => {}, heartbeatMs: 5, silenceMs: 300 };
  const [a] = duplexPair();
  const alone = openMux(a, options);
  await rejects(alone.closed, /has been silent/);
  const [c, d] = duplexPair();
  await using first = openMux(c, options);
  await using second = openMux(d, { ...options, role: "agent" });
  const verdict = Promise.race(
    [first.closed, second.closed].map((closed) => closed.then(() => "ended", () => "ended")),
  );
  const waited = new Promise((resolve) => setTimeout(resolve, 700, "alive"));
  equals(await Promise.race([verdict, waited]), "alive");
});

Deno.test("a peer that breaks the protocol is told so, and the link ends", async (t) => {
  const frame = (type: FrameType, stream: number, payload = new Uint8Array()) => {
    const wire = new Uint8Array(HEADER_BYTES + payload.length);
    encodeFrame({ type, stream, payload }, wire);
    return wire;
  };
  const data = (stream: number, position: number, length: number) => {
    const payload = new Uint8Array(8 + length);
    return frame(FrameType.DATA, stream, encodeOffset(position, payload));
  };
  const fin = (stream: number, position = 0) => frame(FrameType.FIN, stream, encodeOffset(position, new Uint8Array(8)));
  const open = (stream: number) => frame(FrameType.OPEN, stream, encodeOpening(65536, new Uint8Array()));
  const cases = [
    { name: "DATA for a stream that was never opened", wire: [data(5, 0, 1)] },
    { name: "OPEN with a number of ours", wire: [open(2)] },
    { name: "OPEN with a number used before", wire: [open(3), open(3)] },
    { name: "ACCEPT of nothing", wire: [frame(FrameType.ACCEPT, 2, encodeOpening(1, new Uint8Array()))] },
    { name: "DATA beyond the window", wire: [open(1), ...[0, 1, 2, 3, 4].map((n) => data(1, n * 65528, 65528))] },
    { name: "DATA far away", wire: [open(1), data(1, 2 ** 40, 1)] },
    { name: "DATA twice", wire: [open(1), data(1, 0, 9), data(1, 0, 9)] },
    { name: "early DATA twice", wire: [open(1), data(1, 9, 9), data(1, 9, 9)] },
    {
      name: "early DATA that overlaps without end",
      wire: [open(1), ...[1, 2, 3, 4, 5].map((n) => data(1, n, 65000))],
    },
    { name: "DATA over early DATA", wire: [open(1), data(1, 100, 100), data(1, 0, 150)] },
    { name: "FIN before early DATA", wire: [open(1), data(1, 9, 9), fin(1, 12)] },
    { name: "DATA after FIN", wire: [open(1), fin(1), data(1, 0, 1)] },
    { name: "FIN twice", wire: [open(1), fin(1), fin(1)] },
    { name: "FIN before what came", wire: [open(1), data(1, 0, 9), fin(1, 3)] },
    { name: "FIN beyond the window", wire: [open(1), fin(1, 2 ** 30)] },
    { name: "CREDIT beyond every window", wire: [open(1), frame(FrameType.CREDIT, 1, new Uint8Array([9, 0, 0, 0]))] },
    { name: "an unknown type", wire: [new Uint8Array([77, 0, 0, 0, 0, 0, 0, 0])] },
    { name: "a cut frame", wire: [new Uint8Array([1, 0, 0])] },
  ];
  for (const { name, wire } of cases) {
    await t.step(name, async () => {
      const [a, b] = duplexPair({ capacityBytes: 4 << 20 });
      await using mux = openMux(a, { role: "agent", onOpen: (incoming) => incoming.accept() });
      for (const [number, part] of wire.entries()) {
        const header = { kind: SegmentKind.EXPRESS, place: number, acknowledged: 0, number };
        await writeAll(b, encodeSegment(header, part));
      }
      await rejects(mux.closed, ProtocolError);
      const told = new Uint8Array(4096);
      let text = "";
      for (let count; (count = await b.read(told).catch(() => null)) !== null;) text += words(told.subarray(0, count));
      ok(/stream|frame|OPEN|DATA|FIN|CREDIT|ACCEPT/.test(text), `a goodbye with a sentence: ${text}`);
    });
  }
});

Deno.test("a window grows where the path keeps a reader waiting, and its growth goes back when the stream is over", async () => {
  await using _lastRead = { [Symbol.asyncDispose]: () => sleep(5) }; // it comes late, when all is over
  const [a, b] = duplexPair({ capacityBytes: 64 * 1024 });
  await using agent = openMux(b, { role: "agent", onOpen: drainOrStall });
  await using host = openMux(slowed(a, 2), { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  for (let round = 0; round < 2; round++) {
    const stream = await host.open(text("drain"));
    const chunk = new Uint8Array(65536);
    for (let sent = 0; sent < 12e6;) sent += await stream.write(chunk);
    await stream.closeWrite();
    const [peak = 0] = new Uint32Array((await readAll(stream)).buffer);
    ok(peak >= 2 * FIRST_WINDOW_BYTES, `${peak} bytes were on their way at most`);
  }
  equals([host.streamCount, agent.streamCount], [0, 0]);

  /** Reads all, and answers how much came between two of its reads at most: the window as it is seen from here. */
  function drainOrStall(incoming: Incoming): void {
    const stream = incoming.accept();
    (async () => {
      const buffer = new Uint8Array(1 << 25);
      let most = 0;
      for (let count; (count = await stream.read(buffer)) !== null; await sleep(3)) most = Math.max(most, count);
      await writeAll(stream, new Uint8Array(new Uint32Array([most]).buffer));
      await stream.closeWrite();
    })();
  }
});

/** A carrier each of whose reads comes late: a path with a round trip. */
function slowed(carrier: Duplex, ms: number): Duplex {
  return {
    ...carrier,
    async read(into) {
      const count = await carrier.read(into);
      await sleep(ms);
      return count;
    },
  };
}

Deno.test("streams that have much to say take turns", async () => {
  const [a, b] = duplexPair();
  const came: string[] = [];
  const readings: Promise<void>[] = [];
  await using _agent = openMux(b, {
    role: "agent",
    onOpen: (incoming) => {
      const name = words(incoming.request);
      const stream = incoming.accept();
      const read = async () => {
        const buffer = new Uint8Array(65528);
        for (let count; (count = await stream.read(buffer)) !== null;) {
          for (; count > 0; count -= 65528) came.push(name);
        }
      };
      readings.push(read());
    },
  });
  await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const streams = await Promise.all(["a", "b", "c"].map((name) => host.open(text(name))));
  await Promise.all(streams.map((stream) => writeAll(stream, new Uint8Array(40 * 65528))));
  await Promise.all(streams.map((stream) => stream.closeWrite()));
  await Promise.all(readings); // to the ends of the streams: the host's goodbye would fail a read that came later
  for (const name of ["a", "b", "c"]) {
    const half = came.slice(0, 60).filter((each) => each === name).length;
    ok(half >= 10 && half <= 30, `${name} had ${half} of the first 60 turns`);
  }
});

Deno.test("no more streams are open than the specification has, and the others are refused with EMFILE", async () => {
  const [a, b] = duplexPair();
  await using agent = openMux(b, { role: "agent", onOpen: (incoming) => incoming.accept() });
  await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const opened = await Promise.all(Array.from({ length: MAX_STREAMS }, () => host.open(text(""))));
  equals(agent.streamCount, MAX_STREAMS);
  await rejects(host.open(text("")), (error: unknown) => error instanceof StreamReset && error.code === "EMFILE");
  opened[0]?.close();
  (await host.open(text(""))).close();
});

Deno.test("OPENs beyond those that may be unanswered wait for their turn, and can be given up there", async () => {
  const [a, b] = duplexPair();
  const asked: Incoming[] = [];
  await using _agent = openMux(b, { role: "agent", onOpen: (incoming) => asked.push(incoming) });
  await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const opening = Array.from({ length: MAX_OPENING }, () => host.open(text("")));
  const controller = new AbortController();
  const givenUp = host.open(text("given up"), { signal: controller.signal });
  const last = host.open(text("last"));
  while (asked.length < MAX_OPENING) await sleep(1);
  controller.abort(new Error("enough"));
  await rejects(givenUp, /enough/);
  asked.splice(0).forEach((incoming) => incoming.accept().close());
  await Promise.all(opening);
  while (asked.length < 1) await sleep(1);
  equals(asked.map(({ request }) => words(request)), ["last"]);
  asked[0]?.accept();
  (await last).close();
});

Deno.test("10 000 streams opened and closed leave nothing: no stream, and no memory", async () => {
  const [a, b] = duplexPair();
  await using agent = openMux(b, { role: "agent", onOpen: (incoming) => incoming.accept().closeWrite() });
  await using host = openMux(a, { role: "host", onOpen: (incoming) => incoming.refuse(NO) });
  const openAndClose = async (hundreds: number) => {
    for (let round = 0; round < hundreds; round++) {
      await Promise.all(Array.from({ length: 100 }, async () => {
        const stream = await host.open(text("x"));
        await stream.closeWrite();
        equals(await stream.read(new Uint8Array(1)), null);
      }));
    }
    equals([host.streamCount, agent.streamCount], [0, 0]);
    await collectGarbage();
    return Deno.memoryUsage().heapUsed;
  };
  const before = await openAndClose(10);
  const left = await openAndClose(100) - before;
  ok(left < 2e6, `${left} bytes are left, ${left / 10_000} of each stream`);
});
