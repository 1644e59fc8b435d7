import * as z from "zod/mini";
import type { Api } from "./api.ts";
import { requestJson } from "./request_json.ts";
import { anyResource, type KubeObject, listOf, type Resource } from "./resource.ts";
import { KubeError } from "./status.ts";

/** {@link https://kubernetes.io/docs/reference/using-api/api-concepts/#discovery-api} */
const groupsSchema = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const resourcesSchema = z.object({
  resources: z.array(z.object({
    name: z.string(),
    kind: z.string(),
    namespaced: z.boolean(),
    verbs: listOf(z.string()),
  })),
});

/** Every namespaced resource that the server can list, in the version that it prefers. */
export async function discoverResources(api: Api, signal: AbortSignal | undefined): Promise<Resource<KubeObject>[]> {
  const action = "list what the API server serves";
  const ask = <T>(path: string, parse: (value: unknown) => T) =>
    requestJson(api, { method: "GET", path, action }, parse, signal);
  const { groups } = await ask("/apis", groupsSchema.parse);
  const found: Resource<KubeObject>[] = [];
  for (const groupVersion of ["v1", ...groups.map((group) => group.preferredVersion.groupVersion)]) {
    const [version = "", group = ""] = groupVersion.split("/").reverse();
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const { resources } = await ask(path, resourcesSchema.parse).catch((error) => {
      // A group behind an aggregated API server that is down (metrics, often) is no reason to know nothing.
      if (group !== "" && error instanceof KubeError && [404, 503].includes(error.status)) return { resources: [] };
      throw error;
    });
    for (const { name: plural, kind, namespaced, verbs } of resources) {
      if (namespaced && verbs.includes("list") && !plural.includes("/")) {
        found.push(anyResource({ group, version, plural, kind, namespaced }));
      }
    }
  }
  return found;
}
