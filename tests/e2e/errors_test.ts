/**
 * What the program must bear, on a real cluster: each trouble ends with one clear sentence in the API's own words, a
 * next step, the right exit code, and nothing left.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { deployments, namespaces, pods, untyped } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import {
  type Cluster,
  clusterTest,
  endedSoon,
  leavesNothing,
  makeNamespace,
  PROGRAM,
  run,
  start,
  until,
  withNamespace,
  withToken,
} from "./harness.ts";
import { writeKubeconfig } from "../cluster/write_kubeconfig.ts";

interface Wanted {
  code?: number;
  says: RegExp[];
}

/** Runs the program, which must fail like this and leave nothing. */
async function fails(cluster: Cluster, args: readonly string[], { code = 255, says }: Wanted): Promise<void> {
  await leavesNothing(cluster, async () => {
    const ended = await run(cluster, ...args);
    equals(ended.code, code, ended.stderr);
    equals(ended.stdout, "");
    for (const words of says) match(ended.stderr, words);
  });
}

clusterTest("an unknown context is told with the contexts that there are", async (cluster) => {
  await fails(cluster, ["--context", "nowhere", "--run", "true"], { says: [/^T: Error: .*nowhere/m, /^T: Hint: /m] });
});

clusterTest("a namespace that is not there is told, with how to see which there are", async (cluster) => {
  const says = [
    /^T: Error: Cannot use namespace "nowhere": there is no such namespace/m,
    /Hint: .*kubectl get namespaces/,
  ];
  await fails(cluster, ["--namespace", "nowhere", "--run", "true"], { says });
});

clusterTest("a name that is taken is told, and what has it stays", async (cluster) => {
  await fails(cluster, ["--new-deployment", "helloworld", "--run", "true"], {
    says: [
      new RegExp(`Cannot create Deployment "helloworld" in namespace "${cluster.namespace}": the name is taken`),
      /Hint: .*helloworld-2/,
    ],
  });
});

clusterTest("a server that cannot be reached is told with its address", async (cluster) => {
  await writeKubeconfig(`${cluster.directory}/k`, { ...cluster.kube.config, server: "https://127.0.0.1:1" });
  const ended = await run({ ...cluster, kubeconfig: `${cluster.directory}/k` }, "--run", "true");
  equals(ended.code, 255);
  match(ended.stderr, /^T: Error: .*127\.0\.0\.1:1.*refused/im);
});

clusterTest("a command that is not there is refused before anything is made", async (cluster) => {
  await fails(cluster, ["--run", "no-such-command"], { says: [/no-such-command: command not found/] });
});

clusterTest("somebody without rights is told which right is lacking", async (cluster) => {
  await fails(await withoutRights(cluster), ["--run", "true"], {
    says: [new RegExp(`is forbidden: User "system:serviceaccount:${cluster.namespace}:default" cannot`)],
  });
});

clusterTest("an image that cannot be had is told in the kubelet's words", async (cluster) => {
  await fails(
    { ...cluster, env: { TELEPRESENCE_REGISTRY: "127.0.0.1:1/none" } },
    ["--run", "true"],
    {
      says: [
        /The proxy does not start: its image cannot be had: .*127\.0\.0\.1:1\/none\/deno/,
        /Hint: .*TELEPRESENCE_REGISTRY/,
      ],
    },
  );
});

clusterTest("a quota without room is told in the API's words", async (cluster) => {
  await using space = await openNamespace(cluster, [{
    plural: "resourcequotas",
    kind: "ResourceQuota",
    object: { metadata: { name: "tight" }, spec: { hard: { pods: "0" } } },
  }]);
  await fails(cluster, ["--namespace", space.name, "--run", "true"], {
    says: [
      /The proxy does not start: the namespace's quota does not allow its pod: .*exceeded quota: tight/,
      /Hint: kubectl describe resourcequota/,
    ],
  });
});

clusterTest("limits of a namespace that the proxy breaks are told as an admission that is refused", async (cluster) => {
  await using space = await openNamespace(cluster, [{
    plural: "limitranges",
    kind: "LimitRange",
    object: { metadata: { name: "small" }, spec: { limits: [{ type: "Container", max: { memory: "8Mi" } }] } },
  }]);
  await fails(cluster, ["--namespace", space.name, "--run", "true"], {
    says: [/The proxy does not start: its pod is not admitted: .*maximum memory usage per Container is 8Mi/],
  });
});

clusterTest("a pod that no node takes is told while it waits, and Ctrl-C then ends with 130", async (cluster) => {
  const unobtainable = { "example.com/unobtainium": "1" };
  await using space = await openNamespace(cluster, [{
    plural: "limitranges",
    kind: "LimitRange",
    object: {
      metadata: { name: "huge" },
      spec: { limits: [{ type: "Container", defaultRequest: unobtainable, default: unobtainable }] },
    },
  }]);
  await leavesNothing(cluster, async () => {
    await using running = start(cluster, ["--namespace", space.name, "--run", "true"]);
    await running.said(/Still waiting for the proxy: Unschedulable: 0\/\d+ nodes are available: .*unobtainium/);
    running.kill("SIGINT");
    equals((await running.ended()).code, 130);
    equals((await cluster.kube.list(deployments, { namespace: space.name })).items, []);
  });
});

