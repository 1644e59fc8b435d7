import * as z from "zod/mini";
import { abortable, closeQuietly, deadline, type Duplex, messageOf, readFull, writeAll } from "@/util/mod.ts";

/** The protocol that this program speaks (spec.md). Goes up when an older peer could not follow. */
export const PROTOCOL = 1;
const MAX_HANDSHAKE_BYTES = 4096;
const HANDSHAKE_MS = 10_000;
const CONTEXT = new TextEncoder().encode("telepresence link 1\n");

/** The handshake failed: the sentence says what the other end said or was. */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
}

/** Both ends of a session's key: the host keeps the private one, the agent is given the public one as text. */
export interface SessionKey {
  readonly privateKey: CryptoKey;
  /** The 32 bytes of the public key, as base64url. */
  readonly publicKey: string;
}

/** A new key for one session (Ed25519, RFC 8032). */
export async function makeSessionKey(): Promise<SessionKey> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { privateKey: pair.privateKey, publicKey: toText(raw) };
}

const Hello = z.object({ telepresence: z.number(), version: z.string(), challenge: z.string() });
const Proof = z.object({ telepresence: z.number(), version: z.string(), signature: z.string() });
const Verdict = z.object({ welcome: z.optional(z.boolean()), refused: z.optional(z.string()) });

/** What one end says of itself. */
export interface HandshakeOptions {
  /** Our version, as text. */
  version: string;
  signal?: AbortSignal;
}

/**
 * The host's part of the handshake; afterwards the carrier is a link.
 *
 * @returns the agent's version
 * @throws {HandshakeError} when the agent refuses us, is of another protocol, or is something else
 */
export async function greetAgent(carrier: Duplex, key: CryptoKey, options: HandshakeOptions): Promise<string> {
  return await within(carrier, options, async () => {
    const hello = await readMessage(carrier, Hello);
    if (hello.telepresence !== PROTOCOL) throw new HandshakeError(mismatch("agent", hello, options.version));
    const signed = await crypto.subtle.sign("Ed25519", key, challengeBytes(fromText(hello.challenge)));
    const proof = { telepresence: PROTOCOL, version: options.version, signature: toText(new Uint8Array(signed)) };
    await writeMessage(carrier, proof);
    const { refused } = await readMessage(carrier, Verdict);
    if (refused !== undefined) throw new HandshakeError(`The agent refused the connection: ${refused}`);
    return hello.version;
  });
}

/**
 * The agent's part of the handshake: asks who is there and lets in whoever holds the session's private key.
 *
 * @param publicKey the session's public key, as base64url
 * @returns the host's version
 * @throws {HandshakeError} when the host is of another protocol or cannot prove itself; it was told so
 */
export async function admitHost(carrier: Duplex, publicKey: string, options: HandshakeOptions): Promise<string> {
  return await within(carrier, options, async () => {
    const challenge = crypto.getRandomValues(new Uint8Array(32));
    await writeMessage(carrier, { telepresence: PROTOCOL, version: options.version, challenge: toText(challenge) });
    const proof = await readMessage(carrier, Proof);
    const refusal = proof.telepresence !== PROTOCOL
      ? mismatch("host", proof, options.version)
      : await isSigned(publicKey, challenge, proof.signature)
      ? undefined
      : "the signature is not that of this session's key";
    await writeMessage(carrier, refusal === undefined ? { welcome: true } : { refused: refusal });
    if (refusal !== undefined) throw new HandshakeError(`A host was refused: ${refusal}`);
    return proof.version;
  });
}

function mismatch(who: string, peer: { telepresence: number; version: string }, ours: string): string {
  return `The ${who} is version ${peer.version} (protocol ${peer.telepresence}), this is version ${ours} ` +
    `(protocol ${PROTOCOL}): use the same version on both sides`;
}

async function isSigned(publicKey: string, challenge: Uint8Array, signature: string): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", fromText(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, fromText(signature), challengeBytes(challenge));
  } catch {
    return false; // not base64url, not 64 bytes: not a signature
  }
}

/** What is signed: a context, so that a signature for something else is never one for this, and the challenge. */
function challengeBytes(challenge: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CONTEXT.length + challenge.length);
  bytes.set(CONTEXT);
  bytes.set(challenge, CONTEXT.length);
  return bytes;
}

/** Runs a handshake under its own deadline; the carrier does not outlive a failed one. */
async function within<T>(carrier: Duplex, options: HandshakeOptions, shake: () => Promise<T>): Promise<T> {
  using late = deadline(HANDSHAKE_MS, () => new HandshakeError("The other end did not finish the handshake in time"));
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
  try {
    return await abortable(shake(), signal);
  } catch (error) {
    closeQuietly(carrier);
    throw error;
  }
}

async function readMessage<T>(carrier: Duplex, schema: z.ZodMiniType<T>): Promise<T> {
  const header = new Uint8Array(2);
  if (!await readFull(carrier, header)) throw new HandshakeError("The other end closed the connection");
  const length = new DataView(header.buffer).getUint16(0);
  if (length > MAX_HANDSHAKE_BYTES) throw new HandshakeError("Something else answers where the tunnel should be");
  const body = new Uint8Array(length);
  if (length > 0 && !await readFull(carrier, body)) throw new HandshakeError("The other end closed the connection");
  try {
    return z.parse(schema, JSON.parse(new TextDecoder().decode(body)));
  } catch (cause) {
    throw new HandshakeError(`Something else answers where the tunnel should be: ${messageOf(cause)}`, { cause });
  }
}

async function writeMessage(carrier: Duplex, message: unknown): Promise<void> {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const bytes = new Uint8Array(2 + body.length);
  new DataView(bytes.buffer).setUint16(0, body.length);
  bytes.set(body, 2);
  await writeAll(carrier, bytes);
}

function toText(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function fromText(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}
