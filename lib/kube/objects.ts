/**
 * The resources that we use, and of their objects the fields that we use. Other fields are dropped on reading (ask
 * through `untyped` to keep them); absent lists and maps are empty ones.
 *
 * @module
 */
import * as z from "zod/mini";
import { listOf, metadataSchema, type Resource, stringMapSchema } from "./resource.ts";

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  reason: z._default(z.string(), ""),
  message: z._default(z.string(), ""),
  lastTransitionTime: z.nullish(z.string()),
});

/** A statement about an object's state: `Ready` is `True`, `False` or `Unknown`, and why. */
export type Condition = z.infer<typeof conditionSchema>;

const envVarSchema = z.looseObject({ name: z.string(), value: z.optional(z.string()) });

const containerSchema = z.looseObject({
  name: z.string(),
  image: z.optional(z.string()),
  command: z.optional(z.array(z.string())),
  args: z.optional(z.array(z.string())),
  workingDir: z.optional(z.string()),
  ports: listOf(z.looseObject({
    name: z.optional(z.string()),
    containerPort: z.number(),
    protocol: z.optional(z.string()),
  })),
  env: listOf(envVarSchema),
  volumeMounts: listOf(z.looseObject({ name: z.string(), mountPath: z.string(), subPath: z.optional(z.string()) })),
});

/** A container of a pod, all of its fields kept. */
export type Container = z.infer<typeof containerSchema>;

const podSpecSchema = z.looseObject({
  containers: z.array(containerSchema),
  initContainers: listOf(containerSchema),
  nodeName: z.optional(z.string()),
  hostNetwork: z.optional(z.boolean()),
  serviceAccountName: z.optional(z.string()),
});

/** What a pod is made of, all of its fields kept. */
export type PodSpec = z.infer<typeof podSpecSchema>;

const podTemplateSchema = z.looseObject({
  metadata: z.pipe(
    z.nullish(z.looseObject({ labels: stringMapSchema, annotations: stringMapSchema })),
    z.transform((metadata) => metadata ?? { labels: {}, annotations: {} }),
  ),
  spec: podSpecSchema,
});

/** What the pods of a workload are made after, all of its fields kept. */
export type PodTemplate = z.infer<typeof podTemplateSchema>;

const selectorSchema = z.looseObject({
  matchLabels: stringMapSchema,
  matchExpressions: listOf(z.object({
    key: z.string(),
    operator: z.string(),
    values: listOf(z.string()),
  })),
});

/** Which labels are meant. */
export type LabelSelector = z.infer<typeof selectorSchema>;

const waitingSchema = z.object({ reason: z._default(z.string(), ""), message: z._default(z.string(), "") });
const terminatedSchema = z.object({
  exitCode: z.number(),
  signal: z.optional(z.number()),
  reason: z._default(z.string(), ""),
  message: z._default(z.string(), ""),
});
const containerStateSchema = z.object({
  waiting: z.optional(waitingSchema),
  running: z.optional(z.object({ startedAt: z.nullish(z.string()) })),
  terminated: z.optional(terminatedSchema),
});
const containerStatusSchema = z.object({
  name: z.string(),
  user: z.optional(z.looseObject({
    linux: z.optional(z.looseObject({
      uid: z.number(),
      gid: z.number(),
      supplementalGroups: listOf(z.number()),
    })),
  })),
  ready: z._default(z.boolean(), false),
  started: z.nullish(z.boolean()),
  restartCount: z._default(z.number(), 0),
  image: z._default(z.string(), ""),
  containerID: z._default(z.string(), ""),
  state: z._default(containerStateSchema, {}),
  lastState: z._default(containerStateSchema, {}),
});

/** How a container of a pod does. */
export type ContainerStatus = z.infer<typeof containerStatusSchema>;

