import { closeQuietly, writeAll } from "@/util/mod.ts";
import type { Connection } from "./connection.ts";
import type { PodNetwork } from "./pod_network.ts";
import { acceptWebSocket, readFrame, sendClose, sendMessage } from "./websocket.ts";

/** What a node's streaming server is set up with. */
export interface PortForwardOptions {
  /** How long the other direction may go on when one has ended: 1 s in containerd and CRI-O. */
  readonly halfCloseMs: number;
  /** After how long without a message (pings are none) the connection is dropped: 4 h in the kubelet. */
  readonly idleMs: number;
  /** Knows the open port-forwards, to cut them. */
  readonly carriers: Set<Connection>;
}

/** What the streaming server speaks; the first one that the client offers is taken. */
const SUBPROTOCOLS = ["", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];
/** The buffer of Go's `io.Copy`. */
const COPY_BYTES = 32 * 1024;

/** Whether a request asks for a WebSocket; SPDY, which is also an upgrade, is not offered here. */
export function isUpgrade(headers: Headers): boolean {
  return /websocket/i.test(headers.get("upgrade") ?? "");
}

/**
 * The legacy port-forward: for each port a data and an error channel, both of which name the port **before** anything
 * is dialled; a connect that fails is text on the error channel; the end of either direction is the end of both.
 */
export async function servePortForward(
  connection: Connection,
  headers: Headers,
  ports: readonly number[],
  network: PodNetwork,
  options: PortForwardOptions,
): Promise<void> {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((each) => each.trim());
  const protocol = offered.find((each) => SUBPROTOCOLS.includes(each));
  if (protocol === undefined) return await connection.write("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
  await acceptWebSocket(connection, headers.get("sec-websocket-key") ?? "", protocol);
  options.carriers.add(connection);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  const refresh = () => {
    clearTimeout(timer);
    if (!over) timer = setTimeout(() => connection.cut(), options.idleMs);
  };
  try {
    refresh();
    const send = async (channel: number, bytes: Uint8Array) => {
      refresh();
      await sendMessage(connection, channel, bytes);
    };
    for (const [index, port] of ports.entries()) {
      const text = new Uint8Array([port & 0xff, port >> 8]);
      await send(2 * index, text);
      await send(2 * index + 1, text);
    }
    const pipes = ports.map((port, index) => openPipe(port, index, network, send, options));
    const all = Promise.allSettled(pipes.map(({ ended }) => ended));
    const reading = (async () => {
      for (let frame; (frame = await readFrame(connection)) !== null;) {
        refresh();
        const [channel = 0] = frame;
        await pipes[channel / 2]?.feed(frame.subarray(1)); // an error channel or an unknown one: nobody listens
      }
      for (const pipe of pipes) pipe.stop();
    })();
    await Promise.race([all, reading]);
    if (!connection.gone) await sendClose(connection).catch(() => {});
    for (const pipe of pipes) pipe.stop();
    await connection.end();
    await Promise.allSettled([all, reading]);
  } finally {
    over = true; // a pipe may still have something to send to nobody
    clearTimeout(timer);
    options.carriers.delete(connection);
  }
}

/** One port's connection into the pod. */
interface Pipe {
  readonly ended: Promise<void>;
  /** Bytes from the client. */
  feed(bytes: Uint8Array): Promise<void>;
  /** The client has ended. */
  stop(): void;
}

function openPipe(
  port: number,
  index: number,
  network: PodNetwork,
  send: (channel: number, bytes: Uint8Array) => Promise<void>,
  { halfCloseMs }: PortForwardOptions,
): Pipe {
  const opening = network.dial(port);
  const stopped = Promise.withResolvers<void>();
  const ended = (async () => {
    let conn: Deno.TcpConn;
    try {
      conn = await opening;
    } catch {
      return await send(2 * index + 1, new TextEncoder().encode(network.refusalOf(port)));
    }
    try {
      const copying = (async () => {
        const buffer = new Uint8Array(COPY_BYTES);
        for (let count; (count = await conn.read(buffer)) !== null;) await send(2 * index, buffer.slice(0, count));
      })().catch(() => {}); // a reset in the pod and a client that is gone end the pipe alike
      await Promise.race([copying, stopped.promise]);
      await within(Promise.all([copying, stopped.promise]), halfCloseMs); // the node waits for the other direction
    } finally {
      closeQuietly(conn);
    }
  })();
  ended.catch(() => {}); // told to whoever waits for all of them
  return {
    ended,
    async feed(bytes) {
      try {
        await writeAll(await opening, bytes);
      } catch {
        // The pod's side is gone: the pipe ends by its reading half.
      }
    },
    stop: stopped.resolve,
  };
}

async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([promise, late]);
  clearTimeout(timer);
}
