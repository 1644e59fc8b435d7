/**
 * A session in a process of its own, which says "ready" at a moment of its start and goes no further: it is to be killed.
 *
 * ```
 * deno run -A dying_session.ts MOMENT DIRECTORY ROOT ENTER...
 * ```
 *
 * MOMENT is an order to the helper (netns/README.md, "The machine"), `helper` before the first one, or `all` after the
 * last. DIRECTORY is for its files, ROOT where the played machine's are, and ENTER the words that run a command there.
 *
 * @module
 */
import { makePod, start } from "./harness.ts";

const [moment = "", directory = "", root = "", ...enter] = Deno.args;

async function arrive(at: string): Promise<void> {
  if (at !== moment) return;
  await Deno.stdout.write(new TextEncoder().encode("ready\n"));
  await new Promise(() => setInterval(() => {}, 60_000)); // what is read here would end with the test, and not by its kill
}

await start({ enter, path: (inside) => `${root}${inside}` }, makePod(), [], {}, {
  directories: [directory],
  async around(helper) {
    await arrive("helper");
    return {
      ...helper,
      async tell(...words) {
        await helper.tell(...words);
        await arrive(words[0] ?? "");
      },
    };
  },
});
await arrive("all");
