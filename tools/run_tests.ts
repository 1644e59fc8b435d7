/**
 * Runs layers of tests, a file at a time, and ends with the line `N passed, N failed, N skipped`.
 *
 * `deno run -A tools/run_tests.ts fast|programs|machine|e2e|long|all [CONTEXT]`
 *
 * All are those but `long`, which waits for what takes minutes by itself.
 *
 * CONTEXT names another cluster for the layers on one: a context of the user's kubeconfig, or `kind`. Files that test the
 * embedded cluster itself are skipped by name then, and so are single tests that need control over it.
 *
 * Each file is a process of its own: one that cannot be loaded, hangs or takes its process down counts as one failure
 * and touches no other. Counts are of tests and their steps, from the reports that `deno test` writes.
 *
 * @module
 */
import { messageOf, UserError } from "@/util/mod.ts";
import { dirname, join } from "node:path";
import { clusterUnavailable, ensureCluster, listenForInterrupt, openForeignCluster } from "../tests/cluster/mod.ts";

/** A group of test files. */
interface Layer {
  readonly name: string;
  /** Folders with test files below, or single files. */
  readonly roots: readonly string[];
  /** Files of `roots` that belong to another layer. */
  readonly except?: readonly string[];
  /** How many files run at a time. */
  readonly parallel: number;
  /** How long one file may take. */
  readonly minutes: number;
  /** Whether it needs a cluster. */
  readonly cluster?: boolean;
  /** Whether it runs only where it is named. */
  readonly apart?: boolean;
  /** Folders of `roots` that test the embedded cluster itself, so that no other one will do. */
  readonly embedded?: readonly string[];
}

