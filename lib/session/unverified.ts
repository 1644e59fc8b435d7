import type { ClusterConfig } from "@/kube/mod.ts";

/** What a user has to hear whose kubeconfig has the server's certificate not checked; undefined where it is. */
export function unverified({ server, tls }: Pick<ClusterConfig, "server" | "tls">): string | undefined {
  if (!tls.skipVerify || !server.startsWith("https:")) return undefined;
  return `The certificate of ${server} is not checked, as the kubeconfig asks (insecure-skip-tls-verify): whoever is on ` +
    "the way to it can take your credentials, and read and change all that goes to the cluster";
}
