/** The pages for users, proved: each console block is run on the cluster, and says what the page shows. */
import { deepStrictEqual as equals, match, ok, throws } from "node:assert/strict";
import { abortable, deadline, sleep } from "@/util/mod.ts";
import { type Block, type Command, patternOf, readPage } from "./console_blocks.ts";
import { type Cluster, embeddedTest, KUBECONFIG, withNamespace } from "./harness.ts";
import { writeKubeconfig } from "../cluster/write_kubeconfig.ts";

const ROOT = new URL("../../", import.meta.url);
const COMMAND_MS = 120_000;

/** Every page with a console block. */
async function pages(): Promise<string[]> {
  const docs = await Array.fromAsync(Deno.readDir(new URL("docs", ROOT)));
  const names = ["README.md", ...docs.filter(({ name }) => name.endsWith(".md")).map(({ name }) => `docs/${name}`)];
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(new URL(name, ROOT))));
  return names.filter((_, index) => texts[index]?.includes("\n```console\n")).sort();
}

Deno.test("patternOf() takes ... for what varies, and nothing else", () => {
  const says = "one ... line\n...\nlast (a+b)";
  for (const text of ["one x line\nlast (a+b)\n", "one  line\na\nb\nlast (a+b)\n"]) match(text, patternOf(says));
  for (
    const text of [
      "one x line\n",
      "two x line\nlast (a+b)\n",
      "one x line\nlast (aab)\n",
      "one x line\nlast (a+b)\nmore\n",
    ]
  ) {
    ok(!patternOf(says).test(text), text);
  }
});

Deno.test("readPage() reads commands with their output, comments before a block, and what continues", () => {
  const page = [
    "<!-- before: true -->",
    "<!-- not run: it takes a mouse -->",
    "",
    "```console",
    "$ one   # words about it",
    "$ two \\",
    "    more",
    "says",
    "",
    "this",
    "```",
    "<!-- stays -->",
    "```console",
    "$ three",
    "```",
  ].join("\n");
  equals(readPage(page), {
    before: ["true"],
    blocks: [{
      line: 4,
      stays: false,
      notRun: "it takes a mouse",
      commands: [{ line: 5, words: "one", says: undefined }, {
        line: 6,
        words: "two \\\n    more",
        says: "says\n\nthis",
      }],
    }, { line: 13, stays: true, commands: [{ line: 14, words: "three", says: undefined }] }],
  });
  throws(() => readPage("```console\nno command\n```"), /line 1/);
  throws(() => readPage("<!-- not run: x -->\ntext\n"), /line 2/);
});

/** A page's folder and namespace, and what goes on in them. */
interface Place {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly running: Deno.ChildProcess[];
}

/** Runs a command as a reader would, both streams together as on a terminal. @throws when it does not say what it should */
async function check({ line, words, says }: Command, place: Place, stays: boolean): Promise<void> {
  const child = new Deno.Command("bash", {
    args: ["-c", `exec 2>&1\n${stays ? "exec " : ""}${words}`],
    cwd: place.directory,
    env: { ...place.env },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  if (stays) place.running.push(child);
  let said = "";
  const reading = (async () => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) said += part;
  })();
  const isSaid = () =>
    says === undefined || patternOf(says).test(said.endsWith("\n") || said === "" ? said : `${said}\n`);
  using late = deadline(COMMAND_MS, () => new Error(`line ${line}: "${words}" takes too long; it said:\n${said}`));
  if (stays) {
    while (!isSaid()) await sleep(100, late.signal);
    return void reading.catch(() => {});
  }
  try {
    const [{ code }] = await abortable(Promise.all([child.status, reading]), late.signal);
    if (says === undefined) return equals(code, 0, `line ${line}: "${words}" ends with ${code}:\n${said}`);
    ok(isSaid(), `line ${line}: "${words}" says\n${said}\nand the page\n${says}`);
  } catch (error) {
    if (late.signal.aborted) child.kill("SIGKILL");
    throw error;
  }
}

async function runPage(cluster: Cluster, namespace: string, text: string, t: Deno.TestContext): Promise<void> {
  const { blocks, before } = readPage(text);
  const kubeconfig = `${cluster.directory}/kubeconfig`;
  await writeKubeconfig(kubeconfig, { ...cluster.kube.config, namespace });
  const folder = (KUBECONFIG ?? "").replace(/\/[^/]*$/, "");
  const directory = `${cluster.directory}/work`;
  await Deno.mkdir(directory);
  const place: Place = {
    directory,
    running: [],
    env: {
      KUBECONFIG: kubeconfig,
      NAMESPACE: namespace,
      XDG_STATE_HOME: cluster.state,
      XDG_CACHE_HOME: `${cluster.directory}/cache`,
      HOME: cluster.directory,
      NO_COLOR: "1",
      // What a page plays stands in its own folder: an editor, say.
      PATH: `${directory}/bin:${new URL("build", ROOT).pathname}:${folder}/bin:${Deno.env.get("PATH")}`,
    },
  };
  try {
    for (const words of before) await check({ line: 0, words, says: undefined }, place, false);
    for (const block of blocks) {
      await t.step(titleOf(block), async () => {
        for (const command of block.commands) {
          await check(command, place, block.stays && command === block.commands.at(-1));
        }
      });
    }
  } finally {
    for (const child of place.running.reverse()) {
      try {
        child.kill("SIGTERM");
      } catch {
        // it has ended
      }
      await child.status;
    }
  }
}

function titleOf({ line, commands }: Block): string {
  return `line ${line}: ${commands[0]?.words}`;
}

for (const name of await pages()) {
  const text = await Deno.readTextFile(new URL(name, ROOT));
  const { blocks } = readPage(text);
  for (const block of blocks.filter(({ notRun }) => notRun !== undefined)) {
    Deno.test({ name: `${name}, ${titleOf(block)} (not run: ${block.notRun})`, ignore: true, fn() {} });
  }
  const runnable = text.replace(
    /<!-- not run: .*? -->\n+```console\n.*?\n```/gs,
    (block) => block.replace(/[^\n]/g, ""),
  );
  if (readPage(runnable).blocks.length === 0) continue;
  embeddedTest(`${name}: each console block does what the page shows`, async (cluster, t) => {
    await withNamespace(cluster, "docs", (namespace) => runPage(cluster, namespace, runnable, t));
  });
}
