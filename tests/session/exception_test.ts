/**
 * The row of the fault table that a signal or an API server cannot play: an exception in our own program, at each step
 * of a swap, before the step is done and when it was done and nothing of ours knows it yet.
 */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { type KubeClient, openKubeClient } from "@/kube/mod.ts";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, run, start } from "./harness.ts";
import { essence, putWeb } from "./web.ts";

/** A swap whose command runs until it is ended. */
const swap = (
  { directory }: FakeCluster,
) => ["-s", "web", "--run", "sh", "-c", `echo > ${directory}/up; exec sleep 60`];

/** When the exception comes, for what the API server is asked. */
type When = "before" | "after";

const bug = () => new TypeError("a bug of ours");

/** A client whose caller gets an exception for what `isMeant` says, so many times. */
function failing(
  isMeant: (verb: keyof KubeClient, plural: string, isDryRun: boolean) => boolean,
  when: When,
  times: number,
): typeof openKubeClient {
  return (...args) => {
    const kube = openKubeClient(...args);
    let left = times;
    const failed = async <T>(act: () => Promise<T>, ...about: Parameters<typeof isMeant>): Promise<T> => {
      if (left === 0 || !isMeant(...about)) return await act();
      left--;
      if (when === "after") await act();
      throw bug();
    };
    const isDry = (options?: { readonly dryRun?: boolean }) => options?.dryRun ?? false;
    return {
      ...kube,
      create: (resource, object, options) =>
        failed(() => kube.create(resource, object, options), "create", resource.plural, isDry(options)),
      patch: (resource, where, patch, options) =>
        failed(() => kube.patch(resource, where, patch, options), "patch", resource.plural, isDry(options)),
      delete: (resource, where, options) =>
        failed(() => kube.delete(resource, where, options), "delete", resource.plural, false),
      async portForward(pod, port, options) {
        if (when === "before") {
          return await failed(() => kube.portForward(pod, port, options), "portForward", "", false);
        }
        const duplex = await kube.portForward(pod, port, options);
        return await failed(() => Promise.resolve(duplex), "portForward", "", false).catch((error) => {
          duplex.close();
          throw error;
        });
      },
    };
  };
}

const STEPS = [
  ["claiming the place", "create", "configmaps"],
  ["making the proxy", "create", "deployments"],
  ["reaching the agent", "portForward", ""],
  ["letting Services find it", "patch", "pods"],
  ["scaling the original down", "patch", "deployments"],
] as const;

Deno.test("an exception in our own program gives everything back and is told as a bug, wherever it comes", async (t) => {
  for (const [step, verb, plural] of STEPS) {
    for (const when of ["before", "after"] as const) {
      await t.step(`${step}: ${when}`, async () => {
        await using cluster = await startFakeCluster();
        await putWeb(cluster);
        const before = essence(cluster);
        const isMeant: Parameters<typeof failing>[0] = (asked, of, isDry) => asked === verb && of === plural && !isDry;
        const isRepeated = verb === "portForward"; // it is tried until the agent answers
        const openKube = failing(isMeant, when, isRepeated ? Infinity : 1);
        const { code, stderr } = await run(cluster, swap(cluster), { openKube, connectMs: 500 });
        equals([await cluster.remaining(), essence(cluster)], [[], before], stderr);
        match(stderr, /TypeError: a bug of ours|Cannot reach the agent in its pod: .*: a bug of ours/);
        equals(code, isRepeated ? 255 : 1, stderr);
        ok(!stderr.includes("Cleanup failed"), stderr);
      });
    }
  }
  await t.step("launching the command", async () => {
    await using cluster = await startFakeCluster();
    await putWeb(cluster);
    const before = essence(cluster);
    const { code, stderr } = await run(cluster, swap(cluster), {
      telling: (teller) => ({
        ...teller,
        chat(line) {
          if (line.startsWith("Setup complete")) throw bug();
          teller.chat(line);
        },
      }),
    });
    equals([await cluster.remaining(), essence(cluster)], [[], before], stderr);
    equals(code, 1);
    match(stderr, /TypeError: a bug of ours/);
  });
});

/** The session's process is this one, which goes on: it is made another one of the same number. */
async function endProcess({ directory }: FakeCluster): Promise<void> {
  const sessions = `${directory}/.local/state/telepresence/sessions`;
  for await (const { name } of Deno.readDir(sessions)) {
    const record = JSON.parse(await Deno.readTextFile(`${sessions}/${name}`));
    record.process.started = "another";
    await Deno.writeTextFile(`${sessions}/${name}`, JSON.stringify(record));
  }
}

Deno.test("an exception while one thing is given back keeps nothing else from it, and is recovered from", async (t) => {
  const giving = [["patch", "deployments"], ["delete", "deployments"], ["delete", "configmaps"]] as const;
  for (const [verb, plural] of giving) {
    for (const when of ["before", "after"] as const) {
      await t.step(`${verb} ${plural}: ${when}`, async () => {
        await using cluster = await startFakeCluster();
        await putWeb(cluster);
        const before = essence(cluster);
        let isGivingBack = false;
        const isMeant: Parameters<typeof failing>[0] = (asked, of) => isGivingBack && asked === verb && of === plural;
        const session = start(cluster, swap(cluster), { openKube: failing(isMeant, when, Infinity), cleanUpMs: 700 });
        await appears(cluster.directory, "up");
        isGivingBack = true;
        session.send("SIGTERM");
        const { code, stderr } = await session.ended;
        equals(code, 143, stderr);
        // What was done is found done at the next attempt.
        equals(/^T: Cleanup failed: .*a bug of ours/m.test(stderr), when === "before", stderr);
        if (when === "before") {
          equals(essence(cluster) === before, verb === "delete", "only what met the exception is left");
          await endProcess(cluster);
          const { code, stderr } = await run(cluster, ["recover"]);
          equals(code, 0, stderr);
        }
        equals([await cluster.remaining(), essence(cluster)], [[], before], stderr);
      });
    }
  }
});
