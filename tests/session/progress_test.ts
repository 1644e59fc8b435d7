// deno-lint-ignore-file no-control-regex -- what is written over on a terminal is what this is about
/** Starting is visible: what is waited for, why, and what a session was at its end. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openOnTerminal } from "../launcher/terminal.ts";
import { type FakeCluster, startFakeCluster, TROUBLES } from "../testkit/mod.ts";
import { readLog, run, start } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));

/** Steps with what differs from run to run taken out. */
function plain(steps: readonly string[]): string[] {
  return steps.map((line) => {
    return line.replace(/https:\S+/, "SERVER").replace(/pod web-\S+/, "pod POD").replace(/after [\d.]+ s/, "after TIME")
      .replace(/\/telepresence-[0-9a-f]{10}-agent/g, "/AGENT");
  });
}

Deno.test("where lines cannot be written over, each step is one line, and the last one says what the session was", async () => {
  await using cluster = await startFakeCluster();
  const ended = await run(cluster, ["-nweb", "--run", "true"]);
  equals(plain(ended.steps), [
    'Asking SERVER what may be done in namespace "default"',
    "Waiting for the proxy to run",
    "Connecting to the agent in pod POD",
    "Giving back what the session has in the cluster",
    "Ended after TIME: 0 connections, 0 B sent, 0 B received. Deleted: deployment/web, configmap/AGENT.",
  ], readLog(cluster));
});

Deno.test("the line at the end counts the command's connections and their bytes", async () => {
  await using cluster = await startFakeCluster();
  const body = "x".repeat(5000);
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => new Response(body));
  cluster.route("10.96.0.10:80", server.addr.port);
  const curl = "curl -s --max-time 5 -o /dev/null";
  const script = `${curl} http://10.96.0.10/ && ${curl} http://10.96.0.10/; ${curl} http://10.96.0.11/; exit 0`;
  const ended = await run(cluster, ["-nweb", "--run", "sh", "-c", script]);
  const [, opened, failed, sent, received] =
    /: (\d+) connections, (\d+) failed, (\d+) B sent, (\S+ kB) received\. Deleted: deployment\/web/.exec(
      ended.steps.at(-1) ?? "",
    ) ?? [];
  equals([opened, failed, received], ["2", "1", "10 kB"], `${ended.steps.at(-1)}`);
  ok(Number(sent) > 100, `two requests are not ${sent} bytes`);
});

Deno.test("--quiet says nothing when nothing goes wrong, and still says what does", async (t) => {
  await t.step("a good run", async () => {
    await using cluster = await startFakeCluster();
    const ended = await run(cluster, ["--quiet", "-nweb", "--expose", "8123:80", "--run", "true"]);
    equals([ended.code, ended.stderr, ended.steps], [0, "", []]);
    match(readLog(cluster), /Waiting for the proxy to run/, "the log has it all");
  });
  await t.step("an error", async () => {
    await using cluster = await startFakeCluster();
    const ended = await run(cluster, ["-q", "--namespace", "nowhere", "--run", "true"]);
    equals(ended.code, 255);
    match(ended.stderr, /^T: Error: Cannot use namespace "nowhere"/);
  });
});

Deno.test("an image that is being pulled is told, in the words of the API", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  const running = start(cluster, ["-nweb", "--run", "true"], { agentImage: "denoland/deno:1" });
  await running.said(/^T: Still waiting for the proxy: Pulling image "denoland\/deno:1"$/m);
  cluster.relieve();
  equals((await running.ended).code, 0);
});

Deno.test("a session that fails on its way gives back visibly, and the line at the end comes before the error", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.image });
  const running = start(cluster, ["-nweb", "--run", "true"]);
  const { steps } = await running.ended;
  equals(plain(steps).slice(-2), [
    "Giving back what the session has in the cluster",
    "Ended after TIME: 0 connections, 0 B sent, 0 B received. Deleted: deployment/web, configmap/AGENT.",
  ]);
  const said = running.stderr();
  ok(said.indexOf("Ended after") < said.indexOf("Error: "), said);
});

function onTerminal(cluster: FakeCluster, args: readonly string[], env: Record<string, string>) {
  const { kubeconfigPath, directory } = cluster;
  const words = [PROGRAM, "--logfile", `${directory}/telepresence.log`, "--mount=false", ...args];
  return openOnTerminal(words, {
    KUBECONFIG: kubeconfigPath,
    HOME: directory,
    XDG_STATE_HOME: `${directory}/state`,
    ...env,
  }, 100);
}

Deno.test("on a terminal, what is waited for is one line with its time and reason, erased before the command", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.unschedulable });
  await using terminal = onTerminal(cluster, ["-nweb", "--run", "echo", "here it is"], { TERM: "xterm" });
  const [erased] = await terminal.shows(/T: Asking [^\n]*?(\r\x1b\[K)+/);
  ok(!erased.includes("\n"), "it is no line of its own");
  await terminal.shows(
    /\rT: Waiting for the proxy to run \.\.\. 1 s: Unschedulable: 0\/1 nodes are avail[^\n]*\.\.\.\x1b\[K/,
  );
  await terminal.shows(/\rT: Waiting for the proxy to run \.\.\. 2 s: /);
  cluster.relieve();
  // Erased, and what is said between the steps stays.
  await terminal.shows(/\r\x1b\[KT: Setup complete\. Launching your command\.\r\nhere it is\r\n/);
  await terminal.shows(/\rT: Giving back [^\n]*\r\x1b\[K/);
  await terminal.shows(/T: Ended after [^\n]*/);
  equals(await terminal.ended(), 0);
});

Deno.test("a terminal that cannot erase (TERM=dumb) gets plain lines, and NO_COLOR changes nothing as there are no colors", async () => {
  await using cluster = await startFakeCluster();
  await using terminal = onTerminal(cluster, ["-nweb", "--run", "true"], { TERM: "dumb", NO_COLOR: "1" });
  const [said] = await terminal.shows(/T: Asking [^]*T: Ended after [^\n]*\n/);
  ok(!said.includes("\x1b"), JSON.stringify(said));
  match(said, /\nT: Waiting for the proxy to run\r\n/);
  equals(await terminal.ended(), 0);
});

Deno.test("Ctrl-C while it waits: the line is erased, and what is said stands on lines of its own", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  await using terminal = onTerminal(cluster, ["-nweb", "--run", "true"], { TERM: "xterm" });
  await terminal.shows(/\rT: Waiting for the proxy to run \.\.\./);
  await terminal.type("\x03");
  await terminal.shows(/\r\x1b\[KT: Keyboard interrupt \(Ctrl-C\/Ctrl-Break\) pressed\. Cleaning up \.\.\.\r\n/);
  await terminal.shows(/\rT: Giving back /);
  await terminal.shows(/\r\x1b\[KT: Ended after /);
  equals(await terminal.ended(), 130);
  equals(await cluster.remaining(), []);
});
