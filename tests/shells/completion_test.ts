/** Completions in the real shells, at a real terminal: what a user gets who presses Tab. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { openOnTerminal } from "../launcher/terminal.ts";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";

const BUILD = fileURLToPath(new URL("../../build", import.meta.url));

/** How each shell is started without anybody's own settings, and told of the completions. */
const SHELLS = {
  bash: {
    command: ["bash", "--norc", "--noprofile", "-i"],
    setUp: 'bind "set bell-style none"; . /usr/share/bash-completion/bash_completion; ' +
      'eval "$(telepresence completion bash)"',
  },
  "bash without bash-completion": {
    command: ["bash", "--norc", "--noprofile", "-i"],
    setUp: 'bind "set bell-style none"; eval "$(telepresence completion bash)"',
  },
  zsh: {
    command: ["zsh", "-f", "-i"],
    setUp: 'unsetopt beep; autoload -Uz compinit; compinit -D; eval "$(telepresence completion zsh)"',
  },
  "zsh, from a file in fpath": {
    command: ["zsh", "-f", "-i"],
    setUp: "unsetopt beep; mkdir functions; telepresence completion zsh > functions/_telepresence; " +
      "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D",
  },
  fish: { command: ["fish", "--no-config", "-i"], setUp: "telepresence completion fish | source" },
} as const;
type Shell = keyof typeof SHELLS;

/** What is typed with a Tab at its end, and what the line is afterwards. */
const CASES: readonly (readonly [typed: string, line: RegExp])[] = [
  ["telepresence --verb", /--verbose /],
  ["telepresence reco", /recover /],
  ["telepresence --context fa", /--context fake /],
  ["telepresence --context=fa", /--context=fake /],
  ["telepresence --namespace sho", /--namespace shop /],
  ["telepresence --namespace shop -s check", /-s checkout /],
  ["telepresence -s pod/lo", /-s pod\/lonely /],
  ["telepresence --namespace shop -s checkout:si", /-s checkout:sidecar /],
  ["telepresence --namespace shop --swap-deployment=checkout:ma", /--swap-deployment=checkout:main /],
  ["telepresence --method nam", /--method namespace /],
  ["telepresence completion fi", /completion fish /],
  ["telepresence help rb", /help rbac /],
  ["telepresence --env-json only-f", /--env-json only-file-here /],
  ["telepresence --quiet --run ls only-f", /--run ls only-file-here /],
];

async function isThere(shell: Shell): Promise<boolean> {
  const wanted = shell === "bash"
    ? "test -e /usr/share/bash-completion/bash_completion"
    : `command -v ${SHELLS[shell].command[0]}`;
  return (await runProgram(["sh", "-c", wanted])).code === 0;
}

async function openShell(cluster: FakeCluster, shell: Shell) {
  const { directory, kubeconfigPath } = cluster;
  const terminal = openOnTerminal(SHELLS[shell].command, {
    PATH: `${BUILD}:${Deno.env.get("PATH")}`,
    KUBECONFIG: kubeconfigPath,
    HOME: directory,
    XDG_STATE_HOME: `${directory}/state`,
    XDG_DATA_HOME: `${directory}/data`,
    XDG_CONFIG_HOME: `${directory}/config`,
    TERM: shell === "fish" ? "xterm" : "dumb",
    LC_ALL: "C.UTF-8",
  });
  await terminal.type(`cd ${directory}; ${SHELLS[shell].setUp}; echo it is "re"ady\n`);
  await terminal.shows(/it is ready/);
  return terminal;
}

for (const shell of Object.keys(SHELLS) as Shell[]) {
  const there = await isThere(shell);
  Deno.test({
    name: `${shell} completes flags, subcommands, and what is in the cluster${
      there ? "" : " (skipped: not installed)"
    }`,
    ignore: !there,
    async fn(t) {
      await using cluster = await startFakeCluster({ namespaces: ["shop"] });
      const containers = [{ name: "main", image: "image" }, { name: "sidecar", image: "image" }];
      await cluster.put("deployments", {
        name: "checkout",
        namespace: "shop",
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers } },
        },
      });
      await cluster.put("pods", { name: "lonely", spec: { containers } });
      await Deno.writeTextFile(`${cluster.directory}/only-file-here`, "");
      await using terminal = await openShell(cluster, shell);
      for (const [typed, line] of CASES) {
        await t.step(JSON.stringify(typed), async () => {
          await terminal.type(typed);
          await terminal.typeUntil("\t", line); // on a busy machine 300 ms may be over: the user presses Tab again
          await terminal.type("\x15");
        });
      }
      for (const [what, kind] of [["is away", "cut"], ["never answers", "stall"]] as const) {
        await t.step(`silent when the cluster ${what}`, async () => {
          cluster.faults.clear();
          cluster.faults.add({ resource: "namespaces" }, { kind });
          await terminal.type(
            `telepresence --namespace sho\t\x15echo nothing was said: ${kind[0]}"${kind.slice(1)}"\n`,
          );
          const [seen] = await terminal.shows(new RegExp(`[^]*nothing was said: ${kind}`));
          equals(/error|Error|Cannot|shop/.test(seen), false, seen);
        });
      }
      await terminal.type("exit\n");
      await terminal.ended();
    },
  });
}
