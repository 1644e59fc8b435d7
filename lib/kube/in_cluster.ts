import { UserError } from "@/util/mod.ts";
import { join } from "node:path";
import type { ClusterConfig } from "./cluster_config.ts";
import { requireCertificates } from "./pem.ts";

/** Where a pod finds its service account, unless it is told not to have one. */
const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The configuration that a pod has: the API server's address in its environment, a token and the authority in files.
 * {@link https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/}
 *
 * @returns undefined when we are in no pod, or it has no service account
 * @throws {UserError} when the authority's file is there and is of no use
 */
export async function loadInCluster(
  env: Readonly<Record<string, string | undefined>>,
  folder = SERVICE_ACCOUNT_FOLDER,
): Promise<ClusterConfig | undefined> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  const tokenPath = join(folder, "token");
  const authority = join(folder, "ca.crt");
  if (!host || !port || await read(tokenPath) === undefined) return undefined;
  const ca = await read(authority);
  return {
    contextName: "in-cluster",
    clusterName: "in-cluster",
    userName: "service account",
    namespace: (await read(join(folder, "namespace")))?.trim() || "default",
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    tls: { skipVerify: false, ...(ca !== undefined && { caCerts: requireCertificates(ca, authority) }) },
    credentials: { kind: "token-file", path: tokenPath },
  };
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new UserError(`Cannot read "${path}" of the pod's service account`, { cause });
  }
}
