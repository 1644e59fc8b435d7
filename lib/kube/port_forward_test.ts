import { writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import {
  acceptWebSocket,
  cuttings,
  type RawExchange,
  readAll,
  readClientFrame,
  scriptedDuplex,
  serverFrame,
  startServer,
} from "./_test_server.ts";
import type { Api } from "./api.ts";
import { ByteReader } from "./byte_reader.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { openPortForward, PortForwardError } from "./port_forward.ts";
import { KubeError } from "./status.ts";
import { acceptKey, MAX_SEND_BYTES } from "./websocket.ts";

const PORT = 8022;
const PORT_FRAMES = [...serverFrame(2, [0, PORT & 255, PORT >> 8]), ...serverFrame(2, [1, PORT & 255, PORT >> 8])];

/** A server whose pod does what `pod` says, after the handshake and the port's frames. */
function podServer(pod: (exchange: RawExchange) => Promise<void>) {
  return startServer({
    async answer(exchange) {
      await acceptWebSocket(exchange, "v4.channel.k8s.io");
      await writeAll(exchange.conn, new Uint8Array(PORT_FRAMES));
      await pod(exchange);
      return undefined;
    },
  });
}

async function echo({ conn, reader }: RawExchange): Promise<void> {
  for (let frame; (frame = await readClientFrame(reader)) !== undefined;) {
    assert.ok(frame.masked && frame.final);
    if (frame.opcode === 8) return await writeAll(conn, serverFrame(8, frame.payload));
    if (frame.opcode === 2) await writeAll(conn, serverFrame(2, frame.payload));
  }
}

Deno.test("portForward() carries bytes both ways, and closeWrite() ends both", async () => {
  await using server = podServer(echo);
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT);
  const sent = crypto.getRandomValues(new Uint8Array(60_000));
  const writing = writeAll(duplex, sent).then(() => duplex.closeWrite());
  assert.deepEqual(await readAll(duplex), sent);
  await writing;
  duplex.close();
  const [request] = server.seen;
  assert.equal(request?.url.pathname, "/api/v1/namespaces/default/pods/web/portforward");
  assert.equal(request?.url.search, "?ports=8022");
  assert.equal(request?.headers.get("sec-websocket-protocol"), "v4.channel.k8s.io");
});

