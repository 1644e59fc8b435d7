/**
 * The workload whose place the proxy takes, read once: everything that later decisions need, as plain data.
 *
 * @module
 */
import {
  anyResource,
  type Container,
  daemonSets,
  deployments,
  isNotFound,
  type KeptObject,
  type KubeClient,
  type Metadata,
  pods,
  type PodSpec,
  type PodTemplate,
  replicaSets,
  type Resource,
  services,
  statefulSets,
  untyped,
} from "@/kube/mod.ts";
import { UserError } from "@/util/mod.ts";

/** What can be swapped. */
export const WORKLOAD_KINDS = ["deployment", "statefulset", "replicaset", "daemonset", "pod"] as const;
/** A kind of workload, as the user writes it. */
export type WorkloadKind = (typeof WORKLOAD_KINDS)[number];

/** A workload by its kind and name. */
export interface WorkloadName {
  readonly kind: WorkloadKind;
  readonly name: string;
}

/** A workload as it was before the session. */
export interface Original extends WorkloadName {
  readonly uid: string;
  /** How many pods it is to have; 1 for a bare Pod, 0 for a DaemonSet, which does not count. */
  readonly replicas: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly template: PodTemplate;
  /** The container whose place the agent takes. */
  readonly container: string;
  /** TCP ports that this container declares. */
  readonly ports: readonly number[];
  /** Ports of every container. */
  readonly allPorts: readonly number[];
  /** Those labels of the template by which Services find its pods. */
  readonly servedBy: Readonly<Record<string, string>>;
  /** Names of those Services. */
  readonly services: readonly string[];
  /** A StatefulSet's name of its own in DNS, and the claims that its pod 0 has. */
  readonly ordinal?: { readonly serviceName: string; readonly claims: readonly string[] };
  /** A bare Pod as it is made again. */
  readonly manifest?: KeptObject;
}

/** Labels that controllers put on their pods, which would make our pod look like one of theirs. */
const CONTROLLERS_LABELS = [
  "pod-template-hash",
  "controller-revision-hash",
  "pod-template-generation",
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
];

/** What reading needs. */
export interface ReadOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  /** The container's name; the first one when absent. */
  readonly container: string | undefined;
  readonly signal: AbortSignal;
}

/** Where the API has a kind of workload. */
export function resourceOf(kind: WorkloadKind): Resource<{ readonly metadata: Metadata }> {
  return {
    deployment: deployments,
    statefulset: statefulSets,
    replicaset: replicaSets,
    daemonset: daemonSets,
    pod: pods,
  }[
    kind
  ];
}

/**
 * Reads the workload, and the Services that find its pods.
 *
 * @throws {UserError} when it is not there, has no such container, or belongs to something that would make it again
 */
export async function readOriginal(where: WorkloadName, options: ReadOptions): Promise<Original> {
  const { kube, namespace, signal } = options;
  const [found, { items }] = await Promise.all([
    readWorkload(where, options),
    kube.list(services, { namespace }, { signal }),
  ]);
  requireFree(where, found.metadata);
  const labels = Object.fromEntries(
    Object.entries(found.template.metadata.labels).filter(([name]) => !CONTROLLERS_LABELS.includes(name)),
  );
  const template = { ...found.template, metadata: { ...found.template.metadata, labels } };
  const container = requireContainer(where, template.spec, options);
  const finding = items.filter(({ spec: { selector } }) => {
    const wanted = Object.entries(selector);
    return wanted.length > 0 && wanted.every(([name, value]) => labels[name] === value);
  });
  const isTcp = ({ protocol = "TCP" }: { protocol?: string | undefined }) => protocol === "TCP";
  return {
    ...where,
    uid: found.metadata.uid,
    replicas: found.replicas,
    labels: found.metadata.labels,
    annotations: found.metadata.annotations,
    template,
    container: container.name,
    ports: container.ports.filter(isTcp).map(({ containerPort }) => containerPort),
    allPorts: template.spec.containers.flatMap(({ ports }) => ports.map(({ containerPort }) => containerPort)),
    servedBy: Object.assign({}, ...finding.map(({ spec: { selector } }) => selector)),
    services: finding.map(({ metadata: { name } }) => name),
    ...(found.ordinal && { ordinal: found.ordinal }),
    ...(found.manifest && { manifest: found.manifest }),
  };
}

type Found = Pick<Original, "replicas" | "template" | "ordinal" | "manifest"> & { readonly metadata: Metadata };

