/** Volumes of the pod at their paths in the pod, in plain directories that stand for them. */
import { deepStrictEqual as equals, ok, strictEqual as equal } from "node:assert/strict";
import { hasProgram, makeVolume, openWorld, runToEnd, VOLUME } from "./harness.ts";

const COMPILERS = ["gcc", "musl-gcc"];

Deno.test("A volume is at its path in the pod, for every function that takes one", async (t) => {
  for (const compiler of COMPILERS) {
    await t.step({
      name: compiler,
      ignore: !await hasProgram(compiler),
      async fn() {
        await using place = await makeVolume();
        await using world = await openWorld({ services: {}, names: {} });
        equals(await world.capture.show({ files: [{ pod: VOLUME, host: place.volume }], addresses: [] }), []);
        const program = await world.compile("files.c", ["-Wno-unused-result"], compiler);
        const bare = await runToEnd([program, place.volume], {});
        const under = await world.run([program, VOLUME]);
        ok(bare.stdout.split("\n").length > 90 && bare.stdout.includes("\nopen: hello\n"), bare.stdout);
        equals(under.stdout.split("\n"), bare.stdout.split("\n"));
        equals([under.code, under.stderr], [0, ""]);
        equals(await place.left(), ["file", "link", "new", "run", "sub"]);
      },
    });
  }
});

/** docs/limits.md: how far libc's own ways to a file reach, with each libc. */
const BESIDE: Readonly<Record<string, Record<string, "something" | "nothing">>> = {
  "gcc": { dlopen: "nothing", ftw: "nothing", glob: "something", fts_open: "nothing" },
  "musl-gcc": { dlopen: "nothing", ftw: "nothing", glob: "nothing" },
};

Deno.test("What libc opens by itself finds a volume below TELEPRESENCE_ROOT, and not at its path", async (t) => {
  for (const [compiler, at] of Object.entries(BESIDE)) {
    await t.step({
      name: compiler,
      ignore: !await hasProgram(compiler),
      async fn() {
        await using place = await makeVolume();
        await using world = await openWorld({ services: {}, names: {} });
        await world.capture.show({ files: [{ pod: VOLUME, host: place.volume }], addresses: [] });
        const program = await world.compile("beside.c", [], compiler);
        const said = async (volume: string) => {
          const { stdout } = await world.run([program, volume]);
          return Object.fromEntries(stdout.trimEnd().split("\n").map((line) => line.split(": ")));
        };
        equals(await said(VOLUME), at);
        equals(await said(place.volume), Object.fromEntries(Object.keys(at).map((name) => [name, "something"])));
      },
    });
  }
});

const CASES: readonly { readonly name: string; readonly command: readonly [string, ...string[]]; want: string }[] = [
  { name: "cat", command: ["cat", `${VOLUME}/file`], want: "hello\n" },
  { name: "cat, a path with dots", command: ["cat", `/usr/..${VOLUME}/./sub/../file`], want: "hello\n" },
  { name: "ls", command: ["ls", VOLUME], want: "file\nlink\nrun\nsub\n" },
  {
    name: "ls -l",
    command: ["sh", "-c", `ls -l ${VOLUME}/link | sed 's/.*:[0-9]* //'`],
    want: `${VOLUME}/link -> file\n`,
  },
  { name: "find", command: ["find", `${VOLUME}/sub`], want: `${VOLUME}/sub\n${VOLUME}/sub/deep\n` },
  { name: "grep -r", command: ["grep", "-r", "deep", VOLUME], want: `${VOLUME}/sub/deep:deep\n` },
  { name: "sh: a redirection", command: ["sh", "-c", `read line < ${VOLUME}/file; echo $line`], want: "hello\n" },
  {
    name: "sh: cd and pwd",
    command: ["sh", "-c", `cd ${VOLUME}/sub && pwd && cat deep ../file`],
    want: `${VOLUME}/sub\ndeep\nhello\n`,
  },
  { name: "bash: a pattern", command: ["bash", "-c", `echo ${VOLUME}/*n*`], want: `${VOLUME}/link ${VOLUME}/run\n` },
  { name: "a program in it", command: ["sh", "-c", `${VOLUME}/run hi`], want: "hi\n" },
  {
    name: "cp -r out of it",
    command: ["sh", "-c", `d=$(mktemp -d); cp -r ${VOLUME} $d/x && ls $d/x; rm -r $d`],
    want: "file\nlink\nrun\nsub\n",
  },
  {
    name: "sed -i",
    command: ["sh", "-c", `sed -i s/hello/HELLO/ ${VOLUME}/file && cat ${VOLUME}/file`],
    want: "HELLO\n",
  },
  {
    name: "rm -r",
    command: ["sh", "-c", `mkdir -p ${VOLUME}/a/b && rm -r ${VOLUME}/a && ls ${VOLUME}`],
    want: "file\nlink\nrun\nsub\n",
  },
  {
    name: "python",
    command: [
      "python3",
      "-c",
      `import os, pathlib, shutil, tempfile
v = "${VOLUME}"
print(open(v + "/file").read().strip(), os.path.realpath(v + "/link"), sorted(os.listdir(v)), pathlib.Path(v, "sub").is_dir())
os.chdir(v); print(os.getcwd(), [e.name for e in os.scandir("sub")], os.stat("../etc/passwd").st_size > 0)
with tempfile.TemporaryDirectory(dir=v) as d: print(d.startswith(v), os.path.exists(d))
shutil.copytree(v + "/sub", v + "/copy"); print(os.listdir(v + "/copy")); shutil.rmtree(v + "/copy")`,
    ],
    want: `hello ${VOLUME}/file ['file', 'link', 'run', 'sub'] True\n${VOLUME} ['deep'] True\nTrue True\n['deep']\n`,
  },
  {
    name: "node",
    command: [
      "node",
      "-e",
      `const fs = require("fs"), v = "${VOLUME}";
console.log(fs.readFileSync(v + "/file", "utf8").trim(), fs.existsSync(v), fs.statSync(v).isDirectory(), fs.readdirSync(v));
console.log(fs.realpathSync(v + "/link"), fs.realpathSync.native(v + "/link"), fs.lstatSync(v + "/link").isSymbolicLink());
fs.promises.readFile(v + "/sub/deep", "utf8").then((t) => console.log(t.trim()));`,
    ],
    want: `hello true true [ 'file', 'link', 'run', 'sub' ]\n${VOLUME}/file ${VOLUME}/file true\ndeep\n`,
  },
  {
    name: "java",
    command: ["java", "{java}"],
    want: `hello\n${VOLUME}/file\n[deep]\n`,
  },
  {
    name: "ruby",
    command: [
      "ruby",
      "-e",
      `v = "${VOLUME}"; print File.read(v + "/file"); puts Dir.children(v).sort.join(" "), File.realpath(v + "/link")`,
    ],
    want: `hello\nfile link run sub\n${VOLUME}/file\n`,
  },
  {
    name: "php",
    command: [
      "php",
      "-r",
      `$v = "${VOLUME}"; echo file_get_contents("$v/file"), implode(" ", glob("$v/*n*")), " ", realpath("$v/link");`,
    ],
    want: `hello\n${VOLUME}/link ${VOLUME}/run ${VOLUME}/file`,
  },
  {
    name: "perl",
    command: ["perl", "-e", `open F, "<", "${VOLUME}/file"; print <F>; print -d "${VOLUME}/sub"`],
    want: "hello\n1",
  },
  {
    name: "deno",
    command: [
      "deno",
      "eval",
      `const v = "${VOLUME}"; console.log(Deno.readTextFileSync(v + "/file").trim(), Deno.realPathSync(v + "/link"), [...Deno.readDirSync(v + "/sub")].length)`,
    ],
    want: `hello ${VOLUME}/file 1\n`,
  },
];

