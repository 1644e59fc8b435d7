import { UserError, writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import {
  acceptWebSocket,
  randomBytes,
  type RawExchange,
  readAll,
  readClientFrame,
  serverFrame,
  startServer,
} from "./_test_server.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { ExecError } from "./exec_stream.ts";
import { KubeError } from "./status.ts";
import { ProtocolError } from "./byte_reader.ts";
import { MAX_SEND_BYTES } from "./websocket.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const output = (channel: number, text: string) => serverFrame(2, [channel, ...encode(text)]);
const SUCCESS = output(3, JSON.stringify({ metadata: {}, status: "Success" }));
const CLOSE = serverFrame(8, [3, 232]);

/** The end of a command as the API server tells it: without a kind. */
function exited(code: number): Uint8Array {
  return output(
    3,
    JSON.stringify({
      metadata: {},
      status: "Failure",
      message: `command terminated with exit code ${code}`,
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: String(code) }] },
    }),
  );
}

function podServer(run: (exchange: RawExchange) => Promise<void>, protocol = "v5.channel.k8s.io") {
  return startServer({
    async answer(exchange) {
      await acceptWebSocket(exchange, protocol);
      await writeAll(exchange.conn, serverFrame(2, [1])); // "established"
      await run(exchange);
      return undefined;
    },
  });
}

Deno.test("exec() gives output, error output and exit code", async () => {
  await using server = podServer(async ({ conn }) => {
    const euro = encode("€"); // cut inside a character
    for (const frame of [output(1, "one "), output(2, "oops"), serverFrame(2, [1, ...euro.subarray(0, 1)])]) {
      await writeAll(conn, frame);
    }
    await writeAll(conn, serverFrame(2, [1, ...euro.subarray(1)]));
    await writeAll(conn, exited(7));
    await writeAll(conn, CLOSE);
  });
  await using kube = openKubeClient(server.config());
  const result = await kube.exec({ name: "p" }, { container: "c", command: ["sh", "-c", "a b"] });
  assert.deepEqual(result, { code: 7, stdout: "one €", stderr: "oops" });
  const [request] = server.seen;
  assert.equal(request?.url.pathname, "/api/v1/namespaces/default/pods/p/exec");
  assert.equal(request?.url.search, "?container=c&command=sh&command=-c&command=a+b&stdout=true&stderr=true");
  assert.equal(request?.headers.get("sec-websocket-protocol"), "v5.channel.k8s.io, v4.channel.k8s.io");
});

Deno.test("exec() sends an input in messages, and its end", async () => {
  const input = "x".repeat(2 * MAX_SEND_BYTES + 5);
  const lengths: number[] = [];
  await using server = podServer(async ({ conn, reader }) => {
    for (let frame; (frame = await readClientFrame(reader)) !== undefined;) {
      if (frame.payload[0] === 255) break;
      assert.equal(frame.payload[0], 0);
      lengths.push(frame.payload.length - 1);
    }
    await writeAll(conn, SUCCESS);
    await writeAll(conn, CLOSE);
  });
  await using kube = openKubeClient(server.config());
  assert.equal((await kube.exec({ name: "p" }, { command: ["cat"], stdin: input })).code, 0);
  assert.deepEqual(lengths, [MAX_SEND_BYTES, MAX_SEND_BYTES, 5]);
});

Deno.test("exec() over v4 runs what needs no input, and refuses what waits for its end", async () => {
  await using server = podServer(async ({ conn }) => {
    await writeAll(conn, SUCCESS);
    await writeAll(conn, CLOSE);
  }, "v4.channel.k8s.io");
  await using kube = openKubeClient(server.config());
  assert.equal((await kube.exec({ name: "p" }, { command: ["true"] })).code, 0);
  await using waiting = podServer(async ({ reader }) => {
    await reader.need(1);
  }, "v4.channel.k8s.io");
  await using other = openKubeClient(waiting.config());
  await assert.rejects(
    other.exec({ name: "p" }, { command: ["cat"], stdin: "x" }),
    /cannot pass on the end of an input/,
  );
});

Deno.test("exec() throws what the node says when it cannot start the command", async () => {
  const message = 'exec: "nonesuch": executable file not found in $PATH';
  await using server = podServer(async ({ conn }) => {
    await writeAll(conn, output(3, JSON.stringify({ status: "Failure", reason: "InternalError", code: 500, message })));
    await writeAll(conn, CLOSE);
  });
  await using kube = openKubeClient(server.config());
  await assert.rejects(kube.exec({ name: "p" }, { command: ["nonesuch"] }), (error) => {
    assert.ok(error instanceof KubeError);
    assert.equal(error.message, `Cannot run "nonesuch" in pod "p" in namespace "default": ${message}`);
    return true;
  });
});

