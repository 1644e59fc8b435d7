import type { KubeClient } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { deadline, messageOf } from "@/util/mod.ts";
import type { Original } from "./original.ts";
import { podsOf } from "./pods_of.ts";

/** How long the container may take to answer. */
const ANSWER_MS = 5_000;

/** What asking needs. */
export interface ImageEnvironmentOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * What a program in the original's container is started with, its image's own variables too, which nothing in the API
 * tells: asked of a running pod, so before the original goes.
 *
 * @returns entries `NAME=value`, each ended by a NUL; empty where nobody can be asked (no pod runs, no right to exec, no
 * `cat` in the image), which the log tells and which is no failure
 */
export async function readImageEnvironment(original: Original, options: ImageEnvironmentOptions): Promise<string> {
  const { log, signal } = options;
  using late = deadline(ANSWER_MS, () => new Error(`it did not answer within ${ANSWER_MS / 1000} s`));
  try {
    return await ask(original, { ...options, signal: AbortSignal.any([signal, late.signal]) });
  } catch (error) {
    signal.throwIfAborted();
    log.info(`The variables of the original's image are not known: ${messageOf(error)}`);
    return "";
  }
}

async function ask(original: Original, { kube, namespace, signal }: ImageEnvironmentOptions): Promise<string> {
  const running = (await podsOf(original, { kube, namespace, signal })).find(({ status }) =>
    status.containerStatuses.some(({ name, state }) => name === original.container && state.running !== undefined)
  );
  if (running === undefined) throw new Error("it has no running pod to ask");
  const { code, stdout, stderr } = await kube.exec({ namespace, name: running.metadata.name }, {
    // Not `env`: values may have several lines. Its own, not the first process's, which may be another container's.
    command: ["cat", "/proc/self/environ"],
    container: original.container,
    signal,
  });
  if (code !== 0) throw new Error(stderr.trim() || `cat ended with ${code}`);
  return stdout;
}
