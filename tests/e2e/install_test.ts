/**
 * As a new user: a Debian that is new gets the program by what README.md and docs/install.md say, word by word, and does
 * the first run. The release page is played on loopback.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { configMaps, deployments, type KubeClient, pods } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { RELEASES } from "../../version.ts";
import { debianRoot, inRoot, whyNoDebianRoot } from "../delivery/debian_root.ts";
import { openReleasePage, type ReleasePage } from "../delivery/release_page.ts";
import { writeKubeconfig } from "../cluster/write_kubeconfig.ts";
import { type Cluster, clusterTest, KUBECONFIG, until, withNamespace } from "./harness.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** The ways to get it, each a block of console under its heading. */
const WAYS = [
  ["README.md", "Install", "no Deno"],
  ["docs/install.md", "By one line", "no Deno"],
  ["docs/install.md", "As one file", "no Deno"],
  ["docs/install.md", "By Deno", "Deno"],
] as const;

/** What is in the home directory of the new system, and the log, which is the user's to keep. */
const NOT_OURS = ["./.bashrc", "./.kube/config", "./.profile", "./telepresence.log"];

const lacking = KUBECONFIG === undefined ? "there is no cluster" : await whyNoDebianRoot();
if (lacking !== undefined) {
  Deno.test({ name: `a new Debian gets the program (skipped: ${lacking})`, ignore: true, fn() {} });
} else {
  clusterTest(
    "a new Debian gets the program as README.md and docs/install.md say, and does the first run",
    async (cluster) => {
      await using released = await openReleasePage({ bundle: `${ROOT}build/main.js` });
      await withNamespace(cluster, "install", async (namespace) => {
        const given = await makeGiven(cluster, namespace);
        const [removal = []] = await blocks("docs/install.md", "How do I remove it\\?");
        for (const [page, heading, deno] of WAYS) {
          for (const block of await blocks(page, heading)) {
            const isInstalled = block.some((line) => line.includes("install.sh"));
            const typed = isInstalled ? [...block, ...removal, "cd; echo left:; find . -type f | sort"] : block;
            const { code, stdout, stderr } = await type(typed, { given, released, hasDeno: deno === "Deno" });
            equals([heading, code], [heading, 0], stderr);
            match(stdout, /<h1>Hello, world!<\/h1>/);
            if (!isInstalled) continue;
            const [, left = ""] = stdout.split("\nleft:\n");
            equals(left.trim().split("\n"), NOT_OURS, "what docs/install.md removes is all but the log");
          }
        }
        await until(
          "nothing of the sessions is left",
          async () => (await ofSessions(cluster.kube, namespace)).length === 0,
        );
      });
    },
  );
}

/** What the new system is given: the user's kubeconfig, for a namespace of the test alone, and a Deno for who has one. */
async function makeGiven(cluster: Cluster, namespace: string): Promise<string> {
  const given = `${cluster.directory}/given`;
  await Deno.mkdir(given);
  await writeKubeconfig(`${given}/kubeconfig`, { ...cluster.kube.config, namespace });
  await Deno.copyFile(Deno.execPath(), `${given}/deno`);
  return given;
}

async function ofSessions(kube: KubeClient, namespace: string): Promise<string[]> {
  const lists = [
    kube.list(deployments, { namespace }),
    kube.list(configMaps, { namespace }),
    kube.list(pods, { namespace }),
  ] as const;
  const names = (await Promise.all(lists)).flatMap(({ items }) => items.map(({ metadata }) => metadata.name));
  return names.filter((name) => name.startsWith("telepresence-"));
}

/** The commands of each block of console under a heading of a page. */
async function blocks(page: string, heading: string): Promise<string[][]> {
  const text = await Deno.readTextFile(ROOT + page);
  const section = new RegExp(`^## ${heading}$([^]*?)(?=^## |$(?![^]))`, "m").exec(text)?.[1] ?? "";
  const found = [...section.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, body = ""]) =>
    body.trimEnd().split("\n").map((line) => line.replace(/^\$ /, ""))
  );
  if (found.length === 0) throw new Error(`${page} has no block of console under "${heading}"`);
  return found;
}

/** Types commands in a new system, one after the other, as root in its home. */
async function type(
  commands: readonly string[],
  { given, released, hasDeno }: { given: string; released: ReleasePage; hasDeno: boolean },
) {
  const begin = [
    "for program in go node npm deno; do ! command -v $program || exit 9; done",
    "mkdir ~/.kube && cp /given/kubeconfig ~/.kube/config",
    ...(hasDeno ? ["cp /given/deno /usr/local/bin/deno"] : []),
  ];
  const typed = commands.map((line) => line.replaceAll(RELEASES, released.url));
  const env = {
    HOME: "/root",
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    TELEPRESENCE_RELEASES: released.url,
    DENO_NO_UPDATE_CHECK: "1",
  };
  const script = ["set -e", ...begin, ...typed].join("\n");
  return await runProgram(inRoot(await debianRoot(), given, ["sh", "-c", script]), { clearEnv: true, env });
}
