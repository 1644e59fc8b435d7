/** The `Dockerfile`, built by buildah from the base image that the embedded cluster has; nothing is pulled. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { requireProgram, runProgram } from "@/process/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { DENO_VERSION } from "../../version.ts";
import { cacheFolder } from "../cluster/program.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The stock image, as the embedded cluster made it: the newest of this version. */
async function baseArchive(): Promise<string | undefined> {
  const prefix = `image-denoland-deno-${DENO_VERSION}-`;
  const entries = await Array.fromAsync(Deno.readDir(cacheFolder())).catch(() => []);
  return entries.map(({ name }) => name).filter((name) => name.startsWith(prefix)).map((name) =>
    `${cacheFolder()}/${name}`
  ).at(-1);
}

/** buildah with a storage of its own. */
function buildah(storage: string, ...words: string[]): [string, ...string[]] {
  return ["buildah", "--root", `${storage}/root`, "--runroot", `${storage}/run`, "--storage-driver", "vfs", ...words];
}

async function whatLacks(base: string | undefined): Promise<string | undefined> {
  if (base === undefined) return "there is no base image of the embedded cluster";
  const storage = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    const { code, stderr } = await runProgram(buildah(storage, "images"));
    return code === 0 ? undefined : stderr.trim();
  } catch (error) {
    return messageOf(error);
  } finally {
    await Deno.remove(storage, { recursive: true });
  }
}

const base = await baseArchive();
const lacking = await whatLacks(base);
const skipped = lacking === undefined ? "" : ` (skipped: ${lacking})`;

Deno.test(
  `the Dockerfile makes an image in which the agent starts${skipped}`,
  { ignore: lacking !== undefined },
  async () => {
    const storage = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    const run = (...words: string[]) => requireProgram(buildah(storage, ...words), { cwd: ROOT });
    try {
      const stock = (await run("pull", "--quiet", `docker-archive:${base}`)).trim();
      await run(
        "build",
        "--quiet",
        "--isolation",
        "chroot",
        "--pull-never",
        "--build-arg",
        `BASE=${stock}`,
        "-t",
        "agent",
        ".",
      );
      const { OCIv1 } = JSON.parse(await run("inspect", "--type", "image", "agent"));
      equals(OCIv1.config.User, "1000");
      const container = (await run("from", "--pull-never", "agent")).trim();
      const inside = (...command: string[]) =>
        buildah(storage, "run", "--isolation", "chroot", container, "--", ...command);
      const agent = await Deno.readTextFile(`${ROOT}build/agent.js`);
      equals(await requireProgram(inside("cat", "/telepresence/agent.js")), agent);
      const { code, stderr } = await runProgram(inside(...OCIv1.config.Cmd));
      equals(code, 2, stderr); // it is told no port and no key
      match(stderr, /^usage: agent --port PORT /m);
    } finally {
      await Deno.remove(storage, { recursive: true });
    }
  },
);

Deno.test("the Dockerfile is of the version of Deno that the agent is made for", async () => {
  const text = await Deno.readTextFile(`${ROOT}Dockerfile`);
  equals(/^ARG BASE=(\S+)$/m.exec(text)?.[1], `denoland/deno:${DENO_VERSION}`);
});
