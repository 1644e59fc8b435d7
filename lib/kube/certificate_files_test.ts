import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { tlsFile } from "./_test_server.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import type { KubeClient } from "./kube_client.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { isUnauthorized } from "./status.ts";

/** A server that says who came, by the name in the client's certificate; 401 for whoever is not welcome. */
async function startGuarded(welcome: Set<string>) {
  const came: string[] = [];
  let connections = 0;
  const server = createServer({
    cert: tlsFile("server.pem"),
    key: tlsFile("server.key"),
    ca: tlsFile("authority.pem"),
    requestCert: true,
    rejectUnauthorized: false,
  }, (request, response) => {
    const { CN } = (request.socket as TLSSocket).getPeerCertificate().subject;
    const name = String(CN);
    came.push(name);
    response.writeHead(welcome.has(name) ? 200 : 401, { "content-type": "application/json" });
    response.end(JSON.stringify({ gitVersion: "v1.34.1", major: "1", minor: "34" }));
  });
  server.on("secureConnection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    came,
    connections: () => connections,
    address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A kubeconfig whose user has a certificate in files, and what puts others in their place. */
async function makeFiles(server: string, user = "client-certificate: c.pem, client-key: k.pem") {
  const folder = await Deno.makeTempDir();
  const put = async (name: string, part: "c.pem" | "k.pem", of = part === "c.pem" ? `${name}.pem` : `${name}.key`) => {
    // As those who renew do: another file in the place of the former one.
    await Deno.writeTextFile(join(folder, "new"), of === "" ? "" : tlsFile(of));
    await Deno.rename(join(folder, "new"), join(folder, part));
  };
  await put("alice", "c.pem");
  await put("alice", "k.pem");
  await Deno.writeTextFile(
    join(folder, "config"),
    `
clusters: [{name: c, cluster: {server: "${server}", certificate-authority-data: ${btoa(tlsFile("authority.pem"))}}}]
users: [{name: u, user: {${user}}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`,
  );
  return {
    put,
    folder,
    config: await loadKubeconfig({ env: {}, path: join(folder, "config") }),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function check(
  welcome: string[],
  act: (kube: KubeClient, files: Awaited<ReturnType<typeof makeFiles>>, welcome: Set<string>) => Promise<void>,
): Promise<{ came: string[]; connections: number }> {
  const welcomed = new Set(welcome);
  await using server = await startGuarded(welcomed);
  await using files = await makeFiles(server.address);
  await using kube = openKubeClient(files.config);
  await act(kube, files, welcomed);
  return { came: server.came, connections: server.connections() };
}

Deno.test("a client certificate that is renewed in its files is used from the next request on, by another connection", async () => {
  const { came, connections } = await check(["alice", "bob"], async (kube, { put }) => {
    await kube.version();
    await kube.version();
    await put("bob", "c.pem");
    await put("bob", "k.pem");
    await kube.version();
    await kube.version();
  });
  assert.deepEqual(came, ["alice", "alice", "bob", "bob"]);
  assert.equal(connections, 2);
});

Deno.test("a renewal that is under way does no harm: the former certificate is used until it is done", async () => {
  const { came } = await check(["alice", "bob"], async (kube, { put, folder }) => {
    await put("bob", "c.pem"); // does not fit the key yet
    await kube.version();
    await put("bob", "c.pem", ""); // empty, as one that is being written
    await kube.version();
    await Deno.remove(join(folder, "c.pem"));
    await kube.version();
    await put("bob", "c.pem");
    await put("bob", "k.pem");
    await kube.version();
  });
  assert.deepEqual(came, ["alice", "alice", "alice", "bob"]);
});

Deno.test("a client certificate that is refused in the middle of a session is read again", async () => {
  const { came } = await check(["alice"], async (kube, { folder }, welcome) => {
    await kube.version();
    // Renewed in place, to the same size, within the exactness of a file's time: nothing shows it.
    for (const [part, name] of [["c.pem", "bob.pem"], ["k.pem", "bob.key"]] as const) {
      const { atime, mtime, size } = await Deno.stat(join(folder, part));
      await Deno.writeTextFile(join(folder, part), tlsFile(name).padEnd(size, "\n"));
      await Deno.utime(join(folder, part), atime ?? 0, mtime ?? 0);
    }
    welcome.delete("alice");
    welcome.add("bob");
    await kube.version();
    welcome.clear();
    await assert.rejects(kube.version(), isUnauthorized);
  });
  assert.deepEqual(came, ["alice", "alice", "bob", "bob", "bob"]);
});

Deno.test("loadKubeconfig() keeps where a certificate and its key came from, but for what stands in the file itself", async () => {
  await using files = await makeFiles("https://127.0.0.1:1");
  const path = (name: string) => join(files.folder, name);
  assert.deepEqual(files.config.tls.clientCertificateFiles, { cert: path("c.pem"), key: path("k.pem") });
  const data = btoa(tlsFile("alice.pem"));
  await using half = await makeFiles("https://127.0.0.1:1", `client-certificate-data: ${data}, client-key: k.pem`);
  assert.deepEqual(half.config.tls.clientCertificateFiles, { key: join(half.folder, "k.pem") });
  const key = btoa(tlsFile("alice.key"));
  await using none = await makeFiles(
    "https://127.0.0.1:1",
    `client-certificate-data: ${data}, client-key-data: ${key}`,
  );
  assert.equal(none.config.tls.clientCertificateFiles, undefined);
});
