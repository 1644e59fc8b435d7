/**
 * What the tests on a real cluster share: the built program as a child process, and proof that nothing is left.
 *
 * The cluster is the one that TELEPRESENCE_TEST_KUBECONFIG names (`make test` sets it to the embedded one). It must
 * have Service `helloworld` and Deployment `tools` in namespace `default`, and a namespace `restricted`. In another
 * cluster than the embedded one (`make test-e2e CONTEXT=...`) TELEPRESENCE_TEST_NAMESPACES names the two namespaces.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  isNotFound,
  type KubeClient,
  loadKubeconfig,
  namespaces,
  openKubeClient,
  pods,
  serviceAccounts,
} from "@/kube/mod.ts";
import { abortable, deadline, sleep } from "@/util/mod.ts";
import { FIXTURE_IMAGES, foreignImages } from "../cluster/fixture_images.ts";
import { FIXTURES_LABEL } from "../cluster/fixtures.ts";
import { writeKubeconfig } from "../cluster/write_kubeconfig.ts";

/** The kubeconfig of the cluster under test; undefined where there is none. */
export const KUBECONFIG = Deno.env.get("TELEPRESENCE_TEST_KUBECONFIG");
/** Whether the cluster is another one than the embedded one: nothing of its own can be restarted there. */
export const FOREIGN = Deno.env.get("TELEPRESENCE_TEST_NAMESPACES") !== undefined;
const [namespace = "default", restricted = "restricted"] = Deno.env.get("TELEPRESENCE_TEST_NAMESPACES")?.split(",") ??
  [];
/** The kubeconfig's namespace, with the fixtures. */
export const NAMESPACE = namespace;
const RESTRICTED = restricted;
/** The images that pods of tests are made of. */
export const IMAGES = FOREIGN ? foreignImages(Deno.env.toObject()) : FIXTURE_IMAGES.local;
/** The built program. */
export const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));

/** A test on the cluster: skipped, by name, where there is none. */
export function clusterTest(name: string, body: (cluster: Cluster, t: Deno.TestContext) => Promise<void>): void {
  Deno.test({
    name,
    ignore: KUBECONFIG === undefined,
    async fn(t) {
      const kubeconfig = KUBECONFIG ?? "";
      const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
      await using kube = openKubeClient(config);
      const directory = await Deno.makeTempDir({ prefix: "telepresence-e2e-" });
      const state = await Deno.makeTempDir({ prefix: "telepresence-e2e-state-" });
      try {
        await body({ kube, kubeconfig, directory, state, namespace: NAMESPACE, restricted: RESTRICTED }, t);
      } finally {
        await Promise.all([directory, state].map((path) => Deno.remove(path, { recursive: true })));
      }
    },
  });
}

/** A test that needs control over the cluster's components: skipped, by name, where it is not the embedded one. */
export function embeddedTest(
  name: string,
  body: (cluster: Cluster, t: Deno.TestContext) => Promise<void>,
): void {
  if (FOREIGN) Deno.test({ name: `${name} (skipped: it needs the embedded cluster)`, ignore: true, fn() {} });
  else clusterTest(name, body);
}

/** The same cluster for whoever has this token: no other credentials of the kubeconfig are left. */
export async function withToken(cluster: Cluster, token: string): Promise<Cluster> {
  const { tls: { clientCertificate: _ours, clientCertificateFiles: _theirs, ...tls }, impersonate: _as, ...config } =
    cluster.kube.config;
  const kubeconfig = `${cluster.directory}/kubeconfig-${crypto.randomUUID().slice(0, 8)}`;
  await writeKubeconfig(kubeconfig, { ...config, tls, userName: "token", credentials: { kind: "token", token } });
  return { ...cluster, kubeconfig };
}

/** A cluster, and a directory for the test alone. */
export interface Cluster {
  readonly kube: KubeClient;
  readonly kubeconfig: string;
  readonly directory: string;
  /** Where the program keeps its journals: what another test left is not told in this one. */
  readonly state: string;
  /** The kubeconfig's namespace, which has Service `helloworld` and Deployment `tools`. */
  readonly namespace: string;
  /** A namespace that enforces the Pod Security Standard "restricted". */
  readonly restricted: string;
  /** Variables for the program. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a run of the program ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run of the program that goes on. Disposing it ends it by its process id. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What it has written to its standard error so far. */
  heard(): string;
  /** Waits until the standard error has this. @throws when the program ends first, or after a minute */
  said(words: RegExp): Promise<void>;
  /** Closes its standard input, and waits for its end. */
  ended(): Promise<Ended>;
  kill(signal: Deno.Signal): void;
  readonly stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
}

