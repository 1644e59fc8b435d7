/** Starts that are refused before anything is changed: the kubeconfig, the server, credentials, rights, names. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import {
  type FakeCluster,
  kubeconfigFor,
  startFakeCluster,
  tooManyRequests,
  TROUBLES,
  unavailable,
} from "../testkit/mod.ts";
import { type Ended, endedWith, readLog, run } from "./harness.ts";

const WEB = ["-nweb", "--run", "true"];
const STARTING = "T: Starting network proxy to cluster using new Deployment web";
const EXPOSED = ["--expose", "9999:9998", ...WEB];

/** What a kubeconfig has in it, and what is said of it. FILE stands for its path. */
const KUBECONFIGS: { name: string; text?: (cluster: FakeCluster) => string; args?: string[]; says: string[] }[] = [
  {
    name: "that is not there",
    says: [
      'T: Error: Cannot find a kubeconfig: looked at "FILE"',
      "T: Hint: Name one: export KUBECONFIG=/path/to/kubeconfig",
      "T: Hint: See what kubectl uses: kubectl config view",
    ],
  },
  {
    name: "that is empty",
    text: () => "",
    says: [
      'T: Error: Cannot use the kubeconfig "FILE": it is empty',
      "T: Hint: Name one: export KUBECONFIG=/path/to/kubeconfig",
      "T: Hint: See what kubectl uses: kubectl config view",
    ],
  },
  {
    name: "that is no YAML",
    text: () => "clusters: [\n",
    says: [
      'T: Error: Cannot read the kubeconfig "FILE": it is not YAML: deficient indentation (2:1)',
      "T: Hint: Compare with: kubectl config view --kubeconfig FILE",
    ],
  },
  {
    name: "without a current context",
    text: ({ kubeconfig }) => kubeconfig.replace('"current-context": "fake"', '"current-context": ""'),
    says: [
      "T: Error: No current-context set. Please use the --context option to explicitly set the context.",
      "T: Hint: Contexts there are: fake",
      "T: Hint: Or set one: kubectl config use-context NAME",
    ],
  },
  {
    name: "without the context that is wanted",
    text: ({ kubeconfig }) => kubeconfig,
    args: ["--context", "nope"],
    says: [
      'T: Error: Cannot use the context "nope": the kubeconfig has no such context',
      "T: Hint: Contexts there are: fake",
    ],
  },
  {
    name: "whose context is of a cluster that is not there",
    text: ({ kubeconfig }) => kubeconfig.replace('"cluster": "fake-cluster"', '"cluster": "gone"'),
    says: [
      'T: Error: Cannot use the context "fake": there is no cluster "gone"',
      "T: Hint: It stands in FILE",
      "T: Hint: See what there is: kubectl config get-clusters",
    ],
  },
  {
    name: "whose key is none",
    text: ({ kubeconfig }) => kubeconfig.replace(/("client-key-data": )"[^"]*"/, '$1"xxxx"'),
    says: [
      'T: Error: Cannot use "client-key-data" of the user "fake-user" of FILE: it has no PEM private key in it',
    ],
  },
];

Deno.test("a kubeconfig that cannot be used ends with 255 and a sentence that says what to look at", async (t) => {
  await using cluster = await startFakeCluster();
  const path = `${cluster.directory}/other`;
  for (const { name, text, args = [], says } of KUBECONFIGS) {
    await t.step(`a kubeconfig ${name}`, async () => {
      if (text !== undefined) await Deno.writeTextFile(path, text(cluster));
      const ended = await run(cluster, [...args, ...WEB], { env: { KUBECONFIG: path } });
      await endedWith(cluster, ended, 255, says.map((line) => line.replaceAll("FILE", path)));
      equals(cluster.requests, []);
    });
  }
});

