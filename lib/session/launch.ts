import { childEnvironment, podVariables, tooLarge, writeEnvironmentFiles, writtenEnvironment } from "@/env/mod.ts";
import { type KubeClient, pods } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { type Child, startChild } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { AGENT_VARIABLES, CONTAINER } from "./manifest.ts";
import type { Plan, Wanted } from "./plan.ts";

/** What preparing the environment needs. */
export interface EnvironmentOptions {
  readonly kube: KubeClient;
  readonly plan: Plan;
  readonly podName: string;
  /** Our own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * The environment for the user's command, and the files that are to tell of it.
 *
 * @throws {KubeError} when the pod cannot be read; {LinkLost} when the tunnel ends
 */
export async function prepareEnvironment(
  pod: Pod,
  wanted: Pick<Wanted, "environment" | "environmentFiles">,
  { kube, plan, podName, env, say, log, signal }: EnvironmentOptions,
): Promise<Record<string, string>> {
  const [container, { spec }] = await Promise.all([
    pod.environment({ signal }),
    kube.get(pods, { namespace: plan.namespace, name: podName }, { signal }),
  ]);
  const template = spec.containers.find(({ name }) => name === CONTAINER);
  const { variables, loader, image } = podVariables(container, {
    names: (template?.env ?? []).map(({ name }) => name).filter((name) => !(name in AGENT_VARIABLES)),
    sources: Array.isArray(template?.["envFrom"]) && template["envFrom"].length > 0,
  });
  if (image.length > 0) log.info(`Not for the command, as the agent's image sets them: ${image.join(", ")}`);
  if (loader.length > 0) {
    log.info(`Not for the command, as they name libraries of the pod (--env sets them here): ${loader.join(", ")}`);
  }
  const session = { TELEPRESENCE_POD: podName, TELEPRESENCE_CONTAINER: CONTAINER };
  const environments = { host: env, pod: variables, session, changes: wanted.environment };
  await writeEnvironmentFiles(writtenEnvironment(environments), wanted.environmentFiles, say);
  return childEnvironment(environments);
}

/**
 * Starts the user's command.
 *
 * @throws {UserError} when it cannot be started, with a next step where there is one
 */
export function launch(
  command: readonly [string, ...string[]],
  options: { readonly env: Record<string, string>; readonly log: Log },
): Child {
  try {
    return startChild(command, options);
  } catch (error) {
    const { cause } = error instanceof UserError ? error : {};
    if (cause instanceof Error && "code" in cause && cause.code === "E2BIG") {
      throw tooLarge(command, options.env, cause);
    }
    throw error;
  }
}
