import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type EaiName, type Family, LookupError } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";

/** What `node:dns` calls getaddrinfo's errors. */
const EAI: Readonly<Record<string, EaiName>> = {
  ENOTFOUND: "EAI_NONAME",
  EAI_AGAIN: "EAI_AGAIN",
  EAI_FAMILY: "EAI_FAMILY",
};

/**
 * Resolves a name with the pod's own libc, so that search list, ndots, hosts file and host aliases apply.
 * (`Deno.resolveDns` reads resolv.conf but no hosts file, so it is not what a process in the pod would see.)
 *
 * @returns at least one address
 * @throws {LookupError} with getaddrinfo's code
 */
export async function lookUp(name: string, family: Family): Promise<string[]> {
  // An address needs no resolver, whose threads would be the slowest part of a connect.
  const literal = isIP(name);
  if (literal !== 0 && (family === "any" || family === literal)) return [name];
  try {
    const found = await lookup(name, { all: true, family: family === "any" ? 0 : family });
    const addresses = [...new Set(found.map(({ address }) => address))];
    if (addresses.length > 0) return addresses;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new LookupError(EAI[code] ?? "EAI_FAIL", messageOf(error));
  }
  throw new LookupError("EAI_NONAME", `getaddrinfo found no address for "${name}"`);
}
