import { deepStrictEqual as equals, match, ok, rejects, strictEqual as equal, throws } from "node:assert/strict";
import { type Finished, requireProgram, runProgram } from "@/process/mod.ts";
import { writeArchive } from "./archive.ts";
import { instanceOf } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import { snapshotMachine } from "./machine_snapshot.ts";
import { clusterUnavailable, ensureCluster, HELLO_PAGE } from "./mod.ts";
import { findNode } from "./node.ts";
import { hasIPv6, isOlder } from "./prerequisites.ts";
import { listProcesses, signalProcess } from "./processes.ts";
import { makeTell } from "./tell.ts";
import { until } from "./wait.ts";

/** A cluster of our own, so that the one that other tests use stays up. */
const NAME = "test";
const instance = instanceOf(NAME);

Deno.test("instanceOf() gives clusters of different slots nothing in common, and refuses what is no name", () => {
  const [main, test] = [instanceOf("main"), instanceOf("test")];
  for (const field of ["state", "link", "nodeAddress", "pods", "services", "cgroup"] as const) {
    ok(main[field] !== test[field], field);
  }
  for (const name of ["", "Main", "a-b", "../x", "abcdefghijk"]) {
    throws(() => instanceOf(name), /Cannot use ".*" as a cluster's name/);
  }
});

Deno.test("isOlder() compares versions number by number", () => {
  const cases = [["1.24.0", "1.24.0", false], ["1.9", "1.24.0", true], ["1.26.8", "1.24.0", false]] as const;
  for (const [found, needed, want] of cases) equal(isOlder(found, needed), want, `${found} < ${needed}`);
  equal(isOlder("1.24rc1", "1.24.0"), false, "a release candidate of the needed version will do");
});

Deno.test("signalProcess() signals nobody where the kernel would signal many", () => {
  for (const pid of [0, -1, 1, NaN, -4711]) throws(() => signalProcess(pid, "SIGKILL"), RangeError);
});

const unavailable = await clusterUnavailable();

Deno.test({
  name: `The embedded cluster${unavailable === undefined ? "" : ` (skipped: ${unavailable})`}`,
  ignore: unavailable !== undefined,
  async fn(t) {
    await using _lock = await acquireLock(instanceOf("testing"), makeTell()); // one run of this file at a time
    await requireCluster("down"); // of an earlier run that failed
    const before = await snapshotMachine(instance, []);
    const namespaces = new Set<string>();
    const isLeftAsItWas = async () => {
      let left: string[] = [];
      const done = async () => {
        const after = await snapshotMachine(instance, [...namespaces]);
        left = [...after.filter((line) => !before.includes(line)), ...before.filter((line) => !after.includes(line))];
        return left.length === 0 ? true : undefined;
      };
      await until("a machine as it was", done, { timeoutMs: 5000 }).catch(() => equals(left, []));
    };
    const noteNamespace = async () => {
      const node = await findNode(instance);
      if (node !== undefined) namespaces.add(node.pidNamespace);
    };

    await t.step("says that it is not up when it is not", async () => {
      equal((await cluster("status")).code, 1);
      match((await cluster("env")).stderr, /Cannot use cluster "test": it is not up[^]*hint: make cluster-up/);
      equal((await cluster("dance")).code, 2);
    });

    await t.step("down heals what an up left that was killed half-way", async () => {
      await killUpAt("starting kube-apiserver");
      await noteNamespace();
      await requireCluster("down");
      await isLeftAsItWas();
    });

    await t.step("up heals it as well, and another up has nothing to do", async () => {
      await killUpAt("loading image tools:1");
      const { kubeconfig } = await ensureCluster(NAME);
      await noteNamespace();
      equal(((await Deno.stat(kubeconfig)).mode ?? 0) & 0o777, 0o600);
      equal((await cluster("env")).stdout, `export KUBECONFIG='${kubeconfig}'\n`);
      await requireCluster("status");
      const node = (await findNode(instance))?.pid;
      await requireCluster("up");
      equal((await findNode(instance))?.pid, node);
    });

    await t.step("a Service answers a pod, by every form of its name", async () => {
      for (const host of ["helloworld", "helloworld.default", "helloworld.default.svc.cluster.local"]) {
        equal(await inTools("curl", "--silent", "--fail", `http://${host}/`), HELLO_PAGE);
      }
      match(await inTools("nslookup", "helloworld.default.svc.cluster.local"), /10\.113\./);
      const fetch = "import urllib.request as u; print(u.urlopen('http://helloworld').status)";
      equal((await inTools("python3", "-c", fetch)).trim(), "200");
    });

    await t.step("where the kernel has IPv6, a Service of both families answers a pod by both", async () => {
      if (!await hasIPv6()) return;
      await kubectl("apply", "--filename=-", { input: JSON.stringify(BOTH_FAMILIES) });
      for (const family of ["-4", "-6"]) {
        await until(`an answer by ${family}`, async () => {
          const page = await inTools("curl", family, "--silent", "http://both/").catch(() => "");
          return page === HELLO_PAGE ? true : undefined;
        });
      }
      const address = await kubectl("get", "service", "both", "--output=jsonpath={.spec.clusterIPs[1]}");
      ok(address.startsWith(instance.ipv6.services.replace(/::.*/, "::")), address);
      const ranges = await kubectl("get", "servicecidr", "kubernetes", "--output=jsonpath={.spec.cidrs[*]}");
      equal(ranges, `${instance.services} ${instance.ipv6.services}`);
    });

    await t.step("this machine reaches neither pod nor Service, for it has no route but the default one", async () => {
      const services = await kubectl("get", "service", "helloworld", "--output=jsonpath={.spec.clusterIP}");
      const pods = await kubectl(
        "get",
        "pods",
        "--selector=app=helloworld",
        "--output=jsonpath={.items[0].status.podIP}",
      );
      ok(services.startsWith("10.113.") && pods.startsWith("10.112."), `${services} ${pods}`);
      for (const range of [instance.pods, instance.services]) {
        equal(await requireProgram(["ip", "-4", "route", "show", "table", "all", "root", range]), "");
      }
      await Promise.all([`http://${services}/`, `http://${pods}:8000/`].map(async (url) => {
        ok(!(await readIfAnswered(url)).includes(HELLO_PAGE), `${url} answers this machine`);
      }));
    });

    await t.step("nothing in the node can write to this machine's files", async () => {
      const node = await findNode(instance);
      const enter = ["nsenter", "--target", `${node?.pid}`, "--mount"] as const;
      match((await runProgram([...enter, "touch", "/usr/cluster-was-here"])).stderr, /Read-only file system/);
    });

    await t.step(
      "Pod Security admission refuses a privileged pod in namespace restricted, and in it only",
      async () => {
        const privileged = ["run", "privileged", "--image=tools:1", "--privileged", "--dry-run=server"];
        await rejects(kubectl(...privileged, "--namespace=restricted"), /violates PodSecurity "restricted:latest"/);
        await kubectl(...privileged);
      },
    );

    await t.step("the Deno image runs as anybody, with nothing allowed, and binds port 80", async () => {
      await kubectl("apply", "--filename=-", { input: JSON.stringify(RESTRICTED_POD) });
      await kubectl("wait", "pod/deno", "--namespace=restricted", "--for=condition=Ready", "--timeout=60s");
      const address = await kubectl(
        "get",
        "pod",
        "deno",
        "--namespace=restricted",
        "--output=jsonpath={.status.podIP}",
      );
      equal(await inTools("curl", "--silent", `http://${address}/`), `1000 ${Deno.version.deno}`);
    });

    await t.step("load gives the node an image that pods can use without a registry", async () => {
      const work = await Deno.makeTempDir();
      await writeArchive(
        {
          name: "greeting:3",
          files: ["/bin/busybox"],
          entrypoint: ["/bin/busybox", "echo", "loaded indeed"],
        },
        work,
        `${work}/image.tar`,
      );
      match((await cluster("load", `${work}/image.tar`)).stderr, /loaded docker\.io\/library\/greeting:3/);
      await Deno.remove(work, { recursive: true });
      await kubectl("run", "greeting", "--image=greeting:3", "--image-pull-policy=Never", "--restart=Never");
      await kubectl("wait", "pod/greeting", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s");
      equal(await kubectl("logs", "greeting"), "loaded indeed\n");
      await kubectl("delete", "pod", "greeting", "--now");
      match((await cluster("load", "/nowhere.tar")).stderr, /Cannot load image "\/nowhere.tar": there is no such file/);
    });

    await t.step("restart gives a component another process, and the cluster goes on", async () => {
      const [former, ...others] = await readPids("kube-apiserver", "etcd", "kubelet");
      await requireCluster("restart", "kube-apiserver");
      const [latter, ...same] = await readPids("kube-apiserver", "etcd", "kubelet");
      ok(latter !== former, `${latter}`);
      equals(same, others);
      equal(await inTools("curl", "--silent", "http://helloworld/"), HELLO_PAGE);
      match((await cluster("restart", "kube-dance")).stderr, /Cannot find component "kube-dance": want one of contain/);
    });

    await t.step("up heals a cluster whose components were killed", async () => {
      for (const pid of await readPids("etcd", "kube-apiserver", "kubelet", "containerd")) {
        signalProcess(pid, "SIGKILL");
      }
      await until("a status that tells", async () => (await cluster("status")).code === 0 ? undefined : true);
      await requireCluster("up");
      // The Service may lose its pod for a moment, when the new kubelet has not yet told that it is ready.
      const patience = ["--retry", "20", "--retry-delay", "1", "--retry-connrefused"];
      equal(await inTools("curl", "--silent", ...patience, "http://helloworld/"), HELLO_PAGE);
    });

    await t.step("down after kill -9 of everything leaves nothing behind", async () => {
      const node = await findNode(instance);
      const own = (await listProcesses()).filter(({ pidNamespace }) => pidNamespace === node?.pidNamespace);
      ok(own.length > 8, `${own.length} processes in the node`);
      for (const { pid } of own) signalProcess(pid, "SIGKILL");
      await requireCluster("down");
      await isLeftAsItWas();
    });
  },
});

const BOTH_FAMILIES = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "both" },
  spec: {
    ipFamilyPolicy: "PreferDualStack",
    selector: { app: "helloworld" },
    ports: [{ port: 80, targetPort: 8000 }],
  },
};

