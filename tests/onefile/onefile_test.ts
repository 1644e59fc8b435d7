/** One file that runs anywhere (onefile/front.c), with a small program in Deno's place; at the end with Deno itself. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import { VERSION } from "../../version.ts";
import { among, makeOnefile, reached, sheltered, unpackedIn, whyNoMounts } from "./harness.ts";

const linux = Deno.build.os === "linux";
const noMounts = linux ? await whyNoMounts() : "there are none outside Linux";
const cannotMount = noMounts === undefined ? "" : ` (skipped: ${noMounts})`;

/** The places where it unpacks: no variable of ours is to name another one. */
function places(cache: string, others: Record<string, string> = {}) {
  return { clearEnv: true, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", XDG_CACHE_HOME: cache, ...others } };
}

Deno.test(
  "one file becomes its runtime, with the bundle and the words as they are given",
  { ignore: !linux },
  async () => {
    await using onefile = await makeOnefile();
    const cache = await onefile.makeDirectory();
    const words = ["words", "", "two words", "--help", "--", "-"];
    const script = 'exec -a "the user\'s word" "$0" "$@"';
    const child = new Deno.Command("bash", { args: ["-c", script, onefile.path, ...words], ...places(cache) });
    const { stdout } = await child.output();
    const [pid, noUpdateCheck, denoDir, ...argv] = new TextDecoder().decode(stdout).split("\n").slice(0, -1);
    ok(Number(pid) > 0);
    equals(noUpdateCheck, "1 telepresence");
    equals(denoDir, `${cache}/telepresence/unpacked/cache telepresence`, "what Deno keeps goes with what we unpacked");
    const [bundle = ""] = (await unpackedIn(cache)).filter((name) => name.endsWith(".js"));
    const flags = ["run", "--allow-all", "--quiet", "--no-config", "--no-lock"];
    equals(argv, ["the user's word", ...flags, `${cache}/telepresence/unpacked/${bundle}`, ...words]);
    equals(await Deno.readTextFile(`${cache}/telepresence/unpacked/${bundle}`), "// a bundle\n");
    const wish = places(cache, { DENO_NO_UPDATE_CHECK: "true", DENO_DIR: "/mine" });
    const { stdout: own } = await new Deno.Command(onefile.path, { args: ["words"], ...wish }).output();
    const set = new TextDecoder().decode(own).split("\n").slice(1, 3);
    equals(set, ["true unmarked", "/mine unmarked"], "what the user has set stays as it is");
  },
);

Deno.test("glibc's own compiler makes it too, where musl's is not", { ignore: !linux }, async () => {
  await using onefile = await makeOnefile({ compiler: "gcc" });
  equals((await runProgram([onefile.path, "exit", "3"], places(await onefile.makeDirectory()))).code, 3);
});

Deno.test("process id, standard streams, signals and the end are the runtime's", { ignore: !linux }, async (t) => {
  await using onefile = await makeOnefile();
  const cache = await onefile.makeDirectory();
  await t.step("the process stays the same one", async () => {
    const options = { ...places(cache), stdout: "piped", stdin: "null" } as const;
    const child = new Deno.Command(onefile.path, { args: ["words"], ...options }).spawn();
    const { stdout } = await child.output();
    equals(Number(new TextDecoder().decode(stdout).split("\n")[0]), child.pid);
  });
  await t.step("bytes", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    const child = new Deno.Command(onefile.path, { args: ["cat"], ...places(cache), stdin: "piped", stdout: "piped" })
      .spawn();
    const output = child.output();
    const writer = child.stdin.getWriter();
    await writer.write(bytes);
    await writer.close();
    equals((await output).stdout, bytes);
  });
  await t.step("exit status", async () => {
    equals((await runProgram([onefile.path, "exit", "113"], places(cache))).code, 113);
  });
  await t.step("an end by a signal", async () => {
    const { signal } = await new Deno.Command(onefile.path, { args: ["kill", "9"], ...places(cache) }).output();
    equals(signal, "SIGKILL");
  });
  await t.step("what is ignored stays ignored, and nothing else is", async () => {
    const script = `trap '' HUP; "$1" ignores 1; "$1" ignores 13`;
    equals((await runProgram(["sh", "-c", script, "-", onefile.path], places(cache))).stdout, "ignored\ndefault\n");
  });
});

