/** Mounts on this machine: as a disk would do, and gone whatever ends them. */
import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Pod } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import type { Duplex } from "@/util/mod.ts";
import { needing } from "../testkit/needing.ts";
import { fuseMounts, type Mounted, mountTest, mustRun, TITLE, withCuttablePod } from "./harness.ts";

const besideThis = (name: string) => fileURLToPath(new URL(name, import.meta.url));

for (const isNarrow of [false, true]) {
  const name = `files in the mount do what files on a disk do${isNarrow ? ", where the launcher has no place" : ""}`;
  mountTest(name, doWhatFilesOnADiskDo, { isNarrow });
}

async function doWhatFilesOnADiskDo({ mount, local, beside }: Mounted): Promise<void> {
  const disk = `${beside}/disk`;
  await Deno.mkdir(disk);
  await Deno.mkdir(`${local}/t`);
  const wanted = await mustRun("python3", besideThis("file_system.py"), disk);
  const got = await mustRun("python3", besideThis("file_system.py"), `${mount}/t`);
  equals(got.split("\n"), wanted.split("\n"));
}

mountTest("names that are not UTF-8 are refused, and no other file is taken for one", async ({ mount, local }) => {
  equals(await mustRun("python3", besideThis("byte_names.py"), local, mount), "as they should be\n");
});

const said: string[] = [];
const aFileSystem = needing(Deno.uid() === 0 ? undefined : "it takes root to make a file system", mountTest);

aFileSystem(
  "a volume that is full or read-only is as on a disk, and it is said which is full",
  async ({ mount, local, beside }) => {
    const places = [`${beside}/disk`, `${local}/volume`] as const;
    const [disk, volume] = places;
    try {
      for (const place of places) {
        await Deno.mkdir(place);
        await mustRun("mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=16", "tmpfs", place);
      }
      for (const state of ["full", "read-only"]) {
        if (state === "read-only") { for (const place of places) await mustRun("mount", "-o", "remount,ro", place); }
        const wanted = await mustRun("python3", besideThis("full_volume.py"), disk, state);
        const got = await mustRun("python3", besideThis("full_volume.py"), `${mount}/volume`, state);
        const error = state === "full" ? "ENOSPC" : "EROFS";
        ok(wanted.includes(error), wanted);
        equals(got.split("\n"), wanted.replaceAll(error, state === "full" ? "EIO" : "EACCES").split("\n"));
      }
      equals(said.length, 1, said.join("\n"));
      match(
        said[0] ?? "",
        /^WARNING: The pod has no room left for what is written to (\S+)\/volume\/much \(ENOSPC\); /,
      );
      ok(said[0]?.includes(volume));
    } finally {
      for (const place of places) await runProgram(["umount", "--lazy", place]);
    }
  },
  { say: (line) => void said.push(line) },
);

aFileSystem("what is moved from one volume to another is copied and removed", async ({ mount, local }) => {
  await Deno.mkdir(`${local}/volume`);
  await mustRun("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", `${local}/volume`);
  try {
    await Deno.mkdir(`${local}/d/e`, { recursive: true });
    await Deno.writeTextFile(`${local}/d/e/f`, "content");
    await mustRun("mv", `${mount}/d`, `${mount}/volume/moved`);
    equals(await Deno.readTextFile(`${local}/volume/moved/e/f`), "content");
    await rejects(Deno.lstat(`${local}/d`), Deno.errors.NotFound);
    // Within a volume a refusal is no reason to copy.
    await mustRun(
      "sh",
      "-c",
      `mkdir -p '${mount}/full/of' '${mount}/over'; ! mv -T '${mount}/over' '${mount}/full' 2>&1`,
    );
    const script = `import os, sys
try: os.rename(sys.argv[1] + "/over", sys.argv[1] + "/full")
except OSError as error: print(error.strerror)`;
    equals(await mustRun("python3", "-c", script, mount), "Permission denied\n");
    equals(await mustRun("ls", `${local}/full`), "of\n");
  } finally {
    await runProgram(["umount", "--lazy", `${local}/volume`]);
  }
});