Deno.test("a server that cannot be reached or trusted ends with 255, its address and what to try", async (t) => {
  await using cluster = await startFakeCluster();
  const path = `${cluster.directory}/other`;
  const at = cluster.server.replace("https://", "");
  const saying = async (fields: Parameters<typeof kubeconfigFor>[0], says: readonly RegExp[]) => {
    await Deno.writeTextFile(path, kubeconfigFor(fields));
    const ended = await run(cluster, WEB, { env: { KUBECONFIG: path } });
    equals({ code: ended.code, stdout: ended.stdout }, { code: 255, stdout: "" });
    for (const words of says) match(ended.stderr, words);
    for (const line of ended.stderr.trimEnd().split("\n")) match(line, /^T: (Error|Cause|Hint): /);
    equals(await cluster.remaining(), []);
  };
  await t.step(
    "a certificate of another authority",
    () =>
      saying({ server: cluster.server, authority: "other_authority" }, [
        new RegExp(`^T: Error: Cannot connect to the API server at ${at}: its certificate is not trusted `),
        /^T: Hint: Check "certificate-authority" and "server" of the cluster "fake-cluster" in the kubeconfig$/m,
      ]),
  );
  await t.step("a user whom nobody knows (401)", () =>
    saying({ server: cluster.server, user: "stranger" }, [
      /^T: Error: Cannot create deployment "web" in namespace "default": Unauthorized$/m,
      /^T: Hint: Look at the credentials of the user "fake-user" in the kubeconfig: they are wrong or have expired$/m,
    ]));
  await t.step("a name that does not resolve", () =>
    saying({ server: "https://cluster.invalid:6443" }, [
      /^T: Error: Cannot connect to the API server at cluster\.invalid:6443: its name does not resolve$/m,
      /^T: Hint: Try: getent hosts cluster\.invalid$/m,
    ]));
  await t.step("a port where nobody listens", async () => {
    await cluster.goDown();
    await saying({ server: cluster.server }, [
      new RegExp(`^T: Error: Cannot connect to the API server at ${at}: connection refused$`, "m"),
      /^T: Hint: Check that the cluster is running and that the address is right$/m,
    ]);
  });
});

/** Each verb that a session uses, and whether the refusal comes before anything was made. */
const RIGHTS: { verb: string; resource: string; group?: string; args?: string[]; early?: boolean; verbs?: string[] }[] =
  [
    { verb: "create", resource: "deployments", group: "apps", early: true },
    { verb: "create", resource: "configmaps", early: true },
    { verb: "create", resource: "services", args: EXPOSED, early: true },
    { verb: "delete", resource: "deployments", group: "apps", early: true },
    { verb: "delete", resource: "configmaps", early: true },
    { verb: "delete", resource: "services", args: EXPOSED, early: true },
    { verb: "patch", resource: "configmaps" },
    { verb: "list", resource: "pods" },
    { verb: "watch", resource: "pods" },
    { verb: "list", resource: "deployments", group: "apps" },
    { verb: "watch", resource: "deployments", group: "apps" },
    { verb: "get", resource: "pods/portforward", verbs: ["get", "create"] },
    { verb: "create", resource: "pods/portforward", verbs: ["get", "create"] },
  ];

