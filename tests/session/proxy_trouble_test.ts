/** "Pod never ready", as a table from cause to words, and agents that do not answer as they should. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { at, startFakeCluster, textAt, type Trouble, TROUBLES } from "../testkit/mod.ts";
import { endedWith, run, start } from "./harness.ts";

const WEB = ["-nweb", "--run", "true"];
const STARTING = "T: Starting network proxy to cluster using new Deployment web";

/** Each cause, and what is said after the first line. POD is the pod's name or the one that it would have had. */
const CAUSES: { name: string; trouble: Trouble; readyMs?: number; says: string[] }[] = [
  {
    name: "an image that cannot be pulled",
    trouble: TROUBLES.image,
    says: [
      'T: Error: The proxy does not start: its image cannot be had: ImagePullBackOff: Back-off pulling image "agent:1": ' +
      'ErrImagePull: failed to pull and unpack image "agent:1": failed to resolve reference "agent:1": failed to do ' +
      'request: Head "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host',
      "T: Hint: The cluster's nodes must be able to pull agent:1, or have it",
      "T: Hint: TELEPRESENCE_REGISTRY=HOST/PATH names another registry that has the image",
    ],
  },
  {
    name: "a quota without room",
    trouble: TROUBLES.quota,
    says: [
      'T: Error: The proxy does not start: the namespace\'s quota does not allow its pod: pods "POD" is forbidden: ' +
      "exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0",
      "T: Hint: kubectl describe resourcequota,limitrange --namespace default",
    ],
  },
  {
    name: "an admission that is refused",
    trouble: TROUBLES.admission,
    says: [
      'T: Error: The proxy does not start: its pod is not admitted: pods "POD" is forbidden: violates PodSecurity ' +
      '"restricted:latest": allowPrivilegeEscalation != false (container "telepresence" must set ' +
      "securityContext.allowPrivilegeEscalation=false)",
      "T: Hint: kubectl get events --namespace default --field-selector reason=FailedCreate",
      'T: Hint: The proxy meets the Pod Security Standard "restricted": ask who set up the policy that refuses it',
    ],
  },
  {
    name: "a container that cannot be configured",
    trouble: TROUBLES.configuration,
    says: [
      "T: Error: The proxy does not start: its container cannot be started: CreateContainerConfigError: configmap " +
      '"nope" not found',
      "T: Hint: kubectl get events --namespace default --sort-by .lastTimestamp",
    ],
  },
  {
    name: "an agent that crashes, with its last lines and without their colors",
    trouble: TROUBLES.crash,
    says: [
      "T: Error: The proxy does not start: the agent does not stay up: the agent ended with exit code 1 (Error)",
      "T: Its last lines:",
      "T:   Telepresence agent",
      "T:   error: Uncaught AddrInUse: Address already in use",
      "T:       at agent.js:1:1",
      "T: Hint: --verbose and telepresence.log tell more; please report what you see",
    ],
  },
  {
    name: "no node that has room, until the time is over",
    trouble: TROUBLES.unschedulable,
    readyMs: 1000,
    says: [
      "T: Still waiting for the proxy: Unschedulable: 0/1 nodes are available: 1 Insufficient memory. no new claims to " +
      "deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
      "T: Error: The proxy did not start within 1 s: Unschedulable: 0/1 nodes are available: 1 Insufficient memory. " +
      "no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
      "T: Hint: kubectl get events --namespace default --sort-by .lastTimestamp",
    ],
  },
  {
    name: "a pod that takes too long, with what the cluster was doing for it",
    trouble: TROUBLES.creating,
    readyMs: 1000,
    says: [
      "T: Error: The proxy did not start within 1 s: its pod is still being started",
      "T: What the cluster did for it:",
      "T:   Scheduled: Successfully assigned POD to node-1",
      'T:   Pulling: Pulling image "agent:1"',
      "T: Hint: kubectl get events --namespace default --sort-by .lastTimestamp",
    ],
  },
];

Deno.test("a proxy that does not come to run ends with 255, the API's own words and a next step", async (t) => {
  for (const { name, trouble, readyMs, says } of CAUSES) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster({ trouble });
      const options = { agentImage: "agent:1", ...(readyMs !== undefined && { readyMs }) };
      const ended = await run(cluster, WEB, options);
      const stderr = ended.stderr.replaceAll(/\bweb-[a-z0-9]{10}-[a-z0-9]{5}\b/g, "POD");
      await endedWith(cluster, { ...ended, stderr }, 255, [STARTING, ...says]);
    });
  }
});

Deno.test("an obstacle that passes is told once, and the session goes on", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.unschedulable });
  const running = start(cluster, WEB);
  await running.said(/Still waiting for the proxy: Unschedulable/);
  cluster.relieve();
  const ended = await running.ended;
  equals(ended.code, 0, ended.stderr);
  equals(ended.stderr.match(/Still waiting/g)?.length, 1);
  equals(await cluster.remaining(), []);
});

Deno.test("a volume that cannot be mounted is told in the words of the pod's events, which nothing else has", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  const running = start(cluster, WEB);
  const being = await cluster.until(
    "pods",
    "a pod is being made",
    (pod) => /ContainerCreating/.test(JSON.stringify(pod)),
  );
  const warn = (name: string, uid: string) =>
    cluster.put("events", {
      name,
      involvedObject: { kind: "Pod", name: being.metadata.name, uid },
      type: "Warning",
      reason: "FailedMount",
      message: `MountVolume.SetUp failed for volume "agent" (${name})`,
    });
  await warn("another", "of-another-pod");
  await warn("ours", String(being.metadata.uid));
  await running.said(
    /^T: Still waiting for the proxy: FailedMount: MountVolume\.SetUp failed for volume "agent" \(ours\)$/m,
  );
  cluster.relieve();
  const ended = await running.ended;
  equals(ended.code, 0, ended.stderr);
  equals(ended.stderr.match(/Still waiting for the proxy: FailedMount/g)?.length, 1);
});

