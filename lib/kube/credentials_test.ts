import { UserError, writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { acceptWebSocket, randomBytes, serverFrame, startServer, type TestServer, tlsFile } from "./_test_server.ts";
import { openKubeClient } from "./open_kube_client.ts";
import type { ClusterConfig, Credentials, ExecCredentials } from "./cluster_config.ts";
import { openCredentials } from "./credentials.ts";
import { openExecPlugin } from "./exec_plugin.ts";
import { isUnauthorized, KubeError } from "./status.ts";

const VERSION = { gitVersion: "v1.34.1", major: "1", minor: "34" };

/** A server that lets `good` in, which a test may change. */
function guarded(state: { good: string }): TestServer {
  return startServer({
    answer: ({ request }) =>
      request.headers.get("authorization") === state.good ? { body: VERSION } : {
        status: 401,
        body: { kind: "Status", status: "Failure", code: 401, reason: "Unauthorized", message: "Unauthorized" },
      },
  });
}

/** A folder with a plugin in it: a shell script that counts its runs in a file beside it. */
async function makePlugin(body: string, over: Partial<ExecCredentials> = {}) {
  const folder = await Deno.makeTempDir();
  const command = join(folder, "plugin");
  await Deno.writeTextFile(command, `#!/bin/sh\ncd "$(dirname "$0")"\necho run >> runs\n${body}\n`, { mode: 0o700 });
  const config: ExecCredentials = {
    kind: "exec",
    apiVersion: "client.authentication.k8s.io/v1",
    command,
    args: [],
    env: {},
    interactiveMode: "IfAvailable",
    ...over,
  };
  return {
    config,
    folder,
    async runs() {
      return (await Deno.readTextFile(join(folder, "runs"))).split("\n").length - 1;
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A script that prints an answer; `$token` stands for what the shell has in it. */
function answers(status: Record<string, string>, apiVersion = "client.authentication.k8s.io/v1"): string {
  const text = JSON.stringify({ apiVersion, kind: "ExecCredential", status });
  return `cat <<EOF\n${text}\nEOF`;
}

async function version(server: TestServer, credentials: Credentials): Promise<void> {
  await using kube = openKubeClient(server.config({ credentials }));
  await kube.version();
}

Deno.test("a token, and a name with a password, are sent with each request", async () => {
  await using server = guarded({ good: "Bearer t" });
  await version(server, { kind: "token", token: "t" });
  await using basic = guarded({ good: "Basic dXPDpHI6cMOkc3M=" });
  await version(basic, { kind: "basic", username: "usär", password: "päss" });
});

Deno.test("nothing is attached on the way to a server without TLS", async () => {
  await using server = startServer({ certificate: null, answer: () => ({ body: VERSION }) });
  await version(server, { kind: "token", token: "t" });
  assert.equal(server.seen[0]?.headers.get("authorization"), null);
});

Deno.test("a token that is refused is told with the API's words and a hint", async () => {
  await using server = guarded({ good: "Bearer t" });
  await assert.rejects(version(server, { kind: "token", token: "old" }), (error) => {
    assert.ok(isUnauthorized(error) && error instanceof KubeError);
    assert.equal(error.words, "Unauthorized");
    assert.ok(error.hints.some((hint) => hint.includes('user "tester"')), error.hints.join());
    return true;
  });
  assert.equal(server.seen.length, 1);
});

Deno.test("a token file is read again when its token is refused in the middle of a session", async () => {
  const folder = await Deno.makeTempDir();
  const path = join(folder, "token");
  await Deno.writeTextFile(path, "first\n");
  const state = { good: "Bearer first" };
  {
    await using server = guarded(state);
    await using kube = openKubeClient(server.config({ credentials: { kind: "token-file", path } }));
    await kube.version();
    await Deno.writeTextFile(path, "second\n");
    await kube.version(); // read within the last minute: not again
    state.good = "Bearer second";
    await kube.version();
    assert.deepEqual(
      server.seen.map(({ headers }) => headers.get("authorization")),
      ["Bearer first", "Bearer first", "Bearer first", "Bearer second"],
    );
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a token file is read again when a minute has passed, without a refusal", async () => {
  const path = await Deno.makeTempFile();
  try {
    let time = 0;
    const credentials = { kind: "token-file", path } as const;
    const config = { contextName: "", clusterName: "", userName: "", namespace: "", tls: { skipVerify: false } };
    using source = openCredentials({ ...config, server: "https://a", credentials }, { now: () => time });
    const sent = async () => (await source.identity()).headers[0]?.[1];
    await Deno.writeTextFile(path, "one\n");
    assert.equal(await sent(), "Bearer one");
    await Deno.writeTextFile(path, "two\n");
    time = 59_999;
    assert.equal(await sent(), "Bearer one");
    time = 60_000;
    assert.equal(await sent(), "Bearer two");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("an upgrade that is refused with 401 is asked for again with a new token", async () => {
  await using plugin = await makePlugin(`token=t$(wc -l < runs | tr -d ' ')\n${answers({ token: "$token" })}`);
  await using server = startServer({
    async answer(exchange) {
      if (exchange.request.headers.get("authorization") !== "Bearer t2") return { status: 401, body: "Unauthorized" };
      await acceptWebSocket(exchange, "v4.channel.k8s.io");
      await writeAll(exchange.conn, new Uint8Array([...serverFrame(2, [0, 80, 0]), ...serverFrame(2, [1, 80, 0])]));
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config({ credentials: plugin.config }));
  (await kube.portForward({ name: "web" }, 80)).close();
  assert.equal(await plugin.runs(), 2);
});

Deno.test("a token file that cannot be read is told, or the token beside it is used", async () => {
  await using server = guarded({ good: "Bearer beside" });
  await version(server, { kind: "token-file", path: "/nonesuch", token: "beside" });
  await assert.rejects(
    version(server, { kind: "token-file", path: "/nonesuch" }),
    /Cannot read the token file "\/nonesuch"/,
  );
});

Deno.test("an exec plugin is asked once for many requests, and is told about the cluster", async () => {
  const cluster = { server: "https://api.example.test", config: { audience: "x" } };
  await using plugin = await makePlugin(
    `printf %s "$KUBERNETES_EXEC_INFO" > info; token="$1-$EXTRA"\n${answers({ token: "$token" })}`,
    {
      args: ["word"],
      env: { EXTRA: "more" },
      cluster,
    },
  );
  await using server = guarded({ good: "Bearer word-more" });
  await using kube = openKubeClient(server.config({ credentials: plugin.config }));
  await Promise.all([kube.version(), kube.version(), kube.version()]);
  assert.equal(await plugin.runs(), 1);
  assert.deepEqual(JSON.parse(await Deno.readTextFile(join(plugin.folder, "info"))), {
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    spec: { cluster, interactive: false },
  });
});

Deno.test("an exec plugin is asked again after 401, once for all that were refused", async () => {
  await using plugin = await makePlugin(`token=t$(wc -l < runs | tr -d ' ')\n${answers({ token: "$token" })}`);
  const state = { good: "Bearer t1" };
  await using server = guarded(state);
  await using kube = openKubeClient(server.config({ credentials: plugin.config }));
  await kube.version();
  state.good = "Bearer t2";
  await Promise.all([kube.version(), kube.version(), kube.version()]);
  assert.equal(await plugin.runs(), 2);
  state.good = "Bearer nothing";
  await assert.rejects(kube.version(), isUnauthorized);
  assert.equal(await plugin.runs(), 3);
});

Deno.test("an exec plugin is asked again when what it gave expires", async () => {
  await using plugin = await makePlugin(answers({ token: "t", expirationTimestamp: "2030-01-01T00:10:00Z" }));
  let now = Date.parse("2030-01-01T00:00:00Z");
  using source = openExecPlugin(plugin.config, { now: () => now });
  const first = await source.identity();
  now += 9 * 60_000;
  assert.equal(await source.identity(), first);
  now += 60_000;
  await source.identity();
  assert.equal(await plugin.runs(), 2);
});

Deno.test("an exec plugin may give a certificate, and gives another connection with another one", async () => {
  await using plugin = await makePlugin("cat answer");
  const write = (name: string) =>
    Deno.writeTextFile(
      join(plugin.folder, "answer"),
      JSON.stringify({
        apiVersion: plugin.config.apiVersion,
        kind: "ExecCredential",
        status: { clientCertificateData: tlsFile(`${name}.pem`), clientKeyData: tlsFile(`${name}.key`) },
      }),
    );
  await write("alice");
  let status = 200;
  await using server = startServer({ answer: () => ({ status, body: VERSION }) });
  await using kube = openKubeClient(server.config({ credentials: plugin.config }));
  await kube.version();
  await kube.version();
  assert.equal(server.connections, 1);
  await write("bob");
  status = 401;
  await assert.rejects(kube.version(), isUnauthorized);
  assert.equal(server.connections, 2);
});

const REFUSALS: { name: string; script: string; over?: Partial<ExecCredentials>; says: RegExp; hint?: string }[] = [
  {
    name: "that is not installed",
    script: "",
    over: { command: "no-such-plugin-here", installHint: "brew install it" },
    says: /^Cannot run the credential plugin "no-such-plugin-here": it is not installed$/,
    hint: "brew install it",
  },
  { name: "that fails", script: "echo please log in >&2; exit 3", says: /exit status 3: please log in$/ },
  { name: "that prints something else", script: "echo hello", says: /it is no ExecCredential/ },
  { name: "that prints nothing", script: "", says: /it is no ExecCredential/ },
  {
    name: "of another version",
    script: answers({ token: "t" }, "client.authentication.k8s.io/v1beta1"),
    says: /of version .*v1beta1, the kubeconfig asks for .*\/v1$/,
  },
  { name: "that gives nothing", script: answers({}), says: /neither a token nor a client certificate/ },
  { name: "that gives half a pair", script: answers({ clientKeyData: "x" }), says: /and not the other/ },
  { name: "that gives no PEM", script: answers({ clientKeyData: "x", clientCertificateData: "y" }), says: /no PEM/ },
  { name: "with a date that is none", script: answers({ token: "t", expirationTimestamp: "soon" }), says: /"soon"/ },
  {
    name: "that wants a terminal",
    script: answers({ token: "t" }),
    over: { interactiveMode: "Always" },
    says: /it asks for a terminal, and there is none/,
  },
];

Deno.test("openExecPlugin() refuses a plugin", async (t) => {
  for (const { name, script, over, says, hint } of REFUSALS) {
    await t.step(name, async () => {
      await using plugin = await makePlugin(script, over);
      using source = openExecPlugin(plugin.config);
      await assert.rejects(source.identity(), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, says);
        if (hint) assert.deepEqual(error.hints, [hint]);
        return true;
      });
    });
  }
});

Deno.test("openExecPlugin() survives whatever a plugin may print", async () => {
  const good = JSON.stringify({
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    status: { token: "t", clientCertificateData: "c", clientKeyData: "k", expirationTimestamp: "2030-01-01T00:00:00Z" },
  });
  const config = {
    kind: "exec",
    apiVersion: "client.authentication.k8s.io/v1",
    command: "x",
    args: [],
    env: {},
    interactiveMode: "Never",
  } as const;
  const answers = new Set<string>();
  for (let seed = 0; seed < 300; seed++) {
    const [at = 0, length = 0, ...bytes] = randomBytes(20, seed);
    const noise = new TextDecoder().decode(new Uint8Array(bytes));
    const place = Math.floor(at / 256 * good.length);
    const odd = ["null", "0", "[]", "{}", '""', "-1e999", '{"a":'][seed % 7];
    for (const text of [noise, good.slice(0, place), good.slice(0, place) + noise + good.slice(place + length % 9)]) {
      answers.add(text);
    }
    answers.add(
      good.replace(/"(t|c|k|2030-[^"]*|v1|ExecCredential)"/g, (found) => bytes.length % 2 ? found : `${odd}`),
    );
    answers.add(good.replace(/\{"token.*\}/, `${odd}`));
  }
  for (const stdout of answers) {
    const pluginRunner = { interactive: false, run: () => Promise.resolve({ code: 0, stdout, stderr: "" }) };
    using source = openExecPlugin(config, { pluginRunner });
    await source.identity().then(
      ({ headers }) => assert.match(headers[0]?.[1] ?? "", /^Bearer /),
      (error) => assert.ok(error instanceof UserError, `${stdout}: ${error}`),
    );
  }
});

Deno.test("openExecPlugin() tells a plugin of a terminal where there is one and it is wanted", async () => {
  const seen: unknown[] = [];
  const runner = {
    interactive: true,
    run(_: readonly [string, ...string[]], { env }: { env: Record<string, string> }) {
      seen.push(JSON.parse(env.KUBERNETES_EXEC_INFO ?? "").spec.interactive);
      return Promise.resolve({ code: 1, stdout: "", stderr: "" });
    },
  };
  for (const interactiveMode of ["Never", "IfAvailable", "Always"] as const) {
    const config = {
      kind: "exec",
      apiVersion: "client.authentication.k8s.io/v1",
      command: "x",
      args: [],
      env: {},
      interactiveMode,
    } as const;
    await assert.rejects(openExecPlugin(config, { pluginRunner: runner }).identity());
  }
  assert.deepEqual(seen, [false, true, true]);
});

Deno.test("a request that is given up does not end the plugin for the others", async () => {
  await using plugin = await makePlugin(`until [ -e go ]; do sleep 0.01; done\n${answers({ token: "t" })}`);
  using source = openExecPlugin(plugin.config);
  const reason = new Error("enough");
  const controller = new AbortController();
  const [one, other] = [source.identity(controller.signal), source.identity()];
  controller.abort(reason);
  await assert.rejects(one, reason);
  await Deno.writeTextFile(join(plugin.folder, "go"), "");
  assert.equal((await other).headers[0]?.[1], "Bearer t");
  assert.equal(await plugin.runs(), 1);
});

Deno.test("a client that is closed ends its plugin", async () => {
  await using plugin = await makePlugin("echo $$ > started; exec sleep 30");
  let asking: Promise<void>;
  {
    using source = openExecPlugin(plugin.config);
    asking = assert.rejects(source.identity(), /Client was closed/);
    while (!await Deno.stat(join(plugin.folder, "started")).then(({ size }) => size > 0, () => false));
  }
  await asking;
  const pid = parseInt(await Deno.readTextFile(join(plugin.folder, "started")));
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
});

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

Deno.test("openCredentials() has nothing to send without credentials", async () => {
  const config: Pick<ClusterConfig, "server" | "credentials"> = { server: "https://a", credentials: { kind: "none" } };
  using source = openCredentials({
    ...config,
    contextName: "",
    clusterName: "",
    userName: "",
    namespace: "",
    tls: { skipVerify: false },
  });
  const identity = await source.identity();
  assert.deepEqual(identity.headers, []);
  assert.equal(source.refused(identity), false);
});
