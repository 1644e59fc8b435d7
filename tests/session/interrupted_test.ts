/** Signals: at each step of the start, while the command runs, and during the clean-up. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { requireProgram } from "@/process/mod.ts";
import { type FakeCluster, type FakeClusterOptions, type Match, startFakeCluster, TROUBLES } from "../testkit/mod.ts";
import { appears, endedWith, start, startRunning as running } from "./harness.ts";

const WEB = ["-nweb", "--run", "sleep", "60"];
const EXPOSED = ["--expose", "9999:9998", ...WEB];
const STARTING = "T: Starting network proxy to cluster using new Deployment web";
const INTERRUPT = "T: Keyboard interrupt (Ctrl-C/Ctrl-Break) pressed. Cleaning up ...";

/** Steps of the start at which a request can be held. */
const STEPS: { name: string; match: Match; args?: string[]; before?: boolean }[] = [
  { name: "the check of rights and names", match: { verb: "create", dryRun: true }, before: true },
  { name: "making the ConfigMap", match: { verb: "create", resource: "configmaps", dryRun: false } },
  { name: "making the Deployment", match: { verb: "create", resource: "deployments", dryRun: false } },
  { name: "giving the ConfigMap to the Deployment", match: { verb: "patch", resource: "configmaps" } },
  { name: "looking for the pod", match: { verb: "list", resource: "pods" } },
  { name: "opening the port-forward", match: { verb: "get", resource: "pods/portforward" } },
  { name: "making the Service", match: { verb: "create", resource: "services", dryRun: false }, args: EXPOSED },
];

Deno.test("Ctrl-C at each step of the start ends with 130 and leaves nothing", async (t) => {
  for (const { name, match: held, args = WEB, before = false } of STEPS) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster();
      const hold = cluster.faults.hold(held);
      const running = start(cluster, args);
      await hold.reached;
      running.send("SIGINT");
      await running.said(/Cleaning up/);
      hold.release(); // a create is waited for: what came of it must be known
      const lines = before ? [INTERRUPT] : [
        STARTING,
        ...(args === EXPOSED ? ["T: Forwarding remote port 9998 to local port 9999."] : []),
        INTERRUPT,
      ];
      await endedWith(cluster, await running.ended, 130, lines);
    });
  }
  const troubles = [
    ["while the pod is being made", { trouble: TROUBLES.creating }],
    ["while no node has room", { trouble: TROUBLES.unschedulable }],
    ["while the agent says nothing", { trouble: { kind: "agent", answers: "silent" } }],
    ["while nobody listens on the agent's port", { trouble: { kind: "agent", answers: "none" } }],
  ] as const satisfies [string, FakeClusterOptions][];
  for (const [name, options] of troubles) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster(options);
      const running = start(cluster, WEB);
      await cluster.until("pods", "it has a state", (pod) => {
        return /ContainerCreating|Unschedulable/.test(JSON.stringify(pod)) && options.trouble.kind !== "agent" ||
          /startedAt/.test(JSON.stringify(pod));
      });
      running.send("SIGINT");
      const { code, stderr } = await running.ended;
      equals(code, 130, stderr);
      match(stderr, /Cleaning up \.\.\.\n$/);
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("a create that is never answered is not waited for for ever, and what it made goes", async () => {
  await using cluster = await startFakeCluster();
  cluster.faults.add({ verb: "create", resource: "deployments", dryRun: false }, { kind: "stall" });
  const ended = await start(cluster, WEB, { createMs: 1000 }).ended;
  await endedWith(cluster, ended, 255, [
    STARTING,
    'T: Error: Cannot create deployment/web in namespace "default": the API server did not answer within 1 s',
  ]);
});

