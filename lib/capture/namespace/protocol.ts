/**
 * What the namespace helper and the session say to each other: one line each way, then bytes or frames. netns/README.md
 * is its specification; the other end is netns/relay.c.
 *
 * Invariant: pure. What is malformed becomes a {@linkcode HelperProtocolError}, whatever the bytes are.
 */
import { type ErrnoName, toErrnoName } from "@/pod/mod.ts";
import { canonicalAddress, type Endpoint } from "../inject/protocol.ts";

/** Longest line, newline included. */
export const LINE_BYTES = 128;

/** What the first line of a connection of the helper says. */
export type Opening =
  /** The relay's life line: it says nothing more, and its end is the relay's. */
  | { readonly kind: "life" }
  /** The same where the machine is carried: the session's orders go over it. */
  | { readonly kind: "machine" }
  /** A connection of a program, or its datagrams to one destination. */
  | { readonly kind: "tcp" | "udp"; readonly to: Endpoint; readonly from: Endpoint };

/** A line that is none of those. */
export class HelperProtocolError extends Error {
  override readonly name = "HelperProtocolError";
}

/**
 * Reads a first line.
 *
 * @param line without its newline
 * @throws {HelperProtocolError}
 */
export function parseOpening(line: string): Opening {
  const [kind, address, port, fromAddress, fromPort, ...more] = line.split(" ");
  if (line === "life" || line === "machine") return { kind: line };
  if ((kind !== "tcp" && kind !== "udp") || more.length > 0) throw new HelperProtocolError(`not an opening: "${line}"`);
  return { kind, to: parseEndpoint(address, port), from: parseEndpoint(fromAddress, fromPort) };
}

function parseEndpoint(address = "", port = ""): Endpoint {
  const canonical = canonicalAddress(address);
  if (canonical === undefined) throw new HelperProtocolError(`not an address: "${address}"`);
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new HelperProtocolError(`not a port: "${port}"`);
  return { address: canonical, port: Number(port) };
}

/** The answer to an opening: the program's connect succeeds, or fails with this errno. */
export function formatAnswer(answer: "ok" | ErrnoName): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${answer}\n`);
}

/** The request for a connection to a listener of the inside. */
export function formatConnect({ address, port }: Endpoint): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`connect ${address} ${port}\n`);
}

/** The answer to that. */
export function parseAnswer(line: string): "ok" | ErrnoName {
  return line === "ok" ? "ok" : toErrnoName(line);
}
