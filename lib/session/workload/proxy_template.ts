/**
 * The pod template of a proxy that takes a workload's place: the workload's own template, in which one container is
 * the agent's. Pure: data in, data out.
 *
 * Kept is everything but what the proxied container must give up because another program runs in it: image, command,
 * arguments, working directory, probes, lifecycle hooks and resources (the agent has some of its own choosing).
 *
 * Labels by which Services find the original's pods are held back: the pod gets them when its ports are bound and the
 * host is attached ({@linkcode heldBackLabels}).
 *
 * @module
 */
import { KEPT_PREFIX, SOURCE_MARK } from "@/env/mod.ts";
import type { Container, PodSpec, PodTemplate } from "@/kube/mod.ts";
import { SMALL_HEAP_VARIABLES } from "@/util/mod.ts";
import type { Plan } from "../plan/plan.ts";
import { lowPortsOf } from "./low_ports.ts";
import type { Original } from "./original.ts";

/** Where the agent's program is mounted. */
export const AGENT_MOUNT = "/telepresence";
/** Where its runtime may write. */
export const WORK_MOUNT = "/telepresence-work";

/** Variables that the agent's runtime (Deno, the dynamic loader, the C library) would obey: `NODE_OPTIONS` alone can keep it from starting. */
const OF_THE_RUNTIME =
  /^(?:NODE_(?:OPTIONS|EXTRA_CA_CERTS)|DENO_.*|LD_.*|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy|MALLOC_.*|GLIBC_TUNABLES)$/;

/** As whom the agent runs. */
export interface Identity {
  readonly user: number;
  readonly group: number;
  readonly supplementalGroups: readonly number[];
}

