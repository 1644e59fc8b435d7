import { type Duplex, UserError } from "@/util/mod.ts";
import type { Api, ApiRequest } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import type { Access } from "./hints.ts";
import { type ObjectName, pathOf } from "./resource.ts";
import { pods } from "./objects.ts";
import { pieceDuplex } from "./piece_duplex.ts";
import { openWebSocket, type WebSocketStream } from "./websocket.ts";

/** The subprotocol: one connection per port, two channels per port. */
const SUBPROTOCOL = "v4.channel.k8s.io";
/** Channels of the first port. */
const DATA = 0;
const ERROR = 1;
/** An error's text is a sentence; what is longer is cut. */
const MAX_ERROR_BYTES = 16 * 1024;

/** The node could not connect to the port in the pod, or lost the connection; the message has its own words. */
export class PortForwardError extends UserError {
  override readonly name = "PortForwardError";
}

/**
 * Opens one connection to a TCP port of a pod, through the API server, as the node's streaming server makes it: to
 * `localhost` in the pod's network namespace. It resolves when that server has answered, **before** it has connected:
 * a port where nobody listens shows as a {@linkcode PortForwardError} of the first read.
 *
 * Reading has back-pressure: what nobody reads stays with the peer. A write takes 128 KiB at most and waits for
 * the socket. The protocol has no half-close, so `closeWrite` sends what is under way and then ends
 * both directions (bytes that are already on their way to us can be read until `null`); whoever needs a half-close
 * carries it inside.
 *
 * @throws {KubeError} when the server refuses: no such pod, not allowed (it takes both `get` and `create` on
 * `pods/portforward`), no pod on a node yet
 */
export async function openPortForward(
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Duplex> {
  const socket = await openWebSocket(api, portForwardRequest(pod, port), [SUBPROTOCOL], options);
  const stop = () => socket.close();
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    await readPortFrames(socket, port);
    options.signal?.throwIfAborted();
  } catch (error) {
    socket.close();
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", stop);
  }
  return portDuplex(socket);
}

/** What is asked for, whatever it is carried by. */
export function portForwardRequest(
  pod: Required<ObjectName>,
  port: number,
): Pick<ApiRequest, "path" | "query" | "action"> & { access: Access } {
  return {
    path: `${pathOf(pods, pod.namespace, pod.name)}/portforward`,
    query: [["ports", String(port)]],
    action: `forward port ${port} of pod "${pod.name}" in namespace "${pod.namespace}"`,
    // A WebSocket asks for "get", from Kubernetes 1.35 on for "create" as well.
    access: { verbs: ["get", "create"], group: "", resource: "pods/portforward", namespace: pod.namespace },
  };
}

/** On each channel the server's first message is the port, 16 bits little-endian. */
async function readPortFrames(socket: WebSocketStream, port: number): Promise<void> {
  const seen = new Set<number>();
  while (seen.size < 2) {
    if (!await socket.next()) throw new PortForwardError(closeWords(socket));
    const [channel, low, high, ...more] = await socket.readMessage(MAX_ERROR_BYTES);
    if (channel === undefined) continue;
    const right = low !== undefined && high !== undefined && more.length === 0 && (high << 8 | low) === port;
    if (channel > ERROR || seen.has(channel) || !right) {
      throw new ProtocolError(`Server did not start the port-forward with the port ${port} on both channels`);
    }
    seen.add(channel);
  }
}

function portDuplex(socket: WebSocketStream): Duplex {
  const channel = new Uint8Array(1);
  return pieceDuplex({
    async next() {
      for (;;) {
        if (!await socket.next()) {
          if (socket.closed?.code === 1000 || socket.closed?.code === 1005) return false;
          throw new PortForwardError(closeWords(socket));
        }
        if (await socket.read(channel) === null) continue;
        if (channel[0] === DATA) return true;
        if (channel[0] !== ERROR) continue;
        const text = new TextDecoder().decode(await socket.readMessage(MAX_ERROR_BYTES)).trim();
        if (text !== "") throw new PortForwardError(text);
      }
    },
    read: (into) => socket.read(into),
    write: (bytes) => socket.sendSome(DATA, bytes),
    closeWrite: () => socket.sendClose(),
    close: () => socket.close(),
  });
}

function closeWords(socket: WebSocketStream): string {
  const { code, reason } = socket.closed ?? { code: 1006, reason: "" };
  return reason || `Server ended the port-forward with close code ${code}`;
}