Deno.test("it unpacks once", { ignore: !linux }, async (t) => {
  await using onefile = await makeOnefile();
  const run = (cache: string) => runProgram([onefile.path, "exit", "3"], places(cache));
  const inodes = async (cache: string) => {
    const directory = `${cache}/telepresence/unpacked`;
    const files = (await unpackedIn(cache)).map((name) => Deno.stat(`${directory}/${name}`));
    return (await Promise.all(files)).map(({ ino }) => ino);
  };
  await t.step("and uses that the next time", async () => {
    const cache = await onefile.makeDirectory();
    equals((await run(cache)).code, 3);
    const first = await inodes(cache);
    equals(first.length, 3); // runtime, bundle, lock
    equals((await run(cache)).code, 3);
    equals(await inodes(cache), first);
  });
  await t.step("eight first starts at the same time all run, and leave one of each", async () => {
    const cache = await onefile.makeDirectory();
    const ended = await Promise.all(Array.from({ length: 8 }, () => run(cache)));
    equals(ended.map(({ code, stderr }) => [code, stderr]), Array(8).fill([3, ""]));
    equals((await unpackedIn(cache)).map((name) => name.split("-")[0]), ["deno", "lock", "telepresence"]);
  });
  await t.step("for nobody else: mode 0700, 0500 and 0400", async () => {
    const cache = await onefile.makeDirectory();
    await run(`${cache}/a/b`);
    const directory = `${cache}/a/b/telepresence/unpacked`;
    const paths = [directory, ...(await unpackedIn(`${cache}/a/b`)).map((name) => `${directory}/${name}`)];
    const modes = (await Promise.all(paths.map((path) => Deno.stat(path)))).map(({ mode }) => (mode ?? 0) & 0o777);
    equals(modes, [0o700, 0o500, 0o600, 0o400]);
  });
});

Deno.test("what is there is only used as we left it", { ignore: !linux }, async (t) => {
  await using onefile = await makeOnefile();
  const spoil = async (how: (runtime: string) => Promise<void>) => {
    await left(how);
  };
  const left = async (spoil: (runtime: string) => Promise<void>) => {
    const cache = await onefile.makeDirectory();
    const run = () => runProgram([onefile.path, "exit", "3"], places(cache));
    await run();
    const [name = ""] = (await unpackedIn(cache)).filter((name) => name.startsWith("deno-"));
    await spoil(`${cache}/telepresence/unpacked/${name}`);
    const { code, stderr } = await run();
    equals([code, stderr], [3, ""]);
    return await unpackedIn(cache);
  };
  await t.step("a file that a power cut made shorter", () =>
    spoil(async (runtime) => {
      await Deno.chmod(runtime, 0o700);
      await Deno.truncate(runtime, 1000);
    }));
  await t.step("a program of others, of the same size", () =>
    spoil(async (runtime) => {
      await Deno.chmod(runtime, 0o777);
      await Deno.writeFile(runtime, new Uint8Array((await Deno.stat(runtime)).size), { mode: 0o777 });
    }));
  await t.step("half a file of one that was killed", async () => {
    const names = await left(async (runtime) => {
      await Deno.rename(runtime, `${runtime}.part`);
      await Deno.chmod(`${runtime}.part`, 0o600);
      await Deno.truncate(`${runtime}.part`, 10);
    });
    equals(names.filter((name) => name.endsWith(".part")), []);
  });
});

Deno.test("other versions go a month after their last use, when a new one comes", { ignore: !linux }, async () => {
  await using onefile = await makeOnefile();
  const cache = await onefile.makeDirectory();
  const directory = `${cache}/telepresence/unpacked`;
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, days] of [["deno-1.0.0-a", 31], ["deno-1.0.0-b", 29]] as const) {
    await Deno.writeTextFile(`${directory}/${name}`, "");
    const then = new Date(Date.now() - days * 24 * 3600 * 1000);
    await Deno.utime(`${directory}/${name}`, then, then);
  }
  equals((await runProgram([onefile.path, "exit", "0"], places(cache))).code, 0);
  const names = await unpackedIn(cache);
  equals([names.includes("deno-1.0.0-a"), names.includes("deno-1.0.0-b")], [false, true]);
});

Deno.test(`a place that will not do is passed by${cannotMount}`, { ignore: noMounts !== undefined }, async (t) => {
  await using onefile = await makeOnefile();
  const table = [
    ["a full disk", "size=1m,mode=700"],
    ["noexec", "noexec,mode=700"],
    ["read-only", "ro,mode=700"],
  ] as const;
  for (const [name, options] of table) {
    await t.step(name, async () => {
      const [cache, temporary] = [await onefile.makeDirectory(), await onefile.makeDirectory()];
      const command = among([{ at: cache, options }], [onefile.path, "exit", "3"]);
      const { code, stderr } = await runProgram(command, places(cache, { TMPDIR: temporary }));
      equals([code, stderr], [3, ""]);
      equals((await Array.fromAsync(Deno.readDir(temporary))).map(({ name }) => name), [
        `telepresence-${Deno.uid()}`,
      ]);
    });
  }
});

