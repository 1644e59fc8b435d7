/**
 * House rules as code. `arrows`: rooms import along the arrows only, and enter each other by the door (`mod.ts`).
 * `ends`: `Deno.exit` and `Deno.exitCode` stand in `main.ts` and `agent.ts` alone.
 *
 * @module
 */
import { MAY_IMPORT } from "./arrows.ts";

/** Why an import is refused, or undefined when it is in order. */
export function judgeImport(filename: string, specifier: string): { message: string; hint: string } | undefined {
  const room = /\/lib\/([a-z_]+)\//.exec(filename)?.[1];
  const [, target, rest] = /\/lib\/([a-z_]+)\/(.+)$/.exec(pathOf(filename, specifier)) ?? [];
  if (target === undefined || !(target in MAY_IMPORT) || target === room) return undefined;
  const test = /_(test|bench)\.ts$/.test(filename);
  if (room !== undefined && !test && !MAY_IMPORT[room]?.includes(target)) {
    return { message: `lib/${room} may not import lib/${target}`, hint: "See the table of arrows in ARCHITECTURE.md" };
  }
  if (rest !== "mod.ts") {
    return { message: `lib/${target} is entered by its mod.ts`, hint: `Import "@/${target}/mod.ts"` };
  }
  return undefined;
}

/** The file that an import names; a package's name as it is. */
function pathOf(filename: string, specifier: string): string {
  if (specifier.startsWith("@/")) return `/lib/${specifier.slice("@/".length)}`;
  return specifier.startsWith(".") ? new URL(specifier, `file://${filename}`).pathname : specifier;
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    arrows: {
      create(context) {
        const check = (node: { source: Deno.lint.StringLiteral | null }) => {
          const problem = node.source && judgeImport(context.filename, node.source.value);
          if (node.source && problem) context.report({ node: node.source, ...problem });
        };
        return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
      },
    },
    ends: {
      create(context) {
        if (/\/(main|agent)\.ts$/.test(context.filename) || !/\/lib\//.test(context.filename)) return {};
        return {
          'MemberExpression[object.name="Deno"]'(node: Deno.lint.MemberExpression) {
            if (node.property.type === "Identifier" && ["exit", "exitCode"].includes(node.property.name)) {
              context.report({ node, message: "Only main.ts and agent.ts end the process", hint: "Return the code" });
            }
          },
        };
      },
    },
  },
};

export default plugin;
