/**
 * Refuses a room's door without words: each `lib/<room>/mod.ts` says what the room is, and everything that it exports,
 * and every method of that, has a doc comment. (`deno doc --lint` asks for one on each field as well, which makes for
 * comments that say the name again.)
 *
 * @module
 */
import * as z from "zod/mini";

const Doc = z.optional(z.object({ doc: z.optional(z.string()) }));
const Member = z.object({ name: z.string(), jsDoc: Doc });
const Output = z.object({
  nodes: z.record(
    z.string(),
    z.object({
      module_doc: Doc,
      symbols: z.array(z.object({
        name: z.string(),
        declarations: z.array(z.object({
          kind: z.string(),
          jsDoc: Doc,
          def: z.optional(z.object({ methods: z.optional(z.array(Member)) })),
        })),
      })),
    }),
  ),
});

const problems: string[] = [];
for await (const { name: room } of Deno.readDir("lib")) {
  const door = `lib/${room}/mod.ts`;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), { args: ["doc", "--json", door] })
    .output();
  if (!success) problems.push(`${door}: ${new TextDecoder().decode(stderr).trim()}`);
  else problems.push(...judge(door, z.parse(Output, JSON.parse(new TextDecoder().decode(stdout)))));
}
for (const problem of problems) Deno.stderr.writeSync(new TextEncoder().encode(`${problem}\n`));
Deno.exitCode = problems.length > 0 ? 1 : 0;

function judge(door: string, { nodes }: z.infer<typeof Output>): string[] {
  const told = (doc: z.infer<typeof Doc>) => (doc?.doc ?? "") !== "";
  return Object.values(nodes).flatMap(({ module_doc, symbols }) => [
    ...(told(module_doc) ? [] : [`${door}: says nothing about the room`]),
    ...symbols.flatMap(({ name, declarations }) =>
      declarations.flatMap(({ jsDoc, def }) => [
        ...(told(jsDoc) ? [] : [`${door}: ${name} has no doc comment`]),
        ...(def?.methods ?? []).filter((method) => !method.name.startsWith("[") && !told(method.jsDoc))
          .map((method) => `${door}: ${name}.${method.name}() has no doc comment`),
      ])
    ),
  ]);
}
