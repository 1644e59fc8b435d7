/**
 * What is said between host and agent: the requests in OPEN and the answers in ACCEPT, as JSON. Wire types only; the
 * rest of the program sees the interface {@linkcode Pod}.
 *
 * | ask | direction | the stream then |
 * | --- | --- | --- |
 * | dial | host to agent | is the connection |
 * | lookup | host to agent | carries nothing: the answer is in ACCEPT |
 * | listen | host to agent | stands for the listener: its end closes the port |
 * | resolve | host to agent | carries the answer as one DNS message (RFC 1035), to the end of stream |
 * | datagrams | host to agent | is the flow: datagrams both ways, each after its length in two bytes |
 * | environment | host to agent | carries the environment as one JSON object, to the end of stream |
 * | files | host to agent | is an SFTP connection (`sftp.md`); which volumes are there is in ACCEPT |
 * | introduce | host to agent | stands for the session: its end is the end of that |
 * | sessions | host to agent | carries who has introduced themselves, and their ports, as JSON, to the end of stream |
 * | accepted | agent to host | is a connection that came to the listener of that number |
 *
 * @module
 */
import * as z from "zod/mini";
import { decodeMessage as decodeDns, DnsFormatError, encodeMessage as encodeDns, queryFor, TYPES } from "@/dns/mod.ts";
import { type DnsAnswer, EAI_NAMES, type EaiName, ERRNO_NAMES, type ErrnoName } from "./pod.ts";

const Port = z.int().check(z.gte(1), z.lte(65535));
const Host = z.string().check(z.minLength(1), z.maxLength(1024));
/** An address, with its zone where it has one: it becomes a word of other protocols, and part of a table on a terminal. */
const AddressText = z.string().check(z.regex(/^[\w.:%-]{1,100}$/));
const MountPath = z.string().check(z.regex(/^\/./), z.maxLength(4096));

/** What other people read on their terminals: no control characters. */
const Told = z.string().check(z.minLength(1), z.maxLength(200), z.regex(/^\P{C}*$/u));
/** A session as it introduces itself: for the other sessions of the same agent, and no secret of its own. */
const Introduction = z.object({ session: Told, by: Told, since: Told });

/** What the host may ask of the agent. */
export const HostRequest = z.discriminatedUnion("ask", [
  z.object({ ask: z.literal("dial"), host: Host, port: Port }),
  z.object({ ask: z.literal("lookup"), name: Host, family: z.union([z.literal(4), z.literal(6), z.literal("any")]) }),
  z.object({ ask: z.literal("listen"), port: Port, listener: z.int(), loopback: z.optional(z.boolean()) }),
  z.object({ ask: z.literal("resolve"), name: Host, type: z.int().check(z.gte(1), z.lte(65535)) }),
  z.object({ ask: z.literal("datagrams"), host: Host, port: Port }),
  z.object({ ask: z.literal("environment") }),
  z.extend(Introduction, { ask: z.literal("introduce") }),
  z.object({ ask: z.literal("sessions") }),
  z.object({ ask: z.literal("files"), mounts: z.array(MountPath).check(z.maxLength(256)) }),
]);
/** What the host may ask of the agent. */
export type HostRequest = z.infer<typeof HostRequest>;

/** What the agent may ask of the host. */
export const AgentRequest = z.discriminatedUnion("ask", [
  z.object({ ask: z.literal("accepted"), listener: z.int(), from: z.object({ host: AddressText, port: z.int() }) }),
]);
/** What the agent may ask of the host. */
export type AgentRequest = z.infer<typeof AgentRequest>;

/** The answer to "lookup". */
export const LookupReply = z.object({ addresses: z.array(AddressText).check(z.minLength(1)) });
/** The answer to "files": the mount points that are there. */
export const FilesReply = z.object({ mounts: z.array(z.string()) });

/** The body of "sessions". */
export const Sessions = z.array(z.extend(Introduction, { ports: z.array(Port) })).check(z.maxLength(1000));

/** The body of "resolve": a DNS message whose question is the name that was answered. */
export function encodeAnswer({ rcode, name, records, authority }: DnsAnswer): Uint8Array {
  const query = queryFor(0, name, TYPES.ANY, { edns: rcode > 15 });
  return encodeDns({ ...query, isResponse: true, rcode, answers: records, authorities: authority });
}

/**
 * The answer that the body of "resolve" carries.
 *
 * @throws {DnsFormatError} when it carries none
 */
export function decodeAnswer(bytes: Uint8Array): DnsAnswer {
  const { rcode, questions: [question], answers, authorities } = decodeDns(bytes);
  if (question === undefined) throw new DnsFormatError("an answer to no question");
  return { rcode, name: question.name, records: answers, authority: authorities };
}

/** The body of "environment". */
export const Environment = z.record(z.string(), z.string());

/** A message as bytes. */
export function encodeMessage(
  message: HostRequest | AgentRequest | z.infer<typeof LookupReply> | z.infer<typeof FilesReply>,
): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/**
 * Bytes as the message that they must be.
 *
 * @throws {SyntaxError} when they are not JSON, or {z.core.$ZodError} when they are another message
 */
export function decodeMessage<T>(schema: z.ZodMiniType<T>, bytes: Uint8Array): T {
  return z.parse(schema, JSON.parse(new TextDecoder().decode(bytes)));
}

/** The errno that travels for a code that some machine gave; EIO where it is none of those that travel. */
export function toErrnoName(code: unknown): ErrnoName {
  return ERRNO_NAMES.find((name) => name === code) ?? "EIO";
}

/** getaddrinfo's code as it travels, or undefined when `code` is none of them. */
export function toEaiName(code: unknown): EaiName | undefined {
  return EAI_NAMES.find((name) => name === code);
}
