import { UserError, writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { startProxy } from "../../tests/testkit/proxies.ts";
import { startServer, tlsFile, writeText } from "./_test_server.ts";
import { ByteReader } from "./byte_reader.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { dial, type RuntimeAuthorities } from "./dial.ts";
import { setNoDelay } from "./no_delay.ts";
import { readHead } from "./http.ts";

const AUTHORITY = tlsFile("authority.pem");
const ALICE = { cert: tlsFile("alice.pem"), key: tlsFile("alice.key") };

/** A server that says whom it knows the client for and which name it was asked for, line by line, then echoes. */
async function startMutualServer(certificate: string): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<TLSSocket>();
  const server = createServer({
    cert: tlsFile(`${certificate}.pem`),
    key: tlsFile(`${certificate}.key`),
    ca: AUTHORITY,
    requestCert: true,
    rejectUnauthorized: false,
  }, (socket) => {
    sockets.add(socket);
    const subject: { CN?: string } | undefined = socket.getPeerCertificate()?.subject;
    socket.write(
      `${socket.authorized ? subject?.CN : "nobody"} ${("servername" in socket && socket.servername) || "-"}\n`,
    );
    socket.on("data", (bytes) => socket.write(bytes));
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function cluster(
  port: number,
  tls: Partial<ClusterConfig["tls"]> = {},
  over: Partial<ClusterConfig> = {},
): ClusterConfig {
  return {
    contextName: "test",
    clusterName: "prod",
    userName: "u",
    namespace: "default",
    server: `https://127.0.0.1:${port}`,
    tls: { skipVerify: false, caCerts: AUTHORITY, ...tls },
    credentials: { kind: "none" },
    ...over,
  };
}

/** Dials, and says whom the server took us for and the name it was asked for; checks that bytes go both ways. */
async function greet(config: ClusterConfig, runtimeAuthorities: RuntimeAuthorities = "some"): Promise<string> {
  const duplex = await dial(config, { runtimeAuthorities });
  try {
    const reader = new ByteReader(duplex);
    const greeting = await reader.readLine();
    await writeText(duplex, "back and forth\n");
    assert.equal(await reader.readLine(), "back and forth");
    return String(greeting);
  } finally {
    duplex.close();
    duplex.close();
  }
}

const AUTHORITIES = ["some", "none"] as const;

const WAYS: { name: string; server: string; tls?: Partial<ClusterConfig["tls"]>; want: string }[] = [
  { name: "the authority of the kubeconfig", server: "server", want: "nobody -" },
  { name: "a client certificate", server: "server", tls: { clientCertificate: ALICE }, want: "alice -" },
  {
    name: "a SEC1 key",
    server: "server",
    tls: { clientCertificate: { cert: ALICE.cert, key: tlsFile("alice.sec1.key") } },
    want: "alice -",
  },
  ...["rsa.key", "rsa.pkcs1.key", "ed25519.key"].map((key) => ({
    name: `a client certificate with ${key}`,
    server: "server",
    tls: { clientCertificate: { cert: tlsFile(`${key.split(".")[0]}.pem`), key: tlsFile(key) } },
    want: `${key.split(".")[0]} -`,
  })),
  {
    name: "a client certificate with the chain behind it",
    server: "server",
    tls: { clientCertificate: { cert: ALICE.cert + AUTHORITY, key: ALICE.key } },
    want: "alice -",
  },
  {
    name: "an authority in the middle of a chain alone",
    server: "below",
    tls: { caCerts: tlsFile("middle.pem") },
    want: "nobody -",
  },
  {
    name: "an authority in the middle of a chain alone, and a client certificate",
    server: "below",
    tls: { caCerts: tlsFile("middle.pem"), clientCertificate: ALICE },
    want: "alice -",
  },
  {
    name: "one authority of several that are named",
    server: "server",
    tls: { caCerts: tlsFile("other_authority.pem") + AUTHORITY },
    want: "nobody -",
  },
  {
    name: "another server name",
    server: "named",
    tls: { serverName: "api.example.test" },
    want: "nobody api.example.test",
  },
  {
    name: "another server name and a client certificate",
    server: "named",
    tls: { serverName: "api.example.test", clientCertificate: ALICE },
    want: "alice api.example.test",
  },
  { name: "no verification", server: "named", tls: { skipVerify: true }, want: "nobody -" },
  {
    name: "no verification and a client certificate",
    server: "self",
    tls: { skipVerify: true, clientCertificate: ALICE },
    want: "alice -",
  },
  {
    name: "a server that is its own authority",
    server: "self",
    tls: { caCerts: tlsFile("self.pem") },
    want: "nobody -",
  },
  {
    name: "a server that is its own authority, with a client certificate",
    server: "self",
    tls: { caCerts: tlsFile("self.pem"), clientCertificate: ALICE },
    want: "alice -",
  },
];

Deno.test("dial() gets to a server with", async (t) => {
  for (const { name, server, tls, want } of WAYS) {
    await t.step(name, async () => {
      await using mutual = await startMutualServer(server);
      for (const authorities of AUTHORITIES) assert.equal(await greet(cluster(mutual.port, tls), authorities), want);
    });
  }
});

Deno.test("dial() goes through a proxy", async (t) => {
  await using server = await startMutualServer("named");
  const over = { server: `https://api.example.test:${server.port}` };
  for (const kind of ["http", "https", "socks5"] as const) {
    for (const login of ["", "user:secret"]) {
      await t.step(`${kind}${login && ", with a login"}`, async () => {
        await using proxy = startProxy(kind, login);
        const config = cluster(server.port, {}, { ...over, proxy: proxy.url });
        for (const authorities of AUTHORITIES) {
          assert.equal(await greet(config, authorities), "nobody api.example.test");
          const tls = { ...config.tls, clientCertificate: ALICE };
          assert.equal(await greet({ ...config, tls }, authorities), "alice api.example.test");
        }
        assert.deepEqual(proxy.asked, Array(4).fill("api.example.test"));
      });
    }
  }
});

Deno.test("dial() reaches a server without TLS, and one on IPv6", async () => {
  await using plain = startServer({ certificate: null, answer: () => ({ status: 204 }) });
  const duplex = await dial(plain.config());
  await writeText(duplex, "GET / HTTP/1.1\r\n\r\n");
  assert.equal((await readHead(new ByteReader(duplex)))?.status, 204);
  duplex.close();
  await using six = startServer({ hostname: "::1", answer: () => ({ status: 204 }) });
  const config = six.config();
  for (const tls of [{}, { clientCertificate: ALICE }, { skipVerify: true }]) {
    (await dial({ ...config, tls: { ...config.tls, ...tls } })).close();
  }
  await using proxy = startProxy("https");
  await dial({ ...config, proxy: proxy.url }).then((duplex) => duplex.close()); // TLS in TLS, an address to check
  assert.deepEqual(proxy.asked, ["[::1]"]);
});

async function refuses(config: ClusterConfig, says: RegExp, hint: RegExp = /./, timeoutMs = 10_000): Promise<void> {
  for (const runtimeAuthorities of AUTHORITIES) {
    await assert.rejects(dial(config, { timeoutMs, runtimeAuthorities }), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, says);
      assert.ok(error.hints.some((line) => hint.test(line)), error.hints.join());
      return true;
    });
  }
}

Deno.test("dial() says why it did not get there", async (t) => {
  await using server = await startMutualServer("server");
  const { port } = server;
  await t.step("refused", async () => {
    const { port } = await closedPort();
    await refuses(
      cluster(port),
      new RegExp(`^Cannot connect to the API server at 127.0.0.1:${port}: connection refused$`),
    );
    await refuses(cluster(port, { clientCertificate: ALICE }), /: connection refused$/);
  });
  await t.step("a name that does not resolve", async () => {
    await refuses(
      cluster(port, {}, { server: "https://nonesuch.invalid" }),
      /nonesuch.invalid:443: its name does not/,
      /getent/,
    );
  });
  await t.step("an unknown authority", async () => {
    const other = { caCerts: tlsFile("self.pem") };
    const words = /: its certificate is not trusted \(.*(UnknownIssuer|self-signed)/;
    await refuses(cluster(port, other), words, /cluster "prod"/);
    await refuses(cluster(port, { ...other, clientCertificate: ALICE }), /is not trusted/);
    await refuses(cluster(port, { ...other, serverName: "localhost", clientCertificate: ALICE }), /is not trusted/);
  });
  await t.step("a certificate that has expired", async () => {
    await using expired = startServer({ certificate: "expired", answer: () => ({ status: 204 }) });
    const config = expired.config();
    const words = /: the dates of its certificate do not fit \(.*expired/;
    await assert.rejects(dial(config, { runtimeAuthorities: "none" }), words);
    await refuses(config, /dates|unable to verify/, /clock/);
  });
  await t.step("a certificate for another name", async () => {
    await refuses(
      cluster(port, { serverName: "api.example.test" }),
      /is not trusted \(.*api.example.test/,
      /tls-server-name/,
    );
    const wrong = { serverName: "api.example.test", clientCertificate: ALICE };
    await refuses(cluster(port, wrong), /is not trusted \(.*api.example.test/);
  });
  await t.step("a certificate and a key that do not fit", async () => {
    const mixed = { cert: ALICE.cert, key: tlsFile("bob.key") };
    const words =
      /^Cannot use the client certificate of the user "u": the certificate and its key do not fit each other$/;
    await refuses(cluster(port, { clientCertificate: mixed }), words, /client-key/);
    const broken = { cert: ALICE.cert, key: ALICE.key.replace("KEY-----\nM", "KEY-----\nA") };
    await refuses(cluster(port, { clientCertificate: broken }), /: the certificate or its key cannot be read$/);
  });
  await t.step("a server that does not answer", async () => {
    await using silent = silentServer();
    await refuses(cluster(silent.port), /timed out, no answer within 0.1 s$/, /VPN/, 100);
    await refuses(cluster(silent.port, { clientCertificate: ALICE }), /timed out/, /VPN/, 100);
    await refuses(cluster(silent.port, { skipVerify: true }), /timed out/, /VPN/, 100);
    const proxy = `http://127.0.0.1:${silent.port}`;
    await refuses(cluster(silent.port, {}, { proxy }), /timed out/, /VPN/, 100);
  });
  await t.step("a proxy that is not there, that wants a login, that refuses", async () => {
    const { port: nobody } = await closedPort();
    await refuses(
      cluster(port, {}, { proxy: `http://127.0.0.1:${nobody}` }),
      /^Cannot connect to the proxy .*refused/,
      /NO_PROXY/,
    );
    await using http = startProxy("http", "user:secret");
    const wrong = http.url.replace("secret", "wrong");
    await refuses(cluster(port, {}, { proxy: wrong }), /through the proxy .* HTTP status 407$/, /user:password@/);
    assert.ok(!wrong.includes("secret"));
    await using socks = startProxy("socks5");
    const unreachable = { server: "https://refused.example.test", proxy: socks.url };
    await refuses(
      cluster(port, {}, unreachable),
      /refused.example.test:443 through .* answered: connection refused$/,
      /|/,
    );
  });
});

Deno.test("a connection that is broken off without TLS's goodbye says so, in words of ours", async () => {
  await using server = await startMutualServer("server");
  await using proxy = startProxy("socks5"); // which ends what it joins when it is disposed of, and knows no TLS
  const config = cluster(server.port, {}, { proxy: proxy.url });
  for (const runtimeAuthorities of AUTHORITIES) {
    const duplex = await dial(config, { runtimeAuthorities });
    assert.ok(await duplex.read(new Uint8Array(100)));
    proxy.drop();
    const ended = await duplex.read(new Uint8Array(1)).catch((error) => error);
    assert.ok(ended === null || ended instanceof Error && !/docs\.rs|os error/.test(ended.message), String(ended));
    if (runtimeAuthorities === "none") assert.match(String(ended), /the other end broke it off/);
    duplex.close();
  }
});

Deno.test("dial() ends with the signal's reason", async () => {
  await using silent = silentServer();
  const reason = new Error("enough");
  for (const tls of [{}, { clientCertificate: ALICE }, { skipVerify: true }]) {
    const controller = new AbortController();
    const dialing = dial(cluster(silent.port, tls), { signal: controller.signal, runtimeAuthorities: "none" });
    await silent.accepted();
    controller.abort(reason);
    await assert.rejects(dialing, reason);
  }
});

Deno.test("tlsOver() does not read what nobody asked for", async () => {
  let sent = 0;
  await using server = startServer({
    async answer({ conn }) {
      const part = new Uint8Array(64 * 1024);
      for (;;) sent += await conn.write(part);
    },
  });
  const duplex = await dial(server.config({ tls: { skipVerify: true } }));
  await writeText(duplex, "GET / HTTP/1.1\r\n\r\n");
  assert.ok(await duplex.read(new Uint8Array(10)));
  let before = -1;
  while (before !== sent) { // until the server is stopped by full buffers
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes are under way`);
  const wanted = sent + 1024 * 1024;
  const buffer = new Uint8Array(1024 * 1024);
  for (let got = 0; got < wanted;) got += await duplex.read(buffer) ?? 0; // and goes on when we read
  duplex.close();
});

Deno.test("a connection that is closed ends what waits on it", async (t) => {
  await using server = startServer({
    async answer() {
      await new Promise((resolve) => setTimeout(resolve, 300)); // does not read
      return undefined;
    },
  });
  const ways = {
    "Deno.startTls": {},
    "Deno.connectTls": { clientCertificate: ALICE },
    "node:tls": { skipVerify: true, caCerts: AUTHORITY },
  };
  for (const [name, tls] of Object.entries(ways)) {
    await t.step(name, async () => {
      const config = server.config({ tls: { skipVerify: false, caCerts: AUTHORITY, ...tls } });
      const duplex = await dial(config, { runtimeAuthorities: "none" });
      await writeText(duplex, "GET / HTTP/1.1\r\n\r\n");
      const part = new Uint8Array(4 * 1024 * 1024);
      const writing = assert.rejects(async () => {
        for (;;) await writeAll(duplex, part);
      });
      const reading = duplex.read(new Uint8Array(1)).then((count) => assert.equal(count, null), () => {});
      await new Promise((resolve) => setTimeout(resolve, 50));
      duplex.close();
      await Promise.all([writing, reading]);
      await assert.rejects(duplex.write(part));
    });
  }
});

Deno.test("setNoDelay() finds the connection's descriptor", {
  ignore: Deno.build.os === "windows",
}, async () => {
  await using server = startServer({ answer: () => ({}) });
  const conn = await Deno.connectTls({ hostname: "127.0.0.1", port: server.port, caCerts: [AUTHORITY] });
  assert.equal(await setNoDelay(conn), true);
  conn.close();
});

/** A port where nobody listens. */
function closedPort(): Promise<{ port: number }> {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return Promise.resolve({ port });
}

/** A server that takes connections and says nothing. */
function silentServer(): { port: number; accepted(): Promise<void> } & AsyncDisposable {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const conns: Deno.Conn[] = [];
  let arrived = Promise.withResolvers<void>();
  const serving = (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      arrived.resolve();
    }
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async accepted() {
      await arrived.promise;
      arrived = Promise.withResolvers();
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      for (const conn of conns) conn.close();
    },
  };
}