Deno.test("events that we may not see are no reason to give up a pod that is late", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  cluster.faults.add({ resource: "events" }, { kind: "forbid" });
  const running = start(cluster, WEB);
  const asked = () => cluster.requests.some((line) => line.includes("/events?"));
  for (const end = performance.now() + 10_000; !asked() && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  ok(asked());
  cluster.relieve();
  equals((await running.ended).code, 0, running.stderr());
});

Deno.test("a watch that is cut, or whose version is too old, is gone on with", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  cluster.faults.add({ verb: "watch" }, { kind: "cut-answer" }, 2);
  const running = start(cluster, WEB);
  await cluster.until("pods", "a pod is being made", (pod) => JSON.stringify(pod).includes("ContainerCreating"));
  cluster.compact();
  cluster.relieve();
  equals((await running.ended).code, 0, running.stderr());
  equals(await cluster.remaining(), []);
});

Deno.test("the log of a crashed agent that we may not read is no reason to say less", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.crash });
  cluster.faults.add({ verb: "get", resource: "pods/log" }, { kind: "forbid" });
  const ended = await run(cluster, WEB);
  equals(ended.code, 255);
  match(ended.stderr, /^T: Error: The proxy does not start: .*exit code 1 \(Error\)\nT: Its log could not be read: /m);
  equals(await cluster.remaining(), []);
});

Deno.test("what answers on the agent's port and is not our agent ends with 255", async (t) => {
  await t.step("an agent of a version that we cannot talk to", async () => {
    await using cluster = await startFakeCluster({ trouble: { kind: "agent", answers: "other-protocol" } });
    await endedWith(cluster, await run(cluster, WEB), 255, [
      STARTING,
      "T: Error: Cannot use the proxy's agent: The agent is version 9.9.9 (protocol 9), this is version 0.0.0-test " +
      "(protocol 3): use the same version on both sides",
    ]);
  });
  await t.step("something else, at once", async () => {
    await using cluster = await startFakeCluster({ trouble: { kind: "agent", answers: "stranger" } });
    await endedWith(cluster, await run(cluster, WEB), 255, [
      STARTING,
      "T: Error: Cannot use the proxy's agent: Something else answers where the tunnel should be",
      "T: Hint: Run the command again: each session has a port of its own",
    ]);
  });
  await t.step("something that says nothing, in time", async () => {
    await using cluster = await startFakeCluster({ trouble: { kind: "agent", answers: "silent" } });
    await endedWith(cluster, await run(cluster, WEB, { connectMs: 1000 }), 255, [
      STARTING,
      "T: Error: Cannot reach the agent in its pod: it did not answer within 1 s",
      "T: It wrote no log",
    ]);
  });
  await t.step("nobody, in the node's words", async () => {
    await using cluster = await startFakeCluster({ trouble: { kind: "agent", answers: "none" } });
    const ended = await run(cluster, WEB, { connectMs: 1000 });
    equals(ended.code, 255);
    match(
      ended.stderr,
      /^T: Error: Cannot reach the agent in its pod: it did not answer within 1 s: error forwarding port \d+ to pod .*connection refused/m,
    );
    equals(await cluster.remaining(), []);
  });
});

Deno.test("a pod that goes while we connect to it is told as that", async (t) => {
  const connecting = async (act: (cluster: Awaited<ReturnType<typeof startFakeCluster>>) => void | Promise<void>) => {
    await using cluster = await startFakeCluster();
    const hold = cluster.faults.hold({ resource: "pods/portforward" });
    const running = start(cluster, WEB);
    await hold.reached;
    await act(cluster);
    hold.release();
    const ended = await running.ended;
    equals({ code: ended.code, stdout: ended.stdout }, { code: 255, stdout: "" }, ended.stderr);
    equals(await cluster.remaining(), []);
    return ended.stderr;
  };
  await t.step("evicted", async () => {
    const stderr = await connecting((cluster) => cluster.evictPod());
    match(stderr, /^T: Error: The proxy does not start: its pod was taken away: Evicted: The node was low on /m);
  });
  await t.step("crashed", async () => {
    const stderr = await connecting((cluster) => cluster.crashPod(137, "the last thing"));
    match(stderr, /^T: Error: The proxy does not start: the agent does not stay up: .*137[^]*\nT: {3}the last thing$/m);
  });
  await t.step("deleted", async () => {
    const stderr = await connecting(async (cluster) => {
      const { metadata: { uid } } = cluster.pod();
      cluster.deletePod();
      await cluster.until("pods", "another pod is there", (pod) => {
        return pod.metadata.uid !== uid && textAt(pod, "status", "phase") === "Running";
      });
    });
    match(stderr, /^T: Error: The proxy's pod "web-\w+-\w+" was deleted$/m);
  });
});

Deno.test("the ConfigMap belongs to the Deployment, and the pod to what Pod Security calls restricted", async () => {
  await using cluster = await startFakeCluster({ trouble: TROUBLES.creating });
  const running = start(cluster, WEB);
  const configMap = await cluster.until("configmaps", "it is owned", (object) => {
    return Array.isArray(object.metadata["ownerReferences"]);
  });
  const [deployment] = cluster.objects("deployments");
  const owners = configMap.metadata["ownerReferences"];
  ok(Array.isArray(owners) && textAt(owners[0], "uid") === deployment?.metadata.uid);
  equals(at(deployment, "spec", "template", "spec", "securityContext", "runAsNonRoot"), true);
  running.send("SIGINT");
  equals((await running.ended).code, 130);
  equals(await cluster.remaining(), []);
});
