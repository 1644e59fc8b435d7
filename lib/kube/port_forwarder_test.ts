import { type Duplex, writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import {
  acceptWebSocket,
  type Answer,
  readAll,
  readClientFrame,
  type SeenRequest,
  serverFrame,
  startServer,
  type TestServer,
  writeText,
} from "./_test_server.ts";
import { ConnectionLost, openApi } from "./api.ts";
import { ByteReader } from "./byte_reader.ts";
import { ExecError } from "./exec_stream.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { PortForwardError } from "./port_forward.ts";
import { openPortForwarder, type PortForwardExec, type PortForwardWay } from "./port_forwarder.ts";
import { KubeError } from "./status.ts";

const PORT = 80;
const forbidden = (message: string): Answer => ({
  status: 403,
  body: { kind: "Status", status: "Failure", code: 403, reason: "Forbidden", message },
});

type Pod = (conn: Pick<Duplex, "read" | "write">) => Promise<void>;

/** A server that accepts some ways alone, and refuses the others by `refuse`. */
function picky(accepts: readonly string[], refuse: (way: string) => Answer, pod: Pod = echo): TestServer {
  return startServer({
    async answer(exchange) {
      const { request, conn, reader } = exchange;
      const protocol = request.headers.get("sec-websocket-protocol");
      const way = wayOf(request);
      if (!accepts.includes(way)) return refuse(way);
      if (way === "spdy") {
        await writeText(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n");
        await serveSpdy({ read: (into) => reader.read(into), write: (bytes) => conn.write(bytes) }, pod);
        return undefined;
      }
      await acceptWebSocket(exchange, protocol?.split(", ")[0] ?? "");
      if (way === "exec") await serveExec(conn, reader);
      else if (way === "tunnel") await serveSpdy(tunnel(conn, reader), pod);
      else await serveChannels(conn, reader);
      return undefined;
    },
  });
}

function wayOf({ method, url, headers }: SeenRequest): PortForwardWay {
  if (method === "POST") return "spdy";
  if (url.pathname.endsWith("/exec")) return "exec";
  return headers.get("sec-websocket-protocol") === "v4.channel.k8s.io" ? "websocket" : "tunnel";
}

/** The node's half of v4: gives back what comes, until the client closes. */
async function serveChannels(conn: Duplex, reader: ByteReader): Promise<void> {
  await writeAll(conn, new Uint8Array([...serverFrame(2, [0, PORT, 0]), ...serverFrame(2, [1, PORT, 0])]));
  for (let frame; (frame = await readClientFrame(reader)) !== undefined && frame.opcode === 2;) {
    await writeAll(conn, serverFrame(2, frame.payload));
  }
  await writeAll(conn, serverFrame(8, [3, 232])).catch(() => {}); // the client may have gone without a Close
}

/** A command that gives back its input until that ends. */
async function serveExec(conn: Duplex, reader: ByteReader): Promise<void> {
  await writeAll(conn, serverFrame(2, [1])); // "established"
  for (let frame; (frame = await readClientFrame(reader)) !== undefined && frame.payload[0] === 0;) {
    await writeAll(conn, serverFrame(2, [1, ...frame.payload.subarray(1)]));
  }
  await writeAll(conn, serverFrame(2, [3, ...new TextEncoder().encode('{"metadata":{},"status":"Success"}')]));
  await writeAll(conn, serverFrame(8, [3, 232]));
}

/** The bytes of a client's messages; ours go out in fragments, as some servers send them. */
function tunnel(conn: Duplex, reader: ByteReader): Pick<Duplex, "read" | "write"> {
  let rest = new Uint8Array();
  return {
    async read(into) {
      while (rest.length === 0) {
        const frame = await readClientFrame(reader);
        if (frame === undefined || frame.opcode === 8) return null;
        rest = new Uint8Array(frame.payload);
      }
      const count = Math.min(into.length, rest.length);
      into.set(rest.subarray(0, count));
      rest = rest.slice(count);
      return count;
    },
    async write(bytes) {
      const half = bytes.length >> 1;
      await writeAll(conn, serverFrame(2, bytes.subarray(0, half), false));
      await writeAll(conn, serverFrame(0, bytes.subarray(half)));
      return bytes.length;
    },
  };
}

/** The node's half of SPDY: takes the two streams, gives the data of the second one to `pod`. */
async function serveSpdy(conn: Pick<Duplex, "read" | "write">, pod: Pod): Promise<void> {
  const reader = new ByteReader(conn);
  const streams: number[] = [];
  let left = 0;
  let ended = false;
  const frame = async (): Promise<boolean> => {
    if (!await reader.need(8)) return false;
    const view = new DataView(reader.buffered.slice(0, 8).buffer);
    const length = view.getUint32(4) & 0xffffff;
    reader.consume(8);
    if (view.getUint8(0) === 0x80) {
      assert.ok(await reader.need(length));
      if (view.getUint16(2) === 1) streams.push(new DataView(reader.buffered.slice(0, 4).buffer).getUint32(0));
      reader.consume(length);
      return true;
    }
    if (view.getUint32(0) === streams[1]) {
      left = length;
      ended = (view.getUint8(4) & 1) === 1;
    }
    return true;
  };
  await pod({
    async read(into) {
      while (left === 0) {
        if (ended || !await frame()) return null;
      }
      const count = await reader.read(into.subarray(0, left));
      left -= count ?? 0;
      return count;
    },
    async write(bytes) {
      await writeAll(conn, new Uint8Array([0, 0, 0, streams[1] ?? 0, 0, ...length24(bytes), ...bytes]));
      return bytes.length;
    },
  });
  const [errors = 0, data = 0] = streams;
  for (const stream of [data, errors]) await writeAll(conn, new Uint8Array([0, 0, 0, stream, 1, 0, 0, 0]));
  await conn.read(new Uint8Array(1)); // until the client closes
}

const length24 = ({ length }: Uint8Array) => [length >> 16, length >> 8 & 255, length & 255];

async function echo(conn: Pick<Duplex, "read" | "write">): Promise<void> {
  const buffer = new Uint8Array(1000);
  for (let count; (count = await conn.read(buffer)) !== null;) await writeAll(conn, buffer.subarray(0, count));
}

const CHOICES: {
  name: string;
  ways?: readonly PortForwardWay[];
  exec?: PortForwardExec;
  accepts: string[];
  refuse: (way: string) => Answer;
  want: string[];
}[] = [
  {
    name: "the first way that it is told to try",
    ways: ["spdy", "websocket"],
    accepts: ["spdy", "websocket", "tunnel"],
    refuse: () => ({ status: 500 }),
    want: ["spdy", "spdy"],
  },
  {
    name: "a tunnel where the role has get alone",
    ways: ["spdy", "tunnel"],
    accepts: ["tunnel"],
    refuse: () => forbidden("cannot create"),
    want: ["spdy", "tunnel", "tunnel"],
  },
  {
    name: "a tunnel where v4 is refused in the handshake",
    accepts: ["tunnel"],
    refuse: () => ({ status: 403, body: "" }),
    want: ["websocket", "tunnel", "tunnel"],
  },
  {
    name: "SPDY where WebSockets do not get through",
    accepts: ["spdy"],
    refuse: () => ({ status: 400, body: "<html>Bad Request</html>" }),
    want: ["websocket", "tunnel", "spdy", "spdy"],
  },
  {
    name: "SPDY at once where the role has create alone",
    accepts: ["spdy"],
    refuse: () => forbidden("cannot get"),
    want: ["websocket", "spdy", "spdy"],
  },
  {
    name: "exec where the role has no port-forward at all",
    exec: { container: "c", command: ["nc", "127.0.0.1", "80"] },
    accepts: ["exec"],
    refuse: () => forbidden("cannot get"),
    want: ["websocket", "exec", "exec"],
  },
  {
    name: "exec where something on the way breaks port-forwards alone",
    exec: { command: ["nc"] },
    accepts: ["exec"],
    refuse: () => ({ status: 404, body: "no such page" }),
    want: ["websocket", "exec", "exec"],
  },
  {
    name: "exec where a gateway does not let port-forwards be upgraded",
    exec: { command: ["nc"] },
    accepts: ["exec"],
    refuse: () => ({
      status: 400,
      body: { status: "Failure", code: 400, reason: "BadRequest", message: "Upgrade request required" },
    }),
    want: ["websocket", "exec", "exec"],
  },
  {
    name: "no exec where a port-forward is allowed",
    exec: { command: ["nc"] },
    accepts: ["websocket", "exec"],
    refuse: () => ({ status: 500 }),
    want: ["websocket", "websocket"],
  },
  {
    name: "SPDY where neither port-forward nor exec may be got",
    exec: { command: ["nc"] },
    accepts: ["spdy"],
    refuse: () => forbidden("cannot get"),
    want: ["websocket", "exec", "spdy", "spdy"],
  },
];

function waysAsked({ seen }: TestServer): string[] {
  return seen.map(wayOf);
}

Deno.test("portForward() finds the way that the server accepts, and remembers it:", async (t) => {
  for (const { name, ways, exec, accepts, refuse, want } of CHOICES) {
    await t.step(name, async () => {
      await using server = picky(accepts, refuse);
      await using kube = openKubeClient(server.config(), ways && { portForwardWays: ways });
      for (let count = 0; count < 2; count++) {
        const duplex = await kube.portForward({ name: "web" }, PORT, { ...(exec && { exec }) });
        const sent = crypto.getRandomValues(new Uint8Array(20_000));
        const writing = writeAll(duplex, sent).then(() => duplex.closeWrite());
        assert.deepEqual(await readAll(duplex), sent);
        await writing;
        duplex.close();
      }
      assert.deepEqual(waysAsked(server), want);
    });
  }
});

Deno.test("portForward() for bulk goes by SPDY where a WebSocket is accepted, and as all others where not", async (t) => {
  const exec = { command: ["nc"] } as const;
  const kinds = [
    { accepts: ["websocket", "spdy"], want: ["websocket", "spdy", "websocket"] },
    { accepts: ["exec", "spdy"], want: ["websocket", "exec", "exec", "exec"] },
  ];
  for (const { accepts, want } of kinds) {
    await t.step(accepts.join(" and "), async () => {
      await using server = picky(accepts, () => forbidden("cannot get"));
      await using kube = openKubeClient(server.config());
      for (const bulk of [false, true, false]) {
        (await kube.portForward({ name: "web" }, PORT, { exec, bulk })).close();
      }
      assert.deepEqual(waysAsked(server), want);
    });
  }
});

Deno.test("portForward() by exec runs the command that it is given, and without one goes another way", async () => {
  await using server = picky(["exec", "spdy"], () => forbidden("cannot get"));
  await using kube = openKubeClient(server.config());
  const exec = { container: "c", command: ["nc", "-N", "127.0.0.1", "80"] } as const;
  (await kube.portForward({ name: "web" }, PORT, { exec })).close();
  const query = server.seen.at(-1)?.url.searchParams;
  assert.deepEqual([query?.get("container"), query?.getAll("command")], ["c", ["nc", "-N", "127.0.0.1", "80"]]);
  (await kube.portForward({ name: "web" }, PORT)).close();
  assert.deepEqual(waysAsked(server), ["websocket", "exec", "websocket", "spdy"]);
  await assert.rejects(kube.portForward({ name: "web" }, PORT, { via: "exec" }), TypeError);
});

Deno.test("portForward() goes another way when the connection is broken off twice, as a restart does it once", async () => {
  let asked = 0;
  await using server = startServer({
    async answer(exchange) {
      if (wayOf(exchange.request) === "websocket") return void asked++; // and the connection ends
      await acceptWebSocket(exchange, "v5.channel.k8s.io");
      await serveExec(exchange.conn, exchange.reader);
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const exec = { command: ["nc"] } as const;
  await assert.rejects(kube.portForward({ name: "web" }, PORT, { exec }), ConnectionLost);
  (await kube.portForward({ name: "web" }, PORT, { exec })).close();
  (await kube.portForward({ name: "web" }, PORT, { exec })).close();
  assert.deepEqual(waysAsked(server), ["websocket", "websocket", "exec", "exec"]);
});

Deno.test("portForward() goes another way when a request is never answered, and tells it where there is none", async () => {
  await using server = startServer({
    async answer(exchange) {
      if (wayOf(exchange.request) === "exec") {
        await acceptWebSocket(exchange, "v5.channel.k8s.io");
        await serveExec(exchange.conn, exchange.reader);
      } else await exchange.conn.read(new Uint8Array(1)); // until the client gives up
      return undefined;
    },
  });
  using api = openApi(server.config());
  const pod = { namespace: "default", name: "web" };
  await assert.rejects(
    openPortForwarder(api, { answerMs: 100 })(pod, PORT, {}),
    /^NoAnswer: Cannot forward port 80: .* did not answer .* within 0\.1 s$/,
  );
  const forward = openPortForwarder(api, { answerMs: 2000 }); // enough for the other way on a busy machine
  (await forward(pod, PORT, { exec: { command: ["nc"] } })).close();
  const reason = new Error("enough");
  await assert.rejects(openPortForwarder(api)(pod, PORT, { signal: AbortSignal.abort(reason) }), reason);
});

Deno.test("portForward() by exec tells a command that could not connect, in its words", async () => {
  const answers = [serverFrame(2, [2, ...new TextEncoder().encode("nc: refused\n")]), FAILED, serverFrame(8, [3, 232])];
  await using server = startServer({
    async answer(exchange) {
      await acceptWebSocket(exchange, "v4.channel.k8s.io");
      for (const frame of answers) await writeAll(exchange.conn, frame);
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT, { via: "exec", exec: { command: ["nc"] } });
  await assert.rejects(duplex.read(new Uint8Array(9)), (error) => {
    assert.ok(error instanceof ExecError);
    assert.match(error.message, /^Cannot run "nc" in pod "web" .*: it ended with exit code 1: nc: refused$/);
    return true;
  });
});

Deno.test("portForward() by exec ends the whole where the server cannot pass on the end of an input", async () => {
  const closed = Promise.withResolvers<number | undefined>();
  await using server = startServer({
    async answer(exchange) {
      await acceptWebSocket(exchange, "v4.channel.k8s.io");
      closed.resolve((await readClientFrame(exchange.reader))?.opcode);
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT, { via: "exec", exec: { command: ["nc"] } });
  await duplex.closeWrite();
  assert.equal(await closed.promise, 8);
  duplex.close();
});

/** A command that ended with exit code 1. */
const FAILED = serverFrame(
  2,
  [
    3,
    ...new TextEncoder().encode(JSON.stringify({
      metadata: {},
      status: "Failure",
      message: "command terminated with exit code 1",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "1" }] },
    })),
  ],
);

Deno.test("portForward() throws the first refusal when no way is accepted, and asks no more than it must", async () => {
  const notFound = {
    status: 404,
    body: { status: "Failure", code: 404, reason: "NotFound", message: 'pods "web" not found' },
  };
  const cases = [
    { refuse: (way: string) => forbidden(`no ${way}`), words: "no websocket", want: ["websocket", "spdy"] },
    { refuse: () => notFound, words: 'pods "web" not found', want: ["websocket"] },
  ];
  for (const { refuse, words, want } of cases) {
    await using server = picky([], refuse);
    await using kube = openKubeClient(server.config());
    await assert.rejects(
      kube.portForward({ name: "web" }, PORT),
      (error) => error instanceof KubeError && error.words === words,
    );
    assert.deepEqual(waysAsked(server), want);
  }
});

Deno.test("portForward() takes the way that it is told", async () => {
  await using server = picky(["websocket", "tunnel", "spdy"], () => ({ status: 500 }));
  await using kube = openKubeClient(server.config());
  for (const via of ["spdy", "tunnel", "websocket"] as const) {
    (await kube.portForward({ name: "web" }, PORT, { via })).close();
  }
  assert.deepEqual(waysAsked(server), ["spdy", "tunnel", "websocket"]);
});

Deno.test("portForward() over SPDY throws the text of the error stream, also when the data ends before it", async () => {
  const words = new TextEncoder().encode("failed to connect to localhost:80");
  await using server = startServer({
    async answer({ conn, reader }) {
      await writeText(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
      await reader.need(100);
      const frames = [0, 0, 0, 3, 0, 0, 0, 1, 120, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 1, 1, ...length24(words), ...words];
      await writeAll(conn, new Uint8Array(frames));
      await conn.read(new Uint8Array(1));
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT, { via: "spdy" });
  assert.equal(await duplex.read(new Uint8Array(10)), 1);
  await assert.rejects(duplex.read(new Uint8Array(10)), new PortForwardError("failed to connect to localhost:80"));
  await assert.rejects(duplex.write(new Uint8Array(10)), PortForwardError);
  assert.equal(server.seen[0]?.headers.get("x-stream-protocol-version"), "portforward.k8s.io");
});

Deno.test("portForward() over SPDY tells a lost connection from an end", async () => {
  await using server = startServer({
    async answer({ conn, reader }) {
      await writeText(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
      await reader.need(100);
      await writeAll(conn, new Uint8Array([0, 0, 0, 3, 0, 0, 0, 1, 120]));
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT, { via: "spdy" });
  assert.equal(await duplex.read(new Uint8Array(10)), 1);
  await assert.rejects(duplex.read(new Uint8Array(10)), /Connection was lost/);
});
