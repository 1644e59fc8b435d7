/** The launcher (shim/launcher) by itself: groups, descriptors, signals, and a terminal's keys. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { startChild, startFilter } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { openOnTerminal } from "./terminal.ts";

const LAUNCHER = new URL("../../build/shim/telepresence-launcher", import.meta.url).pathname;
const PATH = Deno.env.get("PATH") ?? "";

async function launch(...command: string[]) {
  const process = new Deno.Command(LAUNCHER, { args: command, stdin: "null", stdout: "piped", stderr: "piped" });
  const { code, signal, stdout, stderr } = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the launcher ends as the command does", async (t) => {
  await t.step("by its exit status", async () => equals((await launch("sh", "-c", "exit 113")).code, 113));
  await t.step("by its signal", async () => {
    const { signal, code } = await launch("sh", "-c", "kill -KILL $$");
    equals([signal, code], ["SIGKILL", 137]);
  });
  await t.step("with the system's words when it cannot be started", async () => {
    const { code, stderr } = await launch("/etc/passwd");
    equals([code, stderr], [255, "T: Error: /etc/passwd: Permission denied\n"]);
  });
  await t.step("a script without its first line is the shell's", async () => {
    const script = await Deno.makeTempFile();
    await Deno.writeTextFile(script, "echo of the shell");
    await Deno.chmod(script, 0o755);
    equals((await launch(script)).stdout, "of the shell\n");
    await Deno.remove(script);
  });
});

Deno.test("the launcher gives the command a group of its own, and no descriptor but 0, 1 and 2", async () => {
  const script = "cut -d ' ' -f 1,5 /proc/self/stat; for fd in /proc/self/fd/*; do echo ${fd##*/}; done";
  const command = ["bash", "-c", `exec 7</dev/null; exec "$@"`, "-", LAUNCHER, "sh", "-c", script] as const;
  const { stdout } = await new Deno.Command(command[0], { args: command.slice(1), stdin: "null" }).output();
  const [, ...descriptors] = new TextDecoder().decode(stdout).trim().split("\n");
  // The shell that lists has the directory open while it does.
  equals(descriptors.filter((fd) => Number(fd) < 7 && Number(fd) !== 3), ["0", "1", "2"]);
  equals(descriptors.includes("7"), false);
  const { stdout: ids } = await launch("sh", "-c", "echo $$ $(cut -d ' ' -f 5 /proc/$$/stat)");
  const [pid, group] = ids.trim().split(" ");
  equals(pid, group);
});

Deno.test("a signal reaches the whole group, and what ignores SIGTERM is killed with all that it started", async () => {
  const script = "trap '' TERM; sleep 600 & echo $! >\"$1\"; wait; sleep 600";
  const file = await Deno.makeTempFile();
  await using child = startChild(["sh", "-c", script, "-", file], {
    env: { PATH },
    launcher: LAUNCHER,
    patienceMs: [100, 100],
  });
  let pid = "";
  while (pid === "") {
    await sleep(20);
    pid = (await Deno.readTextFile(file)).trim();
  }
  const { signal } = await child.end("SIGTERM");
  equals(signal, "SIGKILL");
  await goneSoon(Number(pid));
  await Deno.remove(file);
});

Deno.test("what the command leaves of its group ends with it", async () => {
  const { stdout, code } = await launch("sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!");
  equals(code, 0);
  await goneSoon(Number(stdout));
});

Deno.test("the command ends when the launcher's parent is killed", async () => {
  const script = `"$1" sh -c 'echo $$; exec sleep 600' & wait`;
  const parent = new Deno.Command("sh", { args: ["-c", script, "-", LAUNCHER], stdin: "null", stdout: "piped" })
    .spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  parent.kill("SIGKILL");
  await parent.status;
  await goneSoon(pid);
  await reader.cancel();
});

Deno.test("Ctrl-C is the command's alone", async () => {
  // The outer shell stands for telepresence: without job control, so that it shares the launcher's group.
  const script = `trap 'echo outer got it' INT; "$1" sh -c 'trap "echo command got it; exit 5" INT; echo ready; ` +
    `while :; do sleep 0.1; done'; echo "ended $?"`;
  await using terminal = openOnTerminal(["sh", "-c", script, "-", LAUNCHER], {});
  await terminal.shows(/ready/);
  await terminal.type("\x03");
  await terminal.shows(/command got it\r\nended 5/);
});