async function readWorkload({ kind, name }: WorkloadName, options: ReadOptions): Promise<Found> {
  const { kube, signal } = options;
  const where = { namespace: options.namespace, name };
  try {
    switch (kind) {
      case "deployment": {
        const { metadata, spec } = await kube.get(deployments, where, { signal });
        return { metadata, replicas: spec.replicas, template: spec.template };
      }
      case "replicaset": {
        const { metadata, spec } = await kube.get(replicaSets, where, { signal });
        return { metadata, replicas: spec.replicas, template: spec.template };
      }
      case "statefulset": {
        const { metadata, spec } = await kube.get(statefulSets, where, { signal });
        const { replicas, template, serviceName } = spec;
        const claims = spec.volumeClaimTemplates.map((claim) => claim.metadata.name);
        return { metadata, replicas, template, ordinal: { serviceName, claims } };
      }
      case "daemonset": {
        const { metadata, spec } = await kube.get(daemonSets, where, { signal });
        return { metadata, replicas: 0, template: spec.template };
      }
      case "pod": {
        const { metadata, spec } = await kube.get(pods, where, { signal });
        const manifest = manifestOfPod(await kube.get(untyped(pods), where, { signal }));
        const { labels, annotations } = metadata;
        const template = { metadata: { labels, annotations }, spec: withoutPlace(spec) };
        return { metadata, replicas: 1, template, manifest };
      }
    }
  } catch (error) {
    if (!isNotFound(error)) throw error;
    if (kind === "deployment") await requireNoDeploymentConfig(name, options);
    throw new UserError(`Cannot find ${kind} "${name}" in namespace "${options.namespace}"`, {
      hints: [`See what there is: kubectl get ${kind}s --namespace ${options.namespace}`],
      cause: error,
    });
  }
}

/** OpenShift's own Deployment, which is older than that of Kubernetes. */
const deploymentConfigs = anyResource({
  group: "apps.openshift.io",
  version: "v1",
  plural: "deploymentconfigs",
  kind: "DeploymentConfig",
  namespaced: true,
});

/** @throws {UserError} where there is one of that name; elsewhere nobody is bothered with it */
async function requireNoDeploymentConfig(name: string, { kube, namespace, signal }: ReadOptions): Promise<void> {
  const found = await kube.get(deploymentConfigs, { namespace, name }, { signal }).catch(() => undefined);
  if (found === undefined) return;
  throw new UserError(`Cannot swap "${name}" in namespace "${namespace}": it is a DeploymentConfig of OpenShift`, {
    hints: [`'oc scale dc/${name} --replicas=0' and --new-deployment NAME --expose PORT come near`],
  });
}

/** A pod that a controller made comes back as soon as it is gone: its controller is what can be swapped. */
function requireFree({ kind, name }: WorkloadName, { ownerReferences }: Metadata): void {
  const owner = ownerReferences.find(({ controller }) => controller);
  if (owner === undefined) return;
  throw new UserError(`Cannot swap ${kind} "${name}": ${owner.kind} "${owner.name}" made it and would make it again`, {
    hints: [
      owner.kind === "ReplicaSet" && kind === "pod"
        ? `kubectl get replicaset ${owner.name} --output jsonpath={.metadata.ownerReferences[0].name} names its Deployment`
        : `telepresence --swap-deployment ${owner.kind.toLowerCase()}/${owner.name}`,
    ],
  });
}

function requireContainer(
  { kind, name }: WorkloadName,
  { containers }: PodSpec,
  { container }: ReadOptions,
): Container {
  const found = container === undefined ? containers[0] : containers.find((one) => one.name === container);
  if (found !== undefined) return found;
  throw new UserError(`Unable to find container ${container} in pod spec for ${kind} ${name}`, {
    hints: [`It has: ${containers.map((one) => one.name).join(", ")}`],
  });
}

/** What the API server filled in about where the pod runs, and would fill in again. */
function withoutPlace(spec: PodSpec): PodSpec {
  const { nodeName: _node, priority: _priority, preemptionPolicy: _policy, ...rest } = spec;
  const isToken = ({ name }: { name: string }) => /^kube-api-access-[a-z0-9]{5}$/.test(name);
  const bare = (container: Container) => ({
    ...container,
    volumeMounts: container.volumeMounts.filter((mount) => !isToken(mount)),
  });
  const volumes = (rest["volumes"] ?? []) as { name: string }[];
  return {
    ...rest,
    containers: rest.containers.map(bare),
    initContainers: rest.initContainers.map(bare),
    volumes: volumes.filter((volume) => !isToken(volume)),
  };
}

/** A bare Pod without what the server owns: what its owner applied, and defaults. */
function manifestOfPod(pod: KeptObject): KeptObject {
  const { status: _status, metadata, ...rest } = pod;
  const { name, namespace, labels, annotations, finalizers } = metadata as Record<string, unknown>;
  const { nodeName: _node, ...spec } = rest["spec"] as Record<string, unknown>;
  const isToken = ({ name }: { name: string }) => /^kube-api-access-[a-z0-9]{5}$/.test(name);
  const bare = (containers: unknown) =>
    (containers as { volumeMounts?: { name: string }[] }[] | undefined)?.map((container) => ({
      ...container,
      ...(container.volumeMounts && { volumeMounts: container.volumeMounts.filter((mount) => !isToken(mount)) }),
    }));
  return {
    ...rest,
    metadata: {
      name: String(name),
      ...(namespace !== undefined && { namespace }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...(finalizers !== undefined && { finalizers }),
    },
    spec: {
      ...spec,
      containers: bare(spec["containers"]),
      ...(spec["initContainers"] !== undefined && { initContainers: bare(spec["initContainers"]) }),
      ...(spec["volumes"] !== undefined && {
        volumes: (spec["volumes"] as { name: string }[]).filter((volume) => !isToken(volume)),
      }),
    },
  };
}
