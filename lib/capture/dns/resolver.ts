/** The name server that carried programs see: where it is, and the file that names it. */
import { resolveOnHost } from "../host.ts";
import type { Policy } from "../inject/policy.ts";

/** Where the session's name server is for carried programs, and nothing else: the dummy address of RFC 7600. */
export const RESOLVER = { address: "192.0.0.8", port: 53 } as const;

/**
 * resolv.conf(5) for carried programs. No search list: the pod applies its own, ndots too, to whatever is asked, so a
 * name must arrive there as the program has it ("." is what keeps libc from making a list of the host's domain).
 */
export function resolvConf(): string {
  return `# Names are resolved in the pod, by telepresence\nnameserver ${RESOLVER.address}\nsearch .\noptions timeout:5 attempts:2\n`;
}

/** The addresses of a name where it is the host's own business; undefined for every other. */
export function ownNamesOf(policy: Policy): (name: string) => Promise<readonly string[] | undefined> {
  return async (name) => {
    if (await policy.name(name) === undefined) return undefined;
    if (/^localhost\.?$/i.test(name)) return ["127.0.0.1", "::1"];
    return await resolveOnHost(name).catch(() => []);
  };
}