Deno.test("Ctrl-Z stops the job, bg and fg continue it, and the command reads the terminal again", async () => {
  await using terminal = openOnTerminal(["bash", "--norc", "-i"], {});
  await terminal.shows(/bash-[\d.]+[#$] /);
  // As in life: a process that is not the terminal's shell starts the launcher in its own group, and waits.
  await terminal.type(`sh -c '"$1" cat; echo "ended $?"' - '${LAUNCHER}'\n`);
  await terminal.shows(/\n/);
  await terminal.type("first\n");
  await terminal.shows(/first\r\nfirst\r\n/);
  await terminal.typeUntil("\x1a", /Stopped[^]*bash-[\d.]+[#$] /);
  await terminal.type("fg\n");
  await terminal.shows(/\n/);
  await terminal.typeUntil("second\n", /second\r\nsecond\r\n/);
  await terminal.type("\x04");
  await terminal.shows(/ended 0/);
  await terminal.type("exit 3\n");
  equals(await terminal.ended(), 3);
});

Deno.test("a shell under the launcher has job control of its own", async () => {
  await using terminal = openOnTerminal([LAUNCHER, "bash", "--norc", "-i"], {});
  await terminal.shows(/bash-[\d.]+[#$] /);
  await terminal.type("sleep 600\n");
  await terminal.shows(/sleep 600\r\n/); // Ctrl-Z takes away what is typed and not yet read
  await terminal.typeUntil("\x1a", /Stopped +sleep 600[^]*bash-[\d.]+[#$] /);
  await terminal.type("kill %1; fg >/dev/null; echo back\n");
  await terminal.shows(/\nback/);
  await terminal.type("exit 4\n");
  equals(await terminal.ended(), 4);
});

async function goneSoon(pid: number): Promise<void> {
  match(String(pid), /^[1-9]\d*$/);
  const end = performance.now() + 30_000;
  while (await Deno.stat(`/proc/${pid}`).then(() => true, () => false)) {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => ") Z");
    if (/\) Z/.test(stat)) return; // ended; whoever adopted it has not looked yet
    if (performance.now() > end) throw new Error(`Process ${pid} is still there`);
    await sleep(20);
  }
}

/** What each of the pipes at 0 and 1 holds, and whose process it is that has them. */
const TELL_PIPES = `
import fcntl, os, sys
F_GETPIPE_SZ = 1032
print(*[fcntl.fcntl(fd, F_GETPIPE_SZ) for fd in (0, 1)], os.getpid())
`;

Deno.test("with --pipes the launcher makes pipes wide and becomes the program", async (t) => {
  const tell = async (bytes: string) => {
    const args = ["--pipes", bytes, "python3", "-c", TELL_PIPES];
    const child = new Deno.Command(LAUNCHER, { args, stdin: "piped", stdout: "piped" }).spawn();
    await child.stdin.close();
    const { stdout } = await child.output();
    const [input, output, pid] = new TextDecoder().decode(stdout).split(" ").map(Number);
    equals(pid, child.pid, "who ends it ends the program");
    return [input, output];
  };
  await t.step("as wide as it is told", async () => equals(await tell("262144"), [262144, 262144]));
  await t.step("never narrower than they are", async () => equals(await tell("4096"), [65536, 65536]));
  await t.step("what is no number changes nothing", async () => equals(await tell("much"), [65536, 65536]));
  await t.step("as wide as the user may have them", async () => {
    const most = Number(await Deno.readTextFile("/proc/sys/fs/pipe-max-size"));
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const [program = "", ...args] = [...(Deno.uid() === 0 ? nobody : []), LAUNCHER, "--pipes", String(4 * most)];
    const command = new Deno.Command(program, {
      args: [...args, "python3", "-c", TELL_PIPES],
      stdin: "piped",
      stdout: "piped",
    });
    const child = command.spawn();
    await child.stdin.close();
    const [input] = new TextDecoder().decode((await child.output()).stdout).split(" ");
    equals(Number(input), most);
  });
  await t.step("what is no pipe stays as it is", async () => {
    equals((await launch("--pipes", "1048576", "sh", "-c", "cat; echo ran")).stdout, "ran\n");
  });
  await t.step("a program that cannot be executed is told", async () => {
    const { code, stderr } = await launch("--pipes", "1048576", "/etc/passwd");
    equals([code, stderr], [255, "/etc/passwd: Permission denied\n"]);
  });
});

Deno.test("a filter with the launcher has wide pipes, and every byte", async () => {
  await using filter = startFilter(["python3", "-c", `${TELL_PIPES}\nsys.stdout.flush(); os.execvp("cat", ["cat"])`], {
    launcher: LAUNCHER,
  });
  const buffer = new Uint8Array(1024 * 1024);
  let first = "";
  while (!first.endsWith("\n")) {
    const count = await filter.duplex.read(buffer);
    ok(count !== null, first);
    first += new TextDecoder().decode(buffer.subarray(0, count));
  }
  match(first, /^1048576 1048576 /);
  const sent = Uint8Array.from({ length: 3_000_001 }, (_, at) => at * 31 + (at >> 9));
  const writing = (async () => {
    for (let at = 0; at < sent.length;) at += await filter.duplex.write(sent.subarray(at));
    await filter.duplex.closeWrite();
  })();
  let at = 0;
  for (let count; (count = await filter.duplex.read(buffer)) !== null; at += count) {
    equals(buffer.subarray(0, count), sent.subarray(at, at + count));
  }
  await writing;
  equals([at, await filter.exit], [sent.length, 0]);
});
