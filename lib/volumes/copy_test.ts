import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { listenForHosts } from "@/agent/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { openPod, type Pod } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { UserError } from "@/util/mod.ts";
import { copyVolumes } from "./copy.ts";
import { openVolumes } from "./mod.ts";

/** Writes a volume as the kubelet does: all of a version, or all of the next. */
async function writeVersion(volume: string, version: string, files: Record<string, string>): Promise<void> {
  await Deno.mkdir(`${volume}/..${version}`, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(`${volume}/..${version}/${name}`.replace(/\/[^/]+$/, ""), { recursive: true });
    await Deno.writeTextFile(`${volume}/..${version}/${name}`, text);
    const top = name.split("/")[0] ?? "";
    await Deno.symlink(`..data/${top}`, `${volume}/${top}`).catch(() => {}); // it is there from the version before
  }
  await Deno.symlink(`..${version}`, `${volume}/..tmp`);
  await Deno.rename(`${volume}/..tmp`, `${volume}/..data`);
}

/** Runs `body` with a pod of volumes `settings` (a ConfigMap), `one` (a file) and `data` (an emptyDir). */
async function check(body: (pod: Pod, root: string, to: string) => Promise<void>): Promise<void> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const [root, to] = [`${directory}/pod`, `${directory}/host`];
  try {
    await Deno.mkdir(to);
    await writeVersion(`${root}/settings`, "1", { a: "one", "deep/er/b": "two" });
    await Deno.mkdir(`${root}/data`);
    await Deno.writeTextFile(`${root}/data/large`, "x");
    await Deno.writeTextFile(`${root}/one`, "file");
    const { privateKey, publicKey } = await makeSessionKey();
    await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
    await greetAgent(carrier, privateKey, { version: "1" });
    await using pod = openPod(carrier);
    await body(pod, root, to);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const options = { log: silentLog, signal: new AbortController().signal };
const volumesIn = (root: string) => [`${root}/settings`, `${root}/one`, `${root}/data`];

Deno.test("copyVolumes() copies what is like configuration, for its owner alone, and removes it", async () => {
  await check(async (pod, root, to) => {
    {
      await using copies = await copyVolumes(pod, volumesIn(root), { ...options, path: to, made: [] });
      equals(copies.mounts, [`${root}/settings`, `${root}/one`]);
      equals(await Deno.readTextFile(`${to}${root}/settings/a`), "one");
      equals(await Deno.readTextFile(`${to}${root}/settings/deep/er/b`), "two");
      equals(await Deno.readTextFile(`${to}${root}/one`), "file");
      equals(await Deno.readLink(`${to}${root}/settings/a`), "..data/a");
      equals(((await Deno.stat(`${to}${root}/settings/a`)).mode ?? 0) & 0o777, 0o600);
      equals(((await Deno.stat(`${to}${root}/settings`)).mode ?? 0) & 0o777, 0o700);
      await Deno.writeTextFile(`${to}${root}/settings/a`, "changed here");
      await Deno.writeTextFile(`${to}${root}/one`, "changed here");
    }
    equals(await Deno.readTextFile(`${root}/settings/a`), "one", "nothing is written back");
    equals(await Deno.readTextFile(`${root}/one`), "file");
    for await (const { name } of Deno.readDir(to)) ok(false, `${name} is left`);
  });
});

Deno.test("copyVolumes() keeps a copy fresh: all of the next version, and nothing of the one before", async () => {
  await check(async (pod, root, to) => {
    await using _copies = await copyVolumes(pod, volumesIn(root), { ...options, path: to, made: [], lookMs: 5 });
    await writeVersion(`${root}/settings`, "2", { a: "new", c: "more" });
    await Deno.remove(`${root}/settings/deep`);
    const seen = `${to}${root}/settings`;
    const names = async () => {
      const all = [];
      for await (const { name } of Deno.readDir(seen)) all.push(name);
      return all.sort().join();
    };
    const end = performance.now() + 20_000;
    while (await names() !== "..2,..data,a,c" && performance.now() < end) await new Promise((go) => setTimeout(go, 5));
    equals(await names(), "..2,..data,a,c");
    equals(await Deno.readTextFile(`${seen}/a`) + await Deno.readTextFile(`${seen}/c`), "newmore");
  });
});

Deno.test("copyVolumes() copies a single file anew when another pod has another one, into the same file", async () => {
  await check(async (pod, root, to) => {
    await using _copies = await copyVolumes(pod, volumesIn(root), { ...options, path: to, made: [], lookMs: 5 });
    const { ino } = await Deno.stat(`${to}${root}/one`);
    await Deno.writeTextFile(`${root}/one`, "of the next pod");
    await Deno.utime(`${root}/one`, 7, 7);
    const end = performance.now() + 20_000;
    const seen = () => Deno.readTextFile(`${to}${root}/one`);
    while (await seen() !== "of the next pod" && performance.now() < end) await new Promise((go) => setTimeout(go, 5));
    equals(await seen(), "of the next pod");
    equals((await Deno.stat(`${to}${root}/one`)).ino, ino, "where it was laid over another path, it is seen there too");
  });
});

Deno.test("copyVolumes() copies no file that is larger than such volumes have", async () => {
  await check(async (pod, root, to) => {
    await writeVersion(`${root}/settings`, "2", { a: "x".repeat(3 * 1024 * 1024) });
    await using copies = await copyVolumes(pod, volumesIn(root), { ...options, path: to, made: [] });
    equals(copies.mounts, [`${root}/one`]);
  });
});

Deno.test("openVolumes() says in one line that volumes are copies, and which are not there", async (t) => {
  await check(async (pod, root, to) => {
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const at = { kind: "path", path: `${to}/place` } as const;
    await t.step("copies", async () => {
      await using volumes = await openVolumes(pod, volumesIn(root), { at, mode: "copy" }, {
        ...options,
        title: "t",
        say,
      });
      equals(volumes.root, `${to}/place`);
      equals(volumes.paths.map(({ pod }) => pod), [`${root}/settings`, `${root}/one`]);
      equals(await Deno.readTextFile(volumes.paths[0]?.host + "/a"), "one");
      equals(said.length, 1);
      match(said[0] ?? "", /^Volumes are copies of the pod's: .* changes here stay here\. Not copied: \S+\/data$/);
    });
    await t.step("nothing that can be copied: a warning, and no root", async () => {
      said.length = 0;
      const only = [`${root}/data`];
      await using volumes = await openVolumes(pod, only, { at, mode: "copy" }, { ...options, title: "t", say });
      equals([volumes.root, volumes.paths], [undefined, []]);
      match(
        said.join(),
        /^WARNING: Mounting remote volumes failed, .* TELEPRESENCE_ROOT is not set: none of them can be/,
      );
    });
    await t.step("a directory with something in it is left as it is", async () => {
      said.length = 0;
      await Deno.writeTextFile(`${to}/place/mine`, "mine");
      await using volumes = await openVolumes(pod, volumesIn(root), { at, mode: "copy" }, {
        ...options,
        title: "t",
        say,
      });
      equals(volumes.root, undefined);
      match(said.join(), /copies need an empty directory/);
    });
    equals(await Deno.readTextFile(`${to}/place/mine`), "mine");
    await t.step("nowhere: nothing is said or made", async () => {
      said.length = 0;
      const wanted = { at: { kind: "nowhere" }, mode: "auto" } as const;
      await using volumes = await openVolumes(pod, volumesIn(root), wanted, { ...options, title: "t", say });
      equals([volumes.root, said], [undefined, []]);
    });
    await t.step("no place for a new directory: a warning, and no root", async () => {
      said.length = 0;
      const wanted = { at: { kind: "temporary" }, mode: "copy" } as const;
      const before = Deno.env.get("TMPDIR");
      Deno.env.set("TMPDIR", "nowhere/relative");
      try {
        await using volumes = await openVolumes(pod, volumesIn(root), wanted, { ...options, title: "t", say });
        equals(volumes.root, undefined);
      } finally {
        before === undefined ? Deno.env.delete("TMPDIR") : Deno.env.set("TMPDIR", before);
      }
      match(
        said.join(),
        /not set: no temporary directory can be made: No such file or directory \(TMPDIR names where\)/,
      );
    });
    await t.step("a path that cannot be used", async () => {
      const wanted = { at: { kind: "path", path: "/dev/null/x" }, mode: "auto" } as const;
      await rejects(openVolumes(pod, volumesIn(root), wanted, { ...options, title: "t", say }), (error) => {
        ok(error instanceof UserError);
        match(error.message, /^Unable to use mount path: /);
        return true;
      });
    });
  });
});
