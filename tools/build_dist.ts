/**
 * What is published: `deno run -A tools/build_dist.ts OUT LEVEL` makes it, `--twice LEVEL` makes it two times from
 * sources at two places and ends with 1 when the sums are not equal.
 *
 * @module
 */
import { UserError } from "@/util/mod.ts";
import { makeDist } from "./delivery/dist.ts";

const [out, word] = Deno.args;
const level = Number(word);
if (out === undefined || !(level >= 1 && level <= 19)) throw new Error("usage: build_dist.ts (OUT | --twice) LEVEL");
try {
  if (out === "--twice") await makeTwice();
  else await makeAnew(out);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  tell(`Cannot make dist: ${error.message}`);
  Deno.exitCode = 1;
}

/** Nothing of an earlier version is to stay beside this one's. */
async function makeAnew(out: string): Promise<void> {
  await Deno.remove(out, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await makeDist(out, { level, tell });
  tell(await Deno.readTextFile(`${out}/SHA256SUMS`));
}

async function makeTwice(): Promise<void> {
  const sums: string[] = [];
  for (let time = 0; time < 2; time++) {
    const out = await Deno.makeTempDir({ prefix: "telepresence-twice-" });
    try {
      await makeDist(out, { level, tell });
      sums.push(await Deno.readTextFile(`${out}/SHA256SUMS`));
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  }
  const [first = "", second = ""] = sums.map((text) => text.split("\n"));
  const different = [...first].filter((line) => !second.includes(line));
  different.forEach((line) => tell(`Not equal the second time: ${line}`));
  if (different.length > 0) throw new UserError(`${different.length} files are not the same when they are made again`);
  tell(`Made twice, and equal:\n${sums[0]}`);
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line.trimEnd()}\n`));
}
