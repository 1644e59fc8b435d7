import { configMaps, deployments, isNotFound, type KubeClient, serviceAccounts, services } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { UserError } from "@/util/mod.ts";
import {
  agentConfigMap,
  exposedService,
  type Manifest,
  proxyDeployment,
  swappedDeployment,
} from "../proxy/manifest.ts";
import { allPass, requireCreatable } from "../proxy/objects.ts";
import { makePlan, type Plan, type Wanted } from "./plan.ts";
import { requireUnclaimed } from "../workload/claim.ts";
import { readExisting } from "../workload/existing.ts";
import { readFacts, whyOriginalFirst } from "../workload/first.ts";
import { readIdentity } from "../workload/identity.ts";
import { tellKeepers } from "../workload/keepers.ts";
import { requireBindable } from "../workload/low_ports.ts";
import { type Original, readOriginal, resourceOf } from "../workload/original.ts";

/** What is asked before anything is changed. */
export interface PrepareOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  /** The namespace to work in. */
  readonly namespace: string;
  readonly image: string;
  readonly agentSource: string;
  /** Who is let into the pod. */
  readonly publicKey: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** How long the API server may take to judge an object. @default {30 s} */
  readonly createMs?: number;
}

/** A plan that the API server would accept, and the objects in it. */
export interface Prepared {
  readonly plan: Plan;
  /** The proxy's Deployment as it will be made; undefined where it is there already. */
  readonly proxy: Manifest | undefined;
  /** What lets us in where the proxy is there already: it has a key of its own. */
  readonly key?: CryptoKey;
  /** Why the original has to go before the proxy can come. */
  readonly originalFirst: string | undefined;
  /** Sentences about who else has a hand on the original. */
  readonly keepers: readonly string[];
}

/**
 * Reads what there is, decides what will be done, and has the API server judge it. Changes nothing.
 *
 * @throws {UserError} when the workload is not there, is held by another session, has ports that a proxy could not
 *   bind, or a name is taken
 * @throws {KubeError} when the server would refuse an object
 */
export async function prepare(wanted: Wanted, options: PrepareOptions): Promise<Prepared> {
  const { kube, namespace, image, signal } = options;
  const { operation, serviceAccount } = wanted;
  if (serviceAccount !== undefined) await requireServiceAccount(serviceAccount, options);
  if (operation.kind === "new") {
    const plan = makePlan(wanted, { contextNamespace: namespace, image });
    const proxy = proxyDeployment(plan, options.publicKey);
    await requireAccepted(plan, proxy, options);
    return { plan, proxy, originalFirst: undefined, keepers: [] };
  }
  if (operation.kind === "existing") {
    const existing = await readExisting(operation.name, { kube, namespace, signal });
    const plan = makePlan(wanted, { contextNamespace: namespace, image, existing });
    return { plan, proxy: undefined, key: existing.key, originalFirst: undefined, keepers: [] };
  }
  const { workload, container } = operation;
  await requireUnclaimed(workload, { kube, namespace, signal });
  const original = await readOriginal(workload, { kube, namespace, container, signal });
  return await prepareSwap(makePlan(wanted, { contextNamespace: namespace, image, original }), original, options);
}

async function requireServiceAccount(name: string, { kube, namespace, signal }: PrepareOptions): Promise<void> {
  try {
    await kube.get(serviceAccounts, { namespace, name }, { signal });
  } catch (cause) {
    if (!isNotFound(cause)) throw cause;
    throw new UserError(`Cannot find service account "${name}" in namespace "${namespace}"`, {
      hints: [`See which there are: kubectl get serviceaccounts --namespace ${namespace}`],
      cause,
    });
  }
}

async function prepareSwap(plan: Plan, original: Original, options: PrepareOptions): Promise<Prepared> {
  const { publicKey, log } = options;
  const [identity, keepers] = await Promise.all([readIdentity(original, options), tellKeepers(original, options)]);
  requireBindable(plan, original, identity);
  const proxy = swappedDeployment(plan, original, publicKey, identity);
  log.debug(`The proxy: ${JSON.stringify(proxy)}`);
  const { template } = proxy["spec"] as {
    template: { metadata: { labels: Readonly<Record<string, string>> }; spec: unknown };
  };
  const [facts] = await Promise.all([
    readFacts(original, template, options),
    requireAccepted(plan, proxy, options),
    requireChangeable(original, options),
  ]);
  return { plan, proxy, originalFirst: whyOriginalFirst(original, facts), keepers };
}

/** Lets the server judge a change of the original that changes nothing: what we may not change we do not claim. */
async function requireChangeable({ kind, name }: Original, { kube, namespace, signal }: PrepareOptions): Promise<void> {
  const patch = { type: "merge", body: {} } as const;
  if (kind !== "pod") await kube.patch(resourceOf(kind), { namespace, name }, patch, { dryRun: true, signal });
}

async function requireAccepted(plan: Plan, proxy: Manifest, options: PrepareOptions): Promise<void> {
  const hasService = plan.original === undefined && plan.expose.length > 0;
  await allPass([
    requireCreatable(deployments, proxy, options),
    requireCreatable(configMaps, agentConfigMap(plan, options.agentSource), options),
    ...(hasService ? [requireCreatable(services, exposedService(plan), options)] : []),
  ]);
}