const LAYERS: readonly Layer[] = [
  {
    name: "fast",
    roots: ["lib", "tools", "tests/testkit", "tests/session"],
    except: ["tests/session/fault_table_test.ts"], // a minute by itself: every step of a session by every way to die
    parallel: 2,
    minutes: 5,
  },
  {
    name: "programs",
    roots: [
      "tests/shim",
      "tests/launcher",
      "tests/shells",
      "tests/report",
      "tests/netns",
      "tests/onefile",
      "tests/delivery",
      "tests/session/fault_table_test.ts",
    ],
    parallel: 2,
    minutes: 5,
  },
  { name: "machine", roots: ["tests/machine", "tests/vpn"], parallel: 1, minutes: 10 },
  {
    name: "e2e",
    // Two files of the layer fast have more to do where there is a cluster, or its kubectl.
    roots: ["tests/cluster", "tests/testkit/conformance_test.ts", "lib/kube/kubeconfig_test.ts", "tests/e2e"],
    parallel: 1,
    minutes: 20,
    cluster: true,
    embedded: ["tests/cluster"],
  },
  { name: "long", roots: ["tests/long"], parallel: 1, minutes: 30, cluster: true, apart: true },
];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const [wanted, context = ""] = Deno.args;
const layers = LAYERS.filter(({ name, apart = false }) => wanted === name || wanted === "all" && !apart);
if (layers.length === 0) throw new Error("usage: run_tests.ts fast|programs|machine|e2e|long|all [CONTEXT]");
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const reports = await Deno.makeTempDir({ prefix: "telepresence-test-" });
try {
  for (const layer of layers) await runLayer(layer);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  say([messageOf(error), ...error.hints.map((hint) => `  hint: ${hint}`)].join("\n"));
  total.failed++;
} finally {
  await Deno.remove(reports, { recursive: true });
}
say(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
Deno.exitCode = total.failed > 0 ? 1 : 0;

async function runLayer(layer: Layer): Promise<void> {
  const foreign = layer.cluster === true && context !== "";
  const roots = layer.roots.filter((root) => !foreign || !layer.embedded?.includes(root));
  for (const root of layer.roots.filter((root) => !roots.includes(root))) {
    for (const file of await testFiles(root)) {
      total.skipped++;
      say(`skipped ${file}: it tests the embedded cluster itself`);
    }
  }
  const found = (await Promise.all(roots.map((root) => testFiles(root)))).flat();
  const files = found.filter((file) => !layer.except?.includes(file)).sort();
  const env: Record<string, string> = {};
  let interrupted: AbortSignal = new AbortController().signal;
  await using stack = new AsyncDisposableStack();
  if (foreign) {
    // Ctrl-C ends the file under way; no other one follows, and what was made in the cluster is deleted.
    interrupted = stack.use(listenForInterrupt()).signal;
    const options = { env: Deno.env.toObject(), tell: say, signal: interrupted };
    const { kubeconfig, namespace, restricted } = stack.use(await openForeignCluster(context, options));
    env["TELEPRESENCE_TEST_KUBECONFIG"] = kubeconfig;
    env["TELEPRESENCE_TEST_NAMESPACES"] = `${namespace},${restricted}`;
  } else if (layer.cluster) {
    const lacking = await clusterUnavailable();
    if (lacking !== undefined) {
      total.skipped += files.length;
      return say(`skipped ${layer.name} (${files.length} files): ${lacking}`);
    }
    // A cluster that somebody works with stays; one that comes up for the tests goes with them.
    if (!await cluster("env")) stack.defer(async () => void await cluster("down"));
    const { kubeconfig, kubectl: [program] } = await ensureCluster();
    env["TELEPRESENCE_TEST_KUBECONFIG"] = kubeconfig;
    env["TELEPRESENCE_TEST_KUBECTL"] = join(dirname(program), "kubectl"); // a name of the same program
  }
  const queue = [...files];
  const worker = async () => {
    for (let file; !interrupted.aborted && (file = queue.shift()) !== undefined;) {
      add(await runFile(file, layer, env, interrupted));
    }
  };
  await Promise.all(Array.from({ length: layer.parallel }, worker));
  interrupted.throwIfAborted();
}

/** Runs a command of the embedded cluster. @returns whether it went well */
async function cluster(command: "env" | "down"): Promise<boolean> {
  const args = ["run", "--allow-all", "tests/cluster/cluster.ts", command];
  return (await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output()).success;
}

async function testFiles(root: string): Promise<string[]> {
  if (root.endsWith("_test.ts")) return [root];
  const found: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(root)) {
      if (isDirectory) found.push(...await testFiles(`${root}/${name}`));
      else if (name.endsWith("_test.ts")) found.push(`${root}/${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

async function runFile(
  file: string,
  layer: Layer,
  env: Record<string, string>,
  interrupted: AbortSignal,
): Promise<Counts> {
  const started = performance.now();
  const report = `${reports}/${file.replaceAll("/", "-")}.xml`;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), layer.minutes * 60_000);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "--allow-all", "--no-check", "--trace-leaks", `--junit-path=${report}`, file],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.any([late.signal, interrupted]),
  }).output();
  clearTimeout(timer);
  const counts = await readReport(report);
  if (code !== 0 && counts.failed === 0) counts.failed = 1; // could not be loaded, hung, or ended its own process
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (counts.failed > 0) {
    const decoder = new TextDecoder();
    say(decoder.decode(stdout) + decoder.decode(stderr));
    if (late.signal.aborted) say(`${file} did not end within ${layer.minutes} minutes`);
  }
  const { passed, failed, skipped } = counts;
  say(
    `${
      failed > 0 ? "FAILED" : "ok    "
    } ${file}: ${passed} passed, ${failed} failed, ${skipped} skipped (${seconds} s)`,
  );
  return counts;
}

async function readReport(path: string): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  let xml: string;
  try {
    xml = await Deno.readTextFile(path);
  } catch {
    return counts; // the file was not even loaded
  }
  for (const [, body = ""] of xml.matchAll(/<testcase [^>]*>([\s\S]*?)<\/testcase>/g)) {
    if (body.includes("<failure")) counts.failed++;
    else if (body.includes("<skipped")) counts.skipped++;
    else counts.passed++;
  }
  return counts;
}

function add({ passed, failed, skipped }: Counts): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function say(text: string): void {
  const bytes = new TextEncoder().encode(`${text.trimEnd()}\n`);
  for (let offset = 0; offset < bytes.length;) offset += Deno.stdout.writeSync(bytes.subarray(offset));
}
