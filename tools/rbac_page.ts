/**
 * `docs/rbac.md`, from the table of rights that a session asks for: `deno run -A tools/rbac_page.ts` writes it, and
 * `rbac_page_test.ts` says when it is out of date.
 *
 * @module
 */
import { optionalRights, type Right, rightsFor, rulesOf } from "../lib/session/mod.ts";

/** Kinds of workloads, in the order of the page. */
const KINDS = ["deployment", "statefulset", "replicaset", "daemonset", "pod"] as const;

/** The page as it is to be. */
export function rbacPage(): string {
  const swap = (kind: string) => rightsFor({ swaps: kind, hasService: false, hasServiceAccount: false });
  const others = KINDS.slice(1).map((kind) => {
    const own = swap(kind).filter((right) => right.kind);
    return `- ${kind}: ${own.map(({ resource, verbs }) => `\`${resource}\` ${verbs.join(", ")}`).join("; ")}`;
  });
  return `# Which rights does it need?

This page is made from the table that \`--plan\` shows (\`lib/session/plan/rights.ts\`). \`telepresence --plan\` with the
flags of your session prints the rules for just that.

These are the least Roles, in the namespace where it works. With \`--new-deployment\` (which is the default):

\`\`\`yaml
${role(rightsFor({ hasService: true, hasServiceAccount: false }))}
\`\`\`

With \`--swap-deployment\`:

\`\`\`yaml
${role(swap("deployment"))}
\`\`\`

For other workloads than Deployments, in addition:

${others.join("\n")}

With \`--deployment\`, which makes nothing and changes nothing:

\`\`\`yaml
${role(rightsFor({ isThere: true, hasService: false, hasServiceAccount: false }))}
\`\`\`

With \`--serviceaccount\`: \`serviceaccounts\` get.

Without these it works as well, and tells less:

${optionalRights().map(({ resource, verbs, why }) => item(`\`${resource}\` ${verbs.join(", ")}: ${why}`)).join("\n")}

Before Kubernetes 1.35 either verb of \`pods/portforward\` is enough: \`get\` for WebSocket, \`create\` for servers from 1.35
on, which ask for it as well. Where it is refused altogether, \`pods/exec\` (\`get\`, \`create\`) does in its place: each
connection to the agent is then a process in the agent's container, which takes some 20 MB of its memory. \`get\` on
configmaps and services is used to find out what there is when the answer to a create was lost. Nothing is needed
outside the namespace. The proxy's pod uses no rights at all: it runs under the namespace's default service account, or
the swapped workload's, whose token is there for your process as it would be in any pod.

With \`--method vpn-tcp\`, \`list\` on \`servicecidrs\`, \`nodes\`, and \`pods\` and \`services\` of all namespaces finds more of
the cluster's ranges beforehand; what is not found is reached by name.

These Roles are what the tests on the real cluster use (\`tests/e2e/rbac_test.ts\`): each is enough, and each rule that is
taken away is missed with a sentence, and nothing is changed.
`;
}

/** An item of a list, in lines as the formatter wants them. */
function item(text: string): string {
  const lines = ["-"];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length <= 120) lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}

function role(rights: readonly Right[]): string {
  const rules = rulesOf(rights).map(({ apiGroups: [group = ""], resources, verbs }) =>
    [
      `  - apiGroups: [${group || '""'}]`,
      `    resources: [${resources.join(", ")}]`,
      `    verbs: [${verbs.join(", ")}]`,
    ].join("\n")
  );
  const head = [
    "apiVersion: rbac.authorization.k8s.io/v1",
    "kind: Role",
    "metadata:",
    "  name: telepresence",
    "rules:",
  ];
  return [...head, ...rules].join("\n");
}

if (import.meta.main) await Deno.writeTextFile(new URL("../docs/rbac.md", import.meta.url), rbacPage());