Deno.test("portForward() rejects reads and writes with the text of the error channel", async () => {
  const words = "failed to connect to localhost:8022 inside namespace";
  await using server = podServer(async ({ conn }) => {
    await writeAll(conn, serverFrame(2, [1, ...new TextEncoder().encode(words)]));
    await writeAll(conn, serverFrame(8, [3, 232]));
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT);
  await assert.rejects(() => duplex.read(new Uint8Array(10)), new PortForwardError(words));
  await assert.rejects(() => duplex.write(new Uint8Array(10)), new PortForwardError(words));
  duplex.close();
});

Deno.test("portForward() throws the API's words when the upgrade is refused", async () => {
  const message = 'pods "web" is forbidden: User "alice" cannot get resource "pods/portforward"';
  await using server = startServer({
    answer: () => ({
      status: 403,
      body: { kind: "Status", status: "Failure", reason: "Forbidden", code: 403, message },
    }),
  });
  await using kube = openKubeClient(server.config());
  await assert.rejects(
    () => kube.portForward({ name: "web" }, PORT),
    (error) => error instanceof KubeError && error.status === 403 && error.words === message,
  );
});

Deno.test("portForward() sends a long write in several messages, and slows down when the pod does not read", async () => {
  const reading = Promise.withResolvers<void>();
  const lengths = new Set<number>();
  let got = 0;
  await using server = podServer(async ({ conn, reader }) => {
    await reading.promise;
    for (let frame; (frame = await readClientFrame(reader)) !== undefined && frame.opcode === 2;) {
      lengths.add(frame.payload.length - 1);
      got += frame.payload.length - 1;
    }
    await writeAll(conn, serverFrame(8, [3, 232]));
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT);
  const part = new Uint8Array(1024 * 1024);
  let sent = 0;
  const writing = (async () => {
    for (let count = 0; count < 64; count++) {
      await writeAll(duplex, part);
      sent += part.length;
    }
    await duplex.closeWrite();
  })();
  let before = -1;
  while (before !== sent) { // until full buffers stop us
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(sent < 32 * part.length, `${sent} bytes were taken`);
  reading.resolve();
  await writing;
  assert.equal(await duplex.read(new Uint8Array(1)), null);
  duplex.close();
  assert.equal(got, 64 * part.length);
  assert.deepEqual([...lengths], [MAX_SEND_BYTES]);
});

Deno.test("portForward() does not read what nobody asks for", async () => {
  let sent = 0;
  await using server = podServer(async ({ conn }) => {
    const frame = serverFrame(2, new Uint8Array(32 * 1024));
    for (;;) {
      await writeAll(conn, frame);
      sent += frame.length;
    }
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.portForward({ name: "web" }, PORT);
  let before = -1;
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes are under way`);
  const buffer = new Uint8Array(256 * 1024);
  const wanted = sent + 1024 * 1024;
  for (let got = 0; got < wanted;) got += await duplex.read(buffer) ?? 0;
  duplex.close();
});

Deno.test("portForward() reads the same bytes however they are cut, errors after them", async () => {
  const bytes = new Uint8Array([
    ...PORT_FRAMES,
    ...serverFrame(2, [0, 1, 2, 3]),
    ...serverFrame(2, [0]),
    ...serverFrame(9, []),
    ...serverFrame(2, [7, 9, 9]),
    ...serverFrame(2, [0, 4], false),
    ...serverFrame(0, [5]),
    ...serverFrame(2, [1]),
    ...serverFrame(2, [1, ...new TextEncoder().encode("lost")]),
  ]);
  for (const cuts of cuttings(bytes.length)) {
    const duplex = scriptedDuplex(bytes, cuts);
    const api: Api = {
      request: () => Promise.reject(new Error("not asked")),
      async upgrade({ headers = [] }) {
        const key = new Map(headers).get("Sec-WebSocket-Key") ?? "";
        const answer = { "sec-websocket-accept": await acceptKey(key), "sec-websocket-protocol": "v4.channel.k8s.io" };
        return { duplex, reader: new ByteReader(duplex, 4096), headers: new Headers(answer) };
      },
      [Symbol.dispose]() {},
    };
    const forward = await openPortForward(api, { namespace: "default", name: "web" }, PORT);
    const got: number[] = [];
    const buffer = new Uint8Array(2);
    await assert.rejects(async () => {
      for (let count; (count = await forward.read(buffer)) !== null;) got.push(...buffer.subarray(0, count));
    }, new PortForwardError("lost"));
    assert.deepEqual(got, [1, 2, 3, 4, 5]);
  }
});

const STARTS: { name: string; frames: number[]; says: RegExp }[] = [
  {
    name: "another port",
    frames: [...serverFrame(2, [0, 1, 2])],
    says: /did not start the port-forward with the port/,
  },
  { name: "data before the port", frames: [...serverFrame(2, [0, 1])], says: /did not start/ },
  {
    name: "one channel twice",
    frames: [...PORT_FRAMES.slice(0, 5), ...PORT_FRAMES.slice(0, 5)],
    says: /did not start/,
  },
  { name: "a Close", frames: [...serverFrame(8, [3, 243, ...new TextEncoder().encode("no node")])], says: /^no node$/ },
  { name: "an end", frames: [], says: /lost/ },
];

Deno.test("portForward() refuses a server that starts with", async (t) => {
  for (const { name, frames, says } of STARTS) {
    await t.step(name, async () => {
      await using server = startServer({
        async answer(exchange) {
          await acceptWebSocket(exchange, "v4.channel.k8s.io");
          await writeAll(exchange.conn, new Uint8Array(frames));
          return undefined;
        },
      });
      await using kube = openKubeClient(server.config());
      await assert.rejects(kube.portForward({ name: "web" }, PORT, { via: "websocket" }), (error) => {
        assert.match(String(error instanceof Error && error.message), says);
        return true;
      });
    });
  }
});

Deno.test("portForward() tells an orderly end from a lost connection", async () => {
  await using orderly = podServer(({ conn }) => writeAll(conn, serverFrame(8, [3, 232])));
  await using one = openKubeClient(orderly.config());
  const ended = await one.portForward({ name: "web" }, PORT);
  assert.equal(await ended.read(new Uint8Array(1)), null);
  ended.close();
  await using dropped = podServer(() => Promise.resolve());
  await using other = openKubeClient(dropped.config());
  const lost = await other.portForward({ name: "web" }, PORT);
  await assert.rejects(lost.read(new Uint8Array(1)), /Connection was lost/);
  await assert.rejects(lost.write(new Uint8Array(1)), /Connection was lost/);
});

Deno.test("portForward() can be given up while it opens, and closed while it is read", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  await using server = startServer({
    async answer(exchange) {
      await acceptWebSocket(exchange, "v4.channel.k8s.io");
      if (!controller.signal.aborted) controller.abort(reason);
      else await writeAll(exchange.conn, new Uint8Array(PORT_FRAMES));
      await exchange.reader.need(1);
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  await assert.rejects(kube.portForward({ name: "web" }, PORT, { signal: controller.signal }), reason);
  const duplex = await kube.portForward({ name: "web" }, PORT);
  const reading = assert.rejects(duplex.read(new Uint8Array(1)), /closed by us/);
  duplex.close();
  duplex.close();
  await reading;
});
