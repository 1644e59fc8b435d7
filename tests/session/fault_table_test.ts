/**
 * The fault table: each step of a swap, and each way in which a session can come to its end there. Afterwards the
 * original is what it was, and nothing of ours is left.
 *
 * The built program is a process of its own here, as `kill -9` is one of the ways, and its guardian another process.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { sleep } from "@/util/mod.ts";
import { type FakeCluster, type Hold, type Match, Refusal, startFakeCluster, unavailable } from "../testkit/mod.ts";
import { appears } from "./harness.ts";
import { essence, putWeb } from "./web.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));

/** Steps of a swap, by the request that makes each; without one, the command runs. */
const STEPS: readonly { readonly name: string; readonly request?: Match }[] = [
  { name: "claiming the place", request: { verb: "create", resource: "configmaps", dryRun: false } },
  { name: "making the proxy", request: { verb: "create", resource: "deployments", dryRun: false } },
  { name: "reaching the agent", request: { verb: "get", resource: "pods/portforward" } },
  { name: "letting Services find it", request: { verb: "patch", resource: "pods" } },
  { name: "scaling the original down", request: { verb: "patch", resource: "deployments", dryRun: false } },
  { name: "running the command" },
];

/** What a way to die is given. */
interface Session {
  readonly cluster: FakeCluster;
  readonly child: Deno.ChildProcess;
  readonly request: Match | undefined;
  /** Lets the step's request go on. */
  release(): void;
  /** What is said on the standard error. */
  stderr(): string;
}

/** A step that the program asks the API server for. */
type Request = Match | undefined;