/** Starts the program with these words in the test's directory. */
export function start(
  cluster: Cluster,
  args: readonly string[],
  options: { program?: readonly string[] } = {},
): Running {
  const [program = PROGRAM, ...before] = options.program ?? [];
  const child = new Deno.Command(program, {
    args: [...before, ...args],
    cwd: cluster.directory,
    env: {
      KUBECONFIG: cluster.kubeconfig,
      NO_COLOR: "1",
      XDG_STATE_HOME: cluster.state,
      ...cluster.env,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const decoder = new TextDecoder();
  let stderr = "";
  let over = false;
  const changed = new EventTarget();
  const reading = (async () => {
    for await (const chunk of child.stderr) {
      stderr += decoder.decode(chunk, { stream: true });
      changed.dispatchEvent(new Event("change"));
    }
    over = true;
    changed.dispatchEvent(new Event("change"));
  })();
  const output = new Response(child.stdout).text();
  const stdin = child.stdin.getWriter();
  const ended = async () => {
    await stdin.close().catch(() => {}); // it may have ended without reading
    const [{ code }, stdout] = await Promise.all([child.status, output, reading]);
    return { code, stdout, stderr };
  };
  return {
    pid: child.pid,
    stdin,
    ended,
    kill: (signal) => child.kill(signal),
    heard: () => stderr,
    async said(words) {
      using late = deadline(60_000, () => new Error(`The program did not say ${words} within a minute:\n${stderr}`));
      while (!words.test(stderr)) {
        if (over) throw new Error(`The program ended without saying ${words}:\n${stderr}`);
        await abortable(
          new Promise((resolve) => changed.addEventListener("change", resolve, { once: true })),
          late.signal,
        );
      }
    },
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGTERM");
      if (!over) child.kill("SIGCONT"); // one that its test has stopped hears nothing else
      await ended();
    },
  };
}

/** What a session whose pod is known to be gone may take to end here; it has 10 s, and the time of grace is 60 s. */
const GONE_MS = 20_000;

/** Waits for the end of a session whose pod is gone for good. @throws when it does not notice, and waits for its grace */
export async function endedSoon(running: Running): Promise<Ended> {
  using late = deadline(GONE_MS, () => new Error(`The session does not end within 20 s:\n${running.heard()}`));
  return await abortable(running.ended(), late.signal);
}

/** Runs the program to its end. */
export async function run(cluster: Cluster, ...args: string[]): Promise<Ended> {
  return await start(cluster, args).ended();
}

/** The namespaces in which the tests let the program work. */
const NAMESPACES = [NAMESPACE, RESTRICTED];

/**
 * Every object in the tests' namespaces, of every resource that the API server serves, by its address; but for events,
 * which tell what was and go by themselves.
 */
export async function inventory(kube: KubeClient): Promise<string[]> {
  const resources = (await kube.discover()).filter(({ plural }) => plural !== "events");
  const lists = NAMESPACES.flatMap((namespace) =>
    resources.map(async (resource) => {
      const { items } = await kube.list(resource, { namespace });
      return items.map(({ metadata }) => `${namespace}/${resource.plural}.${resource.group}/${metadata.name}`);
    })
  );
  return (await Promise.all(lists)).flat().sort();
}

/** Waits until nothing of any session is left in the tests' namespaces. */
export async function nothingOfSessions(cluster: Cluster): Promise<void> {
  const isOfSession = (name: string) => /telepresence/.test(name);
  await until("what earlier sessions made is gone", async () => !(await inventory(cluster.kube)).some(isOfSession));
}

/** Runs `body` and proves that the cluster is afterwards as it was, once the cluster's own garbage collection is done. */
export async function leavesNothing(cluster: Cluster, body: () => Promise<void>): Promise<void> {
  await nothingOfSessions(cluster);
  const before = await inventory(cluster.kube);
  await body();
  let after: string[] = [];
  await until("the cluster is as it was", async () => {
    after = await inventory(cluster.kube);
    return after.join() === before.join();
  }).catch(() => equals(after, before));
}

/** Waits for a condition, for half a minute or as long as is said. @throws that says what was waited for */
export async function until(what: string, isTrue: () => Promise<boolean>, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!await isTrue()) {
    if (performance.now() > end) throw new Error(`Waited ${seconds} s until ${what}`);
    await sleep(200);
  }
}

/**
 * Makes a namespace of the tests', whose label lets it be found when its test is broken off: whoever opened a foreign
 * cluster for them deletes it then.
 */
export async function makeNamespace(
  { kube }: Pick<Cluster, "kube">,
  prefix: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
  await kube.create(namespaces, { metadata: { name, labels: { ...labels, [FIXTURES_LABEL]: NAMESPACE } } });
  return name;
}

/** Runs `body` with a namespace of its own, for what other tests must not see; it is deleted with all that is in it. */
export async function withNamespace(
  { kube }: Cluster,
  prefix: string,
  body: (namespace: string) => Promise<void>,
): Promise<void> {
  const name = await makeNamespace({ kube }, prefix);
  try {
    // A pod is refused until the controllers have made this.
    await until(`namespace ${name} has its service account`, async () => {
      const { items } = await kube.list(serviceAccounts, { namespace: name });
      return items.some(({ metadata }) => metadata.name === "default");
    });
    await body(name);
  } finally {
    await kube.delete(namespaces, { name }).catch((error) => {
      if (!isNotFound(error)) throw error; // the test itself may have deleted it
    });
  }
}

/** Runs a command in the pod of Deployment `tools`: what another pod sees. */
export async function inAnotherPod(cluster: Cluster, ...command: [string, ...string[]]): Promise<Ended> {
  const { items } = await cluster.kube.list(pods, { namespace: cluster.namespace, labelSelector: "app=tools" });
  const pod = items.find(({ status }) => status.phase === "Running");
  if (pod === undefined) throw new Error("The pod of Deployment tools is not there");
  return await cluster.kube.exec({ namespace: cluster.namespace, name: pod.metadata.name }, { command });
}
