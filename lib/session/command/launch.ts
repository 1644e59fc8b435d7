import {
  childEnvironment,
  imageVariables,
  podVariables,
  SOURCE_MARK,
  type TemplateEnvironment,
  tooLarge,
  writeEnvironmentFiles,
  writtenEnvironment,
} from "@/env/mod.ts";
import { type Container, isNotFound, type KubeClient, type Pod as FoundPod, pods } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { type Child, startChild } from "@/process/mod.ts";
import { sleep, UserError } from "@/util/mod.ts";
import type { Volumes } from "@/volumes/mod.ts";
import { AGENT_VARIABLES } from "../proxy/manifest.ts";
import type { Plan, Wanted } from "../plan/plan.ts";
import { AGENT_MOUNT, WORK_MOUNT } from "../workload/proxy_template.ts";

/** What the agent's container is made of, as far as it concerns the user's command. */
export interface ContainerFacts extends TemplateEnvironment {
  /** Mount points of the pod's volumes. */
  readonly mounts: readonly string[];
  /** The pod's addresses. */
  readonly addresses: readonly string[];
}

/** Mount points that are the agent's own. */
const AGENT_MOUNTS: readonly string[] = [AGENT_MOUNT, WORK_MOUNT];
/** As in Telepresence 1: what is the kernel's, or is the pod's network that the command has by other means. */
const NO_VOLUMES = /^\/(?:(?:proc|sys|dev)(?:\/|$)|etc\/(?:hostname|hosts|resolv\.conf)$|$)/;

/** Between two looks for a pod that is being replaced. */
const PAUSE_MS = 200;

/**
 * Reads what the agent's container is made of. It is asked of the API and not of the pod: the template's own spelling of
 * mount points is what programs know, and the runtime of the agent reads `/proc` under the permission for everything
 * alone.
 *
 * @param pod waits, where its place in the cluster is being taken by the next one
 * @throws {KubeError} when the pod cannot be read, or the reason for which there is no pod any more
 */
export async function readContainer(
  kube: KubeClient,
  { namespace }: Plan,
  place: Place,
  { pod, signal }: { readonly pod: Pod; readonly signal: AbortSignal },
): Promise<ContainerFacts> {
  for (;;) {
    try {
      const found = await kube.get(pods, { namespace, name: place.pod }, { signal });
      return factsOf(found, found.spec.containers.find(({ name }) => name === place.container));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await pod.environment({ signal }); // answered by the next one, or rejected when none comes
      await sleep(PAUSE_MS, signal);
    }
  }
}

function factsOf({ status }: FoundPod, container: Container | undefined): ContainerFacts {
  const sources = (container?.["envFrom"] ?? []) as readonly { readonly prefix?: string }[];
  const mounts = container?.volumeMounts.map(({ mountPath }) => mountPath) ?? [];
  const names = container?.env.map(({ name }) => name) ?? [];
  return {
    names: names.filter((name) => !(name in AGENT_VARIABLES)),
    agent: names.filter((name) => name in AGENT_VARIABLES),
    sources: sources.some(({ prefix = "" }) => !prefix.startsWith(SOURCE_MARK)),
    addresses: status.podIPs.map(({ ip }) => ip),
    mounts: mounts.filter((path) => !AGENT_MOUNTS.includes(path) && !NO_VOLUMES.test(path)).sort(),
  };
}

/** Where in the cluster the agent is. */
export interface Place {
  readonly pod: string;
  readonly container: string;
}

/** What preparing the environment needs. */
export interface EnvironmentOptions {
  readonly facts: ContainerFacts;
  readonly volumes: Volumes;
  readonly workload: Place;
  /** What a program of the original's image is started with, as `imageVariables` takes it. @default {nothing} */
  readonly imageEnvironment?: string;
  /** Our own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * The environment for the user's command, and the files that are to tell of it.
 *
 * @throws {LinkLost} when the tunnel ends
 */
export async function prepareEnvironment(
  pod: Pod,
  wanted: Pick<Wanted, "environment" | "environmentFiles">,
  { facts, volumes, workload, imageEnvironment = "", env, say, log, signal }: EnvironmentOptions,
): Promise<Record<string, string>> {
  const { variables, loader, image } = podVariables(await pod.environment({ signal }), facts);
  if (image.length > 0) log.info(`Not for the command, as the agent's image sets them: ${image.join(", ")}`);
  if (loader.length > 0) {
    log.info(`Not for the command, as they name libraries of the pod (--env sets them here): ${loader.join(", ")}`);
  }
  const session = {
    TELEPRESENCE_POD: workload.pod,
    TELEPRESENCE_CONTAINER: workload.container,
    TELEPRESENCE_MOUNTS: facts.mounts.join(":"),
    ...(volumes.root !== undefined && { TELEPRESENCE_ROOT: volumes.root }),
  };
  const ofImage = imageVariables(imageEnvironment, variables);
  if (Object.keys(ofImage).length > 0) log.info(`Of the original's image: ${Object.keys(ofImage).join(", ")}`);
  const environments = { host: env, pod: { ...ofImage, ...variables }, session, changes: wanted.environment };
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
  options: { readonly env: Record<string, string>; readonly log: Log; readonly launcher?: string },
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