mountTest(
  "what one side writes the other one sees, and a symlink that is switched is followed anew",
  async ({ mount, local }) => {
    await Deno.mkdir(`${local}/..1`);
    await Deno.writeTextFile(`${local}/..1/key`, "one");
    await Deno.symlink("..1", `${local}/..data`);
    await Deno.symlink("..data/key", `${local}/key`);
    equals(await mustRun("cat", `${mount}/key`), "one");
    await Deno.mkdir(`${local}/..2`);
    await Deno.writeTextFile(`${local}/..2/key`, "two");
    await Deno.symlink("..2", `${local}/..tmp`);
    await Deno.rename(`${local}/..tmp`, `${local}/..data`);
    const end = performance.now() + 30_000;
    while (await mustRun("cat", `${mount}/key`) !== "two" && performance.now() < end);
    equals(await mustRun("cat", `${mount}/key`), "two");
    await mustRun("sh", "-c", `printf here > '${mount}/back'`);
    equals(await Deno.readTextFile(`${local}/back`), "here");
  },
);

mountTest("no symlink of the pod leads to a file of this machine", async ({ mount, local, beside }) => {
  await Deno.writeTextFile(`${beside}/secret`, "secret");
  await Deno.mkdir(`${local}/a`);
  await Deno.symlink(`${beside}/secret`, `${local}/absolute`);
  await Deno.symlink("../".repeat(30) + `${beside.slice(1)}/secret`, `${local}/a/up`);
  await Deno.symlink("b/../../../../../../../../../../../../../../../../../../..", `${local}/a/far`);
  await Deno.symlink(".", `${local}/a/b`);
  for (const path of ["absolute", "a/up", `a/far${beside}/secret`]) {
    await mustRun("sh", "-c", `! cat '${mount}/${path}'`);
  }
});

mountTest("a Unix socket in the mount is refused, as it belongs to the pod's kernel", async ({ mount, local }) => {
  using listener = Deno.listen({ transport: "unix", path: `${local}/socket` });
  using _itself = await Deno.connect({ transport: "unix", path: `${local}/socket` });
  using _accepted = await listener.accept();
  equals((await Deno.lstat(`${mount}/socket`)).isSocket, true);
  await rejects(Deno.connect({ transport: "unix", path: `${mount}/socket` }), Deno.errors.ConnectionRefused);
});

mountTest("SQLite keeps its database whole", async ({ mount, local }) => {
  const script = `
import os, random, sqlite3, sys
random.seed(7)
path = sys.argv[1]
for journal in ("delete", "truncate", "persist"):
    base = sqlite3.connect(path)
    base.execute("pragma journal_mode=" + journal)
    base.execute("create table if not exists t (k integer primary key, v blob)")
    for turn in range(12):
        with base:
            for _ in range(40):
                key = random.randrange(300)
                base.execute("insert or replace into t values (?, ?)", (key, random.randbytes(random.randrange(3000))))
            base.execute("delete from t where k in (select k from t order by random() limit 10)")
        try:
            with base:
                base.execute("insert into t values (1000, 'x')")
                raise KeyError
        except KeyError:
            pass
    base.execute("vacuum")
    print(base.execute("pragma integrity_check").fetchone()[0], base.execute("select count(*) from t where k = 1000").fetchone()[0])
    base.close()
`;
  equals(await mustRun("python3", "-c", script, `${mount}/base`), "ok 0\nok 0\nok 0\n");
  const check =
    "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('pragma integrity_check').fetchone()[0])";
  equals(await mustRun("python3", "-c", check, `${local}/base`), "ok\n");
});

mountTest("random operations on a file leave what they would leave in memory", async ({ mount, local }, t) => {
  for (const seed of [1, 2, 3, 4]) {
    await t.step(`seed ${seed}`, async () => {
      const said = await mustRun("python3", besideThis("random_operations.py"), `${mount}/f${seed}`, `${seed}`, "400");
      match(said, /^400 operations, \d+ bytes\n$/);
      equals(await digest(`${local}/f${seed}`), await digest(`${mount}/f${seed}`));
    });
  }
});

mountTest("large files over a long path have what they would have in memory", async ({ mount, local }, t) => {
  for (const seed of [5, 6]) {
    await t.step(`seed ${seed}`, async () => {
      const words = [`${mount}/f${seed}`, `${seed}`, "60", "5000000"] as const;
      match(await mustRun("python3", besideThis("random_operations.py"), ...words), /^60 operations, \d+ bytes\n$/);
      equals(await digest(`${local}/f${seed}`), await digest(`${mount}/f${seed}`));
    });
  }
}, { rttMs: 4 });

