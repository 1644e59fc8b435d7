import * as z from "zod/mini";
import { abortable, closeQuietly, deadline, type Duplex, messageOf, readFull, writeAll } from "@/util/mod.ts";

/** The protocol that this program speaks (spec.md). Goes up when an older peer could not follow. */
export const PROTOCOL = 3;
/** How many carriers one link may have at a time. */
export const MAX_CARRIERS = 4;
/** Bytes of a link's id. */
const LINK_ID_BYTES = 16;
const MAX_HANDSHAKE_BYTES = 4096;
const HANDSHAKE_MS = 10_000;
const CONTEXT = new TextEncoder().encode("telepresence link 3\n");

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
const Protocol = z.object({ telepresence: z.number(), version: z.string() });
const Proof = z.object({
  telepresence: z.number(),
  version: z.string(),
  link: z.string(),
  carrier: z.int().check(z.gte(0), z.lt(MAX_CARRIERS)),
  fresh: z.boolean(),
  signature: z.string(),
});
const Verdict = z.object({
  welcome: z.optional(z.boolean()),
  refused: z.optional(z.string()),
  unknown: z.optional(z.boolean()),
});

/** The agent does not know the link that was to be resumed: it was started anew in the meantime. */
export class LinkUnknown extends HandshakeError {}

/** What one end says of itself. */
export interface HandshakeOptions {
  /** Our version, as text. */
  version: string;
  signal?: AbortSignal;
}

/** Which carrier of which link one is. */
export interface CarrierName {
  /** The link's id: 16 bytes as base64url. */
  readonly link: string;
  /** 0 to 3: a later carrier of the same index takes the place of an earlier one. */
  readonly carrier: number;
  /** Whether the link begins with it; otherwise the agent must know it. */
  readonly fresh: boolean;
}

/** The name of the first carrier of a new link. */
export function nameNewLink(): CarrierName {
  return { link: toText(crypto.getRandomValues(new Uint8Array(LINK_ID_BYTES))), carrier: 0, fresh: true };
}

/**
 * The host's part of the handshake; afterwards the carrier is a link.
 *
 * @returns the agent's version
 * @throws {HandshakeError} when the agent refuses us, is of another protocol, or is something else
 */
export async function greetAgent(
  carrier: Duplex,
  key: CryptoKey,
  options: HandshakeOptions & { name?: CarrierName },
): Promise<string> {
  const { name = nameNewLink(), version } = options;
  return await within(carrier, options, async () => {
    const hello = await readMessage(carrier, Hello, (peer) => mismatch("agent", peer, version));
    const signed = await crypto.subtle.sign("Ed25519", key, signedBytes(fromText(hello.challenge), name));
    const signature = toText(new Uint8Array(signed));
    await writeMessage(carrier, { telepresence: PROTOCOL, version, ...name, signature });
    const { refused, unknown } = parse(Verdict, await readJson(carrier));
    if (refused === undefined) return hello.version;
    throw new (unknown ? LinkUnknown : HandshakeError)(`The agent refused the connection: ${refused}`);
  });
}

/**
 * The agent's part of the handshake: asks who is there and lets in whoever holds the session's private key.
 *
 * @param publicKey the session's public key, as base64url
 * @returns the host's version, and which carrier of which link this is
 * @throws {HandshakeError} when the host is of another protocol or cannot prove itself; it was told so
 */
export async function admitHost(
  carrier: Duplex,
  publicKey: string,
  options: HandshakeOptions & {
    /** Whether a link of that id can be resumed. @default {none can} */
    knows?: (link: string) => boolean;
  },
): Promise<CarrierName & { readonly version: string }> {
  const { version, knows = () => false } = options;
  return await within(carrier, options, async () => {
    const challenge = crypto.getRandomValues(new Uint8Array(32));
    await writeMessage(carrier, { telepresence: PROTOCOL, version, challenge: toText(challenge) });
    const refuse = async (sentence: string, unknown = false): Promise<never> => {
      await writeMessage(carrier, { refused: sentence, ...(unknown && { unknown }) });
      throw new HandshakeError(`A host was refused: ${sentence}`);
    };
    const proof = await readMessage(carrier, Proof, async (peer) => {
      const sentence = mismatch("host", peer, version);
      await writeMessage(carrier, { refused: sentence });
      return sentence;
    });
    if (!await isSigned(publicKey, challenge, proof)) {
      return await refuse("the signature is not that of this session's key");
    }
    if (!proof.fresh && !knows(proof.link)) return await refuse("the link to be resumed is not known here", true);
    await writeMessage(carrier, { welcome: true });
    return proof;
  });
}

function mismatch(who: string, peer: { telepresence: number; version: string }, ours: string): string {
  return `The ${who} is version ${peer.version} (protocol ${peer.telepresence}), this is version ${ours} ` +
    `(protocol ${PROTOCOL}): use the same version on both sides`;
}

async function isSigned(
  publicKey: string,
  challenge: Uint8Array,
  proof: CarrierName & { readonly signature: string },
): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", fromText(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, fromText(proof.signature), signedBytes(challenge, proof));
  } catch {
    return false; // not base64url, not 64 bytes, no link's id: not a signature
  }
}

/**
 * What is signed: a context, so that a signature for something else is never one for this, the challenge, and what the
 * carrier is to be, so that nobody in between can make it another's.
 */
function signedBytes(challenge: Uint8Array, { link, carrier, fresh }: CarrierName): Uint8Array<ArrayBuffer> {
  const id = fromText(link);
  if (id.length !== LINK_ID_BYTES) throw new HandshakeError("A link's id has 16 bytes");
  return new Uint8Array([...CONTEXT, ...challenge, ...id, carrier, fresh ? 1 : 0]);
}

/** Runs a handshake under its own deadline; the carrier does not outlive a failed one. */
async function within<T>(carrier: Duplex, options: HandshakeOptions, shake: () => Promise<T>): Promise<T> {
  using late = deadline(HANDSHAKE_MS, () => new HandshakeError("The other end did not finish the handshake in time"));
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
  const shaking = shake();
  try {
    return await abortable(shaking, signal);
  } catch (error) {
    closeQuietly(carrier);
    await shaking.catch(() => {}); // it ends with the carrier, and leaves nothing under way
    throw error;
  }
}

/** Reads the first message of a peer, which may speak another protocol: that is told before anything else is checked. */
async function readMessage<T>(
  carrier: Duplex,
  schema: z.ZodMiniType<T>,
  mismatched: (peer: z.infer<typeof Protocol>) => string | Promise<string>,
): Promise<T> {
  const json = await readJson(carrier);
  const peer = parse(Protocol, json);
  if (peer.telepresence !== PROTOCOL) throw new HandshakeError(await mismatched(peer));
  return parse(schema, json);
}

async function readJson(carrier: Duplex): Promise<unknown> {
  const header = new Uint8Array(2);
  if (!await readFull(carrier, header)) throw new HandshakeError("The other end closed the connection");
  const length = new DataView(header.buffer).getUint16(0);
  if (length > MAX_HANDSHAKE_BYTES) throw new HandshakeError("Something else answers where the tunnel should be");
  const body = new Uint8Array(length);
  if (length > 0 && !await readFull(carrier, body)) throw new HandshakeError("The other end closed the connection");
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw somethingElse(cause);
  }
}

function parse<T>(schema: z.ZodMiniType<T>, json: unknown): T {
  try {
    return z.parse(schema, json);
  } catch (cause) {
    throw somethingElse(cause);
  }
}

function somethingElse(cause: unknown): HandshakeError {
  return new HandshakeError(`Something else answers where the tunnel should be: ${messageOf(cause)}`, { cause });
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
