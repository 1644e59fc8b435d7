/**
 * Which addresses Services and pods have in a cluster, found without making anything there.
 *
 * Services: what the ServiceCIDR objects say (Kubernetes 1.33 and later); else what the API server says when it refuses
 * an address that no cluster has, in a dry run; else the neighborhood of those that can be seen. Pods: what the nodes
 * were given, and the neighborhood of pods that have their address from somewhere else (a CNI with its own ranges); of
 * the pods that can be seen where nodes cannot. Nothing of it is a must: what is not in these ranges is led to the pod
 * when its name is resolved.
 *
 * @module
 */
import { coverOf, formatRange } from "@/capture/mod.ts";
import {
  isNotFound,
  type KubeClient,
  KubeError,
  nodes,
  type Pod as KubePod,
  pods,
  type Resource,
  type Service,
  serviceCidrs,
  services,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { messageOf } from "@/util/mod.ts";

/** What was found, and how, for the log and the user. */
export interface ClusterRanges {
  /** CIDR of Services, then of pods. */
  readonly ranges: readonly string[];
  /** Where they are from, each a few words. */
  readonly from: readonly string[];
}

/** What finding needs. */
export interface RangesOptions {
  readonly kube: Pick<KubeClient, "list" | "create" | "watch">;
  readonly namespace: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

interface Found {
  readonly ranges: readonly string[];
  readonly from: string;
}

/** Finds the ranges. What the user may not see is found in another way, or not at all. */
export async function findClusterRanges(options: RangesOptions): Promise<ClusterRanges> {
  const found = await Promise.all([serviceRanges(options), podRanges(options)]);
  const ranges = found.flatMap((each) => each.ranges);
  options.log.info(
    `Ranges of the cluster: ${found.map(({ ranges, from }) => `${ranges.join(" ")} (${from})`).join(", ")}`,
  );
  return { ranges: [...new Set(ranges)], from: found.map(({ from }) => from) };
}

async function serviceRanges(options: RangesOptions): Promise<Found> {
  const objects = await listed(serviceCidrs, options, false);
  if (objects !== undefined && objects.length > 0) {
    return { ranges: objects.flatMap(({ spec }) => spec.cidrs), from: "ServiceCIDR objects" };
  }
  const told = (await Promise.all(NOBODYS.map((address) => askByDryRun(address, options)))).flat();
  if (told.length > 0) return { ranges: told, from: "the API server's refusal in a dry run" };
  const seen = await listed(services, options, true) ?? [];
  return { ranges: cover(seen.flatMap(addressesOfService)), from: "Services that are there" };
}

/** Addresses that no cluster has: for documentation (RFC 5737, 3849). */
const NOBODYS = ["198.51.100.1", "2001:db8::1"];

/** Asks whether a Service may have an address; the refusal names the ranges. */
async function askByDryRun(clusterIP: string, { kube, namespace, log, signal }: RangesOptions): Promise<string[]> {
  const name = `telepresence-ranges-${crypto.getRandomValues(new Uint8Array(4)).toHex()}`;
  try {
    const service = { metadata: { name, namespace }, spec: { clusterIP, ports: [{ port: 1 }] } };
    await kube.create(services, service, { dryRun: true, signal });
    return []; // it may: then this is a cluster of a very own kind
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof KubeError)) throw error;
    log.debug(`dry run of a Service: ${error.words}`);
    return rangesInRefusal(error.words);
  }
}

/** The ranges in `The range of valid IPs is 10.96.0.0/12`, as API servers have said since 1.5. */
export function rangesInRefusal(words: string): string[] {
  const [, tail = ""] = /range of valid IPs is (.*)$/is.exec(words) ?? [];
  return tail.match(/[0-9a-f.:]+\/\d{1,3}/gi) ?? [];
}

async function podRanges(options: RangesOptions): Promise<Found> {
  const [machines, running] = await Promise.all([
    listed(nodes, options, false),
    listed(pods, options, true),
  ]);
  const given = (machines ?? []).flatMap(({ spec: { podCIDR, podCIDRs } }) =>
    podCIDRs.length > 0 ? podCIDRs : podCIDR === undefined ? [] : [podCIDR]
  );
  const seen = cover((running ?? []).flatMap(addressesOfPod));
  return {
    ranges: [...given, ...seen],
    from: given.length > 0 ? "podCIDRs of nodes, and pods that are there" : "pods that are there",
  };
}

function cover(addresses: readonly string[]): string[] {
  return coverOf(addresses).map(formatRange);
}

/** The addresses that a Service has in the cluster. */
export function addressesOfService({ spec: { clusterIP, clusterIPs } }: Service): string[] {
  return [...new Set([...clusterIPs, ...(clusterIP === undefined ? [] : [clusterIP])])]
    .filter((address) => address !== "" && address !== "None");
}

/** The addresses of a pod that are its own, not its node's: one of each family of the cluster. */
function addressesOfPod({ spec, status: { podIP = "", podIPs, phase } }: KubePod): string[] {
  if (spec.hostNetwork || phase === "Succeeded" || phase === "Failed") return [];
  return [...new Set([podIP, ...podIPs.map(({ ip }) => ip)])].filter((address) => address !== "");
}

/** All objects that may be seen, of all namespaces or of ours; undefined where none may, or there is no such resource. */
async function listed<T>(
  resource: Resource<T>,
  { kube, namespace, log, signal }: RangesOptions,
  isNamespaced: boolean,
): Promise<T[] | undefined> {
  const places = isNamespaced ? [{ allNamespaces: true }, { namespace }] : [{}];
  for (const where of places) {
    try {
      return (await kube.list(resource, where, { signal })).items;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof KubeError) || (error.status !== 403 && !isNotFound(error))) throw error;
      log.debug(`Ranges: ${messageOf(error)}`);
    }
  }
  return undefined;
}

/** The addresses of Services as they appear, of all namespaces or of ours; ends where none may be watched. */
export async function* followServices({ kube, namespace, log, signal }: RangesOptions): AsyncGenerator<string[]> {
  for (const where of [{ allNamespaces: true }, { namespace }]) {
    try {
      for await (const { type, object } of kube.watch(services, where, { signal })) {
        if (type !== "DELETED") yield addressesOfService(object);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KubeError) || error.status !== 403) throw error;
      log.debug(`Services: ${messageOf(error)}`);
    }
  }
}
