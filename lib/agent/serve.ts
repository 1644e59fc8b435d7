import { type Log, silentLog } from "@/log/mod.ts";
import { decodeMessage, DialError, encodeMessage, HostRequest, LookupError } from "@/pod/mod.ts";
import { admitHost, type Incoming, type Mux, openMux } from "@/transport/mod.ts";
import { type Duplex, messageOf, splice, writeAll } from "@/util/mod.ts";
import { dial } from "./dial.ts";
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
  log?: Log;
}

/**
 * Serves one host on one carrier, from the handshake to the end of the link. It never rejects: what goes wrong is told
 * to the host where it can be, and to the log.
 */
export async function serveCarrier(carrier: Duplex, options: AgentOptions): Promise<void> {
  const { log = silentLog } = options;
  try {
    const version = await admitHost(carrier, options.publicKey, options);
    log.info(`A host of version ${version} is connected`);
    const mux: Mux = openMux(carrier, { role: "agent", log, onOpen: (incoming) => answer(incoming, mux, options) });
    await mux.closed;
  } catch (error) {
    log.info(`A host is gone: ${messageOf(error)}`);
  }
}

/** Does what a stream asks for, or says why not. */
async function answer(incoming: Incoming, mux: Mux, options: AgentOptions): Promise<void> {
  const { log = silentLog } = options;
  try {
    await fulfil(readRequest(incoming, options), incoming, mux, options);
  } catch (error) {
    const code = error instanceof DialError || error instanceof LookupError ? error.code : "EIO";
    log.debug(`Refused: ${code} ${messageOf(error)}`);
    incoming.refuse({ code, message: messageOf(error) });
  }
}

async function fulfil(request: HostRequest, incoming: Incoming, mux: Mux, options: AgentOptions): Promise<void> {
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
      return await serveListener(listener, { number: request.listener, stream: incoming.accept(), mux, log });
    }
    case "environment": {
      const stream = incoming.accept();
      await writeAll(stream, new TextEncoder().encode(JSON.stringify(options.environment)));
      return await stream.closeWrite();
    }
  }
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