const podSchema = z.object({
  metadata: metadataSchema,
  spec: podSpecSchema,
  status: z._default(
    z.object({
      phase: z._default(z.string(), ""),
      reason: z._default(z.string(), ""),
      message: z._default(z.string(), ""),
      podIP: z.optional(z.string()),
      podIPs: listOf(z.object({ ip: z.string() })),
      hostIP: z.optional(z.string()),
      startTime: z.nullish(z.string()),
      conditions: listOf(conditionSchema),
      containerStatuses: listOf(containerStatusSchema),
      initContainerStatuses: listOf(containerStatusSchema),
    }),
    {
      phase: "",
      reason: "",
      message: "",
      podIPs: [],
      conditions: [],
      containerStatuses: [],
      initContainerStatuses: [],
    },
  ),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/} */
export type Pod = z.infer<typeof podSchema>;

const workloadStatusSchema = z._default(
  z.object({
    observedGeneration: z._default(z.number(), 0),
    replicas: z._default(z.number(), 0),
    readyReplicas: z._default(z.number(), 0),
    availableReplicas: z._default(z.number(), 0),
    updatedReplicas: z._default(z.number(), 0),
    conditions: listOf(conditionSchema),
  }),
  {
    observedGeneration: 0,
    replicas: 0,
    readyReplicas: 0,
    availableReplicas: 0,
    updatedReplicas: 0,
    conditions: [],
  },
);

const deploymentSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({
    replicas: z._default(z.number(), 1),
    selector: selectorSchema,
    template: podTemplateSchema,
    paused: z.optional(z.boolean()),
  }),
  status: workloadStatusSchema,
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/} */
export type Deployment = z.infer<typeof deploymentSchema>;

const replicaSetSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({ replicas: z._default(z.number(), 1), selector: selectorSchema, template: podTemplateSchema }),
  status: z._default(
    z.object({ replicas: z._default(z.number(), 0), readyReplicas: z._default(z.number(), 0) }),
    { replicas: 0, readyReplicas: 0 },
  ),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replica-set-v1/} */
export type ReplicaSet = z.infer<typeof replicaSetSchema>;

const statefulSetSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({
    replicas: z._default(z.number(), 1),
    selector: selectorSchema,
    template: podTemplateSchema,
    serviceName: z._default(z.string(), ""),
    volumeClaimTemplates: listOf(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })),
  }),
  status: workloadStatusSchema,
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/stateful-set-v1/} */
export type StatefulSet = z.infer<typeof statefulSetSchema>;

const daemonSetSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({ selector: selectorSchema, template: podTemplateSchema }),
  status: z._default(
    z.object({
      desiredNumberScheduled: z._default(z.number(), 0),
      currentNumberScheduled: z._default(z.number(), 0),
      numberReady: z._default(z.number(), 0),
    }),
    { desiredNumberScheduled: 0, currentNumberScheduled: 0, numberReady: 0 },
  ),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/daemon-set-v1/} */
export type DaemonSet = z.infer<typeof daemonSetSchema>;

const claimSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({ accessModes: listOf(z.string()) }),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-claim-v1/} */
export type PersistentVolumeClaim = z.infer<typeof claimSchema>;

const autoscalerSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({ scaleTargetRef: z.looseObject({ kind: z.string(), name: z.string() }) }),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/} */
export type HorizontalPodAutoscaler = z.infer<typeof autoscalerSchema>;

const serviceSchema = z.object({
  metadata: metadataSchema,
  spec: z.looseObject({
    type: z._default(z.string(), "ClusterIP"),
    clusterIP: z.optional(z.string()),
    clusterIPs: listOf(z.string()),
    selector: stringMapSchema,
    ports: listOf(z.looseObject({
      name: z.optional(z.string()),
      port: z.number(),
      protocol: z._default(z.string(), "TCP"),
      targetPort: z.optional(z.union([z.number(), z.string()])),
      nodePort: z.optional(z.number()),
    })),
  }),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/} */
export type Service = z.infer<typeof serviceSchema>;

const configMapSchema = z.object({ metadata: metadataSchema, data: stringMapSchema, binaryData: stringMapSchema });

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/config-map-v1/} */
export type ConfigMap = z.infer<typeof configMapSchema>;

