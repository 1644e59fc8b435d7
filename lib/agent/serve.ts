import { type Log, silentLog } from "@/log/mod.ts";
import { decodeMessage, DialError, encodeAnswer, encodeMessage, HostRequest, LookupError } from "@/pod/mod.ts";
import type { Incoming, Mux, MuxStream } from "@/transport/mod.ts";
import { messageOf, splice, writeAll } from "@/util/mod.ts";
import { openFlow } from "./datagrams.ts";
import { dial } from "./dial.ts";
import { type Guest, type Guests, introduced } from "./guests.ts";
import { FileTree } from "./file_tree.ts";
import { serveFiles } from "./files.ts";
import { resolve } from "./dns/resolve.ts";
import { bind, serveListener } from "./listen.ts";
import { lookUp } from "./look_up.ts";

/** What an agent is started with. */
export interface AgentOptions {
  /** The session's public key: who holds the private one is let in. */
  publicKey: string;
  /** Our version, told in the handshake. */
  version: string;
  /** The environment that hosts may ask for. */
  environment: Record<string, string>;
  /** How long a link lives without a carrier, and an agent without a host. @default {60 s} */
  graceMs?: number;
  log?: Log;
}

/**
 * Serves what a host asks for on the mux that `open` opens with the answers.
 *
 * @param guests everybody who is served, of whom the new one is one until its mux ends
 */
export function serveMux(
  open: (onOpen: (incoming: Incoming) => void) => Mux,
  guests: Guests,
  options: AgentOptions,
): void {
  const guest: Guest = { ports: new Set() };
  guests.add(guest);
  const mux: Mux = open((incoming) => answer(incoming, { mux, guest, guests }, options));
  mux.closed.catch(() => {}).then(() => guests.delete(guest));
}

/** Who asks, and among whom. */
interface Asking {
  readonly mux: Mux;
  readonly guest: Guest;
  readonly guests: Guests;
}

/** Does what a stream asks for, or says why not. */
async function answer(incoming: Incoming, asking: Asking, options: AgentOptions): Promise<void> {
  const { log = silentLog } = options;
  try {
    await fulfil(readRequest(incoming, options), incoming, asking, options);
  } catch (error) {
    const code = error instanceof DialError || error instanceof LookupError ? error.code : "EIO";
    log.debug(`Refused: ${code} ${messageOf(error)}`);
    incoming.refuse({ code, message: messageOf(error) });
  }
}

async function fulfil(
  request: HostRequest,
  incoming: Incoming,
  { mux, guest, guests }: Asking,
  options: AgentOptions,
): Promise<void> {
  const { log = silentLog } = options;
  switch (request.ask) {
    case "dial": {
      const connection = await dial(request.host, request.port, incoming.signal);
      await splice(connection, incoming.accept());
      return;
    }
    case "lookup": {
      const addresses = await lookUp(request.name, request.family);
      await incoming.accept(encodeMessage({ addresses })).closeWrite();
      return;
    }
    case "listen": {
      const listener = bind(request.port, request.loopback);
      guest.ports.add(request.port);
      try {
        return await serveListener(listener, { number: request.listener, stream: incoming.accept(), mux, log });
      } finally {
        guest.ports.delete(request.port);
      }
    }
    case "introduce": {
      const { session, by, since } = request;
      guest.introduction = { session, by, since };
      incoming.accept();
      return;
    }
    case "sessions":
      return await sendJson(incoming.accept(), introduced(guests));
    case "resolve": {
      const answer = await resolve(request.name, request.type, { signal: incoming.signal });
      return await sendWhole(incoming.accept(), encodeAnswer(answer));
    }
    case "files": {
      const tree = await FileTree.of(request.mounts);
      const stream = incoming.accept(encodeMessage({ mounts: [...tree.mounts] }));
      try {
        await serveFiles(stream, tree, log);
        await stream.closeWrite();
      } catch (error) {
        stream.reset({ code: "EIO", message: messageOf(error) });
        log.info(`A connection to the files ended: ${messageOf(error)}`);
      }
      return;
    }
    case "datagrams": {
      const flow = await openFlow(request.host, request.port);
      return await flow.serve(incoming.accept());
    }
    case "environment":
      return await sendJson(incoming.accept(), options.environment);
  }
}

async function sendJson(stream: MuxStream, value: unknown): Promise<void> {
  await sendWhole(stream, new TextEncoder().encode(JSON.stringify(value)));
}

async function sendWhole(stream: MuxStream, bytes: Uint8Array): Promise<void> {
  await writeAll(stream, bytes);
  await stream.closeWrite();
}

function readRequest({ request }: Incoming, { version }: AgentOptions): HostRequest {
  try {
    return decodeMessage(HostRequest, request);
  } catch (cause) {
    const text = new TextDecoder().decode(request.subarray(0, 200));
    throw new DialError(
      "EINVAL",
      `The agent (version ${version}) does not know the request ${text}: ${messageOf(cause)}`,
    );
  }
}
