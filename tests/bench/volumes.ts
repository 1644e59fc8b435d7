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
import {
  BESIDE,
  buildLoad,
  delayCluster,
  isWanted,
  type Load,
  median,
  openShell,
  PORT,
  print,
  PROGRAM,
  ROUNDS,
  type Shell,
  show,
  startPod,
} from "./setting.ts";
import { openSsh, type Ssh } from "./ssh.ts";

/** At which round trips, in milliseconds, of delayed bytes. */
const RTTS = (Deno.env.get("RTTS") ?? "0,20").split(",").filter((rtt) => !rtt.endsWith("p")).map(Number);
const MEGABYTES = 200;
const ENTRIES = 5_000;
const SMALL_FILES = 200;
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
  for (const nth of [PROGRAM, ...BESIDE].keys()) await makeWorkload(`files-${nth}`);
  for (const rttMs of RTTS) {
    using far = rttMs > 0 ? await delayCluster(config, { kubeconfig, rttMs, directory }) : undefined;
    await measureAt(rttMs, far?.kubeconfig ?? kubeconfig, address, load);
  }
} finally {
  await kube.delete(namespaces, { name: NAMESPACE }).catch(() => {});
  await Deno.remove(directory, { recursive: true });
}

/** A Deployment with an emptyDir, in which there are a directory of many entries and one of small files. */
async function makeWorkload(name: string): Promise<void> {
  const labels = { app: name };
  const many = `mkdir -p /data/many /data/small && cd /data/many
    i=0; while [ $i -lt ${ENTRIES} ]; do : >entry-$i; i=$((i+1)); done
    cd /data/small; i=0; while [ $i -lt ${SMALL_FILES} ]; do seq 200 >file-$i; i=$((i+1)); done`;
  const container = {
    image: "tools:1",
    imagePullPolicy: "Never",
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  };
  await kube.create(deployments, {
    metadata: { name, namespace: NAMESPACE },
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
  await using stack = new AsyncDisposableStack();
  const ways = [PROGRAM, ...BESIDE].map((program, nth) => {
    return {
      name: nth === 0 ? "the mount" : `beside ${nth}`,
      ...stack.use(openSession(program, `files-${nth}`, path)),
    };
  });
  const ssh = isWanted("ssh")
    ? await openSsh(kube, { kubeconfig: path, namespace: NAMESPACE, directory }).catch(noSsh)
    : undefined;
  stack.use(ssh);
  await Deno.writeFile(`${directory}/f`, new Uint8Array(MEGABYTES * 1024 * 1024));
  for (const way of ways) await way.run(`head -c ${MEGABYTES}M /dev/zero >$TELEPRESENCE_ROOT/data/f`);
  const taken = new Map<string, number[]>();
  const take = (name: string, number: number) => taken.set(name, [...taken.get(name) ?? [], number]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, script } of metricsOf(address, load)) {
      if (!isWanted(name)) continue;
      for (const way of name === "up" || name === "down" ? ways.slice(0, 1) : ways) {
        take(`${way.name} ${name}`, Number(await way.run(script)));
      }
    }
    if (ssh === undefined) continue;
    take("ssh write", await ssh.seconds(`put ${directory}/f /data/f`));
    take("ssh read", await ssh.seconds(`get /data/f ${directory}/f`));
  }
  const of = (way: string, name: string) => median(taken.get(`${way} ${name}`) ?? []);
  const rate = (way: string, name: string) => MEGABYTES * 1.048576 / of(way, name);
  const [ours = "", ...beside] = ways.map(({ name }) => name);
  const row = (name: string, title: string, shown: (way: string) => number, own?: number, ssh?: number) => {
    if (!isWanted(name)) return [];
    const ratio = own === undefined ? undefined : shown(ours) / own;
    const cells = [shown(ours), own, ratio, ...beside.map(shown), ssh];
    return [`| ${title} | ${cells.map((cell) => cell === undefined ? "" : show(cell)).join(" | ")} |`];
  };
  const rates = (name: string, title: string, own: string) => {
    const yardstick = ssh === undefined ? undefined : rate("ssh", name);
    const beside = isWanted(own) ? of(ours, own) : undefined;
    return row(name, `${title} ${MEGABYTES} MB, MB/s`, (way) => rate(way, name), beside, yardstick);
  };
  const columns = [ours, "the session's own connection", "ratio", ...beside, "sftp by ssh over kubectl port-forward"];
  const load1 = Deno.loadavg()[0]?.toFixed(1);
  await print([
    `\n### ${rttMs} ms${rttMs > 0 ? " of round trip, bytes delayed" : ""}, load average ${load1}, ${ROUNDS} rounds\n`,
    `| | ${columns.join(" | ")} |`,
    `|${" --- |".repeat(columns.length + 1)}`,
    ...rates("write", "write", "up"),
    ...rates("read", "read", "down"),
    ...row("list", `ls -l of ${ENTRIES} entries, s`, (way) => of(way, "list") / 1e9),
    ...row("small", `cat of ${SMALL_FILES} files of a directory, s`, (way) => of(way, "small") / 1e9),
  ].join("\n"));
}

/** What is measured. */
function metricsOf(address: string, load: Load): readonly Metric[] {
  const data = "$TELEPRESENCE_ROOT/data";
  const dd = (words: string) => `dd bs=1M ${words} 2>&1 | sed -n 's/.* \\([0-9.e+-]*\\) s,.*/\\1/p'`;
  const timed = (script: string) => `sleep 4; s=$(date +%s%N); ${script} >/dev/null; e=$(date +%s%N); echo $((e-s))`;
  return [
    { name: "write", script: dd(`if=/dev/zero of=${data}/f count=${MEGABYTES} conv=fsync`) },
    { name: "up", script: `${load.dynamic} up ${address} ${PORT} ${MEGABYTES}` },
    { name: "read", script: dd(`if=${data}/f of=/dev/null`) },
    { name: "down", script: `${load.dynamic} down ${address} ${PORT} ${MEGABYTES}` },
    { name: "list", script: timed(`ls -l ${data}/many`) },
    { name: "small", script: timed(`cat ${data}/small/*`) },
  ];
}

/** Where there is no Debian to take an sshd from, its column says "failed", and a line why. */
async function noSsh(error: unknown): Promise<Ssh | undefined> {
  await print(`sftp is not measured: ${messageOf(error)}`);
  return undefined;
}

/** A session in a Deployment's place. */
function openSession(program: string, deployment: string, kubeconfig: string): Shell {
  return openShell([
    ...[program, "--logfile", `${directory}/${deployment}.log`, "--namespace", NAMESPACE],
    ...["--swap-deployment", deployment, "--method", "inject-tcp", "--run", "sh"],
  ], kubeconfig);
}