Deno.test("exec() takes no end for a success: a lost connection and a missing status are errors", async () => {
  await using lost = podServer(({ conn }) => writeAll(conn, output(1, "half")));
  await using one = openKubeClient(lost.config());
  await assert.rejects(one.exec({ name: "p" }, { command: ["x"] }), ProtocolError);
  await using mute = podServer(({ conn }) => writeAll(conn, CLOSE));
  await using other = openKubeClient(mute.config());
  await assert.rejects(other.exec({ name: "p" }, { command: ["x"] }), /without a status/);
});

Deno.test("exec() ends with the signal's reason", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  await using server = podServer(async ({ reader }) => {
    controller.abort(reason);
    await reader.need(1);
  });
  await using kube = openKubeClient(server.config());
  await assert.rejects(kube.exec({ name: "p" }, { command: ["x"], signal: controller.signal }), reason);
});

Deno.test("execStream() carries a command's input and output, and tells how it ended", async () => {
  const run = (ending: Uint8Array) =>
    podServer(async ({ conn, reader }) => {
      for (let frame; (frame = await readClientFrame(reader)) !== undefined && frame.payload[0] !== 255;) {
        await writeAll(conn, serverFrame(2, [1, ...frame.payload.subarray(1)]));
      }
      await writeAll(conn, output(2, "oops\n"));
      await writeAll(conn, ending);
      await writeAll(conn, CLOSE);
    });
  {
    await using server = run(SUCCESS);
    await using kube = openKubeClient(server.config());
    let stderr = "";
    const duplex = await kube.execStream({ name: "p" }, { command: ["cat"], onStderr: (text) => stderr += text });
    const sent = crypto.getRandomValues(new Uint8Array(20_000));
    const writing = writeAll(duplex, sent).then(() => duplex.closeWrite());
    assert.deepEqual(await readAll(duplex), sent);
    await writing;
    duplex.close();
    assert.equal(stderr, "oops\n");
    assert.equal(server.seen[0]?.url.search, "?command=cat&stdin=true&stdout=true&stderr=true");
  }
  await using server = run(exited(3));
  await using kube = openKubeClient(server.config());
  const duplex = await kube.execStream({ name: "p" }, { command: ["cat"] });
  await duplex.closeWrite();
  await assert.rejects(duplex.read(new Uint8Array(1)), (error) => {
    assert.ok(error instanceof ExecError);
    assert.equal(error.code, 3);
    assert.match(error.message, /ended with exit code 3: oops$/);
    return true;
  });
});

Deno.test("exec, execStream and portForward survive whatever comes on their channels", async () => {
  let seed = 0;
  await using server = startServer({
    async answer(exchange) {
      const offered = exchange.request.headers.get("sec-websocket-protocol") ?? "";
      await acceptWebSocket(exchange, offered.split(", ")[0] ?? "");
      const [ports = 0] = randomBytes(1, seed);
      if (ports % 2) {
        await writeAll(exchange.conn, new Uint8Array([...serverFrame(2, [0, 80, 0]), ...serverFrame(2, [1, 80, 0])]));
      }
      for (let frame = 0; frame < 6; frame++) {
        const [channel = 0, ...noise] = randomBytes(1 + frame * 20, ++seed);
        await writeAll(exchange.conn, serverFrame(2, [channel % 5, ...noise]));
      }
      await writeAll(exchange.conn, seed % 3 ? CLOSE : randomBytes(30, seed));
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  const survives = async (call: () => Promise<unknown>) => {
    await call().catch((error) => assert.ok(error instanceof UserError, String(error)));
  };
  for (let round = 0; round < 30; round++) {
    await survives(() => kube.exec({ name: "p" }, { command: ["x"] }));
    for (
      const open of [
        () => kube.execStream({ name: "p" }, { command: ["x"] }),
        () => kube.portForward({ name: "p" }, 80, { via: "websocket" }),
      ]
    ) {
      await survives(async () => {
        const duplex = await open();
        try {
          await readAll(duplex);
        } finally {
          duplex.close();
        }
      });
    }
  }
});

Deno.test("execStream() does not keep a status that has no end", async () => {
  await using server = podServer(async ({ conn }) => {
    for (let count = 0; count < 40; count++) await writeAll(conn, output(3, "x".repeat(60_000)));
    await conn.read(new Uint8Array(1));
  });
  await using kube = openKubeClient(server.config());
  const duplex = await kube.execStream({ name: "p" }, { command: ["x"] });
  await assert.rejects(readAll(duplex), /the server's status has no end$/);
});
