/**
 * A proxy installed as its manifest says (`telepresence agent-manifest NAME | kubectl apply -f -`).
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { loadAll } from "js-yaml";
import { type KubeObject, pods, untyped } from "@/kube/mod.ts";
import { type Cluster, run } from "./harness.ts";

const KINDS: Record<string, string> = {
  Secret: "secrets",
  ConfigMap: "configmaps",
  Deployment: "deployments",
  Service: "services",
};

/** Makes objects, as `kubectl apply` would. */
export async function apply({ kube }: Cluster, objects: readonly unknown[], namespace: string): Promise<void> {
  for (const object of objects as (KubeObject & { apiVersion: string; kind: string })[]) {
    const [version = "", group = ""] = object.apiVersion.split("/").reverse();
    const resource = untyped({ ...pods, group, version, plural: KINDS[object.kind] ?? "", kind: object.kind });
    await kube.create(resource, { ...object, metadata: { ...object.metadata, namespace } });
  }
}

/** Installs a proxy of this name. */
export async function install(
  cluster: Cluster,
  name: string,
  namespace: string,
  ...options: readonly string[]
): Promise<void> {
  const { code, stdout, stderr } = await run(cluster, "agent-manifest", name, ...options);
  equals(code, 0, stderr);
  const objects: unknown[] = [];
  loadAll(stdout, (object) => objects.push(object));
  await apply(cluster, objects, namespace);
}
