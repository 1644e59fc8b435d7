/**
 * `make bench`, second part: what a program has of each method, in the same run, against `kubectl port-forward` and (where
 * it is installed) sshuttle through `kubectl exec`. Prints the table of `docs/benchmarks.md`, "Methods".
 *
 * All of it is on one played machine (tests/vpn), since two of the ways change the machine that they are on. Its way to
 * the API server is a relay in two programs, which every way goes through alike: compare columns, not tables.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import { playMachine, whyNot } from "../vpn/played_machine.ts";

const ROUNDS = Number(Deno.env.get("ROUNDS") ?? 3);
const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const CLIENT = fileURLToPath(new URL("./methods.py", import.meta.url));
const NAME = `bench-${crypto.randomUUID().slice(0, 8)}`;
const POD = { namespace: "default", name: NAME };
const METRICS = ["connects in a row, per second", "one download, MB/s", "lookup p50, ms", "lookup p99, ms"];

/** Serves 32 MB to each request. */
const SERVER = `
import http.server
class Serve(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.wfile.write(b"x" * (32 << 20))
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("", 80), Serve).serve_forever()`;

const reason = await whyNot();
if (reason !== undefined) await print(`The methods are not measured: ${reason}`);
else await measureAll();

async function measureAll(): Promise<void> {
  const { kubeconfig } = await ensureCluster();
  const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
  const { hostname, port } = new URL(config.server);
  await using kube = openKubeClient(config);
  await using machine = await playMachine({ way: { address: hostname, port: Number(port) } });
  const container = { name: "serve", image: "tools:1", imagePullPolicy: "Never", command: ["python3", "-c", SERVER] };
  await kube.create(pods, { metadata: POD, spec: { terminationGracePeriodSeconds: 0, containers: [container] } });
  const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
  try {
    const address = await addressOf();
    const ways = { ...ours(), "kubectl port-forward": throughKubectl, ...await sshuttle() };
    const taken = new Map<string, number[][]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, measure] of Object.entries(ways)) {
        const numbers = await measure(address).catch(async (error) => {
          await print(`${name}: ${error instanceof Error ? error.message : error}`);
          return [];
        });
        taken.set(name, [...taken.get(name) ?? [], numbers]);
      }
    }
    await print(tableOf(taken));
  } finally {
    await kube.delete(pods, POD, { gracePeriodSeconds: 0 }).catch(() => {});
    await Deno.remove(directory, { recursive: true });
  }

  async function addressOf(): Promise<string> {
    for (;; await sleep(200)) {
      const { status } = await kube.get(pods, POD);
      if (status.phase === "Running" && status.podIP) return status.podIP;
    }
  }
  /** The client on the machine, behind words that lead it somewhere. */
  async function client(...words: string[]): Promise<number[]> {
    const { code, stdout, stderr } = await machine.run("env", `KUBECONFIG=${kubeconfig}`, ...words);
    if (code !== 0) throw new Error(stderr.trim().split("\n").slice(-3).join(" "));
    return stdout.trim().split(" ").map(Number);
  }
  function ours() {
    const by = (method: string) => (address: string) =>
      client(
        ...[PROGRAM, "--logfile", `${directory}/log`, "--mount", "false", "--method", method, "--run"],
        ...["python3", CLIENT, address, "80", "names"],
      );
    return { "inject-tcp": by("inject-tcp"), "namespace": by("namespace"), "vpn-tcp": by("vpn-tcp") };
  }
  async function throughKubectl(): Promise<number[]> {
    const args = ["--kubeconfig", kubeconfig, "port-forward", `pod/${NAME}`, ":80"];
    await using program = await beside(["kubectl", ...args], /:(\d+) ->/);
    return await client("python3", CLIENT, "127.0.0.1", program.said[1] ?? "");
  }
  async function sshuttle() {
    if ((await runProgram(["sh", "-c", "command -v sshuttle"])).code !== 0) return {};
    const ssh = `${directory}/ssh`;
    // It says where to, "--", and one word for a shell there.
    const exec = `kubectl --kubeconfig ${kubeconfig} exec -i ${NAME} -- sh -c`;
    await Deno.writeTextFile(ssh, `#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift\nexec ${exec} "$*"\n`);
    await Deno.chmod(ssh, 0o755);
    return {
      async sshuttle(address: string) {
        const ranges = ["10.112.0.0/16", "10.113.0.0/16"];
        await using _program = await beside(
          ["sshuttle", "--dns", "-v", "-e", ssh, "-r", "pod", ...ranges],
          /Connected/,
        );
        await sleep(1000); // it says so before its rules are there
        return await client("python3", CLIENT, address, "80", "names");
      },
    };
  }
  /** A program that runs on the machine beside the client, once it has said this. */
  async function beside(command: readonly string[], ready: RegExp) {
    const [program = "", ...args] = [...machine.enter, ...command];
    const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
    let text = "";
    const heard = Promise.withResolvers<RegExpExecArray>();
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (const part of stream.pipeThrough(new TextDecoderStream())) {
        text += part;
        const found = ready.exec(text);
        if (found !== null) heard.resolve(found);
      }
    };
    const reading = Promise.all([read(child.stdout), read(child.stderr)]);
    void reading.then(() => heard.reject(new Error(`${command[0]} ended: ${text.trim().split("\n").at(-1)}`)));
    const end = async () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // it has ended
      }
      await Promise.all([child.status, reading]);
    };
    try {
      return { said: await heard.promise, [Symbol.asyncDispose]: end };
    } catch (error) {
      await end();
      throw error;
    }
  }
}

/** Medians: methods by metrics. */
function tableOf(taken: ReadonlyMap<string, readonly (readonly number[])[]>): string {
  const names = [...taken.keys()];
  const rows = METRICS.map((metric, index) => {
    const medians = names.map((name) => show(median((taken.get(name) ?? []).map((numbers) => numbers[index] ?? NaN))));
    return `| ${metric} | ${medians.join(" | ")} |`;
  });
  return [
    `\n## Methods\n\n${new Date().toISOString().slice(0, 10)}, ${ROUNDS} rounds, load average ${
      Deno.loadavg()[0]?.toFixed(0)
    } at the end\n`,
    `| | ${names.join(" | ")} |`,
    `| --- | ${names.map(() => "---").join(" | ")} |`,
    ...rows,
  ].join("\n");
}

function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

function show(value: number): string {
  return Number.isNaN(value) ? "-" : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
}