/** Ways to die, the exit code that each leaves, and words on the terminal. */
const WAYS: readonly {
  readonly name: string;
  readonly code: number | ((request: Request) => number);
  readonly words: RegExp;
  /** Steps at which it cannot happen, or is another way: a command that runs has no request that could be refused. */
  readonly not?: (request: Request) => boolean;
  /** Whether it has to be set up before the request is made. */
  readonly isEarly?: boolean;
  die(session: Session): Promise<void>;
}[] = [
  signalled("SIGINT", 130, /Keyboard interrupt \(Ctrl-C\/Ctrl-Break\) pressed\. Cleaning up \.\.\./),
  signalled("SIGTERM", 143, /Received signal SIGTERM\. Cleaning up \.\.\./),
  signalled("SIGHUP", 129, /Received signal SIGHUP\. Cleaning up \.\.\./),
  {
    name: "SIGINT twice",
    code: 130,
    words: /Cleaning up \.\.\./,
    async die({ child, release, cluster }) {
      const hold = cluster.faults.hold({ verb: "delete", resource: "configmaps", dryRun: false });
      child.kill("SIGINT");
      release();
      await reached(hold, cluster);
      child.kill("SIGINT");
      hold.release();
    },
  },
  {
    name: "SIGKILL",
    code: 137,
    words: /Starting network proxy/,
    die({ child, release }) {
      child.kill("SIGKILL");
      release();
      return Promise.resolve();
    },
  },
  {
    name: "SIGKILL of the guardian too, then recover",
    code: 137,
    words: /Starting network proxy/,
    async die({ cluster, child, release }) {
      const log = await Deno.readTextFile(`${cluster.directory}/telepresence.log`);
      Deno.kill(Number(/Started a helper as process (\d+)/.exec(log)?.[1]), "SIGKILL");
      child.kill("SIGKILL");
      release();
      await child.status;
      await sleep(100); // what was under way arrives
      const { code, stderr } = await spawn(cluster, "recover").output();
      equals(code, 0, new TextDecoder().decode(stderr));
    },
  },
  {
    name: "SIGKILL while it gives back",
    code: 137,
    words: /Cleaning up \.\.\./,
    async die({ child, release, cluster }) {
      const hold = cluster.faults.hold({ verb: "delete", resource: "configmaps", dryRun: false });
      child.kill("SIGTERM");
      release();
      await reached(hold, cluster);
      child.kill("SIGKILL");
      hold.release();
    },
  },
  {
    name: "SIGTERM while the API server is down",
    code: 143,
    words: /The API server refuses for now: HTTP status 503: .*\. Trying again \.\.\./,
    async die({ child, release, cluster, stderr }) {
      for (const verb of ["delete", "patch", "get"]) {
        cluster.faults.add({ verb, dryRun: false }, { kind: "refuse", refusal: unavailable() }, 3);
      }
      child.kill("SIGTERM");
      while (!stderr().includes("Cleaning up")) await sleep(10);
      release();
    },
  },
  {
    name: "SIGTERM with conflicts while it gives back",
    code: 143,
    words: /Cleaning up \.\.\./,
    async die({ child, release, cluster, stderr }) {
      child.kill("SIGTERM");
      while (!stderr().includes("Cleaning up")) await sleep(10);
      const refusal = new Refusal(409, "the object has been modified", { reason: "Conflict" });
      cluster.faults.add({ verb: "patch", resource: "deployments", dryRun: false }, { kind: "refuse", refusal }, 3);
      release();
    },
  },
  {
    name: "forbidden",
    code: 255,
    words: /T: Error: .*forbidden/,
    not: (request) => request === undefined,
    isEarly: true,
    die({ request = {}, release, cluster }) {
      cluster.faults.add(request, { kind: "forbid" }, 1);
      cluster.faults.add({ resource: "pods/exec" }, { kind: "forbid" }); // which would do in place of port-forwards
      release();
      return Promise.resolve();
    },
  },
  {
    name: "a quota that is full",
    code: 255,
    words: /T: Error: .*exceeded quota: tight/,
    not: (request) => request?.verb !== "create",
    isEarly: true,
    die({ request = {}, release, cluster }) {
      const used = `requested: count/${request.resource}=1, used: count/${request.resource}=9`;
      const words = `${request.resource} "x" is forbidden: exceeded quota: tight, ${used}, limited: 9`;
      cluster.faults.add(request, { kind: "refuse", refusal: new Refusal(403, words, { reason: "Forbidden" }) }, 1);
      release();
      return Promise.resolve();
    },
  },
  {
    name: "an answer that is none, which throws in the middle of everything",
    code: 255,
    words: /T: Error: Cannot .*: .*(?:answer|nonsense)/,
    not: (request) => request === undefined,
    isEarly: true,
    die({ request = {}, release, cluster }) {
      cluster.faults.add(request, { kind: "nonsense" });
      cluster.faults.add({ resource: "pods/exec" }, { kind: "nonsense" });
      release();
      return Promise.resolve();
    },
  },
  {
    name: "the deletion of the proxy's pod",
    // It is followed, but for a session that has not reached its agent yet.
    code: (request) => isReaching(request) ? 255 : 143,
    words: /The proxy's pod "\S+" (?:was deleted|is being deleted)/,
    not: (request) => request?.verb === "create", // there is no pod yet
    async die({ cluster, child, release, request, stderr }) {
      cluster.deletePod("web-telepresence-");
      release();
      if (isReaching(request)) return;
      while (!/Connected to the proxy's pod/.test(stderr())) await sleep(10);
      if (request !== undefined) await appears(cluster.directory, "up");
      child.kill("SIGTERM");
    },
  },
];

function isReaching(request: Request): boolean {
  return request?.resource === "pods/portforward";
}

function signalled(signal: Deno.Signal, code: number, words: RegExp): (typeof WAYS)[number] {
  return {
    name: signal,
    code,
    words,
    die({ child, release }) {
      child.kill(signal);
      release();
      return Promise.resolve();
    },
  };
}

for (const way of WAYS) {
  Deno.test(`a session that ends by ${way.name} gives everything back, wherever it was`, async (t) => {
    for (const { name, request } of STEPS) {
      if (way.not?.(request)) continue;
      await t.step(name, () => check(way, request));
    }
  });
}

async function check(way: (typeof WAYS)[number], request: Match | undefined): Promise<void> {
  await using cluster = await startFakeCluster();
  await putWeb(cluster);
  const before = essence(cluster);
  const hold = request && !way.isEarly ? cluster.faults.hold(request) : undefined;
  const release = () => hold?.release();
  const child = spawn(cluster, "--verbose", "-s", "web", "--run", "sh", "-c", "echo > up; exec sleep 60");
  let stderr = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
  })();
  if (!way.isEarly) await (hold === undefined ? appears(cluster.directory, "up") : reached(hold, cluster));
  await way.die({ cluster, child, request, release, stderr: () => stderr });
  const { code } = await child.status;
  await Promise.all([reading, child.stdout.cancel()]);
  await untilEqual(cluster, before);
  equals(code, typeof way.code === "function" ? way.code(request) : way.code, stderr);
  match(stderr, way.words);
}

/** Waits until a request is held, for half a minute. @throws with the session's log */
async function reached(hold: Hold, { directory, requests }: FakeCluster): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(async () => {
    const log = await Deno.readTextFile(`${directory}/telepresence.log`);
    late.reject(new Error(`No such request within half a minute:\n${requests.slice(-12).join("\n")}\n${log}`));
  }, 30_000);
  try {
    await Promise.race([hold.reached, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The guardian may still be at work when the session's process is gone. */
async function untilEqual(cluster: FakeCluster, before: string): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const left = await cluster.remaining();
    if (left.length === 0 && essence(cluster) === before) return;
    if (performance.now() > end) return equals({ left, web: essence(cluster) }, { left: [], web: before });
    await sleep(50);
  }
}

function spawn(cluster: FakeCluster, ...args: string[]): Deno.ChildProcess {
  const { directory, kubeconfigPath } = cluster;
  return new Deno.Command(PROGRAM, {
    args,
    cwd: directory,
    env: { KUBECONFIG: kubeconfigPath, NO_COLOR: "1", XDG_STATE_HOME: `${directory}/state` },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}
