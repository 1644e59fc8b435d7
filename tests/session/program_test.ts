/**
 * The built program as a process of its own, against a fake cluster in the test's process: streams, exit codes and
 * real signals (`deno test` keeps SIGINT for itself, so Ctrl-C can be sent to a child alone).
 */
import { deepStrictEqual as equals, match, strictEqual as equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, withoutSteps } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const STARTING = "T: Starting network proxy to cluster using new Deployment web\n";
const INTERRUPT = "T: Keyboard interrupt (Ctrl-C/Ctrl-Break) pressed. Cleaning up ...\n";

function spawn(cluster: FakeCluster, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(PROGRAM, {
    args: ["-nweb", ...args],
    cwd: cluster.directory,
    env: { KUBECONFIG: cluster.kubeconfigPath, NO_COLOR: "1", XDG_STATE_HOME: `${cluster.directory}/state` },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcome(child: Deno.ChildProcess) {
  if (!child.stdin.locked) await child.stdin.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: withoutSteps(decoder.decode(stderr)) };
}

Deno.test("100 MB of binary through --run cat come out equal, and nothing else with them", async () => {
  await using cluster = await startFakeCluster();
  const child = spawn(cluster, "--run", "cat");
  const [sent, received] = [createHash("sha256"), createHash("sha256")];
  let bytes = 0;
  const feeding = (async () => {
    const writer = child.stdin.getWriter();
    const chunk = crypto.getRandomValues(new Uint8Array(64 * 1024));
    for (let count = 0; count < 1600; count++) {
      new DataView(chunk.buffer).setUint32(4 * (count % 1000), count); // no chunk is like another
      sent.update(chunk);
      await writer.write(chunk.slice());
    }
    await writer.close();
  })();
  const reading = (async () => {
    for await (const chunk of child.stdout) {
      received.update(chunk);
      bytes += chunk.length;
    }
  })();
  const [stderr, { code }] = await Promise.all([new Response(child.stderr).text(), child.status, feeding, reading]);
  equals({ code, stderr: withoutSteps(stderr), bytes }, { code: 0, stderr: STARTING, bytes: 1600 * 64 * 1024 });
  equal(received.digest("hex"), sent.digest("hex"));
  equals(await cluster.remaining(), []);
});

Deno.test("standard output, standard error and exit code are the command's own", async () => {
  await using cluster = await startFakeCluster();
  const child = spawn(cluster, "--run", "sh", "-c", "echo out; echo err >&2; exit 113");
  equals(await outcome(child), { code: 113, stdout: "out\n", stderr: `${STARTING}err\n` });
  equals(await cluster.remaining(), []);
});

Deno.test("a shell reads its commands from standard input, and its exit code is ours", async () => {
  await using cluster = await startFakeCluster();
  const child = spawn(cluster, "--run-shell");
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode('echo "in $TELEPRESENCE_CONTAINER"\nexit 7\n'));
  await writer.close();
  equals(await outcome(child), { code: 7, stdout: "in telepresence\n", stderr: STARTING });
  equals(await cluster.remaining(), []);
});

Deno.test("real signals: 130, 143 and 129, unless the command chooses a code; nothing is left", async (t) => {
  const cases = [
    ["SIGINT", "sleep 60", 130],
    ["SIGTERM", "sleep 60", 143],
    ["SIGHUP", "sleep 60", 129],
    ["SIGINT", "trap 'exit 7' INT; read _", 7],
  ] as const;
  for (const [signal, script, code] of cases) {
    await t.step(`${signal}, ${script}: ${code}`, async () => {
      await using cluster = await startFakeCluster();
      const exec = script.startsWith("trap") ? script.replace("read", "echo > up; read") : `echo > up; exec ${script}`;
      const child = spawn(cluster, "--run", "sh", "-c", exec);
      await appears(cluster.directory, "up");
      child.kill(signal);
      const { status, stdin } = child;
      equal((await status).code, code);
      await stdin.close().catch(() => {});
      const [stdout, stderr] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      equal(stdout, "");
      match(
        withoutSteps(stderr),
        /^T: Starting [^\n]+\nT: (Keyboard interrupt|Received signal) [^\n]*Cleaning up \.\.\.\n$/,
      );
      equals(await cluster.remaining(), []);
    });
  }
});

/** Runs words on a terminal of their own, types Ctrl-C when the file `up` is there, ends with their exit code. */
const ON_A_TERMINAL = `import os, pty, sys, threading, time
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
def type_when_up():
    while not os.path.exists("up"): time.sleep(0.01)
    os.write(terminal, b"\\x03")
threading.Thread(target=type_when_up, daemon=True).start()
try:
    while os.read(terminal, 4096): pass
except OSError: pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;

Deno.test("Ctrl-C on a terminal goes to the command as well, once, and ends us with 130 or with its code", async (t) => {
  const cases = [
    ["a command that dies of it", "echo > up; exec sleep 60", 130],
    ["a command that counts", "trap 'echo >> ints' INT; echo > up; read _; sleep 0.2; exit 6", 6],
  ] as const;
  for (const [name, script, code] of cases) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster();
      const options = {
        cwd: cluster.directory,
        env: { KUBECONFIG: cluster.kubeconfigPath, XDG_STATE_HOME: `${cluster.directory}/state` },
      };
      const words = ["-nweb", "--run", "sh", "-c", script];
      const ended = await runProgram(["python3", "-c", ON_A_TERMINAL, PROGRAM, ...words], options);
      equal(ended.code, code, ended.stderr);
      if (code === 6) equal(await Deno.readTextFile(`${cluster.directory}/ints`), "\n", "one signal, not two");
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("Ctrl-C while it starts ends with 130 and leaves nothing", async () => {
  await using cluster = await startFakeCluster();
  const hold = cluster.faults.hold({ resource: "pods/portforward" });
  const child = spawn(cluster, "--run", "true");
  await hold.reached;
  child.kill("SIGINT");
  equals(await outcome(child), { code: 130, stdout: "", stderr: STARTING + INTERRUPT });
  equals(await cluster.remaining(), []);
});

Deno.test("a third Ctrl-C ends the process at once with 130, and tells what is left", async () => {
  await using cluster = await startFakeCluster();
  const child = spawn(cluster, "--run", "sh", "-c", "echo > up; exec sleep 60");
  await appears(cluster.directory, "up");
  const hold = cluster.faults.hold({ verb: "delete", resource: "deployments" });
  const heard = listen(child);
  child.kill("SIGINT");
  await hold.reached;
  for (const words of [/Still cleaning up/, /to be deleted by hand/]) {
    await tick(); // signals this close are one
    child.kill("SIGINT");
    await heard.said(words);
  }
  equal((await child.status).code, 130);
  match(
    await heard.all(),
    /This is left, to be deleted by hand:\nT: {3}kubectl delete configmap\/telepresence-\w+-agent --namespace default\nT: {3}kubectl delete deployment\/web --namespace default\n$/,
  );
  hold.release();
  await child.stdin.close().catch(() => {});
  await child.stdout.cancel();
});

Deno.test("Ctrl-C ends a start that waits for a kubeconfig which nobody writes", async () => {
  await using cluster = await startFakeCluster();
  const pipe = `${cluster.directory}/pipe`;
  equal((await runProgram(["mkfifo", pipe])).code, 0);
  const child = spawn({ ...cluster, kubeconfigPath: pipe }, "--run", "true");
  using _writer = await Deno.open(pipe, { write: true }); // opens when the program has opened it for reading
  child.kill("SIGINT");
  equals(await outcome(child), { code: 130, stdout: "", stderr: INTERRUPT });
});

Deno.test("what is not UTF-8 does not arrive as something else: a word is refused, a variable is told", async (t) => {
  const runShell = async (cluster: FakeCluster, line: string) => {
    const env = { KUBECONFIG: cluster.kubeconfigPath, XDG_STATE_HOME: `${cluster.directory}/state` };
    return await runProgram(["sh", "-c", line, PROGRAM], { cwd: cluster.directory, env });
  };
  await t.step("a word", async () => {
    await using cluster = await startFakeCluster();
    const { code, stderr } = await runShell(cluster, `exec "$0" --run echo "$(printf 'caf\\351')"`);
    equals({ code, stderr }, {
      code: 255,
      stderr: 'T: Error: Cannot pass on the word "caf\uFFFD": it is not UTF-8, and would arrive as another one\n' +
        "T: Hint: Write it into a script, and run that: --run ./SCRIPT\n",
    });
    equals(cluster.requests, []);
  });
  await t.step("a word that was typed with the character in its place", async () => {
    await using cluster = await startFakeCluster();
    const { code, stdout } = await runShell(cluster, `exec "$0" -nweb --quiet --run echo "caf\uFFFD"`);
    equals({ code, stdout }, { code: 0, stdout: "caf\uFFFD\n" });
  });
  await t.step("a variable", async () => {
    await using cluster = await startFakeCluster();
    const line = `exec env CAFE="$(printf 'caf\\351')" "$0" -nweb --quiet --run true`;
    const { code, stderr } = await runShell(cluster, line);
    equals({ code, stderr }, { code: 0, stderr: "T: Warning: the command does not get CAFE: not UTF-8\n" });
  });
});

/** Hears what a process says on its standard error. */
function listen(child: Deno.ChildProcess) {
  let text = "";
  let news = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      news.resolve();
      news = Promise.withResolvers();
    }
  })();
  return {
    async said(words: RegExp): Promise<void> {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error(`Waited 10 s in vain for ${words}:\n${text}`)), 10_000);
      try {
        while (!words.test(text)) await Promise.race([news.promise, late.promise]);
      } finally {
        clearTimeout(timer);
      }
    },
    async all(): Promise<string> {
      await reading;
      return text;
    },
  };
}

/** Longer than signals that count as one. */
async function tick(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, 260);
  await promise;
}
