/** `--swap-deployment`, files and variables: the command has those of the workload, as its user, and its image's ENV. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { deployments, pods, secrets, untyped } from "@/kube/mod.ts";
import { whyNoLiveMount } from "@/volumes/mod.ts";
import { clusterTest, FOREIGN, start, until } from "./harness.ts";
import { openShop } from "./swap_harness.ts";

const lacking = await whyNoLiveMount();

const persistent = untyped({ ...pods, plural: "persistentvolumes", kind: "PersistentVolume", namespaced: false });
const claims = untyped({ ...pods, plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim" });

/** An annotation that the test changes. */
const TURN = "metadata.annotations['turn']";

/** Before it, root leaves what the pod's user may not have, and what its group may. */
const OWNER = "chmod 777 /data; echo secret >/data/secret; chmod 600 /data/secret; mkdir -m 700 /data/closed; " +
  "echo group >/data/group; chown 0:4321 /data/group; chmod 640 /data/group";

/** As the pod's user the original writes who it is, and waits. */
const ORIGINAL = "echo original > /data/o; mkdir -p /data/part; echo part > /data/part/p; exec sleep 600";

clusterTest(
  `the command has the workload's volumes as its user, and its image's variables${
    lacking ? ` (skipped: ${lacking})` : ""
  }`,
  async (cluster) => {
    if (lacking !== undefined) return;
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    const path = `/tmp/telepresence-${namespace}`;
    await kube.create(persistent, {
      metadata: { name: namespace },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteMany"],
        storageClassName: "",
        claimRef: { namespace, name: "data" },
        hostPath: { path, type: "DirectoryOrCreate" },
      },
    });
    try {
      await kube.create(claims, {
        metadata: { name: "data", namespace },
        spec: {
          accessModes: ["ReadWriteMany"],
          storageClassName: "",
          volumeName: namespace,
          resources: { requests: { storage: "1Gi" } },
        },
      });
      // A pod whose claim is not yet bound is looked at again by the scheduler after 10 s and more.
      await until("the claim is bound", async () => {
        const { status } = await kube.get(claims, { namespace, name: "data" });
        return JSON.stringify(status).includes('"phase":"Bound"');
      });
      await kube.create(secrets, { metadata: { name: "keys", namespace }, data: { key: btoa("one") } });
      const image = { image: "denoland/deno:2.9.6", imagePullPolicy: "IfNotPresent" };
      await kube.create(deployments, {
        metadata: { name: "web", namespace },
        spec: {
          selector: { matchLabels: { app: "web" } },
          template: {
            metadata: { labels: { app: "web" } },
            spec: {
              terminationGracePeriodSeconds: 0,
              securityContext: { runAsUser: 1234, runAsGroup: 5678, fsGroup: 4321 },
              initContainers: [{
                ...image,
                name: "owner",
                command: ["sh", "-c", OWNER],
                securityContext: { runAsUser: 0 },
                volumeMounts: [{ name: "data", mountPath: "/data" }],
              }],
              containers: [{
                ...image,
                name: "web",
                command: ["sh", "-c", ORIGINAL],
                env: [{ name: "DENO_VERSION", value: "the template's" }],
                volumeMounts: [
                  { name: "data", mountPath: "/data" },
                  { name: "data", mountPath: "/fixed", readOnly: true },
                  { name: "data", mountPath: "/part", subPath: "part" },
                  { name: "small", mountPath: "/small" },
                  { name: "keys", mountPath: "/keys" },
                  { name: "about", mountPath: "/about" },
                  { name: "all", mountPath: "/all" },
                ],
              }],
              volumes: [
                { name: "data", persistentVolumeClaim: { claimName: "data" } },
                { name: "small", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
                { name: "keys", secret: { secretName: "keys", defaultMode: 0o440 } },
                {
                  name: "all",
                  projected: {
                    sources: [
                      { serviceAccountToken: { path: "token", audience: "tests", expirationSeconds: 600 } },
                      { secret: { name: "keys", items: [{ key: "key", path: "deep/er" }] } },
                      { downwardAPI: { items: [{ path: "turn", fieldRef: { fieldPath: TURN } }] } },
                    ],
                  },
                },
                {
                  name: "about",
                  downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] },
                },
              ],
            },
          },
        },
      });
      await shop.ready("app=web", 1);
      const before = await shop.state();

      const words = ["--namespace", namespace, "--swap-deployment", "web", "--no-init-containers"];
      await using running = start(cluster, [...words, "--run", "sh"]);
      let turn = 0;
      const says = async (script: string) => {
        const end = `end-${turn++}`;
        await running.stdin.write(
          new TextEncoder().encode(`R=$TELEPRESENCE_ROOT; { ${script}; } >&2; echo >&2; echo ${end} >&2\n`),
        );
        await running.said(new RegExp(`^${end}$`, "m"));
        const lines = running.heard().split("\n");
        const start = turn > 1 ? lines.indexOf(`end-${turn - 2}`) : lines.findLastIndex((line) => /^T: /.test(line));
        return lines.slice(start + 1, lines.indexOf(end)).join("\n").trimEnd();
      };
      await says("echo ready");
      equals(await says("cat $R/data/o $R/part/p $R/keys/key"), "original\npart\none");
      match(await says("cat $R/about/labels"), /^telepresence="[0-9a-f]{32}"$/m);
      equals(await says("echo $DENO_INSTALL_ROOT $DENO_VERSION"), "/usr/local the template's");

      await says("echo mine > $R/data/new; ln -s new $R/data/link; mkdir $R/data/d; echo small > $R/small/s");
      match(await says("echo x > $R/fixed/f"), /Permission denied|Read-only/);
      match(await says("echo x > $R/keys/f"), /Permission denied|Read-only/);
      for (
        const act of ["cat $R/data/secret", "echo x > $R/data/secret", "ls $R/data/closed", "echo x > $R/data/group"]
      ) {
        match(await says(act), /: Permission denied$/, act);
      }
      match(await says("chmod 644 $R/data/secret"), /not permitted|Permission denied/);
      equals(await says("cat $R/data/group"), "group");
      const full = await says("dd if=/dev/zero of=$R/small/f bs=64K count=64 conv=fsync && echo fits");
      match(full, /dd: .*: Input\/output error/);
      match(full, /^T: WARNING: The pod has no room left for what is written to \/small\/f \(ENOSPC\)/m);
      equals(await says("rm $R/small/f && cat $R/small/s"), "small");

      const body = { data: { key: btoa("two") } };
      await kube.patch(secrets, { namespace, name: "keys" }, { type: "merge", body });
      const { items: [proxy] } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
      ok(proxy);
      // The kubelet looks once a minute, and whenever the pod itself changes.
      await until("the Secret's new version is seen", async () => {
        const annotations = { turn: String(turn) };
        const where = { namespace, name: proxy.metadata.name };
        await kube.patch(pods, where, { type: "merge", body: { metadata: { annotations } } });
        return await says("cat $R/keys/key /all/deep/er; sleep 0.5") === "twotwo";
      });
      // A projected volume has the next version of all that is in it at once, at its path in the pod as well: once the
      // turns that are still under way have been taken, and what a mount remembers of ..data is forgotten (docs/volumes.md).
      const whole = /^\.\.data\/token\n\d+\neyJ[\w-]+\.[\w-]+\.[\w-]+$/;
      await until("the projected volume is whole", async () => {
        return whole.test(
          await says(
            "readlink /all/token; cat /all/turn; echo; cat /all/token; cmp /all/token $R/all/token; sleep 0.5",
          ),
        );
      });
      const { code, stderr } = await running.ended();
      equals(code, 0, stderr);
      await kube.patch(secrets, { namespace, name: "keys" }, { type: "merge", body: { data: { key: btoa("one") } } });

      await shop.isAgain(before);
      await shop.ready("app=web", 1);
      const { items } = await kube.list(pods, { namespace, labelSelector: "app=web" });
      const back = items.find(({ metadata }) => !metadata.deletionTimestamp);
      ok(back);
      const tells = async (script: string) => {
        const where = { namespace, name: back.metadata.name };
        const { stdout, stderr } = await kube.exec(where, { command: ["sh", "-c", script] });
        return `${stdout}${stderr}`.trimEnd().split("\n");
      };
      equals(await tells("cat /data/new; readlink /data/link; stat -c '%u %g %F' /data/new /data/d"), [
        ...["mine", "new", "1234 5678 regular file", "1234 5678 directory"],
      ]);
      await tells("rm -rf /data/*");
    } finally {
      await kube.delete(persistent, { name: namespace });
      // The node of the embedded cluster is this machine.
      if (!FOREIGN) await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  },
);
