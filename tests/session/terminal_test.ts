/** The built program on a terminal: job control as in any shell, and the question before healing. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openOnTerminal } from "../launcher/terminal.ts";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, CACHE } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const PROMPT = /@fake\|[^\n]*[#$] /;

function environmentOf({ kubeconfigPath, directory }: FakeCluster): Record<string, string> {
  const state = `${directory}/state`;
  return { KUBECONFIG: kubeconfigPath, HOME: directory, XDG_STATE_HOME: state, NO_COLOR: "1", ...CACHE };
}

/** The program, told to log where the test can look. */
function words({ directory }: FakeCluster, ...args: string[]): string[] {
  return [PROGRAM, "--logfile", `${directory}/telepresence.log`, ...args];
}

Deno.test("--run-shell on a terminal has job control: Ctrl-C, Ctrl-Z, jobs and fg", async () => {
  await using cluster = await startFakeCluster();
  await using terminal = openOnTerminal(words(cluster, "-nweb", "--run-shell"), environmentOf(cluster));
  await terminal.shows(PROMPT);
  await terminal.type("sleep 600\n");
  await terminal.shows(/sleep 600\r\n/);
  await terminal.typeUntil("\x03", PROMPT);
  await terminal.type("echo still $((40 + 2))\n");
  await terminal.shows(/still 42/);
  await terminal.type("sleep 601\n");
  await terminal.shows(/sleep 601\r\n/);
  await terminal.typeUntil("\x1a", /Stopped +sleep 601/);
  await terminal.type("kill %1; fg; echo gone $((40 + 3))\n");
  await terminal.shows(/gone 43/);
  await terminal.type("exit 9\n");
  equals(await terminal.ended(), 9);
  equals(await cluster.remaining(), []);
});

Deno.test("Ctrl-Z stops the whole program, fg continues it, and its tunnel still works", async () => {
  await using cluster = await startFakeCluster();
  await using terminal = openOnTerminal(["bash", "--norc", "-i"], environmentOf(cluster));
  await terminal.shows(/[#$] /);
  const [program, ...args] = words(cluster, "-nweb", "--run", "cat");
  await terminal.type(`'${program}' ${args.join(" ")}\n`);
  await terminal.shows(/Launching your command\./);
  await terminal.type("first\n");
  await terminal.shows(/first\r\nfirst\r\n/);
  await terminal.typeUntil("\x1a", /Stopped/);
  await terminal.type("fg\n");
  await terminal.shows(/cat\r\n/);
  await terminal.typeUntil("second\n", /second\r\nsecond\r\n/);
  await terminal.type("\x04");
  await terminal.shows(/[#$] /);
  await terminal.type("exit 5\n");
  equals(await terminal.ended(), 5);
  equals(await cluster.remaining(), []);
});

Deno.test("the command has no descriptor but 0, 1 and 2", async () => {
  await using cluster = await startFakeCluster();
  const script = "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done";
  const [program = "", ...args] = words(cluster, "-nweb", "--run", "sh", "-c", script);
  const options = { args, env: environmentOf(cluster), cwd: cluster.directory, stdin: "null" } as const;
  const { code, stdout } = await new Deno.Command(program, options).output();
  const seen = new TextDecoder().decode(stdout).trim().split("\n");
  equals(code, 0);
  equals(seen.filter((fd) => Number(fd) !== 3), ["0", "1", "2"]); // 3 would be the directory that is listed
});

Deno.test("what a killed session left is given back at the next start, when the user says so", async () => {
  await using cluster = await startFakeCluster();
  const [program = "", ...args] = words(cluster, "-nleft", "--run", "sh", "-c", "echo > up; exec sleep 60");
  const options = { args, env: environmentOf(cluster), cwd: cluster.directory, stdin: "null" } as const;
  const child = new Deno.Command(program, { ...options, stdout: "null", stderr: "null" }).spawn();
  await appears(cluster.directory, "up");
  const log = await Deno.readTextFile(`${cluster.directory}/telepresence.log`);
  Deno.kill(Number(/Started a helper as process (\d+)/.exec(log)?.[1]), "SIGKILL");
  child.kill("SIGKILL");
  await child.status;

  await using terminal = openOnTerminal(words(cluster, "-nnext", "--run", "true"), environmentOf(cluster));
  await terminal.shows(/A session that is gone \(--new-deployment left, since [^]*Give it back now\? \[Y\/n\]/);
  await terminal.type("\n");
  await terminal.shows(/Gave back deployment\/left/);
  equals(await terminal.ended(), 0);
  equals(await cluster.remaining(), []);
});
