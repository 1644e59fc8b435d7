/** Whose certificates the built program trusts: of the fake cluster's authority, which "the system" knows here. */
import { match, strictEqual as equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { type FakeCluster, kubeconfigFor, startFakeCluster } from "../testkit/mod.ts";
import { CACHE } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const AUTHORITY = fileURLToPath(new URL("../testkit/tls/authority.pem", import.meta.url));

/** Runs a command in a system whose authorities are those that signed the fake cluster's certificate. */
async function run({ kubeconfigPath, directory }: FakeCluster, env: Record<string, string> = {}) {
  return await runProgram([PROGRAM, "-nweb", "--run", "sh", "-c", "echo ${DENO_TLS_CA_STORE-unset} >&2"], {
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