/** What the transform needs beside plan and original. */
export interface TemplateOptions {
  readonly identity: Identity;
  /** The command line of the agent. */
  readonly command: readonly string[];
  /** Labels of the session. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The labels that the proxy's pod gets last: those by which Services find the original's pods. */
export function heldBackLabels({ servedBy }: Original): Readonly<Record<string, string>> {
  return servedBy;
}

/** The template of the proxy's pod. */
export function proxyTemplate(plan: Plan, original: Original, options: TemplateOptions): PodTemplate {
  const { template } = original;
  const { metadata } = template;
  const heldBack = Object.keys(heldBackLabels(original));
  const labels = Object.entries(metadata.labels).filter(([name]) => !heldBack.includes(name));
  const isOnNode = template.spec.hostNetwork === true;
  const { serviceAccount: _alias, ...spec } = template.spec; // the API reads the alias only where the name is absent
  return {
    ...template,
    metadata: { ...metadata, labels: { ...Object.fromEntries(labels), ...options.labels } },
    spec: {
      ...spec,
      restartPolicy: "Always",
      ...(plan.serviceAccount !== undefined && { serviceAccountName: plan.serviceAccount }),
      securityContext: podSecurity(plan, spec, options.identity),
      ...identityOfOrdinal(original),
      initContainers: spec.initContainers.filter((container) => {
        return plan.initContainers || container["restartPolicy"] === "Always"; // a sidecar by another name
      }),
      containers: spec.containers.map((container) => {
        return container.name === original.container
          ? agentContainer(plan, container, { ...options, isOnNode })
          : container;
      }),
      volumes: [
        ...(spec["volumes"] as unknown[] | undefined ?? []),
        ...claimsOf(original),
        { name: "telepresence-agent", configMap: { name: plan.configMapName } },
        { name: "telepresence-work", emptyDir: { sizeLimit: "64Mi" } },
      ],
    },
  };
}

/** A pod of a StatefulSet has a name in DNS and volumes of its own: the proxy stands for pod 0. */
function identityOfOrdinal({ ordinal, name }: Original): Record<string, unknown> {
  if (ordinal === undefined) return {};
  return { hostname: `${name}-0`, ...(ordinal.serviceName !== "" && { subdomain: ordinal.serviceName }) };
}

function claimsOf({ ordinal, name }: Original): unknown[] {
  return (ordinal?.claims ?? []).map((claim) => {
    return { name: claim, persistentVolumeClaim: { claimName: `${claim}-${name}-0` } };
  });
}

function podSecurity(plan: Plan, spec: PodSpec, { supplementalGroups }: Identity): Record<string, unknown> {
  const own = (spec["securityContext"] ?? {}) as PodSecurity;
  const groups = [...new Set([...own.supplementalGroups ?? [], ...supplementalGroups])];
  const name = "net.ipv4.ip_unprivileged_port_start";
  const sysctls = own.sysctls?.filter((one) => one.name !== name) ?? [];
  return {
    ...own,
    ...(groups.length > 0 && { supplementalGroups: groups }),
    // A safe sysctl: low ports without a root image and without a capability; asked for only when needed. The network of
    // a node has the node's own settings, and the API refuses to change them.
    ...(lowPortsOf(plan).length > 0 && !spec["hostNetwork"] &&
      { sysctls: [...sysctls, { name, value: "0" }] }),
  };
}

interface PodSecurity {
  readonly supplementalGroups?: readonly number[];
  readonly sysctls?: readonly { readonly name: string }[];
  readonly [field: string]: unknown;
}

function agentContainer(
  plan: Plan,
  original: Container,
  options: TemplateOptions & { readonly isOnNode: boolean },
): Container {
  const { identity, command, isOnNode } = options;
  const { ports, volumeMounts, env, name } = original;
  const declared = new Set(ports.map(({ containerPort }) => containerPort));
  const added = plan.expose.filter(({ pod }) => !declared.has(pod));
  const kept = ["volumeDevices", "stdin", "tty"].flatMap((field) => {
    return original[field] === undefined ? [] : [[field, original[field]] as const];
  });
  return {
    ...Object.fromEntries(kept),
    ...markedSources(original["envFrom"]),
    name,
    image: plan.image,
    imagePullPolicy: "IfNotPresent",
    command: [...command],
    env: [
      ...renameRuntimeVariables(env, original["envFrom"] !== undefined),
      { name: "DENO_DIR", value: `${WORK_MOUNT}/deno` },
      { name: "DENO_NO_UPDATE_CHECK", value: "1" },
      ...Object.entries(SMALL_HEAP_VARIABLES).map(([name, value]) => ({ name, value })),
    ],
    ports: [...ports, ...added.map(({ pod }) => ({ containerPort: pod, protocol: "TCP" }))],
    resources: AGENT_RESOURCES,
    securityContext: {
      ...identityOf(original),
      ...RESTRICTED,
      ...(isOnNode && lowPortsOf(plan).length > 0 && identity.user === 0 &&
        { capabilities: { ...RESTRICTED.capabilities, add: ["NET_BIND_SERVICE"] } }),
      seccompProfile: { type: "RuntimeDefault" }, // the pod's own may be another one
      runAsUser: identity.user,
      runAsGroup: identity.group,
      runAsNonRoot: identity.user !== 0,
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      ...volumeMounts,
      { name: "telepresence-agent", mountPath: AGENT_MOUNT, readOnly: true },
      { name: "telepresence-work", mountPath: WORK_MOUNT },
    ],
  };
}

/**
 * The sources of variables, each marked: what comes from there reaches the user's process under its true name, and not
 * the agent's own runtime. Which names they have, only the cluster knows.
 */
function markedSources(envFrom: unknown): { envFrom?: unknown[] } {
  if (!Array.isArray(envFrom)) return {};
  return { envFrom: envFrom.map((source) => ({ ...source, prefix: `${SOURCE_MARK}${source.prefix ?? ""}` })) };
}

/** Who may read what: labels of SELinux belong to the volumes, everything else the agent chooses itself. */
function identityOf(original: Container): Record<string, unknown> {
  const own = original["securityContext"] as Record<string, unknown> | undefined;
  return own?.["seLinuxOptions"] === undefined ? {} : { seLinuxOptions: own["seLinuxOptions"] };
}

/** What the agent asks for: it forwards bytes and computes nothing. */
export const AGENT_RESOURCES = {
  requests: { cpu: "25m", memory: "96Mi" },
  limits: { cpu: "1", memory: "256Mi" },
} as const;

/** What the Pod Security Standard *restricted* wants of a container. */
export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
} as const;

/**
 * The variables, those that the agent's runtime would obey under another name. References to them (`$(NODE_OPTIONS)`)
 * follow; those to what no variable before has named look among the sources, if there are any.
 */
export function renameRuntimeVariables(env: Container["env"], hasSources = false): Container["env"] {
  const named = new Set<string>();
  const known = (name: string) => OF_THE_RUNTIME.test(name) ? KEPT_PREFIX + name : name;
  const follow = (value: string) => {
    // `$$(X)` is no reference; the pair is taken first, so that it stays as it is.
    return value.replace(/\$\$|\$\(([^)]+)\)/g, (all, name) => {
      if (all === "$$") return all;
      if (named.has(name)) return `$(${known(name)})`;
      return hasSources ? `$(${SOURCE_MARK}${name})` : all;
    });
  };
  return env.map(({ name, value, ...rest }) => {
    const renamed = { ...rest, name: known(name), ...(value !== undefined && { value: follow(value) }) };
    named.add(name);
    return renamed;
  });
}
