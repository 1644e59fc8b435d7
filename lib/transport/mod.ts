/**
 * Bytes in, streams out: the handshake over a carrier, and the mux over the link. `spec.md` is the protocol.
 *
 * Invariant: knows neither Kubernetes nor what streams carry; no reader that stops can hold up another.
 *
 * @module
 */
export { ProtocolError, type Reset } from "./frame.ts";
export {
  admitHost,
  greetAgent,
  HandshakeError,
  type HandshakeOptions,
  makeSessionKey,
  PROTOCOL,
  type SessionKey,
} from "./link.ts";
export { type Incoming, LinkLost, type Mux, type MuxOptions, openMux } from "./mux.ts";
export { MuxStream, StreamReset } from "./mux_stream.ts";
