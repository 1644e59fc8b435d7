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
problems.push(...await judgeLinks());
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

/** Links of the pages to files and headings that are not there. Addresses elsewhere are not asked for. */
async function judgeLinks(): Promise<string[]> {
  const found: string[] = [];
  for (const page of await pages()) {
    const text = (await Deno.readTextFile(page)).replace(/^```.*?^```/gms, "").replace(/`[^`\n]*`/g, "");
    for (const [, to = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(to)) continue;
      const [path = "", heading] = to.split("#");
      const target = path === "" ? page : new URL(path, `file:///${page}`).pathname.slice(1);
      const there = await Deno.readTextFile(target).catch(async () => await isDirectory(target) ? "" : undefined);
      if (there === undefined) found.push(`${page}: links to ${target}, which is not there`);
      else if (heading !== undefined && !headingsOf(there).includes(heading)) {
        found.push(`${page}: links to #${heading} of ${target}, which has no such heading`);
      }
    }
  }
  return found;
}

/** Every page of Markdown that is ours. */
async function pages(): Promise<string[]> {
  const found: string[] = [];
  const look = async (folder: string) => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(folder === "" ? "." : folder)) {
      if (name.startsWith(".") || name === "build" || name === "node_modules") continue;
      if (isDirectory) await look(`${folder}${name}/`);
      else if (isFile && name.endsWith(".md")) found.push(`${folder}${name}`);
    }
  };
  await look("");
  return found.sort();
}

async function isDirectory(path: string): Promise<boolean> {
  return await Deno.stat(path).then((stat) => stat.isDirectory, () => false);
}

/** Headings by the names that links give them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, words = ""]) => {
    return words.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
  });
}
