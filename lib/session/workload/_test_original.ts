import { deployments } from "@/kube/mod.ts";
import type { Original } from "./original.ts";

/** A Deployment's template with everything that a pod can carry. */
const FULL = {
  metadata: { labels: { app: "web", tier: "front" }, annotations: { "example.com/a": "b" } },
  spec: {
    serviceAccountName: "web",
    serviceAccount: "web",
    nodeSelector: { disk: "ssd" },
    tolerations: [{ key: "a", operator: "Exists" }],
    affinity: { nodeAffinity: {} },
    hostAliases: [{ ip: "10.0.0.1", hostnames: ["db"] }],
    terminationGracePeriodSeconds: 30,
    securityContext: { fsGroup: 2000, supplementalGroups: [3000] },
    initContainers: [
      { name: "prepare", image: "prepare:1" },
      { name: "mesh", image: "mesh:1", restartPolicy: "Always" },
    ],
    containers: [
      {
        name: "app",
        image: "app:1",
        command: ["app"],
        args: ["--serve"],
        workingDir: "/srv",
        env: [
          { name: "NODE_OPTIONS", value: "--require /nope.js" },
          { name: "MORE", value: "$(NODE_OPTIONS) $$(NODE_OPTIONS) $(GREETING)" },
          { name: "GREETING", valueFrom: { configMapKeyRef: { name: "c", key: "k" } } },
          { name: "https_proxy", value: "http://proxy:3128" },
        ],
        envFrom: [{ secretRef: { name: "s" } }],
        ports: [
          { name: "http", containerPort: 8080, protocol: "TCP" },
          { name: "dns", containerPort: 53, protocol: "UDP" },
          { containerPort: 9090 },
        ],
        livenessProbe: { httpGet: { path: "/", port: 8080 } },
        readinessProbe: { httpGet: { path: "/", port: 8080 } },
        startupProbe: { httpGet: { path: "/", port: 8080 } },
        lifecycle: { preStop: { exec: { command: ["sleep", "5"] } } },
        resources: { limits: { memory: "1Gi" } },
        securityContext: { runAsUser: 1234, runAsGroup: 5678, capabilities: { add: ["NET_ADMIN"] }, privileged: true },
        volumeMounts: [{ name: "data", mountPath: "/data" }],
      },
      { name: "sidecar", image: "sidecar:1", ports: [{ containerPort: 9999 }], readinessProbe: { exec: {} } },
    ],
    volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
  },
};

/** An original for tests: as read from the API, with these differences. */
export function originalWith(own: Partial<Original> = {}, spec: Record<string, unknown> = {}): Original {
  const { template } = deployments.parse({
    metadata: { name: "web" },
    spec: { selector: {}, template: { ...FULL, spec: { ...FULL.spec, ...spec } } },
  }).spec;
  return {
    kind: "deployment",
    name: "web",
    uid: "u1",
    replicas: 3,
    labels: {},
    annotations: {},
    template,
    container: "app",
    ports: [8080, 9090],
    allPorts: [8080, 53, 9090, 9999],
    servedBy: { app: "web" },
    services: ["web"],
    ...own,
  };
}
