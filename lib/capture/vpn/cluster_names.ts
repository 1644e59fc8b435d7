import { type DnsRecord, TYPES } from "@/dns/mod.ts";
import type { Pod, Waiting } from "@/pod/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";

/** The Service that every cluster has. */
const ALWAYS = "kubernetes.default.svc";

/** The domain of the cluster's names, as the pod's search list has it; what most clusters have where it says nothing. */
export async function readClusterDomain(pod: Pick<Pod, "resolve">, options: Waiting = {}): Promise<string> {
  const found = await pod.resolve(ALWAYS, TYPES.A, options).catch(() => undefined);
  const name = found?.name.toLowerCase() ?? "";
  return found !== undefined && found.records.length > 0 && name.startsWith(`${ALWAYS}.`)
    ? name.slice(ALWAYS.length + 1)
    : "cluster.local";
}

/**
 * All addresses of names of `--also-proxy`, as the pod has them.
 *
 * @throws {UserError} when one has none
 */
export async function addressesInPod(
  pod: Pick<Pod, "resolve">,
  names: readonly string[],
  options: Waiting = {},
): Promise<string[]> {
  return (await Promise.all(names.map(async (name) => {
    const answers = await Promise.allSettled([TYPES.A, TYPES.AAAA].map((type) => pod.resolve(name, type, options)));
    const found = answers.flatMap((one) => one.status === "fulfilled" ? one.value.records.flatMap(addressesOf) : []);
    if (found.length > 0) return found;
    const failed = answers.find((one) => one.status === "rejected");
    const why = failed === undefined ? "it has no address there" : messageOf(failed.reason);
    throw new UserError(`Cannot proxy "${name}" (--also-proxy): the cluster does not resolve it: ${why}`, {
      hints: ["Look for a typing error, or name its addresses instead"],
    });
  }))).flat();
}

/** The address in a record of the pod, if it holds one. */
export function addressesOf({ data }: DnsRecord): string[] {
  return data.type === "A" || data.type === "AAAA" ? [data.address] : [];
}