Deno.test(`when no place will do, each is told${cannotMount}`, { ignore: noMounts !== undefined }, async () => {
  await using onefile = await makeOnefile();
  const make = async () => reached(onefile, await onefile.makeDirectory());
  const [cache, home, temporary] = [await make(), await make(), await make()];
  const mounts = [
    { at: cache, options: "size=1m,mode=700" },
    { at: home, options: "ro,mode=700" },
    { at: temporary, options: "noexec,mode=700" },
    { at: "/tmp", options: "ro,mode=1777" },
  ];
  const command = sheltered(onefile, mounts, [onefile.path, "exit", "3"]);
  const { code, stderr } = await runProgram(command, places(cache, { HOME: home, TMPDIR: temporary }));
  equals(code, 255);
  const [error = "", ...others] = stderr.split("\n");
  match(error, /^T: Error: Cannot unpack Deno [\d.]+, 4 MB, for the first start: no directory will do$/);
  equals(others, [
    `T: Cause: ${cache}/telepresence/unpacked: No space left on device`,
    `T: Cause: ${home}/.cache/telepresence/unpacked: Read-only file system`,
    `T: Cause: ${temporary}/telepresence-0: it is mounted noexec`,
    "T: Cause: /tmp/telepresence-0: Read-only file system",
    "T: Hint: XDG_CACHE_HOME=DIRECTORY names another one: yours alone, with space, not mounted noexec",
    "",
  ]);
});

Deno.test("a place that others may replace is passed by", { ignore: !linux }, async (t) => {
  await using onefile = await makeOnefile();
  const table: readonly [name: string, make: (cache: string) => Promise<void>, rootAlone?: boolean][] = [
    ["a base where everybody may replace what is there", (cache) => Deno.chmod(cache, 0o777)],
    ["a directory on the way where everybody may", async (cache) => {
      await Deno.mkdir(`${cache}/telepresence`);
      await Deno.chmod(`${cache}/telepresence`, 0o777);
    }],
    ["somebody else's directory on the way, below one as /tmp is", async (cache) => {
      await Deno.chmod(cache, 0o1777);
      await Deno.mkdir(`${cache}/telepresence`);
      await Deno.chown(`${cache}/telepresence`, 65534, 65534);
    }, true],
    ["somebody else's symlink on the way", async (cache) => {
      await Deno.chmod(cache, 0o1777);
      await Deno.mkdir(`${cache}/elsewhere`);
      await Deno.symlink("elsewhere", `${cache}/telepresence`);
      await runProgram(["chown", "-h", "65534", `${cache}/telepresence`]);
    }, true],
  ];
  for (const [name, make, rootAlone = false] of table) {
    await t.step({
      name,
      ignore: rootAlone && Deno.uid() !== 0,
      async fn() {
        const [cache, home] = [await onefile.makeDirectory(), await onefile.makeDirectory()];
        await make(cache);
        const { code, stderr } = await runProgram([onefile.path, "exit", "3"], places(cache, { HOME: home }));
        equals([code, stderr], [3, ""]);
        equals((await unpackedIn(`${home}/.cache`)).length, 3);
      },
    });
  }
});

const notRoot = Deno.uid() === 0 ? cannotMount : " (skipped: it takes root)";
const others = 65534;

