import { createSocket } from "node:dgram";
import { type Duplex, writeAll } from "@/util/mod.ts";
import { readFrames, toFrame } from "../frames.ts";
import type { Endpoint } from "../inject/protocol.ts";

/**
 * Joins a flow of datagrams, as frames, to a socket of the host that is connected to `to`. Ends with the flow, which
 * the relay ends after two silent minutes. What cannot be sent or given on is lost, as datagrams are.
 */
export async function serveHostDatagrams(duplex: Duplex, to: Endpoint, signal: AbortSignal): Promise<void> {
  const socket = createSocket(to.address.includes(":") ? "udp6" : "udp4");
  const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
  let writing = Promise.resolve();
  let waiting = 0;
  socket.on("error", reject);
  socket.on("message", (bytes) => {
    if (waiting > 256) return;
    waiting++;
    writing = writing.then(() => writeAll(duplex, toFrame(bytes))).catch(() => {}).finally(() => waiting--);
  });
  const close = () => duplex.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    socket.connect(to.port, to.address, () => resolve());
    await connected;
    for await (const bytes of readFrames(duplex)) socket.send(bytes);
  } finally {
    signal.removeEventListener("abort", close);
    socket.close();
  }
}
