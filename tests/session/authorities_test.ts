/** Whose certificates the built program trusts: of the fake cluster's authority, which "the system" knows here. */
import { match, strictEqual as equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { type FakeCluster, kubeconfigFor, startFakeCluster, TLS_FOLDER, tlsFile } from "../testkit/mod.ts";
import { CACHE } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const MAIN = fileURLToPath(new URL("../../build/main.js", import.meta.url));
const AUTHORITY = fileURLToPath(new URL("authority.pem", TLS_FOLDER));

const SHOW_STORE = ["-nweb", "--run", "sh", "-c", "echo ${DENO_TLS_CA_STORE-unset} >&2"];

/** Runs a command in a system whose authorities are those that signed the fake cluster's certificate. */
async function run(cluster: FakeCluster, env: Record<string, string> = {}, words: readonly string[] = SHOW_STORE) {
  const { kubeconfigPath, directory } = cluster;
  return await runProgram([PROGRAM, ...words], {
    cwd: directory,
    clearEnv: true, // whoever runs the tests may have chosen authorities
    env: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: directory,
      ...CACHE,
      KUBECONFIG: kubeconfigPath,
      SSL_CERT_FILE: AUTHORITY,
      ...env,
    },
  });
}

Deno.test("authorities of a kubeconfig take the place of the system's, as with kubectl", async () => {
  await using cluster = await startFakeCluster();
  const { server, kubeconfigPath } = cluster;
  await Deno.writeTextFile(kubeconfigPath, kubeconfigFor({ server, authority: "other_authority" }));
  for (const env of [{}, { DENO_TLS_CA_STORE: "system" }]) {
    const { code, stderr } = await run(cluster, env);
    equal(code, 255, stderr);
    match(
      stderr,
      /^T: Error: Cannot connect to the API server at .*: its certificate is not trusted \(.*UnknownIssuer/m,
    );
  }
});

Deno.test("without authorities in the kubeconfig those of the system are trusted, as with kubectl", async () => {
  await using cluster = await startFakeCluster();
  const config = JSON.parse(cluster.kubeconfig);
  delete config.clusters[0].cluster["certificate-authority-data"];
  await Deno.writeTextFile(cluster.kubeconfigPath, JSON.stringify(config));
  const { code, stderr } = await run(cluster);
  equal(code, 0, stderr);
  match(stderr, /^unset$/m); // the command's environment is as it was
  const chosen = await run(cluster, { DENO_TLS_CA_STORE: "mozilla" });
  equal(chosen.code, 255, "what the user chose by the variable holds");
  match(chosen.stderr, /its certificate is not trusted/);
});

Deno.test("status trusts whom a session trusts", async () => {
  await using cluster = await startFakeCluster();
  const { server, kubeconfigPath } = cluster;
  const config = JSON.parse(cluster.kubeconfig);
  delete config.clusters[0].cluster["certificate-authority-data"];
  await Deno.writeTextFile(kubeconfigPath, JSON.stringify(config));
  const { stderr } = await run(cluster, {}, ["status"]);
  equal(stderr.includes("not trusted"), false, stderr);
  equal(cluster.requests.length > 0, true, stderr);
  await Deno.writeTextFile(kubeconfigPath, kubeconfigFor({ server, authority: "other_authority" }));
  match((await run(cluster, {}, ["status"])).stderr, /its certificate is not trusted/);
});

Deno.test("authorities of a kubeconfig take the place of the runtime's also after https has just downloaded the program", async () => {
  await using cluster = await startFakeCluster();
  const { server, kubeconfigPath, directory } = cluster;
  const source = await Deno.readTextFile(MAIN);
  await using site = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: tlsFile("server.pem"),
    key: tlsFile("server.key"),
    onListen() {},
  }, () => new Response(source, { headers: { "content-type": "text/javascript" } }));
  const download = async (name: string) => {
    const words = ["run", "-A", "--quiet", "--no-lock", `https://127.0.0.1:${site.addr.port}/main.js`];
    return await runProgram([Deno.execPath(), ...words, "-nweb", "--run", "true"], {
      cwd: directory,
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: directory,
        KUBECONFIG: kubeconfigPath,
        // Who signed the site's certificate signed the API server's, and "the system" knows them.
        SSL_CERT_FILE: AUTHORITY,
        DENO_TLS_CA_STORE: "system",
        DENO_DIR: `${directory}/${name}`,
      },
    });
  };
  const right = await download("first");
  equal(right.code, 0, right.stderr);
  await Deno.writeTextFile(kubeconfigPath, kubeconfigFor({ server, authority: "other_authority" }));
  const { code, stderr } = await download("second");
  equal(code, 255, stderr);
  match(stderr, /^T: Error: Cannot connect to the API server at .*: its certificate is not trusted/m);
});
