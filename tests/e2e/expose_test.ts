/** The page "What gets proxied", part "Networking access from the cluster", on a real cluster. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { isNotFound, services } from "@/kube/mod.ts";
import { sleep } from "@/util/mod.ts";
import { type Cluster, clusterTest, inAnotherPod, leavesNothing, start } from "./harness.ts";

/** Asks from another pod until the answer comes: a Service's name takes a moment to be known everywhere. */
async function askFromAnotherPod(cluster: Cluster, url: string): Promise<string> {
  const end = performance.now() + 30_000;
  for (;;) {
    const { code, stdout, stderr } = await inAnotherPod(cluster, "curl", "-sS", "--max-time", "5", url);
    if (code === 0) return stdout;
    if (performance.now() > end) throw new Error(`Another pod gets no answer from ${url}: ${stderr}`);
    await sleep(300);
  }
}

clusterTest(
  "--expose 8080 --new-deployment example: the cluster reaches the local server by the Deployment's name",
  async (cluster) => {
    await Deno.writeTextFile(`${cluster.directory}/here.txt`, "served by the host\n");
    await leavesNothing(cluster, async () => {
      const words = [
        "--expose",
        "8080",
        "--new-deployment",
        "example",
        "--run",
        "python3",
        "-m",
        "http.server",
        "8080",
      ];
      await using running = start(cluster, words);
      await running.said(/Forwarding remote port 8080 to local port 8080\./);
      equals(await askFromAnotherPod(cluster, "http://example:8080/here.txt"), "served by the host\n");
      const full = `http://example.${cluster.namespace}.svc.cluster.local:8080/`;
      match(await askFromAnotherPod(cluster, full), /Directory listing/);
      running.kill("SIGINT");
      const { code } = await running.ended();
      equals(code, 0, "http.server ends with 0 at an interrupt, so we do"); // the command chose its code
      await serviceIsGone(cluster, "example");
    });
  },
);

// The page has a slip: the local server of `--expose 8080:80` listens on 8080.
clusterTest("--expose 8080:80 --new-deployment example2: port 80 of the pod, without a root image", async (cluster) => {
  await Deno.writeTextFile(`${cluster.directory}/here.txt`, "port 80\n");
  await leavesNothing(cluster, async () => {
    const words = [
      "--expose",
      "8080:80",
      "--new-deployment",
      "example2",
      "--run",
      "python3",
      "-m",
      "http.server",
      "8080",
    ];
    await using running = start(cluster, words);
    await running.said(/Forwarding remote port 80 to local port 8080\./);
    equals(await askFromAnotherPod(cluster, "http://example2/here.txt"), "port 80\n");
    running.kill("SIGTERM");
    equals((await running.ended()).code, 143);
  });
});

clusterTest("a connection that finds no local server is told, with what --expose means", async (cluster) => {
  await leavesNothing(cluster, async () => {
    await using running = start(cluster, ["--expose", "8099:8098", "-nlonely", "--run", "sleep", "60"]);
    await running.said(/Forwarding/);
    while (
      (await inAnotherPod(cluster, "sh", "-c", "curl -sS --max-time 5 http://lonely:8098")).stderr.includes("resolve")
    ) {
      await sleep(300);
    }
    await running.said(/Nothing listens on 127\.0\.0\.1:8099, where connections to the pod's port 8098 go/);
    running.kill("SIGINT");
    equals((await running.ended()).code, 130);
  });
});

async function serviceIsGone(cluster: Cluster, name: string): Promise<void> {
  try {
    await cluster.kube.get(services, { namespace: cluster.namespace, name });
    throw new Error(`Service ${name} is still there after the end`);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