const JAVA = `
import java.io.*; import java.nio.file.*; import java.util.*;
class Main { public static void main(String[] a) throws Exception {
  System.out.print(Files.readString(Path.of("${VOLUME}/file")));
  System.out.println(new File("${VOLUME}/link").getCanonicalPath());
  System.out.println(Arrays.toString(new File("${VOLUME}/sub").list()));
} }
`;

Deno.test("Programs that people run find a volume at its path", async (t) => {
  await using world = await openWorld({ services: {}, names: {} });
  for (const { name, command, want } of CASES) {
    await t.step({
      name,
      ignore: !command[0].startsWith("/") && !await hasProgram(command[0]),
      async fn() {
        await using place = await makeVolume();
        await world.capture.show({ files: [{ pod: VOLUME, host: place.volume }], addresses: [] });
        const java = `${place.directory}/Main.java`;
        await Deno.writeTextFile(java, JAVA);
        const [program, ...words] = command.map((word) => word === "{java}" ? java : word);
        const { stdout, stderr } = await world.run([program ?? "", ...words], {
          env: { HOME: place.directory, NO_COLOR: "1", LC_ALL: "C" },
        });
        equal(stdout, want, stderr);
      },
    });
  }
});

Deno.test("Every process asks for the paths once, and one without volumes changes none", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const script =
    "import os\nfor i in range(100): os.path.exists('/telepresence-test-volume/%d' % i)\nprint(os.getcwd())";
  const { stdout, stderr } = await world.run(["python3", "-c", script], { env: { TELEPRESENCE_SHIM_LOG: "1" } });
  equals([stdout, stderr], [`${Deno.cwd()}\n`, ""]);
});

Deno.test("A path that leads into a volume is told with TELEPRESENCE_SHIM_LOG=1", async () => {
  await using place = await makeVolume();
  await using world = await openWorld({ services: {}, names: {} });
  await world.capture.show({ files: [{ pod: VOLUME, host: place.volume }], addresses: [] });
  const { stderr } = await world.run(["cat", `${VOLUME}/file`], { env: { TELEPRESENCE_SHIM_LOG: "1" } });
  equal(stderr, `telepresence-shim: path ${VOLUME}/file: pod (${place.volume}/file)\n`);
});

Deno.test("An allocator that reads a file with its lock held does not stop the program", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const program = await world.compile("early.c", ["-shared", "-fPIC"]);
  const shim = world.capture.environment({})["LD_PRELOAD"] ?? "";
  for (const preload of [`${program}:${shim}`, `${shim}:${program}`]) {
    const env = { ...world.capture.environment({}), LD_PRELOAD: preload };
    equals(await runToEnd(["cat", "/dev/null"], env), { code: 0, stdout: "", stderr: "read the file\n" });
  }
});
