import { createSocket } from "node:dgram";
import { decodeMessage, DnsFormatError, type DnsMessage, encodeMessage, queryFor, RCODES } from "@/dns/mod.ts";
import { abortable, closeQuietly, readFull, writeAll } from "@/util/mod.ts";

/** Where name servers listen. */
const DNS_PORT = 53;

/** One question to one server. */
export interface Question {
  readonly name: string;
  readonly type: number;
  readonly server: string;
  /** @default {53} */
  readonly port?: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/**
 * Asks a name server: by UDP, again without EDNS where the server does not bear it, by TCP when the answer was cut.
 *
 * @throws the signal's reason, an error of the connection
 */
export async function askServer(question: Question): Promise<DnsMessage> {
  let answer = await byUdp(question, true);
  if (answer.rcode === RCODES.FORMERR) answer = await byUdp(question, false);
  return answer.isTruncated ? await byTcp(question) : answer;
}

async function byUdp({ name, type, server, port = DNS_PORT, signal }: Question, edns: boolean): Promise<DnsMessage> {
  signal.throwIfAborted();
  const id = randomId();
  const query = encodeMessage(queryFor(id, name, type, { edns }));
  const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
  const { promise, resolve, reject } = Promise.withResolvers<DnsMessage>();
  socket.on("error", reject);
  socket.on("message", (bytes: Uint8Array, from: { address: string; port: number }) => {
    if (from.address !== server || from.port !== port) return; // the runtime connects the socket in name only
    try {
      const message = decodeMessage(bytes);
      if (message.isResponse && message.id === id) resolve(message);
    } catch (error) {
      if (!(error instanceof DnsFormatError)) reject(error); // somebody else's packet: ours may still come
    }
  });
  try {
    socket.connect(port, server, () => socket.send(query, (error) => error ? reject(error) : undefined));
    return await abortable(promise, signal);
  } finally {
    socket.close();
  }
}

async function byTcp({ name, type, server, port = DNS_PORT, signal }: Question): Promise<DnsMessage> {
  const connection = await Deno.connect({ hostname: server, port, signal });
  const stop = () => closeQuietly(connection);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const id = randomId();
    const query = encodeMessage(queryFor(id, name, type));
    const framed = new Uint8Array([query.length >> 8, query.length & 0xff, ...query]); // RFC 1035, section 4.2.2
    await writeAll(connection, framed);
    const header = new Uint8Array(2);
    if (!await readFull(connection, header)) throw new DnsFormatError("The server closed the connection");
    const body = new Uint8Array((header[0] ?? 0) << 8 | (header[1] ?? 0));
    await readFull(connection, body);
    const message = decodeMessage(body);
    if (!message.isResponse || message.id !== id) throw new DnsFormatError("The server answered another question");
    return message;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0] ?? 0;
}
