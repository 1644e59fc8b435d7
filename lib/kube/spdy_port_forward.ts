import type { Duplex } from "@/util/mod.ts";
import type { Api } from "./api.ts";
import { ByteReader, ProtocolError } from "./byte_reader.ts";
import { pieceDuplex } from "./piece_duplex.ts";
import { PortForwardError, portForwardRequest } from "./port_forward.ts";
import type { ObjectName } from "./resource.ts";
import { SpdyConnection } from "./spdy.ts";
import { openWebSocket, type WebSocketStream } from "./websocket.ts";

/** SPDY inside a WebSocket: servers from Kubernetes 1.31 on. The slash is what keeps other WebSocket clients out. */
const TUNNEL_SUBPROTOCOL = "SPDY/3.1+portforward.k8s.io";
/** What is spoken in the streams. */
const STREAM_PROTOCOL = "portforward.k8s.io";
const MAX_ERROR_BYTES = 16 * 1024;
const READ_BYTES = 256 * 1024;

/** How SPDY gets to the server. */
export type SpdyCarrier = "tunnel" | "spdy";

/**
 * Opens one connection to a TCP port of a pod over SPDY: inside a WebSocket (`tunnel`), or by an upgrade of its own
 * (`spdy`), which is a POST and so takes the right to `create` alone. Otherwise as `openPortForward`, but that
 * `closeWrite` reaches the pod; most nodes close the whole connection a second later.
 *
 * @throws {KubeError} when the server refuses
 */
export async function openSpdyPortForward(
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  options: { carrier: SpdyCarrier; signal?: AbortSignal | undefined },
): Promise<Duplex> {
  const { carrier, signal } = options;
  const spdy = await (carrier === "tunnel" ? openTunnel : openUpgrade)(api, pod, port, signal);
  const stop = () => spdy.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const headers = { port: String(port), requestid: "0" };
    const errors = await spdy.open({ streamtype: "error", ...headers });
    await spdy.end(errors); // we have nothing to say there
    const data = await spdy.open({ streamtype: "data", ...headers });
    signal?.throwIfAborted();
    return streamDuplex(spdy, data, errors);
  } catch (error) {
    spdy.close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

async function openUpgrade(
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  signal: AbortSignal | undefined,
): Promise<SpdyConnection> {
  const { query: _, ...request } = portForwardRequest(pod, port);
  const { duplex, reader } = await api.upgrade({
    ...request,
    access: { ...request.access, verbs: ["create"] },
    method: "POST",
    headers: [
      ["Connection", "Upgrade"],
      ["Upgrade", "SPDY/3.1"],
      ["X-Stream-Protocol-Version", STREAM_PROTOCOL],
    ],
  }, signal);
  return new SpdyConnection(duplex, reader);
}

async function openTunnel(
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  signal: AbortSignal | undefined,
): Promise<SpdyConnection> {
  const { query: _, ...request } = portForwardRequest(pod, port);
  const socket = await openWebSocket(api, request, [TUNNEL_SUBPROTOCOL], { signal });
  const duplex = socketDuplex(socket);
  return new SpdyConnection(duplex, new ByteReader(duplex, READ_BYTES));
}

/** The bytes of a WebSocket's messages, in which boundaries mean nothing. */
function socketDuplex(socket: WebSocketStream): Duplex {
  return pieceDuplex({
    next: () => socket.next(),
    read: (into) => socket.read(into),
    async write(bytes) {
      await socket.send(undefined, bytes);
      return bytes.length;
    },
    closeWrite: () => socket.sendClose(),
    close: () => socket.close(),
  });
}

function streamDuplex(spdy: SpdyConnection, data: number, errors: number): Duplex {
  const open = new Set([data, errors]);
  let text = "";
  /** Deals with one event. @returns whether bytes of the data stream are there */
  const step = async (): Promise<boolean> => {
    const event = await spdy.next();
    if (event === undefined) {
      if (open.has(data)) throw new ProtocolError("Connection was lost: the peer ended it in the middle of a stream");
      open.clear();
      return false;
    }
    if (event.kind === "reset" && event.stream === data) {
      throw new PortForwardError(text || "Node reset the port-forward");
    }
    if (event.kind !== "data") open.delete(event.stream);
    else if (event.stream === errors) text += await readText(spdy, MAX_ERROR_BYTES - text.length);
    // The error is whole when its stream ends.
    if (!open.has(errors) && text !== "") throw new PortForwardError(text.trim());
    return event.kind === "data" && event.stream === data;
  };
  return pieceDuplex({
    async next() {
      // The end of the data may come before the reason for it: both streams are read to their ends.
      while (open.size > 0) if (await step()) return true;
      return false;
    },
    read: (into) => spdy.read(into),
    write: (bytes) => spdy.write(data, bytes),
    closeWrite: () => spdy.end(data),
    close: () => spdy.close(),
  });
}

async function readText(spdy: SpdyConnection, limit: number): Promise<string> {
  const buffer = new Uint8Array(1024);
  let text = "";
  for (let count; (count = await spdy.read(buffer)) !== null;) {
    if (text.length < limit) text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}