const RESTRICTED_POD = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "deno", namespace: "restricted" },
  spec: {
    terminationGracePeriodSeconds: 1,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: "RuntimeDefault" },
      sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
    },
    containers: [{
      name: "deno",
      image: `denoland/deno:${Deno.version.deno}`,
      imagePullPolicy: "IfNotPresent",
      args: ["eval", "Deno.serve({ port: 80 }, () => new Response(`${Deno.uid()} ${Deno.version.deno}`))"],
      readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1 },
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
      volumeMounts: [{ name: "tmp", mountPath: "/tmp" }],
    }],
    volumes: [{ name: "tmp", emptyDir: {} }],
  },
};

const PROGRAM = [Deno.execPath(), "run", "--allow-all", new URL("cluster.ts", import.meta.url).pathname] as const;

/** Runs the program, and shows what it says when it must succeed and does not. */
async function requireCluster(...words: string[]): Promise<void> {
  const { code, stderr } = await cluster(...words);
  equal(code, 0, stderr);
}

async function cluster(...words: string[]): Promise<Finished> {
  return await runProgram([...PROGRAM, ...words], { env: { TELEPRESENCE_CLUSTER: NAME } });
}

/** Starts `up` and kills it with SIGKILL once it says `words`. */
async function killUpAt(words: string): Promise<void> {
  const [program, ...args] = PROGRAM;
  const child = new Deno.Command(program, {
    args: [...args, "up"],
    env: { TELEPRESENCE_CLUSTER: NAME },
    stdin: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (said.includes(words)) break;
  }
  child.kill("SIGKILL");
  await child.status;
  ok(said.includes(words), said);
}

async function kubectl(...words: (string | { input: string })[]): Promise<string> {
  const options = words.filter((word) => typeof word === "object")[0] ?? {};
  const args = words.filter((word) => typeof word === "string");
  const command = [`${instance.state}/bin/kubectl`, "--kubeconfig", `${instance.state}/kubeconfig`] as const;
  return await requireProgram([...command, "--cache-dir", `${instance.state}/kubectl`, ...args], options);
}

async function inTools(...command: string[]): Promise<string> {
  return await kubectl("exec", "deployment/tools", "--", ...command);
}

async function readPids(...components: string[]): Promise<number[]> {
  const { stdout } = await cluster("status");
  return components.map((name) => {
    const pid = new RegExp(`^${name} +(\\d+) `, "m").exec(stdout)?.[1];
    ok(pid, `${name} has no process: ${stdout}`);
    return Number(pid);
  });
}

/** What answers, if something does: on some machines anything that is asked outside is answered by something. */
async function readIfAnswered(url: string): Promise<string> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(2000) })).text();
  } catch {
    return "";
  }
}