mountTest("many small files are read as they are, and as they become", async ({ mount, local }) => {
  const names = Array.from({ length: 50 }, (_, nth) => `file-${nth}`);
  const readAll = () => mustRun("sh", "-c", `cd '${mount}' && cat ${names.join(" ")}`);
  for (const version of ["one", "the second"]) {
    for (const name of names) await Deno.writeTextFile(`${local}/${name}`, `${name} ${version}\n`);
    const want = names.map((name) => `${name} ${version}\n`).join("");
    const end = performance.now() + 30_000; // the kernel and sshfs know sizes for some seconds
    while (await readAll() !== want && performance.now() < end);
    equals(await readAll(), want);
  }
  await mustRun("sh", "-c", `cd '${mount}' && for f in *; do exec 3<$f; echo more >>$f; cat <&3 >>all; done`);
  equals(
    await Deno.readTextFile(`${local}/all`),
    names.toSorted().map((name) => `${name} the second\nmore\n`).join(""),
  );
}, { rttMs: 4 });

mountTest("a large directory lists in a few round trips", async ({ local, pod }) => {
  const { openVolumes } = await import("@/volumes/mod.ts");
  const { silentLog } = await import("@/log/mod.ts");
  const options = { title: TITLE, say: () => {}, log: silentLog, signal: new AbortController().signal };
  await mustRun("sh", "-c", `cd '${local}' && seq -f entry-%g 5000 | xargs touch`);
  let [trips, isAnswered] = [0, true];
  const counting = new Proxy(pod, {
    get(target, name) {
      if (name !== "files") return Reflect.get(target, name, target);
      return async (...given: Parameters<Pod["files"]>) => {
        const { duplex, ...rest } = await target.files(...given);
        const read = async (into: Uint8Array) => {
          const count = await duplex.read(into);
          isAnswered = true;
          return count;
        };
        const write = (bytes: Uint8Array) => {
          if (isAnswered) trips++;
          isAnswered = false;
          return duplex.write(bytes);
        };
        const counted: Duplex = { read, write, closeWrite: () => duplex.closeWrite(), close: () => duplex.close() };
        return { ...rest, duplex: counted };
      };
    },
  });
  await using volumes = await openVolumes(counting, [local], { at: { kind: "temporary" }, mode: "live" }, options);
  trips = 0;
  equals((await mustRun("ls", "-l", `${volumes.root}${local}`)).trim().split("\n").length, 5001);
  ok(trips > 0 && trips < 40, `${trips} round trips`); // at 20 ms they are less than a second
});

const FIO = await runProgram(["fio", "--version"]).then(() => true, () => false);

mountTest("fio finds each block as it wrote it, whatever the order and the size", async ({ mount }, t) => {
  const all = [
    "--output-format=terse",
    "--verify=crc32c",
    "--verify_fatal=1",
    "--verify_state_save=0",
    "--size=4m",
    "--end_fsync=1",
  ];
  const jobs: Readonly<Record<string, readonly string[]>> = {
    "random reads and writes of odd sizes": ["--rw=randrw", "--bsrange=512-64k", "--bs_unaligned=1", "--randseed=1"],
    "several writers of files of their own": ["--rw=randwrite", "--bs=4k", "--numjobs=3", "--size=1m", "--randseed=2"],
    "by mappings": ["--ioengine=mmap", "--rw=randwrite", "--bs=4k", "--size=1m", "--randseed=3"],
    "from front to back": ["--rw=write", "--bs=1m", "--fallocate=none"],
  };
  for (const [name, words] of Object.entries(jobs)) {
    await t.step({
      name,
      ignore: !FIO, // `make test` installs it where it can be had
      fn: async () => void await mustRun("fio", `--directory=${mount}`, "--name=job", ...all, ...words),
    });
  }
});

async function digest(path: string): Promise<string> {
  return (await mustRun("sha256sum", path)).split(" ")[0] ?? "";
}

mountTest("two sessions have a mount each, and the end of one leaves the other", async ({ mount, local, pod }) => {
  const { openVolumes } = await import("@/volumes/mod.ts");
  const { silentLog } = await import("@/log/mod.ts");
  const options = { title: TITLE, say: () => {}, log: silentLog, signal: new AbortController().signal };
  await Deno.writeTextFile(`${local}/f`, "1");
  {
    await using second = await openVolumes(pod, [local], { at: { kind: "temporary" }, mode: "live" }, options);
    equals(await mustRun("cat", `${second.root}${local}/f`), "1");
    ok(second.root !== undefined && (await fuseMounts()).includes(second.root));
  }
  equals(await mustRun("cat", `${mount}/f`), "1");
});

