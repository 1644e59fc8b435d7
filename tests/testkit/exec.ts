import { parseArgs } from "node:util";
import { closeQuietly, writeAll } from "@/util/mod.ts";
import type { Connection } from "./connection.ts";
import type { JsonObject } from "./json.ts";
import type { PodNetwork } from "./pod_network.ts";
import { acceptWebSocket, readFrame, sendClose, sendMessage } from "./websocket.ts";

/** v5, which servers before 1.30 do not speak, adds a message that closes a channel. */
const V5 = "v5.channel.k8s.io";
const V4 = "v4.channel.k8s.io";
const STDIN = 0;
const STDOUT = 1;
const STATUS = 3;
const CLOSE_CHANNEL = 255;
/** The buffer of Go's `io.Copy`. */
const COPY_BYTES = 32 * 1024;

/**
 * Runs a command in a pod. Its containers have one program: the agent, which joins standard input and output to a port
 * (`... --stdio --port N`); any other is not found, in the words of a real node.
 *
 * @param options `carriers` knows the open ones, to cut them
 */
export async function serveExec(
  connection: Connection,
  headers: Headers,
  command: readonly string[],
  network: PodNetwork,
  { carriers, knowsV5 }: { readonly carriers: Set<Connection>; readonly knowsV5: boolean },
): Promise<void> {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((each) => each.trim());
  const protocol = offered.find((each) => each === V4 || knowsV5 && each === V5);
  if (protocol === undefined) return await connection.write("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
  await acceptWebSocket(connection, headers.get("sec-websocket-key") ?? "", protocol);
  carriers.add(connection);
  try {
    await sendMessage(connection, STDOUT, new Uint8Array()); // "established", on the first channel that it writes
    const status = await run(connection, command, network);
    if (connection.gone) return;
    await sendMessage(connection, STATUS, new TextEncoder().encode(JSON.stringify({ metadata: {}, ...status })));
    await sendClose(connection);
    await connection.end();
  } finally {
    carriers.delete(connection);
  }
}

async function run(connection: Connection, command: readonly string[], network: PodNetwork): Promise<JsonObject> {
  const { values } = parseArgs({
    args: [...command],
    options: { port: { type: "string" }, stdio: { type: "boolean" } },
    strict: false,
    allowPositionals: true,
  });
  if (values.stdio !== true) return notFound(command[0] ?? "");
  let conn: Deno.TcpConn;
  try {
    conn = await network.dial(Number(values.port));
  } catch {
    return exited(1);
  }
  const input = (async () => {
    for (let frame; (frame = await readFrame(connection)) !== null && frame[0] !== CLOSE_CHANNEL;) {
      if (frame[0] === STDIN) await writeAll(conn, frame.subarray(1));
    }
    await conn.closeWrite();
  })().catch(() => closeQuietly(conn)); // a client that is gone is the end of the input, as a connection is
  const buffer = new Uint8Array(COPY_BYTES);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) {
      await sendMessage(connection, STDOUT, buffer.subarray(0, count));
    }
  } catch {
    // A reset in the pod and a client that is gone end the command alike.
  }
  closeQuietly(conn);
  void input;
  return { status: "Success" };
}

function exited(code: number): JsonObject {
  return {
    status: "Failure",
    message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] },
  };
}

function notFound(program: string): JsonObject {
  const message = `error executing command in container: failed to exec in container: failed to start exec "0": OCI ` +
    `runtime exec failed: exec failed: unable to start container process: exec: "${program}": executable file not ` +
    "found in $PATH: unknown";
  return {
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
}
