import type { Prepared } from "./prepare.ts";
import { rightsFor, rulesOf } from "./rights.ts";
import { nameOfClaim } from "../workload/claim.ts";
import type { Original } from "../workload/original.ts";
import { heldBackLabels } from "../workload/proxy_template.ts";

/** Prints what a session would do. @returns the exit code */
export function showPlan(prepared: Prepared, form: "text" | "json", print: (text: string) => void): number {
  const shown = describePlan(prepared);
  print(form === "json" ? `${JSON.stringify(shown, undefined, 2)}\n` : textOf(shown));
  return 0;
}

/** What a session would do, in order. */
export interface ShownPlan {
  readonly namespace: string;
  /** Objects that are made and deleted again. */
  readonly objects: readonly { readonly kind: string; readonly name: string; readonly manifest?: unknown }[];
  /** What is changed and changed back, in words. */
  readonly changes: readonly string[];
  /** Who else has a hand on the workload. */
  readonly keepers: readonly string[];
  /** Rules of the least Role that allows it. */
  readonly rules: readonly { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
}

/** The plan as data. */
export function describePlan({ plan, proxy, originalFirst, keepers }: Prepared): ShownPlan {
  const { original, expose, name, configMapName, serviceAccount, namespace, isThere } = plan;
  const hasService = original === undefined && !isThere && expose.length > 0;
  return {
    namespace,
    objects: [
      ...(original === undefined ? [] : [{ kind: "ConfigMap", name: nameOfClaim(original) }]),
      ...(isThere ? [] : [{ kind: "ConfigMap", name: configMapName }, { kind: "Deployment", name, manifest: proxy }]),
      ...(hasService ? [{ kind: "Service", name }] : []),
    ],
    changes: original === undefined ? [] : changesOf(original, originalFirst, name),
    keepers,
    rules: rulesOf(rightsFor({
      ...(original !== undefined && { swaps: original.kind }),
      isThere,
      hasService,
      hasServiceAccount: serviceAccount !== undefined,
    })),
  };
}

function changesOf(original: Original, originalFirst: string | undefined, name: string): string[] {
  const { kind } = original;
  const title = `${kind}/${original.name}`;
  const away = kind === "daemonset"
    ? `${title} gets a node selector that no node meets`
    : kind === "pod"
    ? `${title} is deleted, and made again at the end`
    : `${title} is scaled from ${original.replicas} to 0, and back at the end`;
  const labels = Object.entries(heldBackLabels(original)).map(([key, value]) => `${key}=${value}`);
  const found = labels.length === 0 ? [] : [
    `the pod of deployment/${name} gets ${labels.join(", ")}, by which Services (${
      original.services.join(", ")
    }) find it`,
  ];
  return originalFirst === undefined ? [...found, away] : [`${away} (first, as ${originalFirst})`, ...found];
}

function textOf({ namespace, objects, changes, keepers, rules }: ShownPlan): string {
  const list = (lines: readonly string[]) => lines.length === 0 ? ["  nothing"] : lines.map((line) => `  ${line}`);
  return [
    `In namespace ${namespace} these objects would be made, and deleted at the end:`,
    ...list(objects.map(({ kind, name }) => `${kind} ${name}`)),
    "These would be changed, and changed back:",
    ...list(changes),
    ...(keepers.length === 0 ? [] : ["Who would notice:", ...list(keepers)]),
    "A Role with these rules allows it:",
    ...list(rules.map(({ apiGroups: [group], resources: [resource], verbs }) => {
      return `${group ? `${resource}.${group}` : resource}: ${verbs.join(", ")}`;
    })),
    "Nothing was changed.",
    "",
  ].join("\n");
}