mountTest("what is in use at the end is detached", async ({ mount, local, volumes }) => {
  await Deno.writeTextFile(`${local}/f`, "1");
  // Not by `cwd`: this process would wait for the mount that it serves.
  const user = new Deno.Command("sh", {
    args: ["-c", 'cd "$1" && echo && exec sleep 600', "-", mount],
    stdout: "piped",
  })
    .spawn();
  const reader = user.stdout.getReader();
  try {
    await reader.read(); // it is there now
    await volumes[Symbol.asyncDispose]();
    ok(volumes.root !== undefined && !(await fuseMounts()).includes(volumes.root));
  } finally {
    user.kill("SIGKILL");
    await user.status;
    await reader.cancel();
  }
});

mountTest("a path that the user names is made, used and left behind", async ({ mount, volumes, local, beside }) => {
  equals(volumes.root, `${beside}/a/b`);
  equals(volumes.paths, [{ pod: local, host: mount }]);
  await Deno.writeTextFile(`${local}/f`, "1");
  equals(await mustRun("cat", `${beside}/a/b${local}/f`), "1");
  await volumes[Symbol.asyncDispose]();
  equals(await mustRun("ls", "-A", `${beside}/a/b`), "");
}, { at: (beside) => ({ kind: "path", path: `${beside}/a/b` }) });

mountTest("nothing stays mounted, and no directory stays, whatever is killed", async ({ local }, t) => {
  const before = await fuseMounts();
  const program = besideThis("testdata/mounted.ts");
  const victims: readonly (readonly [string, (ours: number, sshfs: number) => void])[] = [
    ["telepresence by SIGKILL", (ours) => Deno.kill(ours, "SIGKILL")],
    ["sshfs by SIGKILL, then telepresence", (ours, sshfs) => {
      Deno.kill(sshfs, "SIGKILL");
      Deno.kill(ours, "SIGKILL");
    }],
    ["telepresence by SIGKILL, while sshfs is stopped and cannot end", (ours, sshfs) => {
      Deno.kill(sshfs, "SIGSTOP");
      Deno.kill(ours, "SIGKILL");
    }],
  ];
  for (const [name, kill] of victims) {
    await t.step(name, async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "--no-check", "--quiet", program, local, TITLE],
        stdin: "null",
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const root = (await reader.read()).value?.trim() ?? "";
      ok((await fuseMounts()).includes(root));
      const sshfs = Number((await mustRun("pgrep", "--full", `sshfs -f ${TITLE}:/ ${root} `)).trim());
      kill(child.pid, sshfs);
      await child.status;
      await reader.cancel();
      const end = performance.now() + 30_000;
      const isLeft = () => Deno.stat(root.replace(/\/fs$/, "")).then(() => true, () => false);
      while (performance.now() < end && (await isLeft() || (await fuseMounts()).length > before.length));
      equals(await fuseMounts(), before);
      equals(await isLeft(), false);
      try {
        Deno.kill(sshfs, "SIGKILL"); // the one that was stopped
      } catch (error) {
        ok(error instanceof Deno.errors.NotFound);
      }
    });
  }
});

mountTest(
  "a read that is under way when all carriers are lost ends with the right bytes",
  async ({ local, beside }) => {
    const { openVolumes } = await import("@/volumes/mod.ts");
    const { silentLog } = await import("@/log/mod.ts");
    const options = { title: TITLE, say: () => {}, log: silentLog, signal: new AbortController().signal };
    await mustRun("dd", "if=/dev/urandom", `of=${local}/large`, "bs=1M", "count=48");
    await withCuttablePod(async (pod, cut) => {
      await using volumes = await openVolumes(pod, [local], { at: { kind: "temporary" }, mode: "live" }, options);
      const copy = new Deno.Command("cp", { args: [`${volumes.root}${local}/large`, `${beside}/copy`] }).spawn();
      const isUnderWay = async () =>
        ((await Deno.stat(`${beside}/copy`).catch(() => undefined))?.size ?? 0) > 1_000_000;
      const end = performance.now() + 60_000;
      while (!await isUnderWay() && performance.now() < end) await new Promise((go) => setTimeout(go, 1));
      {
        using _ = cut();
        const { size } = await Deno.stat(`${beside}/copy`);
        ok(size < 48 * 1024 * 1024, "it was cut in the middle");
        await new Promise((go) => setTimeout(go, 10_000));
      }
      equals((await copy.status).code, 0);
      equals(await digest(`${beside}/copy`), await digest(`${local}/large`));
    });
  },
);
