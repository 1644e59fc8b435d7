import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";

/** Asked one by one: libc tells the first line alone of a hosts file that has a line for each, unless it is told otherwise. */
const FAMILIES = [4, 6] as const;

/**
 * The addresses by which the cluster knows the pod; none where that cannot be told.
 *
 * @param podName the name by which the pod knows itself
 */
export async function podAddresses(
  pod: Pick<Pod, "lookup">,
  podName: string | undefined,
  { log, signal }: { readonly log: Log; readonly signal?: AbortSignal },
): Promise<string[]> {
  if (podName === undefined) return [];
  const answers = await Promise.allSettled(
    FAMILIES.map((family) => pod.lookup(podName, { family, ...(signal && { signal }) })),
  );
  const found = answers.flatMap((answer) => answer.status === "fulfilled" ? answer.value.addresses : []);
  const own = [...new Set(found)].filter((address) => !/^127\.|^::1$|^fe80:/i.test(address));
  if (own.length === 0) {
    const failed = answers.find((answer) => answer.status === "rejected");
    log.info(`The pod does not know its own address: ${failed ? messageOf(failed.reason) : "it has none"}`);
  }
  return own;
}
