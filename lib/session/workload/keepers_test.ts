import { deepStrictEqual as equals, match } from "node:assert/strict";
import { type KubeClient, KubeError, type Resource } from "@/kube/mod.ts";
import { originalWith } from "./_test_original.ts";
import { sentencesOfMarks, tellKeepers } from "./keepers.ts";

/** A cluster in which these objects are, by their plural; of what is not there, it may not be asked. */
function clusterWith(objects: Record<string, unknown[]>): KubeClient {
  const list = <T>(resource: Resource<T>) => {
    const items = objects[resource.plural];
    if (items === undefined) return Promise.reject(new KubeError(`Cannot list ${resource.plural}`, { status: 403 }));
    return Promise.resolve({ items: items.map((item) => resource.parse(item)), resourceVersion: "1" });
  };
  return { list } as unknown as KubeClient;
}

const scaling = (kind: string | undefined, name: string) => ({
  metadata: { name: `scales-${name}`, namespace: "shop", uid: "u", resourceVersion: "1" },
  spec: { scaleTargetRef: { ...(kind && { kind }), name }, maxReplicas: 3 },
});

Deno.test("tellKeepers() tells who scales the workload, and what that will do", async () => {
  const options = { namespace: "shop", signal: AbortSignal.timeout(1000) };
  const kube = clusterWith({
    horizontalpodautoscalers: [
      scaling("Deployment", "web"),
      scaling("Deployment", "db"),
      scaling("StatefulSet", "web"),
    ],
    scaledobjects: [scaling(undefined, "web"), scaling("StatefulSet", "web"), scaling("Deployment", "db")],
  });
  equals(await tellKeepers(originalWith(), { ...options, kube }), [
    'KEDA\'s ScaledObject "scales-web" may scale deployment web up beside the proxy: kubectl annotate scaledobject ' +
    "scales-web --namespace shop autoscaling.keda.sh/paused=true holds it",
    'HorizontalPodAutoscaler "scales-web" stands still while deployment web has no pods, and goes on from the number it ' +
    "had",
  ]);
  equals(
    await tellKeepers(originalWith(), { ...options, kube: clusterWith({}) }),
    [],
    "who may not see them is told less",
  );
});

Deno.test("sentencesOfMarks() tells what Argo CD, Flux and Helm will do", async (t) => {
  const table: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ["argocd.argoproj.io/tracking-id", {}, /Argo CD keeps it/],
    ["argocd.argoproj.io/instance", {}, /Argo CD keeps it/],
    ["kustomize.toolkit.fluxcd.io/name", {}, /Flux keeps it/],
    ["helm.toolkit.fluxcd.io/name", { "app.kubernetes.io/managed-by": "Helm" }, /Flux keeps it/],
    ["app.kubernetes.io/managed-by", {}, /Helm keeps it/],
  ];
  for (const [name, others, words] of table) {
    await t.step(name, () => {
      const value = name === "app.kubernetes.io/managed-by" ? "Helm" : "x";
      const [sentence = ""] = sentencesOfMarks(originalWith({ labels: { [name]: value, ...others } }));
      match(sentence, words);
      match(sentence, /^About deployment web: /);
    });
  }
  await t.step("nobody", () => {
    equals(sentencesOfMarks(originalWith({ labels: { "app.kubernetes.io/managed-by": "kustomize" } })), []);
  });
});