clusterTest("Ctrl-C at any moment of the start ends with 130 and leaves nothing", async (cluster) => {
  await leavesNothing(cluster, async () => {
    for (const ms of [20, 150, 300, 500, 800, 1100, 1400]) {
      await using running = start(cluster, ["--expose", "8097", "-nearly", "--run", "sleep", "60"]);
      await new Promise((resolve) => setTimeout(resolve, ms));
      running.kill("SIGINT");
      const { code, stderr } = await running.ended();
      equals(code, 130, stderr);
      await until("the name is free", async () => {
        const { items } = await cluster.kube.list(deployments, {
          namespace: cluster.namespace,
          fieldSelector: "metadata.name=early",
        });
        return items.length === 0;
      });
    }
  });
});

clusterTest("SIGTERM and SIGHUP while the command runs end with 143 and 129", async (cluster) => {
  await leavesNothing(cluster, async () => {
    for (const [signal, code] of [["SIGTERM", 143], ["SIGHUP", 129]] as const) {
      await using running = start(cluster, ["--run", "sh", "-c", "echo up >&2; exec sleep 60"]);
      await running.said(/^up$/m);
      running.kill(signal);
      equals((await running.ended()).code, code);
    }
  });
});

clusterTest("a command that chooses its code after Ctrl-C keeps it", async (cluster) => {
  await using running = start(cluster, [
    "--run",
    "sh",
    "-c",
    "trap 'exit 7' INT; echo up >&2; while :; do sleep 0.1; done",
  ]);
  await running.said(/^up$/m);
  running.kill("SIGINT");
  equals((await running.ended()).code, 7);
});

clusterTest("a proxy that is deleted for good ends the session with 255, and the command with it", async (cluster) => {
  await leavesNothing(cluster, async () => {
    await using running = start(cluster, ["-nshort", "--run", "sh", "-c", "echo up $$ >&2; exec sleep 61"]);
    await running.said(/^up \d+$/m);
    const where = { namespace: cluster.namespace, name: "short" };
    await cluster.kube.delete(deployments, where);
    const { code, stderr } = await endedSoon(running);
    equals(code, 255);
    match(stderr, /Proxy to Kubernetes exited\. This is typically due to a lost connection\./);
    const [, pid] = /^up (\d+)$/m.exec(stderr) ?? [];
    equals((await runProgram(["kill", "-0", pid ?? "none"])).code, 1, "the command is still there");
  });
});

clusterTest(
  "a proxy whose namespace is deleted is gone for good: 255, and the command ends with it",
  async (cluster) => {
    await withNamespace(cluster, "gone", async (namespace) => {
      await using running = start(cluster, [
        "--namespace",
        namespace,
        "--run",
        "sh",
        "-c",
        "echo up >&2; exec sleep 300",
      ]);
      await running.said(/^up$/m);
      await cluster.kube.delete(namespaces, { name: namespace });
      const { code, stderr } = await endedSoon(running);
      equals(code, 255, stderr);
      match(
        stderr,
        /^T: Error: Cannot go on in namespace "gone-[^"]+": it (was|is being) deleted, and the proxy with it$/m,
      );
    });
  },
);

clusterTest("a log that cannot be written here goes to the state directory, in one line", async (cluster) => {
  const state = `${cluster.directory}/state`;
  const { code, stderr } = await runProgram(["sh", "-c", `cd /proc && '${PROGRAM}' --run true`], {
    env: { KUBECONFIG: cluster.kubeconfig, XDG_STATE_HOME: state },
  });
  equals(code, 0, stderr);
  match(stderr, /the log is .*\/state\/telepresence\/telepresence\.log/);
  equals((await Deno.stat(`${state}/telepresence/telepresence.log`)).isFile, true);
});

interface Extra {
  readonly plural: string;
  readonly kind: string;
  readonly object: { readonly metadata: { readonly name: string }; readonly spec: unknown };
}

/** A namespace with objects in it, deleted at the end. */
async function openNamespace(
  { kube }: Cluster,
  extras: readonly Extra[],
): Promise<{ name: string } & AsyncDisposable> {
  const name = await makeNamespace({ kube }, "e2e");
  for (const { plural, kind, object } of extras) {
    await kube.create(untyped({ ...pods, plural, kind }), {
      ...object,
      metadata: { ...object.metadata, namespace: name },
    });
  }
  return { name, [Symbol.asyncDispose]: () => kube.delete(namespaces, { name }) };
}

/** The same cluster for a service account that may do nothing. */
async function withoutRights(cluster: Cluster): Promise<Cluster> {
  const token = untyped({ ...pods, plural: "serviceaccounts/default/token", kind: "TokenRequest" });
  const made = await cluster.kube.create(token, {
    apiVersion: "authentication.k8s.io/v1",
    metadata: { namespace: cluster.namespace, name: "default" },
    spec: {},
  });
  const { token: bearer } = made["status"] as { token: string };
  return await withToken(cluster, bearer);
}
