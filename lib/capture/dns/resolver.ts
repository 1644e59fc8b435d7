/** The name server that carried programs see: where it is, and the file that names it. */
import { resolveOnHost } from "../host.ts";
import type { Policy } from "../inject/policy.ts";

/** Where the session's name server is for carried programs, and nothing else: the dummy address of RFC 7600. */
export const RESOLVER = { address: "192.0.0.8", port: 53 } as const;

/** The domain in which there is no name, by agreement (RFC 6761, section 6.4): nobody is asked for one. */
const NOWHERE = "invalid";

/**
 * resolv.conf(5) for carried programs. No search list: the pod applies its own, ndots too, to whatever is asked, so a
 * name must arrive there as the program has it. libc makes a list of the domain in the host's name where it has one;
 * another list keeps it from that. (The root domain would be the shortest, but for it musl 1.2.3 asks for names
 * that are none: their last dot is where a length should be.)
 *
 * @param hostname what gethostname() says
 */
export function resolvConf(hostname: string = Deno.hostname()): string {
  const search = hostname.includes(".") ? `search ${NOWHERE}\n` : "";
  return `# Names are resolved in the pod, by telepresence\nnameserver ${RESOLVER.address}\n${search}options timeout:5 attempts:2\n`;
}

/** Whether a name is in the domain that has none. */
export function isNowhere(name: string): boolean {
  return /(^|\.)invalid\.?$/i.test(name);
}

/** The addresses of a name where it is the host's own business; undefined for every other. */
export function ownNamesOf(policy: Policy): (name: string) => Promise<readonly string[] | undefined> {
  return async (name) => {
    if (await policy.name(name) === undefined) return undefined;
    if (/^localhost\.?$/i.test(name)) return ["127.0.0.1", "::1"];
    return await resolveOnHost(name).catch(() => []);
  };
}
