/**
 * What the tests of the namespace share: programs in a real namespace, whose pod is a table in this process.
 *
 * Where this machine allows no namespace, the tests are skipped and one line says why. Run as root they have two users:
 * root itself, and one without rights, for whom a user namespace is made as for a developer.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Capture, type NamespaceOptions, probeNamespace, startNamespace } from "@/capture/mod.ts";
import { type Finished, runProgram } from "@/process/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { type FakeCluster, type FakePod, makeFakePod } from "../shim/fake_pod.ts";

const HELPER = fileURLToPath(new URL("../../build/netns/telepresence-netns", import.meta.url));

/** The user without rights: nobody. */
const NOBODY = 65534;

/** A program's surroundings in a test. */
export interface Inside {
  readonly pod: FakePod;
  readonly capture: Capture;
  /** What the log was told. */
  readonly log: string[];
  /** Runs a command inside to its end. */
  run(...command: [string, ...string[]]): Promise<Finished>;
  /** Runs a Python program inside, which must end well. @returns what it printed, without the last newline */
  python(source: string): Promise<string>;
  /** Starts a command inside. Its standard input and output are pipes; disposing it ends it. */
  spawn(...command: [string, ...string[]]): Deno.ChildProcess & AsyncDisposable;
}

const helper = await Deno.readFile(HELPER);
const verdict = await probeNamespace(helper);
if (!verdict.allowed) {
  await Deno.stderr.write(new TextEncoder().encode(`tests/netns are skipped: ${verdict.reason}\n`));
}

/** A test in a namespace, once for each user that there is: `root` or `developer`. */
export function insideTest(
  name: string,
  cluster: FakeCluster,
  body: (inside: Inside) => Promise<void>,
  options: Partial<NamespaceOptions> = {},
): void {
  const users = Deno.uid() === 0 ? ["root", "developer"] as const : ["developer"] as const;
  for (const user of users) {
    Deno.test({
      name: `${name} (${user})`,
      ignore: !verdict.allowed,
      async fn() {
        const pod = makeFakePod(cluster);
        const log: string[] = [];
        await using capture = await startNamespace(pod, {
          helper,
          podName: "my-pod",
          log: makeLog((line) => void log.push(line), { verbose: true }),
          ...options,
        });
        const before: string[] = [];
        if (user === "developer" && Deno.uid() === 0) {
          await giveToNobody(capture.command(["true"])[0].replace(/\/[^/]*$/, ""));
          before.push("setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups");
        }
        const words = (command: readonly [string, ...string[]]): [string, ...string[]] => {
          const [first, ...rest] = [...before, ...capture.command(command)];
          return [first ?? "", ...rest];
        };
        const run = (...command: [string, ...string[]]) => runProgram(words(command));
        await body({
          pod,
          capture,
          log,
          run,
          async python(source) {
            const { code, stdout, stderr } = await run("python3", "-c", source);
            equals({ code, stderr }, { code: 0, stderr: "" }, `${stdout}\n${log.join("\n")}`);
            return stdout.trimEnd();
          },
          spawn(...command) {
            const [program, ...args] = words(command);
            const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" })
              .spawn();
            return Object.assign(child, {
              async [Symbol.asyncDispose]() {
                try {
                  child.kill("SIGKILL");
                } catch {
                  // it has ended
                }
                await child.stdin.close().catch(() => {});
                await child.stdout.cancel().catch(() => {});
                await child.status;
              },
            });
          },
        });
      },
    });
  }
}

async function giveToNobody(directory: string): Promise<void> {
  await Deno.chown(directory, NOBODY, NOBODY);
  for await (const { name } of Deno.readDir(directory)) await Deno.chown(`${directory}/${name}`, NOBODY, NOBODY);
}

/** A TCP server on the host's loopback that answers each connection with a line and ends it, as long as the file runs. */
export function greeter(text: string, hostname = "127.0.0.1"): { readonly port: number } {
  const listener = Deno.listen({ hostname, port: 0 });
  void (async () => {
    for await (const conn of listener) {
      await conn.write(new TextEncoder().encode(text)).catch(() => {});
      conn.close();
    }
  })();
  return { port: listener.addr.port };
}
