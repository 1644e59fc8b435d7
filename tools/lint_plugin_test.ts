import { deepStrictEqual as equals } from "node:assert/strict";
import plugin from "./lint_plugin.ts";

const CASES: { name: string; file: string; source: string; want: string[] }[] = [
  { name: "along an arrow", file: "lib/pod/x.ts", source: 'import "@/util/mod.ts";', want: [] },
  { name: "within the room", file: "lib/pod/x.ts", source: 'import "./y.ts";', want: [] },
  { name: "a package", file: "lib/pod/x.ts", source: 'import "zod/mini";', want: [] },
  {
    name: "against an arrow",
    file: "lib/pod/x.ts",
    source: 'import "@/kube/mod.ts";',
    want: ["lib/pod may not import lib/kube"],
  },
  {
    name: "against an arrow, relative",
    file: "lib/pod/x.ts",
    source: 'import "../kube/mod.ts";',
    want: ["lib/pod may not import lib/kube"],
  },
  {
    name: "a folder of the room that has the name of another room",
    file: "lib/capture/namespace/x.ts",
    source: 'import "../dns/answer.ts";',
    want: [],
  },
  {
    name: "round the door, from outside of the rooms",
    file: "tests/e2e/x_test.ts",
    source: 'import "../../lib/util/duplex.ts";',
    want: ["lib/util is entered by its mod.ts"],
  },
  {
    name: "a re-export",
    file: "lib/util/x.ts",
    source: 'export * from "@/log/mod.ts";',
    want: ["lib/util may not import lib/log"],
  },
  {
    name: "round the door",
    file: "lib/pod/x.ts",
    source: 'import "@/util/duplex.ts";',
    want: ["lib/util is entered by its mod.ts"],
  },
  {
    name: "a test may use what its room may not",
    file: "lib/pod/x_test.ts",
    source: 'import "@/agent/mod.ts";',
    want: [],
  },
  {
    name: "but a test goes by the door too",
    file: "lib/pod/x_test.ts",
    source: 'import "@/agent/serve.ts";',
    want: ["lib/agent is entered by its mod.ts"],
  },
  {
    name: "the end of the process",
    file: "lib/cli/x.ts",
    source: "Deno.exit(1);",
    want: ["Only main.ts and agent.ts end the process"],
  },
];

Deno.test("the house's lint rules refuse what they are for, and nothing else", async (t) => {
  for (const { name, file, source, want } of CASES) {
    await t.step(name, () => {
      const found = Deno.lint.runPlugin(plugin, `/house/${file}`, source);
      equals(found.map(({ message }) => message), want);
    });
  }
});