Deno.test("what RBAC does not allow ends with 255, the API's words and the rule that is missing", async (t) => {
  for (const { verb, resource, group = "", args = WEB, early = false, verbs = [verb] } of RIGHTS) {
    await t.step(`${verb} ${resource}`, async () => {
      // A pod that runs at once is in the first list, and nothing more is asked for.
      const trouble = ["list", "watch"].includes(verb) ? TROUBLES.creating : undefined;
      await using cluster = await startFakeCluster({ webSocketNeedsCreate: true, trouble });
      cluster.faults.add({ verb, resource }, { kind: "forbid" });
      cluster.faults.add({ resource: "pods/exec" }, { kind: "forbid" }); // which would do in place of port-forwards
      const ended = await run(cluster, args);
      equals({ code: ended.code, stdout: ended.stdout }, { code: 255, stdout: "" }, ended.stderr);
      const words =
        `User "developer" cannot ${verb} resource "${resource}" in API group "${group}" in the namespace "default"`;
      match(ended.stderr, /^T: Error: Cannot /m);
      ok(ended.stderr.includes(words), ended.stderr);
      const rule = `{apiGroups: ["${group}"], resources: ["${resource}"], verbs: ${JSON.stringify(verbs)}}`;
      ok(ended.stderr.includes(`T: Hint: The rule that is missing: ${rule}\n`), ended.stderr);
      equals(ended.stderr.includes("Starting network proxy"), !early);
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("a connection that breaks where only the net below the clean-up is made is no reason to end", async () => {
  await using cluster = await startFakeCluster();
  cluster.faults.add({ verb: "patch" }, { kind: "cut" });
  await endedWith(cluster, await run(cluster, WEB), 0, [STARTING]);
  match(readLog(cluster), /The ConfigMap has no owner: /);
});

Deno.test("a server that never answers is not waited for for ever", async () => {
  await using cluster = await startFakeCluster();
  cluster.faults.add({ verb: "create", resource: "deployments" }, { kind: "stall" });
  await endedWith(cluster, await run(cluster, WEB, { createMs: 1000 }), 255, [
    'T: Error: Cannot create deployment/web in namespace "default": the API server did not answer within 1 s',
  ]);
});

Deno.test("a connection that breaks while something is made ends with 255, and what was made goes", async (t) => {
  for (const kind of ["cut", "cut-answer"] as const) {
    for (const resource of ["configmaps", "deployments"]) {
      await t.step(`${resource}, ${kind}`, async () => {
        await using cluster = await startFakeCluster();
        cluster.faults.add({ verb: "create", resource, dryRun: false }, { kind }, 1);
        const ended = await run(cluster, WEB);
        equals({ code: ended.code, stdout: ended.stdout }, { code: 255, stdout: "" }, ended.stderr);
        match(
          ended.stderr,
          /^T: Starting [^\n]+\nT: Error: Cannot create [^\n]+ lost the connection to the API server/,
        );
        equals(await cluster.remaining(), []);
      });
    }
  }
});

Deno.test("a name that is taken ends with 255, says whose it is and changes nothing", async (t) => {
  const labels = { app: "somebody" };
  const template = { metadata: { labels }, spec: { containers: [{ name: "main", image: "nginx" }] } };
  const taken = (kind: string) => [
    `T: Error: Cannot create ${kind} "web" in namespace "default": the name is taken`,
    `T: Cause: Cannot create ${kind.toLowerCase()} "web" in namespace "default": ${
      kind === "Deployment" ? "deployments.apps" : "services"
    } "web" already exists`,
    "T: Hint: Choose another name: --new-deployment web-2",
    `T: Hint: See what has it: kubectl get ${kind.toLowerCase()} web --namespace default`,
  ];
  await t.step("by a Deployment", async () => {
    await using cluster = await startFakeCluster();
    await cluster.put("deployments", { name: "web", spec: { selector: { matchLabels: labels }, template } });
    const before = cluster.objects("deployments");
    await endedWith(cluster, await run(cluster, WEB), 255, taken("Deployment"));
    equals(cluster.objects("deployments"), before);
  });
  await t.step("by a Service", async () => {
    await using cluster = await startFakeCluster();
    await cluster.put("services", { name: "web" });
    await endedWith(cluster, await run(cluster, EXPOSED), 255, taken("Service"));
    equals(cluster.objects("services").length, 1);
  });
  await t.step("by a Deployment that comes in between: the intent's check is no lock", async () => {
    await using cluster = await startFakeCluster();
    const hold = cluster.faults.hold({ verb: "create", resource: "deployments", dryRun: false });
    const running = run(cluster, WEB);
    await hold.reached;
    await cluster.put("deployments", { name: "web", spec: { selector: { matchLabels: labels }, template } });
    hold.release();
    const ended = await running;
    equals(ended.code, 255);
    match(ended.stderr, /^T: Error: Cannot create Deployment "web" in namespace "default": the name is taken$/m);
    equals(cluster.objects("deployments").map(({ metadata }) => metadata.name), ["web"]);
    equals(cluster.objects("configmaps").map(({ metadata }) => metadata.name), ["kube-root-ca.crt"]);
  });
});

Deno.test("a namespace that is not there ends with 255 and says how to make one", async () => {
  await using cluster = await startFakeCluster();
  await endedWith(cluster, await run(cluster, ["--namespace", "nope", ...WEB]), 255, [
    'T: Error: Cannot use namespace "nope": there is no such namespace',
    'T: Cause: Cannot create deployment "web" in namespace "nope": namespaces "nope" not found',
    "T: Hint: See which there are: kubectl get namespaces",
    "T: Hint: Or make it: kubectl create namespace nope",
  ]);
});

Deno.test("a server that asks to wait is waited for, and one that is not well is told", async (t) => {
  const went = ({ code, stderr }: Ended) => {
    equals({ code, stderr }, { code: 0, stderr: "T: Starting network proxy to cluster using new Deployment web\n" });
  };
  await t.step("429 with Retry-After", async () => {
    await using cluster = await startFakeCluster();
    cluster.faults.add({ verb: "create" }, { kind: "refuse", refusal: tooManyRequests(0) }, 3);
    went(await run(cluster, WEB));
    equals(await cluster.remaining(), []);
  });
  await t.step("503 without", async () => {
    await using cluster = await startFakeCluster();
    cluster.faults.add({ verb: "create" }, { kind: "refuse", refusal: unavailable() });
    await endedWith(cluster, await run(cluster, WEB), 255, [
      'T: Error: Cannot create deployment "web" in namespace "default": the server is currently unable to handle the ' +
      "request",
    ]);
  });
});

Deno.test("what this machine has no place for is refused before anything is made in the cluster", async (t) => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  await t.step("a port of --to-pod that is in use", async () => {
    await using cluster = await startFakeCluster();
    await endedWith(cluster, await run(cluster, ["--to-pod", String(port), ...WEB]), 255, [
      `T: Error: Cannot forward port ${port} to the pod: Address already in use`,
      `T: Hint: See who has it: ss --listening --tcp --processes sport = ${port}`,
    ]);
  });
  await t.step("a path for the volumes that is a file", async () => {
    await using cluster = await startFakeCluster();
    const path = cluster.kubeconfigPath;
    await endedWith(cluster, await run(cluster, [`--mount=${path}`, ...WEB]), 255, [
      `T: Error: Unable to use mount path: "${path}": it is not a directory`,
      "T: Hint: --mount=true takes a new directory, which TELEPRESENCE_ROOT names",
    ]);
  });
  await t.step("neither matters to --plan, which needs no place", async () => {
    await using cluster = await startFakeCluster();
    const args = ["--to-pod", String(port), `--mount=${cluster.kubeconfigPath}`, "--plan", ...WEB];
    equals((await run(cluster, args)).code, 0);
  });
});

Deno.test("on a Mac a command is refused before anything is asked of the cluster, and a plan is shown", async (t) => {
  const machine = { os: "darwin", arch: "aarch64" };
  await t.step("--run", async () => {
    await using cluster = await startFakeCluster();
    const hint = "Run telepresence in a Linux virtual machine, with your kubeconfig in it: telepresence help install";
    await endedWith(cluster, await run(cluster, WEB, { machine }), 255, [
      'T: Error: Cannot carry "true": all methods that carry a command are Linux\'s, and this is macOS',
      `T: Hint: ${hint}`,
      "T: Hint: What is asked of the cluster alone is made for this system too: --plan, doctor, status, recover",
    ]);
    equals(cluster.requests, []);
  });
  await t.step("--plan", async () => {
    await using cluster = await startFakeCluster();
    const { code, stdout, stderr } = await run(cluster, ["--plan", ...WEB], { machine });
    equals([code, stderr], [0, ""]);
    match(stdout, /^In namespace default these objects would be made[^]*Nothing was changed\.$/m);
  });
});
