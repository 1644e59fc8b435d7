import { visible } from "@/util/mod.ts";

/** Where a room tells what it does. Lines go to the session's log file, never to the terminal. */
export interface Log {
  /** What a reader of the log wants in every session. */
  info(line: string): void;
  /** What only `--verbose` writes. */
  debug(line: string): void;
  /** The same log, its lines marked with another room's name. */
  room(name: string): Log;
}

/** A log that keeps nothing: the default wherever a log is an option. */
export const silentLog: Log = { info() {}, debug() {}, room: () => silentLog };

/** Options of {@linkcode makeLog}. */
export interface LogOptions {
  /** Whether debug lines are kept. @default {false} */
  verbose?: boolean;
  /** The clock, in milliseconds. @default {performance.now} */
  now?: () => number;
}

/**
 * A log over a sink of lines. Each line is `   1.2 ROOM | text`: seconds since the log began, the room, the text with
 * secrets masked. Text of several lines becomes several lines; control characters in it are spelled out, as logs are read
 * on terminals.
 */
export function makeLog(sink: (line: string) => void, options: LogOptions = {}): Log {
  const { verbose = false, now = () => performance.now() } = options;
  const start = now();
  const at = (room: string): Log => {
    const tell = (text: string) => {
      const seconds = ((now() - start) / 1000).toFixed(1).padStart(6);
      for (const line of visible(mask(text)).split("\n")) sink(`${seconds} ${room.padEnd(4)} | ${line}`);
    };
    return { info: tell, debug: verbose ? tell : () => {}, room: at };
  };
  return at("TEL");
}

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/(authorization"?\s*[:=]\s*"?(?:bearer|basic)\s+)[^\s"',]+/gi, "$1Masked-by-Telepresence"],
  [
    /("?\b(?:[a-z-]*token|password|client-key-data|clientKeyData|secret)"?\s*[:=]\s*"?)(?!\s)[^\s"',}]+/gi,
    "$1Masked-by-Telepresence",
  ],
  [/(:\/\/[^\s/:@]+:)[^\s/@]+@/g, "$1Masked-by-Telepresence@"],
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?-----END \1-----/g, "-----BEGIN $1----- Masked-by-Telepresence"],
];

/** Text without what must not be in a log: tokens, passwords, private keys, credentials in addresses. */
export function mask(text: string): string {
  return SECRETS.reduce((masked, [pattern, by]) => masked.replace(pattern, by), text);
}
