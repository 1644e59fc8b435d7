/**
 * The workload that tests of whole sessions swap.
 *
 * @module
 */
import type { FakeCluster, StoredObject } from "../testkit/mod.ts";

/** The original but for what every write changes. */
export function essence(cluster: FakeCluster): string {
  const web = cluster.objects("deployments").filter(({ metadata: { name } }) => name === "web");
  return JSON.stringify(web.map(({ metadata, status: _status, ...rest }: StoredObject) => {
    const { resourceVersion: _version, generation: _generation, managedFields: _fields, ...kept } = metadata;
    return { ...rest, metadata: kept };
  }));
}

/** Deployment `web` with three pods, behind Service `web`. */
export async function putWeb(cluster: FakeCluster): Promise<void> {
  const labels = { app: "web" };
  await cluster.put("deployments", {
    name: "web",
    namespace: "default",
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { securityContext: { runAsUser: 1000 }, containers: [{ name: "app", image: "app:1" }] },
      },
    },
  });
  await cluster.put("services", {
    name: "web",
    namespace: "default",
    spec: { selector: labels, ports: [{ port: 80 }] },
  });
}
