/** What `telepresence doctor` asks the cluster: in this order, as each makes sense only after the one before it. */
import {
  isForbidden,
  isNotFound,
  isUnauthorized,
  type KubeClient,
  KubeError,
  type KubeVersion,
  namespaces,
  pods,
} from "@/kube/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { proxyDeployment } from "../proxy/manifest.ts";
import { makePlan } from "../plan/plan.ts";
import { unverified } from "../unverified.ts";
import { failed, type Finding, ok, problem, warning } from "./finding.ts";

/** What the checks of a cluster are made with. */
export interface ClusterOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  /** The agent's image. */
  readonly image: string;
  readonly signal: AbortSignal;
}

/** From here on a session lets users feel each request. */
const SLOW_MS = 500;
/** Requests that the round trip is measured by, over one connection. */
const ROUND_TRIPS = 3;
/** Below it kubelets do not know the sysctl by which ports below 1024 are bound without root. */
const OLDEST_MINOR = 22;

/** The server's release and the time that it takes to answer; undefined findings behind it where it cannot be reached. */
export async function checkServer({ kube, signal }: ClusterOptions, now = () => performance.now()): Promise<Finding> {
  const check = "server";
  const { server, proxy } = kube.config;
  try {
    let version: KubeVersion = await kube.version({ signal });
    const times: number[] = [];
    for (let round = 0; round < ROUND_TRIPS; round++) {
      const began = now();
      version = await kube.version({ signal });
      times.push(now() - began);
    }
    const ms = Math.min(...times);
    const way = proxy === undefined ? "" : ` through the proxy ${new URL(proxy).host}`;
    const says = `${server} is Kubernetes ${version.gitVersion} and answers in ${Math.round(ms)} ms${way}`;
    if (version.major === 1 && version.minor < OLDEST_MINOR) {
      return warning(check, `${says}: it is older than 1.${OLDEST_MINOR}, so ports below 1024 cannot be exposed`, [
        "Expose a port above 1023: --expose 8080",
      ]);
    }
    const risk = unverified(kube.config);
    if (risk !== undefined) {
      return warning(check, `${says}. ${risk}`, [
        "Name its authority instead: kubectl config set-cluster CLUSTER --insecure-skip-tls-verify=false " +
        "--certificate-authority=FILE",
      ]);
    }
    if (ms > SLOW_MS) {
      return warning(check, `${says}, which is slow: each new connection takes as long`, [
        `See whether the network between here and ${new URL(server).host} is at fault: curl -sk ${server}/version`,
      ]);
    }
    return ok(check, says);
  } catch (error) {
    signal.throwIfAborted();
    if (isUnauthorized(error) || isForbidden(error)) return ok(check, `${server} answers`); // the next line says more
    return failed(check, error, ["Try: kubectl version"]);
  }
}

/** Whether the server knows who we are: every known user may ask this. */
export async function checkCredentials({ kube, namespace, signal }: ClusterOptions): Promise<Finding> {
  const check = "credentials";
  try {
    await kube.mayI({ verb: "get", resource: pods, namespace }, { signal });
    return ok(check, `the server knows the user "${kube.config.userName}" of the kubeconfig`);
  } catch (error) {
    signal.throwIfAborted();
    return failed(check, error, ["Try: kubectl auth whoami"]);
  }
}

/** Whether the namespace is there, and what it enforces. */
export async function checkNamespace({ kube, namespace, signal }: ClusterOptions): Promise<Finding> {
  const check = "namespace";
  try {
    const { metadata: { labels, deletionTimestamp } } = await kube.get(namespaces, { name: namespace }, { signal });
    if (deletionTimestamp) {
      return problem(check, `"${namespace}" is being deleted`, ["Choose another one: --namespace NAME"]);
    }
    const level = labels["pod-security.kubernetes.io/enforce"];
    return ok(check, `"${namespace}" is there${level ? ` and enforces the Pod Security Standard "${level}"` : ""}`);
  } catch (error) {
    signal.throwIfAborted();
    if (isForbidden(error)) return ok(check, `"${namespace}" may not be looked at, which no session needs`);
    if (!isNotFound(error)) return failed(check, error, [`kubectl get namespace ${namespace}`]);
    return problem(check, `there is no namespace "${namespace}"`, [
      "See which there are: kubectl get namespaces",
      `Or make it: kubectl create namespace ${namespace}`,
    ]);
  }
}

