import { DialError, type ErrnoName, toErrnoName } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";

/** Linux's numbers of what connect and bind fail with (errno(3)), for errors that carry a number in their text alone. */
const BY_NUMBER: Readonly<Record<number, ErrnoName>> = {
  1: "EPERM",
  13: "EACCES",
  22: "EINVAL",
  24: "EMFILE",
  32: "EPIPE",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETUNREACH", // ENETDOWN, which has no name of its own here
  101: "ENETUNREACH",
  103: "ECONNABORTED",
  104: "ECONNRESET",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  112: "EHOSTUNREACH", // EHOSTDOWN
  113: "EHOSTUNREACH",
};

/** The runtime's classes of errors, for those that carry no code. */
const BY_CLASS: readonly (readonly [new (message: string) => Error, ErrnoName])[] = [
  [Deno.errors.ConnectionRefused, "ECONNREFUSED"],
  [Deno.errors.ConnectionReset, "ECONNRESET"],
  [Deno.errors.ConnectionAborted, "ECONNABORTED"],
  [Deno.errors.AddrInUse, "EADDRINUSE"],
  [Deno.errors.AddrNotAvailable, "EADDRNOTAVAIL"],
  [Deno.errors.BrokenPipe, "EPIPE"],
  [Deno.errors.TimedOut, "ETIMEDOUT"],
  [Deno.errors.NetworkUnreachable, "ENETUNREACH"],
  [Deno.errors.PermissionDenied, "EACCES"],
];

/** An error of the runtime's network calls as the errno that travels. */
export function toDialError(error: unknown): DialError {
  if (error instanceof DialError) return error;
  return new DialError(errnoOf(error), messageOf(error));
}

function errnoOf(error: unknown): ErrnoName {
  if (!(error instanceof Error)) return "EIO";
  const named = "code" in error ? toErrnoName(error.code) : "EIO";
  if (named !== "EIO") return named;
  const [, number] = /\(os error (\d+)\)/.exec(error.message) ?? [];
  return BY_NUMBER[Number(number)] ?? BY_CLASS.find(([type]) => error instanceof type)?.[1] ?? "EIO";
}
