/** Journals that cannot be written or read: what they are about is given back all the same, or somebody hears of it. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { relative } from "node:path";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, run, start } from "./harness.ts";
import { essence, putWeb, startInPlace } from "./web.ts";

const journalsOf = ({ directory }: FakeCluster) => `${directory}/.local/state/telepresence/sessions`;

/** The file of the only session that runs. */
async function journalOf(cluster: FakeCluster): Promise<string> {
  const names = (await Array.fromAsync(Deno.readDir(journalsOf(cluster)))).map(({ name }) => name);
  return `${journalsOf(cluster)}/${names.find((name) => name.endsWith(".json"))}`;
}

Deno.test("a disk that is full by the end keeps nothing from being given back, nor from being told so", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const session = await startInPlace(cluster);
  await Deno.mkdir(`${await journalOf(cluster)}.new`); // in the way of each draft, for root as well
  session.send("SIGTERM");
  const { code, stderr } = await session.ended;
  equals(code, 143, stderr);
  ok(!/Cannot|in the background/.test(stderr), stderr);
  equals([essence(cluster), await cluster.remaining()], [before, []]);
  const { code: healed, stderr: words } = await run(cluster, ["recover"]);
  equals([healed, words], [0, "T: Nothing is left over by sessions of this machine.\n"]);
});

Deno.test("a journal that cannot be removed is told with its place, and everything is given back all the same", async () => {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const session = await startInPlace(cluster);
  const path = await journalOf(cluster);
  await Deno.remove(path);
  await Deno.mkdir(`${path}/full`, { recursive: true }); // what cannot be removed by root either
  session.send("SIGTERM");
  const { code, stderr } = await session.ended;
  equals(code, 143, stderr);
  const [, told, reason] =
    /^T: Everything is given back, but (\S+) cannot be removed \((.*)\): telepresence recover does it$/m
      .exec(stderr) ?? [];
  equals(told, path, stderr);
  match(reason ?? "", /not empty/i);
  equals([essence(cluster), await cluster.remaining()], [before, []]);
});

Deno.test("a relative KUBECONFIG is written down as what it meant, for whoever heals elsewhere", async () => {
  await using cluster = await startFakeCluster();
  const script = `echo > ${cluster.directory}/up; exec sleep 60`;
  const env = { KUBECONFIG: `nonesuch:${relative(Deno.cwd(), cluster.kubeconfigPath)}` };
  const session = start(cluster, ["-nweb", "--run", "sh", "-c", script], { env });
  await appears(cluster.directory, "up");
  const { cluster: written } = JSON.parse(await Deno.readTextFile(await journalOf(cluster)));
  equals(written.kubeconfig, `${Deno.cwd()}/nonesuch:${cluster.kubeconfigPath}`);
  session.send("SIGTERM");
  equals((await session.ended).code, 143);
});

Deno.test("recover does not say that nothing is left when it cannot read a journal", async () => {
  await using cluster = await startFakeCluster();
  const directory = journalsOf(cluster);
  await Deno.mkdir(directory, { recursive: true });
  const session = "5e55".repeat(8);
  await Deno.writeTextFile(`${directory}/${session}.json`, '{"version":1,"sess');
  const { code, stderr } = await run(cluster, ["recover"]);
  equals(code, 255);
  match(
    stderr,
    /^T: Cannot read the journal .*\. telepresence recover 5e555e555e gives back what the cluster says of /,
  );
  ok(!stderr.includes("Nothing is left over"), stderr);
  const named = await run(cluster, ["recover", "5e555e555e"]);
  equals(named.stderr.match(/Cannot read the journal/g)?.length, 1, "who does as told hears of it once");
  match(named.stderr, /^T: Error: Cannot find anything of session "5e555e555e"/m);
});

Deno.test("recover of a session that is stopped says how it is ended", async () => {
  await using cluster = await startFakeCluster();
  const stopped = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    const directory = journalsOf(cluster);
    await Deno.mkdir(directory, { recursive: true });
    const stat = await Deno.readTextFile(`/proc/${stopped.pid}/stat`);
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    const record = {
      version: 1,
      sessionId: "5e55".repeat(8),
      since: new Date().toISOString(),
      by: "me@here",
      process: { pid: stopped.pid, started },
      cluster: { context: "fake", server: "https://127.0.0.1:1" },
      namespace: "default",
      doing: "--new-deployment web",
      steps: [{ kind: "delete", resource: "deployment", name: "web" }],
    };
    await Deno.writeTextFile(`${directory}/${record.sessionId}.json`, JSON.stringify(record));
    const ask = async () => (await run(cluster, ["recover", "5e555e55"])).stderr;
    match(await ask(), new RegExp(`it is running here\n.*: kill ${stopped.pid} ends it`));
    Deno.kill(stopped.pid, "SIGSTOP");
    while (!/^.*\) T /.test(await Deno.readTextFile(`/proc/${stopped.pid}/stat`)));
    match(await ask(), new RegExp(`it is stopped here\n.*: kill ${stopped.pid} && kill -CONT ${stopped.pid} ends it`));
  } finally {
    stopped.kill("SIGKILL");
    await stopped.status;
  }
});
