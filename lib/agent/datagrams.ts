import { createSocket } from "node:dgram";
import { DatagramReader, encodeDatagram, MAX_DATAGRAM_BYTES } from "@/pod/mod.ts";
import type { MuxStream } from "@/transport/mod.ts";
import { writeAll } from "@/util/mod.ts";
import { toDialError } from "./errno.ts";
import { lookUp } from "./look_up.ts";

/** How long a flow may be silent; RFC 4787 (REQ-5) asks for two minutes at least. */
const IDLE_MS = 120_000;
/** What may wait on its way to the host; more is dropped, as a full socket does. */
const MAX_WAITING_BYTES = 256 * 1024;

/** A UDP socket of the pod that is connected to one peer. */
export interface Flow {
  /** Joins it to a stream until either is over or nothing came for a while. */
  serve(stream: MuxStream): Promise<void>;
}

/**
 * Opens a flow from the pod to a name or an address: the first address is the peer.
 *
 * @throws {LookupError} when the name does not resolve; {DialError} where there is no way
 */
export async function openFlow(host: string, port: number, idleMs = IDLE_MS): Promise<Flow> {
  const [address = host] = await lookUp(host, "any");
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const connected = Promise.withResolvers<void>();
  socket.once("error", connected.reject);
  socket.connect(port, address, () => connected.resolve());
  try {
    await connected.promise;
  } catch (error) {
    socket.close();
    throw toDialError(error);
  }
  const isPeer = (from: Sender) => from.port === port && from.address === address;
  return { serve: (stream) => join(socket, { stream, idleMs, isPeer }) };
}

/** Whom a datagram came from. */
interface Sender {
  readonly address: string;
  readonly port: number;
}

async function join(
  socket: ReturnType<typeof createSocket>,
  { stream, idleMs, isPeer }: { stream: MuxStream; idleMs: number; isPeer: (from: Sender) => boolean },
): Promise<void> {
  let waiting = 0;
  let sent: Promise<unknown> = Promise.resolve();
  let open = true;
  const end = () => {
    if (!open) return;
    open = false;
    clearTimeout(timer);
    socket.close();
  };
  const expire = () => {
    end();
    stream.close(); // the host's reader and writer learn that the flow is over
  };
  let timer = setTimeout(expire, idleMs);
  const live = () => {
    clearTimeout(timer);
    if (open) timer = setTimeout(expire, idleMs);
  };
  socket.removeAllListeners("error");
  socket.on("error", (error) => {
    end();
    stream.reset(toDialError(error)); // what the kernel tells; the runtime keeps a peer's refusal (ICMP) to itself
  });
  socket.on("message", (payload: Uint8Array, from: Sender) => {
    if (!isPeer(from)) return; // the runtime connects the socket in name only
    live();
    if (waiting + payload.length > MAX_WAITING_BYTES) return;
    waiting += payload.length;
    sent = sent.then(() => writeAll(stream, encodeDatagram(payload))).catch(() => {}).then(() => {
      waiting -= payload.length;
    });
  });
  const reader = new DatagramReader();
  const buffer = new Uint8Array(2 + MAX_DATAGRAM_BYTES);
  try {
    for (let count; (count = await stream.read(buffer)) !== null;) {
      live();
      for (const payload of reader.push(buffer.subarray(0, count))) if (open) socket.send(payload);
    }
  } catch {
    // The flow was reset: by the host, by its age, or by an error that was told.
  } finally {
    end();
    await sent;
    await stream.closeWrite();
  }
}
