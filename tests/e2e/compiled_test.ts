/**
 * `deno compile`, which `make build` uses where Deno's runtime for compiled programs (denort) can be had. Here it is
 * proved with one that npm has by chance: the program of package @stdy/cli is a compiled one, and its beginning, as long
 * as its ELF header says, is a denort of 2.7.11. It stays in the user's cache, for tests alone: nothing is delivered
 * with it. What that release cannot do of ours: `node:tls` over a connection that is not its own stands still for ever,
 * so proxies of the API server, `tls-server-name`, and `status` and `recover`.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { requireProgram } from "@/process/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { cached } from "../../tools/delivery/cache.ts";
import { fetchPackage } from "../../tools/delivery/npm_package.ts";
import { VERSION } from "../../version.ts";
import { clusterTest, leavesNothing, start } from "./harness.ts";

const CARRIER = {
  name: "@stdy/cli-linux-x64",
  version: "0.22.2",
  integrity: "sha512-kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==",
};
const COMPILER = {
  name: "@deno/linux-x64-glibc",
  version: "2.7.11",
  integrity: "sha512-TCRXqy4rHI+pKmWfjIz/qfDyfTz61qhxj+03kEJ3r0YzRGsXNoHyE7WiUawwUK2hbrBAu7hn3m5833VUYqRzOg==",
};

/** A Deno, and its runtime for compiled programs. */
interface Compiler {
  readonly deno: string;
  readonly denort: string;
}

/** An older Deno that compiles, or why it cannot be had. */
async function findCompiler(): Promise<Compiler | string> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "the denort of npm is for Linux on x86-64";
  try {
    const deno = `${await fetchPackage(COMPILER)}/deno`;
    return { deno, denort: await cached("denort-2.7.11", extractDenort) };
  } catch (error) {
    return messageOf(error);
  }
}

/** Writes the beginning of a compiled program, up to the end of its ELF section headers: what it was made of. */
async function extractDenort(path: string): Promise<void> {
  const bytes = await Deno.readFile(`${await fetchPackage(CARRIER)}/bin/steady`);
  const elf = new DataView(bytes.buffer);
  const [offset, size, count] = [elf.getBigUint64(0x28, true), elf.getUint16(0x3a, true), elf.getUint16(0x3c, true)];
  await Deno.writeFile(path, bytes.subarray(0, Number(offset) + size * count), { mode: 0o755 });
}

const PAGE = /<h1>Hello, world!<\/h1>/;
const compiler = await findCompiler();
if (typeof compiler === "string") {
  Deno.test({ name: `the compiled program does the first run (skipped: ${compiler})`, ignore: true, fn() {} });
} else {
  clusterTest("the compiled program does the first run, and its guardian gives back after kill -9", async (cluster) => {
    await using directory = await compile(compiler);
    const program = [`${directory.path}/telepresence`] as const;
    equals((await requireProgram([program[0], "--version"])).trim(), VERSION);
    await leavesNothing(cluster, async () => {
      const words = ["--run", "curl", "-sS", `http://helloworld.${cluster.namespace}`];
      await using running = start(cluster, words, { program });
      const { code, stdout, stderr } = await running.ended();
      equals(code, 0, stderr);
      match(stdout, PAGE);
    });
    // The guardian is the same file in another role.
    await leavesNothing(cluster, async () => {
      await using running = start(cluster, ["--run", "sh", "-c", "echo it runs >&2; exec sleep 600"], { program });
      await running.said(/it runs/);
      running.kill("SIGKILL");
    });
  });
}

/** Compiles the bundle as `make build` does. */
async function compile({ deno, denort }: Compiler): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "telepresence-e2e-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(path, { recursive: true }));
  const bundle = new URL("../../build/main.js", import.meta.url).pathname;
  const words = ["compile", "--quiet", "--allow-all", "--no-config", "--output", `${path}/telepresence`, bundle];
  await requireProgram([deno, ...words], { env: { DENORT_BIN: denort, DENO_DIR: `${path}/cache` } });
  const owned = stack.move();
  return { path, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
