import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { type KubeClient, KubeError, type openKubeClient } from "@/kube/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { kubeconfigFor } from "../../../tests/testkit/mod.ts";
import { doctor, type DoctorOptions } from "./doctor.ts";
import type { Finding } from "./finding.ts";

/** What is wrong, so that one line after the other is red. */
interface Wrong {
  readonly kubeconfig?: string;
  readonly kube?: Partial<KubeClient>;
  readonly machine?: Partial<DoctorOptions["machine"]>;
  /** A file of a session's journal. */
  readonly journal?: string;
}

const refuse = (status: number, words: string) => () =>
  Promise.reject(new KubeError(`Cannot do it: ${words}`, { status, words }));
const denied = refuse(403, 'cannot create resource "x"');

/** Each way in which something is wrong, and the lines that are red by it. */
const WRONGS: readonly { readonly wrong: Wrong; readonly red: readonly string[] | "each right" }[] = [
  { wrong: { kubeconfig: "clusters: [" }, red: ["kubeconfig"] },
  { wrong: { kube: { version: () => Promise.reject(new Error("Connection refused")) } }, red: ["server"] },
  { wrong: { kube: { mayI: refuse(401, "Unauthorized") } }, red: ["credentials"] },
  { wrong: { kube: { get: refuse(404, "not found") as KubeClient["get"] } }, red: ["namespace"] },
  { wrong: { kube: { mayI: () => Promise.resolve(false) } }, red: "each right" },
  {
    wrong: { kube: { create: refuse(403, "violates PodSecurity") as KubeClient["create"] } },
    red: ["pod security", "quota"],
  },
  { wrong: { kube: { create: refuse(403, "exceeded quota: none") as KubeClient["create"] } }, red: ["quota"] },
  { wrong: { kube: { tryUpgrade: () => Promise.reject(new Error("the upgrade was lost")) } }, red: ["port-forward"] },
  { wrong: { kube: { list: denied as KubeClient["list"] } }, red: ["objects in the cluster"] },
  {
    wrong: { machine: { os: "darwin" } },
    red: ["method inject-tcp", "method namespace", "method vpn-tcp"],
  },
  { wrong: { machine: { whyNoLiveMount: () => Promise.resolve("this machine has no FUSE") } }, red: ["volumes"] },
  { wrong: { machine: { read: () => Promise.resolve(undefined) } }, red: ["name resolution"] },
  { wrong: { journal: "{" }, red: ["journals"] },
];

/** What is found where all is well but this, by the doctor as it is for users. */
async function examine(wrong: Wrong = {}): Promise<Finding[]> {
  const home = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${home}/.kube`);
    await Deno.mkdir(`${home}/state/telepresence/sessions`, { recursive: true });
    await Deno.writeTextFile(
      `${home}/.kube/config`,
      wrong.kubeconfig ?? kubeconfigFor({ server: "https://127.0.0.1:1" }),
    );
    if (wrong.journal) await Deno.writeTextFile(`${home}/state/telepresence/sessions/torn.json`, wrong.journal);
    const openKube = ((config: KubeClient["config"]) => ({
      config,
      version: () => Promise.resolve({ gitVersion: "v1.34.0", major: 1, minor: 34 }),
      mayI: () => Promise.resolve(true),
      get: () => Promise.resolve({ metadata: { labels: {} } }),
      create: () => Promise.resolve({}),
      tryUpgrade: () => Promise.resolve(),
      list: () => Promise.resolve({ items: [] }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
      ...wrong.kube,
    })) as unknown as typeof openKubeClient;
    let printed = "";
    await doctor({ output: "json" }, {
      env: { XDG_STATE_HOME: `${home}/state` },
      home,
      log: silentLog,
      signal: new AbortController().signal,
      image: "image",
      openKube,
      print: (text) => void (printed += text),
      machine: {
        shim: new Uint8Array(1),
        netns: () => Promise.resolve(new Uint8Array(1)),
        directories: [home],
        run: () => Promise.resolve({ code: 0, stdout: "", stderr: "" }),
        read: (path) => Promise.resolve(path === "/etc/resolv.conf" ? "nameserver 10.0.0.1\n" : undefined),
        whyNoLiveMount: () => Promise.resolve(undefined),
        isRoot: true,
        os: "linux",
        ...wrong.machine,
      },
    });
    return JSON.parse(printed).findings;
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("doctor: every line that there is has been red, with a next step", async (t) => {
  const well = await examine();
  const lines = well.map(({ check }) => check);
  equals(well.filter(({ state }) => state !== "ok"), [], "nothing is red where all is well");
  const seen = new Set<string>();
  for (const { wrong, red } of WRONGS) {
    await t.step(typeof red === "string" ? red : red.join(", "), async () => {
      const found = (await examine(wrong)).filter(({ state }) => state !== "ok");
      for (const { hints, check } of found) ok(hints.length > 0, `${check} has no next step`);
      equals(
        found.map(({ check }) => check),
        typeof red === "string" ? lines.filter((line) => line.startsWith("right to ")) : red,
      );
      for (const { check } of found) seen.add(check);
    });
  }
  // A line that is new is here and not above: it wants a way to be red.
  equals(lines.filter((line) => !seen.has(line)), []);
});
