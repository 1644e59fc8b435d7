/**
 * The control protocol between the shim and the session: one line of text each way, words between single blanks.
 * shim/README.md is its specification; the other end is shim/line.c.
 *
 * Invariant: pure. What is malformed becomes a `ProtocolError`, whatever the bytes are.
 */
import ipaddr from "ipaddr.js";
import type { FilePath } from "../method.ts";
import { mountWords } from "./mounts.ts";
import type { EaiName, ErrnoName, Family } from "@/pod/mod.ts";

/** The version word that every request begins with. */
export const PROTOCOL = "shim/2";

/** Longest request, newline included (shim/README.md, "Lines"). */
export const REQUEST_BYTES = 512;

/** Longest answer, newline included; that to "hello" is as long as its mounts need (mounts.ts). */
export const ANSWER_BYTES = 4096;

/** Largest plug that a claim may have (shim/README.md, "Gates"). */
export const MOST_PLUG_BYTES = 128 << 20;

/** An IP address and a TCP port. Addresses are in their one canonical form, v4-mapped ones as IPv4. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** The ports on which the session takes connections of the program; 0 where there is no gate. */
export interface Gates {
  readonly port4: number;
  readonly port6: number;
}

/** What is known of a connection at a gate. */
export type Connection =
  | { readonly state: "pending" | "connected"; readonly to: Endpoint }
  | { readonly state: "failed"; readonly code: ErrnoName };

/** What the shim asks for. */
export type Request =
  | { readonly verb: "hello" }
  | { readonly verb: "connect" | "begin"; readonly to: Endpoint; readonly pid: number }
  | { readonly verb: "claim"; readonly from: Endpoint; readonly plug: number }
  | { readonly verb: "about"; readonly from: Endpoint }
  | { readonly verb: "reverse"; readonly address: string; readonly pid: number }
  | { readonly verb: "relay"; readonly to: Endpoint; readonly family: 4 | 6 }
  | { readonly verb: "whose"; readonly port: number; readonly family: 4 | 6 }
  | { readonly verb: "dns" }
  | { readonly verb: "program"; readonly path: string }
  | { readonly verb: "lookup"; readonly family: Family; readonly name: string; readonly pid: number };

/** What it is told. */
export type Answer =
  | { readonly verb: "local"; readonly reason: string }
  | {
    readonly verb: "hello";
    readonly gates: Gates;
    /** The pod's own addresses. */
    readonly own: { readonly v4?: string; readonly v6?: string };
    readonly mounts: readonly FilePath[];
  }
  | { readonly verb: "name"; readonly name: string }
  | { readonly verb: "relay"; readonly port: number }
  | { readonly verb: "whose"; readonly peer: Endpoint | undefined }
  | { readonly verb: "dns" }
  | { readonly verb: "connected"; readonly gates: Gates }
  | { readonly verb: "pending"; readonly gates: Gates; readonly plug: number }
  | { readonly verb: "about"; readonly connection: Connection | undefined }
  | { readonly verb: "addresses"; readonly addresses: readonly string[] }
  | { readonly verb: "failed"; readonly code: ErrnoName | EaiName }
  | { readonly verb: "carried" }
  | { readonly verb: "bypass" | "error"; readonly message: string };

/** A request that is none; the message is the answer's text. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/**
 * Reads a request.
 *
 * @param line the line without its newline
 * @throws {ProtocolError}
 */
export function parseRequest(line: string): Request {
  const [version, verb, ...words] = line.split(" ");
  if (version !== PROTOCOL) throw new ProtocolError(`version is not ${PROTOCOL}`);
  const [first = "", second = "", third = ""] = words;
  const wanted = WORDS.get(verb);
  if (wanted === undefined) throw new ProtocolError("unknown verb");
  if (words.length !== wanted) throw new ProtocolError(`${verb} has ${wanted} words after it`);
  switch (verb) {
    case "connect":
    case "begin":
      return { verb, to: parseEndpoint(first, second), pid: parsePid(third) };
    case "claim":
      return { verb, from: parseEndpoint(first, second), plug: parseNumber(third, MOST_PLUG_BYTES, "a size") };
    case "about":
      return { verb, from: parseEndpoint(first, second) };
    case "reverse":
      return { verb, address: parseEndpoint(first, "0").address, pid: parsePid(second) };
    case "relay":
      return { verb, to: parseEndpoint(first, second), family: parseRelayFamily(third) };
    case "whose":
      return { verb, port: parseNumber(first, 65535, "a port"), family: parseRelayFamily(second) };
    case "dns":
      return { verb };
    case "program":
      return { verb, path: parsePath(first) };
    case "lookup":
      return { verb, family: parseFamily(first), name: parseName(second), pid: parsePid(third) };
    default:
      return { verb: "hello" };
  }
}