Deno.test("a signal ends the command too, and the code is the signal's unless the command chose one", async (t) => {
  const codes = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;
  for (const [name, code] of codes) {
    await t.step(`${name} and a command that dies of it: ${code}`, async () => {
      await using cluster = await startFakeCluster();
      const session = await running(cluster);
      session.send(name);
      const said = name === "SIGINT" ? INTERRUPT : `T: Received signal ${name}. Cleaning up ...`;
      await endedWith(cluster, await session.ended, code, [STARTING, said]);
    });
    await t.step(`${name} and a command that chooses 7: 7`, async () => {
      await using cluster = await startFakeCluster();
      const gate = `${cluster.directory}/gate`;
      await requireProgram(["mkfifo", gate]);
      const script = `trap 'exit 7' INT TERM HUP; exec 3<>${gate}; echo > ${cluster.directory}/trapped; read _ <&3`;
      const session = start(cluster, ["-nweb", "--run", "sh", "-c", script]);
      await appears(cluster.directory, "trapped");
      session.send(name);
      equals((await session.ended).code, 7);
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("a second Ctrl-C does not break the clean-up; a third ends it and says what is left", async (t) => {
  const cleaning = async (cluster: FakeCluster) => {
    const session = await running(cluster);
    const hold = cluster.faults.hold({ verb: "delete", resource: "deployments" });
    session.send("SIGINT");
    await hold.reached;
    await tick(); // signals this close are one
    session.send("SIGINT");
    await session.said(/Still cleaning up \.\.\. Once more ends telepresence at once and leaves things behind\./);
    return { session, hold };
  };
  await t.step("two", async () => {
    await using cluster = await startFakeCluster();
    const { session, hold } = await cleaning(cluster);
    hold.release();
    await endedWith(cluster, await session.ended, 130, [
      STARTING,
      INTERRUPT,
      "T: Still cleaning up ... Once more ends telepresence at once and leaves things behind.",
    ]);
    equals(session.exits, []);
  });
  await t.step("three", async () => {
    await using cluster = await startFakeCluster();
    const { session, hold } = await cleaning(cluster);
    await tick();
    session.send("SIGINT");
    await session.said(/configmap\/telepresence/);
    equals(session.exits, [130]);
    match(
      session.stderr(),
      /^T: Ended before the clean-up was done\. This is left, to be deleted by hand:\nT: {3}kubectl delete configmap\/telepresence-\w+-agent --namespace default\nT: {3}kubectl delete deployment\/web --namespace default\n$/m,
    );
    hold.release(); // in this process the session goes on
    await session.ended;
    equals(await cluster.remaining(), []);
  });
});

Deno.test("an API server that is gone during the clean-up: what is left, and the commands that delete it", async (t) => {
  const left = /^T: Cleanup failed: Cannot delete (\S+) in namespace "default": .*$/gm;
  await t.step("it never comes back", async () => {
    await using cluster = await startFakeCluster();
    const session = start(cluster, WEB, { cleanUpMs: 300 });
    const { metadata: { name } } = await cluster.until("configmaps", "it is owned", ({ metadata }) => {
      return metadata["ownerReferences"] !== undefined;
    });
    await cluster.goDown();
    session.send("SIGINT");
    const { code, stderr } = await session.ended;
    equals(code, 130, stderr);
    equals([...stderr.matchAll(left)].map(([, what]) => what), ["deployment/web", `configmap/${name}`]);
    ok(stderr.includes("T: The API server does not answer. Trying again ...\n"), stderr);
    ok(stderr.includes("T: Hint: kubectl delete deployment/web --namespace default\n"), stderr);
    ok(stderr.includes(`T: Hint: kubectl delete configmap/${name} --namespace default\n`), stderr);
  });
  await t.step("it never answers", async () => {
    await using cluster = await startFakeCluster();
    const session = start(cluster, WEB, { cleanUpMs: 300 });
    await cluster.until("deployments", "it is there", () => true);
    cluster.faults.add({ verb: "delete" }, { kind: "stall" });
    session.send("SIGTERM");
    const { code, stderr } = await session.ended;
    equals(code, 143, stderr);
    const words = 'Cannot delete deployment/web in namespace "default": the API server did not answer within 0.3 s';
    ok(
      stderr.includes(`T: Cleanup failed: ${words}\nT: Hint: kubectl delete deployment/web --namespace default\n`),
      stderr,
    );
  });
  await t.step("it comes back: nothing is left", async () => {
    await using cluster = await startFakeCluster();
    const session = await running(cluster, ["true"]);
    cluster.faults.add({ verb: "delete", resource: "deployments" }, { kind: "cut" }, 2);
    cluster.faults.add({ verb: "delete", resource: "configmaps" }, { kind: "cut-answer" }, 1);
    const ended = await session.ended;
    equals(ended.code, 0, ended.stderr);
    ok(!ended.stderr.includes("Cleanup failed"), ended.stderr);
    equals(await cluster.remaining(), []);
  });
  await t.step("it refuses: the command's code stays, and the rule is named", async () => {
    await using cluster = await startFakeCluster();
    const gate = `${cluster.directory}/gate`;
    await requireProgram(["mkfifo", gate]);
    const session = await running(cluster, ["sh", "-c", `read _ < ${gate}; exit 5`]);
    cluster.faults.add({ verb: "delete", resource: "deployments" }, { kind: "forbid" });
    await Deno.writeTextFile(gate, "\n");
    const { code, stderr } = await session.ended;
    equals(code, 5, stderr);
    match(
      stderr,
      /^T: Cleanup failed: Cannot delete deployment\/web in namespace "default": deployments\.apps "web" is forbidden: /m,
    );
    match(stderr, /^T: Hint: The rule that is missing: .*deployments.*delete/m);
    match(stderr, /^T: Hint: kubectl delete deployment\/web --namespace default$/m);
    match(stderr, /^T: WARNING: Failures during cleanup\. See above\.$/m);
  });
});

/** Longer than signals that count as one. */
async function tick(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, 260);
  await promise;
}
