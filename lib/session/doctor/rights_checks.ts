import type { KubeClient } from "@/kube/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { type Occasion, type Right, RIGHTS } from "../plan/rights.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

/** How many reviews are under way at a time: the server counts requests, and so does its patience. */
const AT_ONCE = 6;

const NEEDED_FOR: Readonly<Record<Occasion, string>> = {
  always: "every session needs it",
  made: "every session needs it, but for those with --deployment",
  existing: "needed with --deployment",
  service: "needed with --expose",
  swap: "needed with --swap-deployment",
  serviceaccount: "needed with --serviceaccount",
  optional: "nice to have",
};

/** Asks the server about every right of the table (docs/rbac.md): one finding for each of its rows. */
export async function checkRights(
  { kube, namespace, signal }: {
    readonly kube: Pick<KubeClient, "mayI">;
    readonly namespace: string;
    readonly signal: AbortSignal;
  },
): Promise<Finding[]> {
  const waiting = RIGHTS.map((right, index) => ({ right, index }));
  const findings: Finding[] = [];
  const work = async () => {
    for (let next; (next = waiting.shift());) findings[next.index] = await checkRight(next.right);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return findings;

  async function checkRight(right: Right): Promise<Finding> {
    const { group, resource, verbs, when, why, kind, instead } = right;
    const [plural = "", subresource] = resource.split("/");
    const named = `${group === "" ? plural : `${plural}.${group}`}${
      subresource === undefined ? "" : `/${subresource}`
    }`;
    const check = `right to ${verbs.join(", ")} ${named}`;
    /** Which of the verbs are not ours. */
    const lackingOf = async (subresource: string | undefined): Promise<string[]> => {
      const lacking: string[] = [];
      for (const verb of verbs) {
        const question = {
          verb: verb as Parameters<KubeClient["mayI"]>[0]["verb"],
          resource: { group, plural, namespaced: true },
          namespace,
          ...(subresource !== undefined && { subresource }),
        };
        if (!await kube.mayI(question, { signal })) lacking.push(verb);
      }
      return lacking;
    };
    const hint = (verbs: readonly string[]) =>
      `Who may grant it: kubectl create role NAME --verb=${
        verbs.join(",")
      } --resource=${named} --namespace ${namespace}`;
    let lacking: string[];
    try {
      lacking = await lackingOf(subresource);
      if (lacking.length > 0 && instead !== undefined && (await lackingOf(instead)).length === 0) {
        return warning(check, `you may not ${lacking.join(", ")}: ${plural}/${instead} does in its place`, [
          hint(lacking),
        ]);
      }
    } catch (error) {
      signal.throwIfAborted();
      return warning(check, `not known: ${messageOf(error)}`, [hint(verbs)]);
    }
    if (lacking.length === 0) return ok(check, why);
    const whom = kind === undefined ? "" : ` of a ${kind}`;
    const says = `you may not ${lacking.join(", ")}: ${NEEDED_FOR[when]}${whom}, to ${why}`;
    return (when === "always" || when === "made" ? problem : warning)(check, says, [hint(lacking)]);
  }
}
