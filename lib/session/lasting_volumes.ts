import type { Pod } from "@/pod/mod.ts";
import { openVolumes, type Volumes, type VolumesOptions, type VolumesWanted } from "@/volumes/mod.ts";

/** Volumes that are brought to the host again from each next pod. */
export interface LastingVolumes extends Volumes {
  /** Takes away what the lost pod left, and brings the next one's volumes to the same place. */
  openAgain(signal: AbortSignal): Promise<void>;
}

/**
 * Brings the pod's volumes to the host, as {@linkcode openVolumes}. What a program had open of the lost pod's volumes
 * stays broken; what it opens by its path is the next pod's.
 *
 * @throws as {@linkcode openVolumes}
 */
export async function openLastingVolumes(
  pod: Pod,
  mounts: readonly string[],
  wanted: VolumesWanted,
  options: VolumesOptions,
): Promise<LastingVolumes> {
  let volumes = await openVolumes(pod, mounts, wanted, options);
  const { root, paths } = volumes;
  return {
    root,
    paths,
    async openAgain(signal) {
      if (root === undefined) return;
      await volumes[Symbol.asyncDispose]();
      const at = wanted.at.kind === "temporary" ? { ...wanted.at, again: root } : wanted.at;
      volumes = await openVolumes(pod, mounts, { ...wanted, at }, { ...options, signal });
    },
    [Symbol.asyncDispose]: () => volumes[Symbol.asyncDispose](),
  };
}
