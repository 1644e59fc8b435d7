import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { openWorld, serveText } from "./harness.ts";

const WAYS = [
  ...["execve", "execve-null", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat"],
  ...["posix_spawn", "posix_spawnp", "vfork"],
];

Deno.test("A program that is started with a cleaned environment is still carried", async (t) => {
  await using hello = serveText("hello\n");
  await using world = await openWorld({ services: { "10.96.7.7 80": hello.port }, names: { hello: ["10.96.7.7"] } });
  const program = await world.compile("exec.c");
  for (const how of WAYS) {
    await t.step(how, async () => {
      const { stdout, stderr } = await world.run([program, how, "/usr/bin/curl", "http://hello/"]);
      equals(stdout, "hello\n", stderr);
    });
  }
  for (const how of ["system", "popen"]) {
    await t.step(`${how} after clearenv()`, async () => {
      const { code, stdout, stderr } = await world.run([program, how, "/usr/bin/curl", "http://hello/"]);
      equals([code, stdout, stderr], [0, "hello\n", ""]);
    });
  }
  await t.step("env -i", async () => {
    equal((await world.run(["env", "-i", "curl", "-sS", "http://hello/"])).stdout, "hello\n");
  });
  await t.step("bash, in a pipe", async () => {
    const script = "unset LD_PRELOAD; env -u TELEPRESENCE_SHIM_SOCKET curl -sS http://hello/ | cat";
    equal((await world.run(["bash", "-c", script])).stdout, "hello\n");
  });
  await t.step("python's subprocess with an environment of its own", async () => {
    const script = "import subprocess; subprocess.run(['curl', '-sS', 'http://hello/'], env={'PATH': '/usr/bin'})";
    equal((await world.run(["python3", "-c", script])).stdout, "hello\n");
  });
  await t.step("node's child_process with an environment of its own", async () => {
    const script =
      "console.log(String(require('child_process').execFileSync('/usr/bin/curl', ['-sS', 'http://hello/'], { env: {} })).trim())";
    equal((await world.run(["node", "-e", script])).stdout, "hello\n");
  });
});

Deno.test("What an environment already has stays as it is", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const { LD_PRELOAD: shim = "" } = world.capture.environment({});
  equal(world.capture.environment({ LD_PRELOAD: "/other.so" }).LD_PRELOAD, `/other.so:${shim}`);
  const printed = async (...variables: string[]) =>
    (await world.run(["env", "-i", ...variables, "/usr/bin/env"])).stdout.split("\n").filter(Boolean).sort();
  const { TELEPRESENCE_SHIM_SOCKET: socket = "" } = world.capture.environment({});
  const ours = [`LD_PRELOAD=${shim}`, `TELEPRESENCE_SHIM_SOCKET=${socket}`];
  equals(await printed(), ours);
  equals(await printed("A=b"), ["A=b", ...ours]);
  equals(await printed("LD_PRELOAD="), ours);
  equals(await printed(`LD_PRELOAD=${shim}`, "TELEPRESENCE_SHIM_SOCKET=/another"), [
    `LD_PRELOAD=${shim}`,
    "TELEPRESENCE_SHIM_SOCKET=/another",
  ]);
});

Deno.test("The user hears once of a program that goes around the pod", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const still = await world.compile("static.c", ["-static"]);
  const { code, stdout, stderr } = await world.run(["bash", "-c", `${still}; ${still}; env -i ${still}`]);
  equals([code, stdout], [0, "ran\nran\nran\n"]);
  const sentence = `"${still}" goes around the pod: it is statically linked, so no library can be preloaded into it`;
  equal(stderr, `telepresence: ${sentence}\n`);
  equal(world.log.filter((line) => line.endsWith(sentence)).length, 1);
});

Deno.test("The user hears once in a process of io_uring, and syscall() is the kernel's", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const script = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for i in range(2):
    fd = libc.syscall(425, 1, ctypes.create_string_buffer(120)) # io_uring_setup
    if fd >= 0: os.close(fd)
print(libc.syscall(39 if os.uname().machine == "x86_64" else 172) == os.getpid(), libc.syscall(9999), ctypes.get_errno())
`;
  const { code, stdout, stderr } = await world.run(["python3", "-c", script]);
  equals([code, stdout], [0, "True -1 38\n"]);
  equal(stderr, "telepresence: this program uses io_uring: what it connects or opens by it goes around the pod\n");
});
