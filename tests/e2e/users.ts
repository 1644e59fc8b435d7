import * as z from "zod/mini";
import { pods, untyped } from "@/kube/mod.ts";
import type { Cluster } from "./harness.ts";

const core = (plural: string, kind: string) => untyped({ ...pods, plural, kind });

/** Makes a user of a namespace, who may do nothing there. @returns its token */
export async function makeUser({ kube }: Cluster, namespace: string): Promise<string> {
  await kube.create(core("serviceaccounts", "ServiceAccount"), { metadata: { name: "user", namespace } });
  const made = await kube.create(core("serviceaccounts/user/token", "TokenRequest"), {
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: "user", namespace },
    spec: {},
  });
  return z.parse(z.object({ token: z.string() }), made["status"]).token;
}