/** Lets the server judge the proxy's pod without making it: Pod Security, webhooks and limits first, then the quota. */
export async function checkAdmission(options: ClusterOptions): Promise<Finding[]> {
  const { kube, namespace, image, signal } = options;
  const [admission, quota] = ["pod security", "quota"];
  const { metadata, spec } = await proxyPod(namespace, image);
  const look = `kubectl describe resourcequota,limitrange --namespace ${namespace}`;
  try {
    await kube.create(pods, { metadata, spec }, { dryRun: true, signal });
    return [ok(admission, "the proxy's pod would be admitted"), ok(quota, "it has room for the proxy's pod")];
  } catch (error) {
    signal.throwIfAborted();
    const words = error instanceof KubeError ? error.words : messageOf(error);
    if (isForbidden(error) && /cannot create resource "pods"/.test(words)) {
      const says = "not tried, as you may not create pods (no session needs it: Deployments make them)";
      const hints = ["telepresence --plan has the server judge the objects that a session makes itself"];
      return [warning(admission, says, hints), warning(quota, says, [look])];
    }
    if (/exceeded quota|failed quota/.test(words)) {
      return [ok(admission, "the proxy's pod would be admitted"), problem(quota, words, [look])];
    }
    return [
      problem(admission, words, [
        'The proxy meets the Pod Security Standard "restricted": ask who set up the rule that refuses it',
        look,
      ]),
      warning(quota, "not tried, as the pod is refused before", [look]),
    ];
  }
}

/** The pod as the Deployment's controller would make it. */
async function proxyPod(namespace: string, image: string) {
  const plan = makePlan({
    operation: { kind: "new", name: "telepresence-doctor" },
    expose: [],
    run: { kind: "shell" },
    environment: { set: {}, unset: [] },
    environmentFiles: {},
    volumes: { at: { kind: "nowhere" }, mode: "auto" },
  }, { contextNamespace: namespace, image });
  const key = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array())).toBase64(); // never used
  const { spec } = proxyDeployment(plan, key) as unknown as {
    spec: { template: { metadata: { labels: Record<string, string> }; spec: unknown } };
  };
  const { labels } = spec.template.metadata;
  return {
    metadata: { name: `${plan.name}-${plan.sessionId.slice(0, 5)}`, namespace, labels },
    spec: spec.template.spec,
  };
}

/** Whether something between here and the server keeps connections from changing to WebSocket. */
export async function checkUpgrade({ kube, namespace, signal }: ClusterOptions): Promise<Finding> {
  const check = "port-forward";
  try {
    await kube.tryUpgrade({ namespace }, { signal });
    return ok(check, "connections change to WebSocket, so port-forwards get through");
  } catch (error) {
    signal.throwIfAborted();
    if (isForbidden(error)) {
      return warning(check, "not tried, as you may not watch pods", [
        "Its rule is in docs/rbac.md: pods get, list, watch",
      ]);
    }
    return problem(check, messageOf(error), [
      "Something between here and the API server may not let WebSockets through: a proxy, a gateway, a load balancer",
      kube.config.proxy === undefined
        ? "Behind a proxy that must be used, see that HTTPS_PROXY names one that tunnels (CONNECT)"
        : `The proxy in use is ${new URL(kube.config.proxy).host} (proxy-url of the kubeconfig, or HTTPS_PROXY)`,
      "kubectl port-forward POD 8080 to any pod shows whether it is so for kubectl too",
    ]);
  }
}
