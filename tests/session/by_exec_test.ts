/** Sessions on a cluster that lets nobody forward ports: the tunnel goes through commands in the agent's container. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { type FakeCluster, type Fault, Refusal, startFakeCluster } from "../testkit/mod.ts";
import { appears, endedWith, readLog, run, start } from "./harness.ts";

const STARTING = "T: Starting network proxy to cluster using new Deployment web";

/** What is asked for streams, each sort of request once. */
function streamsOf({ requests }: FakeCluster): string[] {
  return [
    ...new Set(requests.flatMap((line) => /(POST|GET) .*\/(portforward|exec)\b/.exec(line)?.slice(1).join(" ") ?? [])),
  ];
}

const REFUSALS: { name: string; fault: Fault; knowsV5?: boolean }[] = [
  { name: "RBAC forbids pods/portforward", fault: { kind: "forbid" } },
  { name: "RBAC forbids pods/portforward, and exec speaks v4 alone", fault: { kind: "forbid" }, knowsV5: false },
  {
    name: "a proxy that knows no such page",
    fault: { kind: "page", status: 404, text: "404 page not found\n" },
  },
  { name: "a proxy that breaks such connections off", fault: { kind: "cut" } },
  {
    name: "a gateway that does not pass the upgrade on",
    fault: { kind: "refuse", refusal: new Refusal(400, "Upgrade request required", { reason: "BadRequest" }) },
  },
];

Deno.test("a session works by exec where port-forwards are refused:", async (t) => {
  for (const { name, fault, knowsV5 = true } of REFUSALS) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster({ knowsV5 });
      cluster.faults.add({ resource: "pods/portforward" }, fault);
      const ended = await run(cluster, ["-nweb", "--run", "sh", "-c", `env > ${cluster.directory}/env; exit 7`]);
      await endedWith(cluster, ended, 7, [STARTING]);
      // The environment came through the tunnel.
      match(await Deno.readTextFile(`${cluster.directory}/env`), /^KUBERNETES_SERVICE_HOST=10\.96\.0\.1$/m);
      equals(streamsOf(cluster), ["GET portforward", "GET exec"]);
      const tries = cluster.requests.filter((line) => line.includes("/portforward")).length;
      equals(tries, fault.kind === "cut" ? 2 : 1, "the way is remembered");
      match(readLog(cluster), /A port-forward by websocket was refused: .*\n.* Port-forwards go by exec\n/);
    });
  }
});

Deno.test("a session by exec goes on when its carriers are cut", async () => {
  await using cluster = await startFakeCluster();
  cluster.faults.add({ resource: "pods/portforward" }, { kind: "forbid" });
  const { directory } = cluster;
  const session = start(cluster, [
    ...["--expose", "18799:80", "-nweb", "--run", "sh", "-c"],
    `echo > ${directory}/up; while [ ! -e ${directory}/enough ]; do sleep 0.05; done`,
  ]);
  await appears(directory, "up");
  const streams = () => cluster.requests.filter((line) => line.includes("/exec?")).length;
  const before = streams();
  cluster.dropCarriers();
  while (streams() < before + 2) await new Promise((resolve) => setTimeout(resolve, 20)); // one for each lane
  ok(cluster.podPort(80) !== undefined, "the agent is still the same one: its port is open");
  await Deno.writeTextFile(`${directory}/enough`, "");
  await endedWith(cluster, await session.ended, 0, [STARTING, "T: Forwarding remote port 80 to local port 18799."]);
});
