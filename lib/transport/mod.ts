/**
 * Bytes in, streams out: the handshake over a carrier, the link over its carriers, and the mux over the link. `spec.md`
 * is the protocol.
 *
 * Invariant: knows neither Kubernetes nor what streams carry; no reader that stops can hold up another.
 *
 * @module
 */
export { ProtocolError, type Reset } from "./frame.ts";
export {
  admitHost,
  type CarrierName,
  greetAgent,
  HandshakeError,
  type HandshakeOptions,
  LinkUnknown,
  makeSessionKey,
  MAX_CARRIERS,
  nameNewLink,
  PROTOCOL,
  type SessionKey,
} from "./handshake.ts";
export { GRACE_MS, Link, LinkLost, type LinkOptions, openLink } from "./link.ts";
export { type CarrierOptions, type DialOptions, keepCarriers } from "./keep_carriers.ts";
export { type Incoming, type Mux, type MuxOptions, openMux } from "./mux.ts";
export { exportPrivateKey, importPrivateKey } from "./private_key.ts";
export { MuxStream, StreamReset } from "./mux_stream.ts";