const secretSchema = z.object({
  metadata: metadataSchema,
  type: z._default(z.string(), "Opaque"),
  data: stringMapSchema,
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/} */
export type Secret = z.infer<typeof secretSchema>;

const eventSchema = z.object({
  metadata: metadataSchema,
  involvedObject: z.object({
    kind: z._default(z.string(), ""),
    name: z._default(z.string(), ""),
    uid: z._default(z.string(), ""),
  }),
  type: z._default(z.string(), ""),
  reason: z._default(z.string(), ""),
  message: z._default(z.string(), ""),
  lastTimestamp: z.nullish(z.string()),
  count: z.nullish(z.number()),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/} */
export type KubeEvent = z.infer<typeof eventSchema>;

const namespaceSchema = z.object({
  metadata: metadataSchema,
  status: z._default(z.object({ phase: z._default(z.string(), "") }), { phase: "" }),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/} */
export type Namespace = z.infer<typeof namespaceSchema>;

const serviceAccountSchema = z.object({ metadata: metadataSchema });

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/service-account-v1/} */
export type ServiceAccount = z.infer<typeof serviceAccountSchema>;

const nodeSchema = z.object({
  metadata: metadataSchema,
  spec: z._default(
    z.object({ podCIDR: z.optional(z.string()), podCIDRs: listOf(z.string()) }),
    { podCIDRs: [] },
  ),
});

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/} */
export type Node = z.infer<typeof nodeSchema>;

const serviceCidrSchema = z.object({ metadata: metadataSchema, spec: z.object({ cidrs: listOf(z.string()) }) });

/** {@link https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/service-cidr-v1/} */
export type ServiceCidr = z.infer<typeof serviceCidrSchema>;

/** Pods. */
export const pods: Resource<Pod> = define("", "v1", "pods", "Pod", podSchema);
/** Deployments. */
export const deployments: Resource<Deployment> = define("apps", "v1", "deployments", "Deployment", deploymentSchema);
/** Replica sets: the generations of a deployment. */
export const replicaSets: Resource<ReplicaSet> = define("apps", "v1", "replicasets", "ReplicaSet", replicaSetSchema);
/** Stateful sets. */
export const statefulSets: Resource<StatefulSet> = define(
  "apps",
  "v1",
  "statefulsets",
  "StatefulSet",
  statefulSetSchema,
);
/** Daemon sets. */
export const daemonSets: Resource<DaemonSet> = define("apps", "v1", "daemonsets", "DaemonSet", daemonSetSchema);
/** Persistent volume claims. */
export const persistentVolumeClaims: Resource<PersistentVolumeClaim> = define(
  "",
  "v1",
  "persistentvolumeclaims",
  "PersistentVolumeClaim",
  claimSchema,
);
/** Horizontal pod autoscalers. */
export const horizontalPodAutoscalers: Resource<HorizontalPodAutoscaler> = define(
  "autoscaling",
  "v2",
  "horizontalpodautoscalers",
  "HorizontalPodAutoscaler",
  autoscalerSchema,
);
/** Services. */
export const services: Resource<Service> = define("", "v1", "services", "Service", serviceSchema);
/** Config maps. */
export const configMaps: Resource<ConfigMap> = define("", "v1", "configmaps", "ConfigMap", configMapSchema);
/** Secrets; their values are base64. */
export const secrets: Resource<Secret> = define("", "v1", "secrets", "Secret", secretSchema);
/** Events of the core group, which have what `kubectl describe` tells. */
export const events: Resource<KubeEvent> = define("", "v1", "events", "Event", eventSchema);
/** Service accounts. */
export const serviceAccounts: Resource<ServiceAccount> = define(
  "",
  "v1",
  "serviceaccounts",
  "ServiceAccount",
  serviceAccountSchema,
);
/** Nodes. */
export const nodes: Resource<Node> = { ...define("", "v1", "nodes", "Node", nodeSchema), namespaced: false };
/** Ranges of Services' addresses, from Kubernetes 1.33 on. */
export const serviceCidrs: Resource<ServiceCidr> = {
  ...define("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", serviceCidrSchema),
  namespaced: false,
};
/** Namespaces. */
export const namespaces: Resource<Namespace> = {
  ...define("", "v1", "namespaces", "Namespace", namespaceSchema),
  namespaced: false,
};

function define<S extends z.ZodMiniType>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  schema: S,
): Resource<z.output<S>> {
  return { group, version, plural, kind, namespaced: true, parse: (value) => schema.parse(value) };
}