Deno.test(
  `somebody else's directory is neither used nor written to${notRoot}`,
  { ignore: notRoot !== "" },
  async (t) => {
    await using onefile = await makeOnefile();
    await t.step("the home of who became root", async () => {
      const [home, temporary] = [await onefile.makeDirectory(), await onefile.makeDirectory()];
      await Deno.chown(home, others, others);
      const options = { clearEnv: true, env: { HOME: home, TMPDIR: temporary } };
      equals((await runProgram([onefile.path, "exit", "3"], options)).code, 3);
      equals(await Array.fromAsync(Deno.readDir(home)), []);
      equals((await Array.fromAsync(Deno.readDir(temporary))).length, 1);
    });
    await t.step("a place that somebody has put where ours is to be, or may write to", async () => {
      const [temporary, cache] = [await onefile.makeDirectory(), await onefile.makeDirectory()];
      await Deno.chmod(temporary, 0o1777);
      await Deno.mkdir(`${temporary}/telepresence-0`);
      await Deno.chown(`${temporary}/telepresence-0`, others, others);
      await Deno.mkdir(`${cache}/telepresence/unpacked`, { recursive: true });
      await Deno.chmod(`${cache}/telepresence/unpacked`, 0o777);
      const mounts = [{ at: "/tmp", options: "ro,mode=1777" }];
      const { code, stderr } = await runProgram(
        sheltered(onefile, mounts, [onefile.path, "exit", "3"]),
        places(reached(onefile, cache), { TMPDIR: reached(onefile, temporary) }),
      );
      equals(code, 255);
      match(stderr, /^T: Cause: \S+\/telepresence\/unpacked: others may write to it$/m);
      match(stderr, /^T: Cause: \S+\/telepresence-0: it belongs to somebody else$/m);
      equals(await Array.fromAsync(Deno.readDir(`${temporary}/telepresence-0`)), []);
      equals(await unpackedIn(cache), []);
    });
  },
);

Deno.test("what cannot start says why", { ignore: !linux }, async (t) => {
  await using onefile = await makeOnefile();
  await t.step("a directory that is gone", async () => {
    const cache = await onefile.makeDirectory();
    const script = 'mkdir "$1/gone"; cd "$1/gone"; rmdir "$1/gone"; exec "$2" exit 3';
    const { code, stderr } = await runProgram(["sh", "-c", script, "-", cache, onefile.path], places(cache));
    equals([code, stderr], [255, "T: Error: Current working directory does not exist.\n"]);
  });
  await t.step("a system without glibc", async () => {
    await using other = await makeOnefile({ flags: ["-Wl,--dynamic-linker=/nowhere/ld.so"] });
    const { code, stderr } = await runProgram([other.path, "exit", "3"], places(await other.makeDirectory()));
    equals(code, 255);
    match(stderr, /^T: Error: Cannot start Deno [\d.]+: it needs glibc, and this system has none\n$/);
  });
  await t.step({
    name: `a file that was damaged on its way${cannotMount}`,
    ignore: noMounts !== undefined,
    async fn() {
      const bytes = await Deno.readFile(onefile.path);
      const frame = String.fromCharCode(0x28, 0xb5, 0x2f, 0xfd); // RFC 8878, 3.1.1
      const text = new TextDecoder("latin1").decode(bytes);
      const bundle = text.lastIndexOf(frame);
      const runtime = text.lastIndexOf(frame, bundle - 1);
      bytes.subarray(runtime + 1000, runtime + 1010).fill(0x55);
      await Deno.writeFile(onefile.path, bytes);
      const cache = await onefile.makeDirectory();
      const command = sheltered(onefile, [{ at: "/tmp", options: "ro" }], [onefile.path, "exit", "3"]);
      const { code, stderr } = await runProgram(command, places(reached(onefile, cache)));
      equals(code, 255);
      match(stderr, /^T: Cause: \S+\/unpacked: this program's file is damaged: get it anew$/m);
      equals(await unpackedIn(cache), ["lock"]);
    },
  });
});

const PROGRAM = new URL("../../build/telepresence", import.meta.url).pathname;
const whyNot = linux && Deno.uid() === 0 ? "" : " (skipped: it takes root on Linux)";

/** What a dynamic program of this machine is linked with: the loader and the libraries of libc's packages. */
async function libraries(program: string): Promise<string[]> {
  const { stdout } = await runProgram(["ldd", program]);
  return [...stdout.matchAll(/^\t(?:\S+ => )?(\/\S+) \(/gm)].map(([, path = ""]) => path);
}

Deno.test(
  `the built program starts in a root with libc and nothing else${whyNot}`,
  { ignore: whyNot !== "" },
  async () => {
    const root = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    try {
      for (const path of await libraries(Deno.execPath())) {
        await Deno.mkdir(`${root}${path.replace(/\/[^/]+$/, "")}`, { recursive: true });
        await Deno.copyFile(await Deno.realPath(path), `${root}${path}`);
      }
      await Deno.copyFile(PROGRAM, `${root}/telepresence`);
      await Deno.mkdir(`${root}/home`);
      // No /proc, no /dev, no /tmp, no shell.
      const { code, stdout, stderr } = await runProgram(["chroot", root, "/telepresence", "--version"], {
        clearEnv: true,
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/home" },
      });
      equals([code, stdout, stderr], [0, `${VERSION}\n`, ""]);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);
