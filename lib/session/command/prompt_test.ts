import { strictEqual as equal } from "node:assert/strict";
import { requireProgram } from "@/process/mod.ts";
import { promptOf } from "./prompt.ts";

Deno.test("promptOf() shows the context, and nothing in its name is expanded", async (t) => {
  const show = (context: string) => {
    const script = 'PS1=here; eval "$PROMPT_COMMAND"; printf "%s" "${PS1@P}${PROMPT_COMMAND-}"';
    return requireProgram(["bash", "--norc", "-c", script], { env: promptOf(context) });
  };
  const table = [
    ["kind-a.b_c", "@kind-a.b_c|here"],
    ["arn:aws:eks:x-1:1:cluster/me@two words", "@arn:aws:eks:x-1:1:cluster/me@two words|here"],
    ["$(echo x)", "@?(echo x)|here"],
    ["`echo x`", "@?echo x?|here"],
    ["\\$(echo x)\\u ${HOME}", "@??(echo x)?u ?{HOME}|here"],
    ['";echo x;"', "@?;echo x;?|here"],
    ["a\nb\x1b[2J", "@a?b?[2J|here"],
  ] as const;
  for (const [context, want] of table) await t.step(context, async () => equal(await show(context), want));
});
