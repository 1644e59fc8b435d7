/** The page "What gets proxied", volumes: those of a pod under TELEPRESENCE_ROOT, each at its path in the pod. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { probeNamespace } from "@/capture/mod.ts";
import { configMaps, pods, secrets } from "@/kube/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { openVolumes, whyNoLiveMount } from "@/volumes/mod.ts";
import { type AgentPod, withAgentPod } from "./agent_pod.ts";
import { type Cluster, clusterTest, PROGRAM, run, start, until, withNamespace } from "./harness.ts";

const lacking = await whyNoLiveMount();
const namespaceVerdict = await probeNamespace(
  await Deno.readFile(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);
if (lacking !== undefined) {
  await Deno.stderr.write(new TextEncoder().encode(`Tests of live mounts on the cluster are skipped: ${lacking}\n`));
}

function mountTest(name: string, body: (cluster: Cluster, namespace: string) => Promise<void>): void {
  if (lacking !== undefined) return Deno.test.ignore(name, () => {});
  clusterTest(name, (cluster) => withNamespace(cluster, "vol", (namespace) => body(cluster, namespace)));
}

const TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount";

mountTest("TELEPRESENCE_ROOT has the service account's token, at its path in the pod", async (cluster, namespace) => {
  const script = `cat $TELEPRESENCE_ROOT${TOKEN}/namespace && wc -c < $TELEPRESENCE_ROOT${TOKEN}/token && ` +
    `grep -c CERTIFICATE $TELEPRESENCE_ROOT${TOKEN}/ca.crt && echo $TELEPRESENCE_MOUNTS && echo $TELEPRESENCE_ROOT`;
  const ended = await run(cluster, "--namespace", namespace, "--run", "sh", "-c", script);
  equals(ended.code, 0, ended.stderr);
  match(ended.stdout, new RegExp(`^${namespace}\\d{3,}\\n2\\n`));
  const [mounts = "", root = ""] = ended.stdout.trim().split("\n").slice(-2);
  ok(mounts.split(":").includes(TOKEN), mounts);
  match(root, /^\/tmp\/tel-\w+\/fs$/);
  equals(await isThere(root.replace(/\/fs$/, "")), false);
});

mountTest(
  "--mount PATH is where the volumes are, --mount=false has none and unsets TELEPRESENCE_ROOT",
  async (cluster, namespace) => {
    const path = `${cluster.directory}/known/place`;
    const there = await run(
      cluster,
      ...[
        "--namespace",
        namespace,
        `--mount=${path}`,
        "--run",
        "sh",
        "-c",
        `cat '${path}${TOKEN}/namespace'; echo; echo $TELEPRESENCE_ROOT`,
      ],
    );
    equals(there.stdout, `${namespace}\n${path}\n`);
    equals(await isMounted(path), false);
    equals((await runProgram(["ls", "-A", path])).stdout, "");
    const none = await run(
      cluster,
      ...[
        "--namespace",
        namespace,
        "--mount=false",
        "--run",
        "sh",
        "-c",
        "echo ${TELEPRESENCE_ROOT-unset} $TELEPRESENCE_MOUNTS",
      ],
    );
    match(none.stdout, new RegExp(`^unset .*${TOKEN}`));
    const unusable = await run(cluster, "--namespace", namespace, "--mount=/dev/null/x", "--run", "true");
    equals(unusable.code, 255);
    match(unusable.stderr, /^T: Error: Unable to use mount path: /m);
  },
);

clusterTest("--mount-mode copy has the token as a copy, and kill -9 leaves no copy behind", async (cluster) => {
  await withNamespace(cluster, "vol", async (namespace) => {
    await using shell = start(cluster, ["--namespace", namespace, "--mount-mode", "copy", "--run-shell"]);
    const script = `cat $TELEPRESENCE_ROOT${TOKEN}/namespace >&2; echo " root=$TELEPRESENCE_ROOT." >&2\n`;
    await shell.stdin.write(new TextEncoder().encode(script));
    await shell.said(/root=\S+\.\n/);
    shell.kill("SIGKILL");
    const { stderr } = await shell.ended();
    match(stderr, new RegExp(`${namespace} root=`));
    match(stderr, /^T: Volumes are copies of the pod's: .* Not copied: \/tmp$/m);
    const root = /root=(\S+)\.\n/.exec(stderr)?.[1] ?? "";
    await until(`${root} is gone`, async () => !await isThere(root) && !await isThere(root.replace(/\/fs$/, "")));
  });
});

clusterTest("without sshfs there are copies, and a line says why", async (cluster) => {
  const bin = `${cluster.directory}/bin`;
  await Deno.mkdir(bin);
  for (const name of ["sh", "readlink", "dirname", "cat", "env", "rm", "rmdir"]) {
    await Deno.symlink((await runProgram(["which", name])).stdout.trim(), `${bin}/${name}`);
  }
  await withNamespace(cluster, "vol", async (namespace) => {
    const words = ["--namespace", namespace, "--run", "sh", "-c", `cat "$TELEPRESENCE_ROOT${TOKEN}/namespace"`];
    await using running = start(cluster, words, { program: [`${bin}/env`, `PATH=${bin}`, PROGRAM] });
    const { stdout, stderr } = await running.ended();
    equals(stdout, namespace, stderr);
    match(
      stderr,
      /^T: Volumes are copies of the pod's, as (sshfs and fusermount3 are not installed|this machine has no FUSE)/m,
    );
  });
});

mountTest(
  "two sessions have volumes of their own, and kill -9 of both leaves nothing mounted",
  async (cluster, namespace) => {
    const methods = ["inject-tcp", namespaceVerdict.allowed ? "namespace" : "inject-tcp"];
    const shells = methods.map((method) =>
      start(cluster, ["--namespace", namespace, "--logfile", "/dev/null", "--method", method, "--run-shell"])
    );
    const roots: string[] = [];
    try {
      for (const [index, shell] of shells.entries()) {
        await shell.stdin.write(
          new TextEncoder().encode(`echo ${index} > $TELEPRESENCE_ROOT/tmp/n; echo root=$TELEPRESENCE_ROOT. >&2\n`),
        );
        await shell.said(/root=\S+\.\n/);
      }
      for (const shell of shells) {
        await shell.stdin.write(new TextEncoder().encode(`cp $TELEPRESENCE_ROOT/tmp/n /dev/stderr; echo done >&2\n`));
        await shell.said(/\d\ndone/);
        shell.kill("SIGKILL");
        roots.push(/root=(\S+)\.\n/.exec((await shell.ended()).stderr)?.[1] ?? "");
      }
      equals(new Set(roots).size, 2);
      for (const root of roots) {
        await until(`${root} is gone`, async () => !await isMounted(root) && !await isThere(root));
      }
    } finally {
      for (const shell of shells) await shell[Symbol.asyncDispose]();
    }
  },
);

mountTest(
  "volumes of each kind are there, change as in the pod, and are written as its user",
  async (cluster, namespace) => {
    const { kube } = cluster;
    const binary = new Uint8Array(256).map((_, index) => index);
    await kube.create(secrets, {
      metadata: { name: "keys", namespace },
      data: { binary: binary.toBase64(), user: btoa("me") },
    });
    await kube.create(configMaps, { metadata: { name: "settings", namespace }, data: { a: "one\n", b: "two\n" } });
    const made: AgentPod = {
      mounts: [
        { name: "keys", mountPath: "/etc/keys", readOnly: true },
        { name: "settings", mountPath: "/etc/settings", readOnly: true },
        { name: "settings", mountPath: "/etc/app/only-a", subPath: "a", readOnly: true },
        { name: "about", mountPath: "/podinfo" },
        { name: "projected", mountPath: "/var/run/projected" },
        { name: "scratch", mountPath: "/data" },
      ],
      volumes: [
        { name: "keys", secret: { secretName: "keys", defaultMode: 0o440 } },
        { name: "settings", configMap: { name: "settings" } },
        {
          name: "about",
          downwardAPI: { items: [{ path: "note", fieldRef: { fieldPath: "metadata.annotations['note']" } }] },
        },
        {
          name: "projected",
          projected: {
            sources: [
              { serviceAccountToken: { path: "token", audience: "tests", expirationSeconds: 600 } },
              { configMap: { name: "settings", items: [{ key: "b", path: "deep/er" }] } },
              { downwardAPI: { items: [{ path: "turn", fieldRef: { fieldPath: "metadata.annotations['turn']" } }] } },
            ],
          },
        },
        { name: "scratch", emptyDir: {} },
      ],
    };
    await withAgentPod(cluster, namespace, made, async (pod, podName) => {
      const mounts = (made.mounts ?? []).map(({ mountPath }) => mountPath);
      const options = {
        title: namespace,
        say: (line: string) => {
          throw new Error(line);
        },
        note: () => {},
        log: silentLog,
        signal: new AbortController().signal,
      };
      await using volumes = await openVolumes(pod, mounts, { at: { kind: "temporary" }, mode: "live" }, options);
      await using copies = await openVolumes(pod, mounts, { at: { kind: "temporary" }, mode: "copy" }, options);
      const { root = "" } = volumes;
      const sh = async (script: string, at = root) => {
        const { code, stdout, stderr } = await runProgram(["sh", "-c", script], { env: { R: at } });
        return { code, stdout, stderr };
      };
      const says = async (script: string, want: string) =>
        equals(await sh(script), { code: 0, stdout: want, stderr: "" });

      equals(await Deno.readFile(`${root}/etc/keys/binary`), binary);
      await says("cat $R/etc/keys/user", "me");
      await says("cat $R/etc/settings/a $R/etc/settings/b", "one\ntwo\n");
      await says("cat $R/etc/app/only-a", "one\n");
      await says("cat $R/podinfo/note", "told by the downward API");
      await says("cat $R/var/run/projected/deep/er", "two\n");
      match((await sh("cat $R/var/run/projected/token")).stdout, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
      await says("ls $R/etc", "app\nkeys\nsettings\n");
      ok((await sh("echo x > $R/etc/settings/new")).code !== 0, "a ConfigMap is read-only");
      ok((await sh("cat $R/telepresence/agent.js")).code !== 0, "what is no volume of the user's is not there");

      await says("mkdir $R/data/d && echo hello > $R/data/d/f && mv $R/data/d/f $R/data/f && cat $R/data/f", "hello\n");
      await says("stat -c %U $R/data/f; ls -A $R/data", `${(await runProgram(["id", "-un"])).stdout}d\nf\n`);
      const script = "import sqlite3, sys; b = sqlite3.connect(sys.argv[1]); b.execute('create table t (v)'); " +
        "[(b.execute('insert into t values (?)', ('x' * n,)), b.commit()) for n in range(40)]; b.execute('vacuum'); " +
        "print(b.execute('pragma integrity_check').fetchone()[0], b.execute('select sum(length(v)) from t').fetchone()[0])";
      const base = await runProgram(["python3", "-c", script, `${root}/data/base`]);
      equals(base.stdout, "ok 780\n", base.stderr);

      await kube.patch(configMaps, { namespace, name: "settings" }, {
        type: "merge",
        body: { data: { a: "new\n", b: "newer\n" } },
      });
      // The kubelet looks once a minute, and whenever the pod itself changes.
      const all = [root, copies.root];
      const isNew = async (at?: string) => (await sh(CHANGED, at)).stdout === "new\nnewer\n";
      for (let turn = 0; turn < 150 && !(await isNew(root) && await isNew(copies.root)); turn++) {
        const body = { metadata: { annotations: { turn: String(turn) } } };
        await kube.patch(pods, { namespace, name: podName }, { type: "merge", body });
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      for (const at of all) equals((await sh(CHANGED, at)).stdout, "new\nnewer\n");
      // The token is a file of the same version as its neighbors, so its next one is seen in the same way.
      for (const at of all) {
        const { stdout } = await sh("cd $R/var/run/projected; readlink token; cat turn; echo; cat token", at);
        match(stdout, /^\.\.data\/token\n\d+\neyJ[\w-]+\.[\w-]+\.[\w-]+$/);
      }
      await says("cat $R/etc/app/only-a", "one\n"); // as in any pod: a subPath does not change
    });
  },
);

/** What changes in the pod: a ConfigMap by itself, and in the projected volume of a token. */
const CHANGED = "cat $R/etc/settings/a $R/var/run/projected/deep/er";

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function isMounted(path: string): Promise<boolean> {
  return (await Deno.readTextFile("/proc/self/mountinfo")).includes(` ${path} `);
}
