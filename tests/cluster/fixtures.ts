import {
  configMaps,
  deployments,
  isNotFound,
  type KubeClient,
  namespaces,
  type NewObject,
  type Resource,
  services,
  untyped,
  waitForPod,
} from "@/kube/mod.ts";
import { deadline, UserError } from "@/util/mod.ts";
import type { FixtureImages } from "./fixture_images.ts";
import { HELLO_PAGE } from "./hello_page.ts";
import type { Tell } from "./tell.ts";

/**
 * What the end-to-end tests and the demo find in a cluster, in namespaces of nobody else. Disposing deletes it, and every
 * namespace with the same label: what a test made that was broken off.
 */
export interface Fixtures extends AsyncDisposable {
  /** Has Service and Deployment `helloworld`, and Deployment `tools` to call from. */
  readonly namespace: string;
  /** Is empty, and enforces the Pod Security Standard "restricted". */
  readonly restricted: string;
}

/**
 * On all namespaces of one run, with the first one's name for its value; what a killed run left can be found by it:
 * `kubectl delete namespace -l telepresence-test`.
 */
export const FIXTURES_LABEL = "telepresence-test";

/** A first run pulls images. */
const READY_MS = 300_000;
const GONE_MS = 120_000;

/**
 * Makes the fixtures and waits until their pods are ready.
 *
 * @throws {UserError} when they cannot be made or do not run; what was made is deleted then
 */
export async function makeFixtures(
  kube: KubeClient,
  images: FixtureImages,
  { tell, signal }: { tell: Tell; signal: AbortSignal },
): Promise<Fixtures> {
  const namespace = `e2e-${crypto.randomUUID().slice(0, 8)}`;
  const restricted = `${namespace}-restricted`;
  await using stack = new AsyncDisposableStack();
  tell(`making namespaces ${namespace} and ${restricted} in the cluster of context ${kube.config.contextName}`);
  stack.defer(() => deleteRun(kube, namespace, tell));
  for (const [name, labels] of [[namespace, {}], [restricted, RESTRICTED]] as const) {
    await kube.create(namespaces, { metadata: { name, labels: { [FIXTURES_LABEL]: namespace, ...labels } } });
  }
  await waitForServiceAccount(kube, namespace, signal);
  for (const [resource, object] of objectsOf(namespace, images)) await kube.create(resource, object);
  using late = deadline(READY_MS, () => new UserError("Cannot use the cluster: its fixtures do not run in 5 minutes"));
  const either = AbortSignal.any([signal, late.signal]);
  await Promise.all(["helloworld", "tools"].map((app) =>
    waitForPod(kube, {
      namespace,
      labelSelector: `app=${app}`,
      madeBy: app,
      onObstacle: (words) => tell(`still waiting for ${app}: ${words}`),
      signal: either,
    })
  ));
  const owned = stack.move();
  return { namespace, restricted, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const RESTRICTED = {
  "pod-security.kubernetes.io/enforce": "restricted",
  "pod-security.kubernetes.io/enforce-version": "latest",
};

/** The same as `objects.yaml` has in namespace `default`, but that the page comes with it: no public image has that. */
function objectsOf(namespace: string, images: FixtureImages): [Resource<unknown>, NewObject][] {
  const deployment = (
    name: string,
    spec: { containers: object[]; volumes?: object[] },
  ): [Resource<unknown>, NewObject] => {
    const labels = { app: name };
    return [deployments, {
      metadata: { name, namespace, labels },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, ...spec } },
      },
    }];
  };
  const imagePullPolicy = images.pullPolicy;
  const page = { name: "page", configMap: { name: "helloworld-page" } };
  return [
    [configMaps, { metadata: { name: "helloworld-page", namespace }, data: { "index.html": HELLO_PAGE } }],
    deployment("helloworld", {
      containers: [{
        name: "helloworld",
        image: images.helloworld,
        imagePullPolicy,
        command: ["busybox", "httpd", "-f", "-p", "8000", "-h", "/page"],
        ports: [{ name: "http", containerPort: 8000 }],
        readinessProbe: { httpGet: { path: "/", port: 8000 }, periodSeconds: 1 },
        volumeMounts: [{ name: "page", mountPath: "/page", readOnly: true }],
      }],
      volumes: [page],
    }),
    [services, {
      metadata: { name: "helloworld", namespace, labels: { app: "helloworld" } },
      spec: { selector: { app: "helloworld" }, ports: [{ name: "http", port: 80, targetPort: 8000 }] },
    }],
    deployment("tools", {
      containers: [{ name: "tools", image: images.tools, imagePullPolicy, command: ["sleep", "infinity"] }],
    }),
  ];
}

/** A pod is refused until the controllers have made its namespace's service account. */
async function waitForServiceAccount(kube: KubeClient, namespace: string, signal: AbortSignal): Promise<void> {
  const accounts = untyped({ ...configMaps, plural: "serviceaccounts", kind: "ServiceAccount" });
  using late = deadline(30_000, () => new UserError(`Cannot use namespace "${namespace}": it has no service account`));
  const either = { signal: AbortSignal.any([signal, late.signal]) };
  for await (const { object } of kube.watch(accounts, { namespace }, either)) {
    if (object.metadata.name === "default") return;
  }
}

/** Deletes the namespaces of a run, and waits until they are gone with all that is in them. */
async function deleteRun(kube: KubeClient, run: string, tell: Tell): Promise<void> {
  const labelSelector = `${FIXTURES_LABEL}=${run}`;
  const { items, resourceVersion } = await kube.list(namespaces, { labelSelector });
  const left = new Set(items.map(({ metadata }) => metadata.name));
  if (left.size === 0) return;
  tell(`deleting namespaces ${[...left].join(", ")}`);
  await Promise.all([...left].map((name) =>
    kube.delete(namespaces, { name }).catch((error) => {
      if (!isNotFound(error)) throw error; // its test has deleted it, and it is gone by now
      left.delete(name);
    })
  ));
  using late = deadline(
    GONE_MS,
    () =>
      new UserError(`Cannot see the end of namespaces ${[...left].join(", ")}: still there after two minutes`, {
        hints: [`kubectl get namespace -l ${labelSelector} -o yaml`],
      }),
  );
  if (left.size === 0) return;
  for await (
    const { type, object } of kube.watch(namespaces, { labelSelector, resourceVersion }, { signal: late.signal })
  ) {
    if (type === "DELETED") left.delete(object.metadata.name);
    if (left.size === 0) return;
  }
}
