import { writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { openKubeClient } from "./client.ts";
import {
  acceptWebSocket,
  type RawExchange,
  readAll,
  readClientFrame,
  serverFrame,
  startServer,
} from "./_test_server.ts";
import { PortForwardError } from "./port_forward.ts";
import { KubeError } from "./status.ts";

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
