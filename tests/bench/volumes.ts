/**
 * `make bench`, the pod's volumes: the mount of a session against the same session's own connections, in interleaved
 * rounds. Prints the tables of `docs/benchmarks.md`, "Volumes".
 *
 * Everything is the whole program on the embedded cluster: dd asks the kernel, which asks sshfs, which asks through
 * mux, link, port-forwards and API server the agent in the pod of a swapped Deployment.
 *
 * @module
 */
import { deployments, loadKubeconfig, namespaces, openKubeClient, serviceAccounts } from "@/kube/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import { buildLoad, delayCluster, lines, type Load, median, PORT, print, PROGRAM, show, startPod } from "./setting.ts";
import { openSsh, type Ssh } from "./ssh.ts";

const ROUNDS = Number(Deno.env.get("ROUNDS") ?? 3);
const MEGABYTES = 200;
const ENTRIES = 5_000;
const NAMESPACE = `bench-${crypto.randomUUID().slice(0, 8)}`;

const { kubeconfig } = await ensureCluster();
const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
await using kube = openKubeClient(config);
const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
try {
  const load = await buildLoad(directory);
  await kube.create(namespaces, { metadata: { name: NAMESPACE } });
  while ((await kube.list(serviceAccounts, { namespace: NAMESPACE })).items.length === 0) await sleep(100);
  const address = await startPod(kube, load, { namespace: NAMESPACE, name: "load" });
  await makeWorkload();
  await measureAt(0, kubeconfig, address, load);
  using far = await delayCluster(config, { kubeconfig, rttMs: 20, directory });
  await measureAt(20, far.kubeconfig, address, load);
} finally {
  await kube.delete(namespaces, { name: NAMESPACE }).catch(() => {});
  await Deno.remove(directory, { recursive: true });
}

/** A Deployment with an emptyDir, in which there is a directory of many entries. */
async function makeWorkload(): Promise<void> {
  const labels = { app: "files" };
  const many =
    `mkdir -p /data/many && cd /data/many && i=0; while [ $i -lt ${ENTRIES} ]; do : >entry-$i; i=$((i+1)); done`;
  const container = {
    image: "tools:1",
    imagePullPolicy: "Never",
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  };
  await kube.create(deployments, {
    metadata: { name: "files", namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
          initContainers: [{ ...container, name: "many", command: ["sh", "-c", many] }],
          containers: [{ ...container, name: "files", command: ["sleep", "infinity"] }],
          volumes: [{ name: "data", emptyDir: {} }],
        },
      },
    },
  });
}

/** One thing that is measured: a shell script that prints a number, and what it is. */
interface Metric {
  readonly name: string;
  readonly script: string;
}

async function measureAt(rttMs: number, path: string, address: string, load: Load): Promise<void> {
  await using session = openSession(path);
  await using ssh = await openSsh(kube, { kubeconfig: path, namespace: NAMESPACE, directory }).catch(noSsh);
  await Deno.writeFile(`${directory}/f`, new Uint8Array(MEGABYTES * 1024 * 1024));
  const dd = (words: string) => `dd bs=1M ${words} 2>&1 | sed -n 's/.* \\([0-9.e+-]*\\) s,.*/\\1/p'`;
  const data = "$TELEPRESENCE_ROOT/data";
  const metrics: readonly Metric[] = [
    { name: "write", script: dd(`if=/dev/zero of=${data}/f count=${MEGABYTES} conv=fsync`) },
    { name: "up", script: `${load.dynamic} up ${address} ${PORT} ${MEGABYTES}` },
    { name: "read", script: dd(`if=${data}/f of=/dev/null`) },
    { name: "down", script: `${load.dynamic} down ${address} ${PORT} ${MEGABYTES}` },
    {
      name: "list",
      script: `sleep 4; s=$(date +%s%N); ls -l ${data}/many | wc -l >&2; e=$(date +%s%N); echo $((e-s))`,
    },
  ];
  const taken = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    const take = (name: string, number: number) => taken.set(name, [...taken.get(name) ?? [], number]);
    for (const { name, script } of metrics) take(name, await session.measure(script));
    if (ssh === undefined) continue;
    take("put", await ssh.seconds(`put ${directory}/f /data/f`));
    take("get", await ssh.seconds(`get /data/f ${directory}/f`));
  }
  const of = (name: string) => median(taken.get(name) ?? []);
  const rate = (name: string) => MEGABYTES * 1.048576 / of(name);
  const load1 = Deno.loadavg()[0]?.toFixed(1);
  await print([
    `\n### ${rttMs} ms${rttMs > 0 ? " of round trip, bytes delayed" : ""}, load average ${load1}, ${ROUNDS} rounds\n`,
    "| | the mount | the session's own connection | ratio | sftp by ssh over kubectl port-forward |",
    "| --- | --- | --- | --- | --- |",
    `| write ${MEGABYTES} MB, MB/s | ${show(rate("write"))} | ${show(of("up"))} | ${show(rate("write") / of("up"))} | ${
      show(rate("put"))
    } |`,
    `| read ${MEGABYTES} MB, MB/s | ${show(rate("read"))} | ${show(of("down"))} | ${
      show(rate("read") / of("down"))
    } | ${show(rate("get"))} |`,
    `| ls -l of ${ENTRIES} entries, s | ${show(of("list") / 1e9)} | | | |`,
  ].join("\n"));
}

/** Where there is no Debian to take an sshd from, its column says "failed", and a line why. */
async function noSsh(error: unknown): Promise<Ssh | undefined> {
  await print(`sftp is not measured: ${messageOf(error)}`);
  return undefined;
}

/** A session in the Deployment's place: its shell takes a script and prints a number. */
function openSession(path: string): AsyncDisposable & { measure(script: string): Promise<number> } {
  const child = new Deno.Command(PROGRAM, {
    args: [
      ...["--logfile", `${directory}/telepresence.log`, "--namespace", NAMESPACE, "--swap-deployment", "files"],
      ...["--method", "inject-tcp", "--run", "sh"],
    ],
    env: { KUBECONFIG: path },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const answers = lines(child.stdout);
  return {
    async measure(script) {
      await stdin.write(new TextEncoder().encode(`{ ${script}; } || echo failed\n`));
      return Number((await answers.next()).value ?? "");
    },
    async [Symbol.asyncDispose]() {
      await stdin.close().catch(() => {}); // it may have ended
      await child.status;
    },
  };
}
