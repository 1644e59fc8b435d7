import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { messageOf } from "@/util/mod.ts";

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
  try {
    const { addresses } = await pod.lookup(podName, { ...(signal && { signal }) });
    return addresses.filter((address) => !/^127\.|^::1$|^fe80:/i.test(address));
  } catch (error) {
    log.info(`The pod does not know its own address: ${messageOf(error)}`);
    return [];
  }
}