/** How many words follow each verb. */
const WORDS: ReadonlyMap<string | undefined, number> = new Map([
  ["hello", 0],
  ["connect", 3],
  ["begin", 3],
  ["claim", 3],
  ["about", 2],
  ["reverse", 2],
  ["relay", 3],
  ["whose", 2],
  ["dns", 0],
  ["program", 1],
  ["lookup", 3],
]);

/** Writes an answer, newline included; its mounts must fit (mounts.ts), and addresses that do not fit are left out, the last ones first. */
export function formatAnswer(answer: Answer): Uint8Array<ArrayBuffer> {
  const text = answerText(answer);
  return new TextEncoder().encode(`${answer.verb === "hello" ? text : text.slice(0, ANSWER_BYTES - 1)}\n`);
}

function answerText(answer: Answer): string {
  switch (answer.verb) {
    case "local":
      return `local ${answer.reason}`;
    case "hello":
      return `hello ${answer.gates.port4} ${answer.gates.port6} ${answer.own.v4 ?? "-"} ${answer.own.v6 ?? "-"}` +
        answer.mounts.map(mountWords).join("");
    case "name":
      return `name ${answer.name}`;
    case "relay":
      return `relay ${answer.port}`;
    case "whose":
      return answer.peer === undefined ? "unknown" : `whose ${answer.peer.address} ${answer.peer.port}`;
    case "dns":
      return "dns";
    case "connected":
      return `connected ${answer.gates.port4} ${answer.gates.port6}`;
    case "pending":
      return `pending ${answer.gates.port4} ${answer.gates.port6} ${answer.plug}`;
    case "about":
      return connectionText(answer.connection);
    case "failed":
      return `failed ${answer.code}`;
    case "carried":
      return "carried";
    case "bypass":
    case "error":
      return `${answer.verb} ${answer.message.replaceAll(/[^\x20-\x7e]/g, "?")}`;
    case "addresses": {
      let text = "addresses";
      for (const address of answer.addresses) {
        if (text.length + 1 + address.length >= ANSWER_BYTES) break;
        text += ` ${address}`;
      }
      return text;
    }
  }
}

function connectionText(connection: Connection | undefined): string {
  if (connection === undefined) return "unknown";
  if (connection.state === "failed") return `failed ${connection.code}`;
  return `${connection.state} ${connection.to.address} ${connection.to.port}`;
}

/** An IPv4 address in its canonical form, which most are that programs connect to. */
const CANONICAL_IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** The one canonical form of a literal address, v4-mapped ones as IPv4; undefined for what is none. */
export function canonicalAddress(text: string): string | undefined {
  if (CANONICAL_IPV4.test(text)) return text; // a tenth of what a connect cost the session was parsing them
  return ipaddr.isValid(text) ? ipaddr.process(text).toString() : undefined;
}

function parseEndpoint(address: string, port: string): Endpoint {
  const canonical = /^[0-9a-f.:]+$/i.test(address) ? canonicalAddress(address) : undefined;
  if (canonical === undefined) throw new ProtocolError("not an address");
  return { address: canonical, port: parseNumber(port, 65535, "a port") };
}

function parseNumber(word: string, most: number, what: string): number {
  if (!/^\d{1,10}$/.test(word) || Number(word) > most) throw new ProtocolError(`not ${what}`);
  return Number(word);
}

/** The number of the program's process, in its own PID namespace. */
function parsePid(word: string): number {
  return parseNumber(word, 2 ** 31 - 1, "a process");
}

function parseRelayFamily(word: string): 4 | 6 {
  const family = parseFamily(word);
  if (family === "any") throw new ProtocolError("not a family");
  return family;
}

function parseFamily(word: string): Family {
  if (word === "4") return 4;
  if (word === "6") return 6;
  if (word === "any") return word;
  throw new ProtocolError("not a family");
}

function parsePath(word: string): string {
  if (!word.startsWith("/")) throw new ProtocolError("not an absolute path");
  return word;
}

function parseName(word: string): string {
  if (!/^[\x21-\x7e]{1,254}$/.test(word)) throw new ProtocolError("not a name");
  return word;
}
