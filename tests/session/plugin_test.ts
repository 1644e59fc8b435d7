// deno-lint-ignore-file no-control-regex -- a line that is erased on a terminal is a part of this
/**
 * Credential plugins that talk to the user, under the built program, on a terminal of their own (Python's `pty`) and
 * without one. The plugin is as those of device codes are: it says where to go, asks, and gives a certificate.
 */
import { deepStrictEqual as equals, match, ok, strictEqual as equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));

/** Runs the words behind its own on a terminal, types each line of stdin when its question comes, prints all. */
const ON_TERMINAL = `
import os, pty, sys
questions = [line.split(b"=") for line in sys.stdin.buffer.read().split(b"\\n") if line]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    seen += part
    if questions and questions[0][0] in seen:
        os.write(fd, questions.pop(0)[1] + b"\\n")
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** A kubeconfig whose user is a plugin; what it is told of itself goes to the file `info`. */
async function withPlugin(cluster: FakeCluster, interactiveMode: string, ask: string): Promise<void> {
  const { directory } = cluster;
  const config = JSON.parse(cluster.kubeconfig);
  const user = config.users[0].user;
  const apiVersion = "client.authentication.k8s.io/v1";
  const status = {
    clientCertificateData: atob(user["client-certificate-data"]),
    clientKeyData: atob(user["client-key-data"]),
  };
  await Deno.writeTextFile(`${directory}/answer`, JSON.stringify({ apiVersion, kind: "ExecCredential", status }));
  const script = `#!/bin/sh
cd "$(dirname "$0")"
printf '%s\\n' "$KUBERNETES_EXEC_INFO" >> info
echo 'To sign in, open https://example.test/device' >&2
${ask}
cat answer
`;
  await Deno.writeTextFile(`${directory}/plugin`, script, { mode: 0o700 });
  config.users[0].user = { exec: { apiVersion, command: "./plugin", interactiveMode } };
  await Deno.writeTextFile(cluster.kubeconfigPath, JSON.stringify(config));
}

async function interactiveOf({ directory }: FakeCluster): Promise<unknown[]> {
  const lines = (await Deno.readTextFile(`${directory}/info`)).trim().split("\n");
  return lines.map((line) => JSON.parse(line).spec.interactive);
}

/** With a state directory of its own: what somebody's sessions left on this machine would be asked about first. */
const environmentOf = ({ kubeconfigPath, directory }: FakeCluster) => ({
  KUBECONFIG: kubeconfigPath,
  NO_COLOR: "1",
  XDG_STATE_HOME: `${directory}/state`,
});

Deno.test("on a terminal a plugin asks the user before the command has the input, which then has all that follows", async () => {
  await using cluster = await startFakeCluster();
  await withPlugin(cluster, "Always", `printf 'Code: ' >&2; read code; [ "$code" = 1234 ] || exit 9`);
  const words = ["-nweb", "--run", "sh", "-c", 'read line; echo "the command got $line"'];
  const { code, stdout } = await runProgram(["python3", "-c", ON_TERMINAL, PROGRAM, ...words], {
    input: "T: Code:=1234\nLaunching your command.=for the command\n",
    cwd: cluster.directory,
    env: { ...environmentOf(cluster), TERM: "xterm" },
    signal: AbortSignal.timeout(60_000),
  });
  equal(code, 0, stdout);
  // The step that is shown meanwhile is erased before the question, and stays away until it is answered.
  const [asking, ...rest] = stdout.split("T: To sign in");
  match(asking ?? "", /^\rT: Asking [^\n]*\x1b\[K\r\x1b\[K$/);
  match(rest.join(), /^, open https:\/\/example\.test\/device\r\nT: Code:\r\n1234\r\n/);
  match(stdout, /the command got for the command\r\n/);
  equals(await interactiveOf(cluster), [true]);
  equals(await cluster.remaining(), []);
});

Deno.test("without a terminal a plugin's words are shown as they come, and it may not ask", async () => {
  await using cluster = await startFakeCluster();
  // It goes on when somebody has seen its words, as whoever has to open an address must.
  await withPlugin(cluster, "IfAvailable", "until [ -e seen ]; do sleep 0.05; done");
  const child = new Deno.Command(PROGRAM, {
    args: ["-nweb", "--run", "true"],
    cwd: cluster.directory,
    env: environmentOf(cluster),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (/^T: To sign in, open https:\/\/example\.test\/device$/m.test(said)) {
      await Deno.writeTextFile(`${cluster.directory}/seen`, "");
    }
  }
  equal((await child.status).code, 0, said);
  equals(await interactiveOf(cluster), [false]);
});

Deno.test("without a terminal a plugin that must ask is refused with a sentence", async () => {
  await using cluster = await startFakeCluster();
  await withPlugin(cluster, "Always", "exit 9");
  const { code, stderr } = await runProgram([PROGRAM, "-nweb", "--run", "true"], {
    cwd: cluster.directory,
    env: environmentOf(cluster),
  });
  equal(code, 255);
  match(
    stderr,
    /^T: Error: Cannot run the credential plugin ".*\/plugin": it asks for a terminal, and there is none$/m,
  );
  ok(await Deno.stat(`${cluster.directory}/info`).then(() => false, () => true), "it was started");
});
