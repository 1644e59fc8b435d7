/** Resources that tests alone make. */
import { pods, untyped } from "@/kube/mod.ts";

export { configMaps } from "@/kube/mod.ts";
/** Limits of a namespace's objects. */
export const limitRanges = untyped({ ...pods, plural: "limitranges", kind: "LimitRange" });
/** Quotas of a namespace. */
export const resourceQuotas = untyped({ ...pods, plural: "resourcequotas", kind: "ResourceQuota" });
