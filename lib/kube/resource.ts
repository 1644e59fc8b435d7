import * as z from "zod/mini";

/** Where the API server keeps objects of one kind, and what an object of it looks like to us. */
export interface Resource<T> {
  /** API group; empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** The name in addresses and RBAC rules: `deployments`. */
  readonly plural: string;
  /** The name in objects: `Deployment`. */
  readonly kind: string;
  readonly namespaced: boolean;
  /** Takes what the server sent. @throws when it does not have the fields that {@linkcode T} promises */
  parse(value: unknown): T;
}

/** Which objects: one by its name, in a namespace (for resources that have them). */
export interface ObjectName {
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  readonly name: string;
}

/** A reference from an object to the one that it belongs to: the latter's deletion is the former's. */
const ownerReferenceSchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.optional(z.boolean()),
});

/** A map of strings that is empty where the server leaves it out. */
export const stringMapSchema = z.pipe(
  z.nullish(z.record(z.string(), z.string())),
  z.transform((map): Record<string, string> => map ?? {}),
);

/** A list that is empty where the server leaves it out or sends null. */
export function listOf<T extends z.core.$ZodType>(item: T) {
  return z.pipe(z.nullish(z.array(item)), z.transform((list): z.output<T>[] => list ?? []));
}

/**
 * What every stored object has.
 * {@link https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/}
 */
export const metadataSchema = z.object({
  name: z.string(),
  namespace: z.optional(z.string()),
  uid: z._default(z.string(), ""),
  resourceVersion: z._default(z.string(), ""),
  generation: z._default(z.number(), 0),
  creationTimestamp: z.nullish(z.string()),
  deletionTimestamp: z.nullish(z.string()),
  labels: stringMapSchema,
  annotations: stringMapSchema,
  ownerReferences: listOf(ownerReferenceSchema),
  finalizers: listOf(z.string()),
});

/** What every stored object has: its name, who owns it, its version. */
export type Metadata = z.infer<typeof metadataSchema>;
/** A reference to an owner. */
export type OwnerReference = z.infer<typeof ownerReferenceSchema>;

/** Any object, all of its fields kept. */
export type KubeObject = z.infer<typeof objectSchema>;
const objectSchema = z.looseObject({ metadata: metadataSchema });
const keptObjectSchema = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });

/** An object as the server sent it, nothing taken away, nothing filled in: for whoever sends it back. */
export type KeptObject = z.infer<typeof keptObjectSchema>;

/** The same resource with every field of its objects kept as it came. */
export function untyped(resource: Resource<unknown>): Resource<KeptObject> {
  return { ...resource, parse: (value) => keptObjectSchema.parse(value) };
}

/** A resource of which only the metadata matter; all other fields are kept. */
export function anyResource(where: Omit<Resource<unknown>, "parse">): Resource<KubeObject> {
  return { ...where, parse: (value) => objectSchema.parse(value) };
}

/** The path of a resource's objects, or of one of them. */
export function pathOf(resource: Resource<unknown>, namespace: string | undefined, name?: string): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const inside = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${inside}/${resource.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

/** The `apiVersion` of a resource's objects. */
export function apiVersionOf(resource: Pick<Resource<unknown>, "group" | "version">): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}
