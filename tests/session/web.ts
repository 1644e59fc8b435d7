/**
 * The workload that tests of whole sessions swap.
 *
 * @module
 */
import type { FakeCluster, StoredObject } from "../testkit/mod.ts";
import { appears, type Running, start, type StartOptions } from "./harness.ts";

/** Starts a session in the place of `web`, and waits until its command runs. */
export async function startInPlace(cluster: FakeCluster, options: StartOptions = {}): Promise<Running> {
  const script = `echo > ${cluster.directory}/up; exec sleep 60`;
  const session = start(cluster, ["-s", "web", "--run", "sh", "-c", script], options);
  await appears(cluster.directory, "up");
  return session;
}

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
