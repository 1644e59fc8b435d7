import { type Finished, runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { randomBytes, tlsFile } from "./_test_server.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { type KubeconfigOptions, loadKubeconfig } from "./kubeconfig.ts";
import { parseKubeconfig } from "./kubeconfig_file.ts";

const base64 = (text: string) => new TextEncoder().encode(text).toBase64();

/** A kubeconfig with one context of everything; the parts are lines of YAML in flow style. */
function kubeconfig(
  {
    cluster = "",
    user = "",
    context = "cluster: c, user: u",
    current = "ctx",
    server = "https://api.example.test:6443",
  },
) {
  return `
apiVersion: v1
kind: Config
preferences: {}
current-context: ${current}
contexts: [{name: ctx, context: {${context}}}, {name: other, context: {cluster: c, user: ""}}]
clusters: [{name: c, cluster: {${server && `server: "${server}",`} ${cluster}}}]
users: [{name: u, user: {${user}}}]
`;
}

/** Loads from files in a folder of their own. */
async function load(
  files: Record<string, string>,
  options: (folder: string) => KubeconfigOptions | Promise<KubeconfigOptions> = (folder) => ({
    env: { KUBECONFIG: join(folder, "config") },
  }),
): Promise<ClusterConfig> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, content] of Object.entries(files)) {
      await Deno.mkdir(join(folder, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(folder, path), content);
    }
    return await loadKubeconfig(await options(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const CA = tlsFile("authority.pem");
const CERT = tlsFile("alice.pem");
const KEY = tlsFile("alice.key");
const IN_CLUSTER = { "account/token": "t0\n", "account/ca.crt": CA, "account/namespace": "shop" };

const LOADS: {
  name: string;
  files: Record<string, string>;
  options?: (folder: string) => KubeconfigOptions;
  want: Partial<ClusterConfig>;
  /** Whether the way to the server is direct. */
  hasNoProxy?: boolean;
  /** Why kubectl refuses it. */
  kubectlDiffers?: string;
}[] = [
  {
    name: "a token, a namespace, the defaults",
    files: { config: kubeconfig({ user: "token: t", context: "cluster: c, user: u, namespace: shop" }) },
    want: {
      contextName: "ctx",
      clusterName: "c",
      userName: "u",
      namespace: "shop",
      server: "https://api.example.test:6443",
      tls: { skipVerify: false },
      credentials: { kind: "token", token: "t" },
    },
  },
  {
    name: "scalars stay what is written: a token of digits, a namespace 1e3",
    kubectlDiffers: "takes no number for a text",
    files: {
      config: kubeconfig({ user: "token: 0123456789012345678901", context: "cluster: c, user: u, namespace: 1e3" }),
    },
    want: { namespace: "1e3", credentials: { kind: "token", token: "0123456789012345678901" } },
  },
  {
    name: "JSON",
    files: {
      config: JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "c" } }],
        clusters: [{ name: "c", cluster: { server: "https://a", extensions: null }, unknown: [1] }],
        users: null,
      }),
    },
    want: { contextName: "x", server: "https://a", namespace: "default", credentials: { kind: "none" } },
  },
  {
    name: "another context than the current one",
    files: { config: kubeconfig({ user: "token: t" }) },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "config") }, context: "other" }),
    want: { contextName: "other", userName: "", credentials: { kind: "none" } },
  },
  {
    name: "~/.kube/config without KUBECONFIG",
    files: { ".kube/config": kubeconfig({}) },
    options: (folder) => ({ env: { HOME: folder, KUBECONFIG: "" } }),
    want: { contextName: "ctx" },
  },
  {
    name: "--kubeconfig before KUBECONFIG",
    files: { named: kubeconfig({ server: "https://named" }), config: kubeconfig({ server: "https://listed" }) },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "config") }, path: join(folder, "named") }),
    want: { server: "https://named" },
  },
  {
    name: "a list: the first file with a name wins whole, missing files are passed over",
    files: {
      a: `current-context: ""\nusers: [{name: u, user: {token: first}}]\n`,
      b: kubeconfig({ user: "token: second, as: x", server: "https://b" }),
      c: kubeconfig({ user: "token: third", server: "https://c", current: "other" }),
    },
    options: (folder) => ({
      env: {
        KUBECONFIG: ["", join(folder, "none"), join(folder, "a"), join(folder, "b"), join(folder, "c")].join(":"),
      },
    }),
    want: { contextName: "ctx", server: "https://b", credentials: { kind: "token", token: "first" } },
  },
  {
    name: "paths begin at the folder of their file",
    files: {
      "x/config": kubeconfig({
        cluster: "certificate-authority: pki/ca.pem",
        user: "client-certificate: ../alice.pem, client-key: alice.key",
      }),
      "x/pki/ca.pem": `a text before it\n${CA}`,
      "alice.pem": CERT + CA,
      "x/alice.key": KEY,
    },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "x/config") } }),
    want: {
      tls: {
        skipVerify: false,
        caCerts: CA,
        clientCertificate: { cert: CERT + CA, key: KEY },
        clientCertificateFiles: { cert: "FOLDER/alice.pem", key: "FOLDER/x/alice.key" },
      },
    },
  },
  {
    name: "data before files",
    kubectlDiffers: "wants the files to be there all the same",
    files: {
      config: kubeconfig({
        cluster: `certificate-authority: /none, certificate-authority-data: ${base64(CA)}`,
        user: `client-certificate: /none, client-certificate-data: ${
          base64(CERT)
        }, client-key: /none, client-key-data: ${base64(KEY)}`,
      }),
    },
    want: { tls: { skipVerify: false, caCerts: CA, clientCertificate: { cert: CERT, key: KEY } } },
  },
  {
    name: "a SEC1 key behind its curve's parameters",
    files: {
      config: kubeconfig({
        user: `client-certificate-data: ${base64(CERT)}, client-key-data: ${base64(tlsFile("alice.params.key"))}`,
      }),
    },
    want: { tls: { skipVerify: false, clientCertificate: { cert: CERT, key: tlsFile("alice.sec1.key") } } },
  },
  {
    name: "another server name, no verification, a path prefix, IPv6",
    files: {
      config: kubeconfig({
        server: "https://[::1]:6443/k8s/clusters/c-1/?x=y#z",
        cluster: "tls-server-name: api.example.test, insecure-skip-tls-verify: true",
      }),
    },
    want: {
      server: "https://[::1]:6443/k8s/clusters/c-1",
      tls: { skipVerify: true, serverName: "api.example.test" },
    },
  },
  {
    name: "a server without a scheme is http",
    files: { config: kubeconfig({ server: "localhost:8080" }) },
    want: { server: "http://localhost:8080" },
  },
  {
    name: "a token's file, relative, and the token until it can be read",
    files: { config: kubeconfig({ user: "tokenFile: token, token: t" }) },
    options: () => ({ env: {}, path: new URL("./testdata/kubeconfig/token_file.yaml", import.meta.url).pathname }),
    want: {
      credentials: {
        kind: "token-file",
        path: new URL("./testdata/kubeconfig/token", import.meta.url).pathname,
        token: "t",
      },
    },
  },
  {
    name: "user and password",
    files: { config: kubeconfig({ user: 'username: a, password: "yes"' }) },
    want: { credentials: { kind: "basic", username: "a", password: "yes" } },
  },
  {
    name: "impersonation",
    files: {
      config: kubeconfig({
        user: "token: t, as: jane, as-uid: '7', as-groups: [a, b], as-user-extra: {scopes: [x, z]}",
      }),
    },
    want: { impersonate: { user: "jane", uid: "7", groups: ["a", "b"], extra: { scopes: ["x", "z"] } } },
  },
  {
    name: "an exec plugin, v1beta1",
    files: {
      config: kubeconfig({
        cluster:
          `extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: x, ttl: 5, deep: [true]}}]`,
        user: "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token], " +
          'env: [{name: A, value: "1"}], installHint: "\\e[31mget\\a it", provideClusterInfo: true}',
      }),
    },
    want: {
      credentials: {
        kind: "exec",
        apiVersion: "client.authentication.k8s.io/v1beta1",
        command: "aws",
        args: ["eks", "get-token"],
        env: { A: "1" },
        installHint: "get it",
        interactiveMode: "IfAvailable",
        cluster: { server: "https://api.example.test:6443", config: { audience: "x", ttl: 5, deep: [true] } },
      },
    },
  },
  {
    name: "an exec plugin, v1, whose command begins at its file's folder",
    files: {
      "x/config": kubeconfig({
        user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/plugin, interactiveMode: Always}",
      }),
    },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "x/config") } }),
    want: {
      credentials: {
        kind: "exec",
        apiVersion: "client.authentication.k8s.io/v1",
        command: "FOLDER/x/bin/plugin",
        args: [],
        env: {},
        interactiveMode: "Always",
      },
    },
  },
  {
    name: "a token before a plugin and beside a certificate",
    files: {
      config: kubeconfig({
        user: `token: t, client-certificate-data: ${base64(CERT)}, client-key-data: ${base64(KEY)}`,
      }),
    },
    want: {
      credentials: { kind: "token", token: "t" },
      tls: { skipVerify: false, clientCertificate: { cert: CERT, key: KEY } },
    },
  },
  {
    name: "a boolean as YAML 1.1 knows it, a field that is null, one that nobody knows",
    files: {
      config: kubeconfig({ cluster: "insecure-skip-tls-verify: yes, proxy-url: null, x-y: [z]", user: "token: t" }),
    },
    want: { tls: { skipVerify: true } },
  },
  {
    name: "a server without a scheme is http even where there is an authority",
    files: {
      config: kubeconfig({
        server: "localhost:6443",
        cluster: `certificate-authority-data: ${base64(CA)}`,
        user: "token: t",
      }),
    },
    want: { server: "http://localhost:6443", tls: { skipVerify: false, caCerts: CA } },
  },
  {
    name: "a file that is listed twice",
    files: { config: kubeconfig({ user: "token: t" }) },
    options: (folder) => ({ env: { KUBECONFIG: `${join(folder, "config")}:${join(folder, "config")}` } }),
    want: { contextName: "ctx" },
  },
  {
    name: "a server that NO_PROXY excepts",
    files: { config: kubeconfig({ user: "token: t" }) },
    options: (folder) => ({
      env: { KUBECONFIG: join(folder, "config"), HTTPS_PROXY: "http://proxy:3128", NO_PROXY: ".example.test" },
    }),
    want: { server: "https://api.example.test:6443" },
    hasNoProxy: true,
  },
  {
    name: "a proxy of its own, before the environment's",
    files: { config: kubeconfig({ cluster: "proxy-url: socks5://localhost:1080" }) },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "config"), HTTPS_PROXY: "http://other:1" } }),
    want: { proxy: "socks5://localhost:1080" },
  },
  {
    name: "the environment's proxy",
    files: { config: kubeconfig({}) },
    options: (folder) => ({
      env: { KUBECONFIG: join(folder, "config"), https_proxy: "proxy:3128", NO_PROXY: "other" },
    }),
    want: { proxy: "http://proxy:3128" },
  },
  {
    name: "a pod's service account where there is no kubeconfig",
    files: IN_CLUSTER,
    options: (folder) => ({
      env: { HOME: folder, KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" },
      serviceAccountFolder: join(folder, "account"),
    }),
    want: {
      contextName: "in-cluster",
      server: "https://[fd00::1]:443",
      namespace: "shop",
      tls: { skipVerify: false, caCerts: CA },
    },
  },
];

Deno.test("loadKubeconfig() reads what kubectl reads", async (t) => {
  for (const { name, files, options, want, hasNoProxy } of LOADS) {
    await t.step(name, async () => {
      let folder = "";
      const config = await load(files, (made) => {
        folder = made;
        return options?.(made) ?? { env: { KUBECONFIG: join(made, "config") } };
      });
      const chosen = Object.fromEntries(Object.keys(want).map((key) => [key, config[key as keyof ClusterConfig]]));
      assert.deepEqual(JSON.parse(JSON.stringify(chosen).replaceAll(folder, "FOLDER")), want);
      assert.deepEqual(JSON.parse(JSON.stringify(config)), config); // plain data
      if (hasNoProxy) assert.equal(config.proxy, undefined);
    });
  }
});

/** kubectl, where the tests' layer with a cluster names one. */
const KUBECTL = Deno.env.get("TELEPRESENCE_TEST_KUBECTL");

/** What kubectl says with the same files, environment and flags. */
async function kubectl(words: readonly string[], { env, path, context }: KubeconfigOptions): Promise<Finished> {
  return await runProgram([
    KUBECTL ?? "kubectl",
    ...words,
    ...(path === undefined ? [] : [`--kubeconfig=${path}`]),
    ...(context === undefined ? [] : [`--context=${context}`]),
  ], { clearEnv: true, env: Object.fromEntries(Object.entries(env).map(([key, value]) => [key, value ?? ""])) });
}

const ASK = ["get", "--raw", "/version", "--request-timeout=1s", "-v=8"];
/** It got as far as asking a server, which is not there. */
const ASKED = /dial tcp|no such host|proxyconnect|socks connect|Client\.Timeout|deadline exceeded/;

const defaults = (folder: string): KubeconfigOptions => ({ env: { KUBECONFIG: join(folder, "config") } });

Deno.test("loadKubeconfig() chooses what kubectl chooses", { ignore: KUBECTL === undefined }, async (t) => {
  for (const { name, files, options = defaults, kubectlDiffers } of LOADS) {
    if (files === IN_CLUSTER) continue; // kubectl looks for a service account where pods have it, and nowhere else
    await t.step(name + (kubectlDiffers === undefined ? "" : `, where kubectl ${kubectlDiffers}`), async () => {
      let view = "";
      let asked = "";
      const ours = await load(files, async (folder) => {
        const given = options(folder);
        view = (await kubectl(["config", "view", "--minify", "--output=json"], given)).stdout;
        // Where the user has nothing to log in with, kubectl asks for a name and a password.
        const token = (await loadKubeconfig(given)).credentials.kind === "none" ? ["--token=t"] : [];
        asked = (await kubectl([...ASK, ...token], given)).stderr;
        return given;
      });
      if (kubectlDiffers !== undefined) return assert.doesNotMatch(asked, ASKED);
      const { contexts, "current-context": contextName } = JSON.parse(view);
      const { cluster: clusterName, user: userName, namespace = "default" } = contexts[0].context;
      const { server, proxy } = ours;
      assert.deepEqual({ ...ours, contextName, clusterName, userName, namespace }, ours);
      if (ours.credentials.kind === "exec") return; // it asks the plugin first
      assert.match(asked, ASKED);
      assert.ok(asked.includes(`${server}/version`), `${server}: ${asked}`);
      if (proxy === undefined) return assert.doesNotMatch(asked, /proxyconnect/);
      const { hostname, port } = new URL(proxy);
      assert.match(asked, new RegExp(`proxyconnect.*(lookup ${hostname}|:${port}:)`));
    });
  }
});

Deno.test("loadKubeconfig() refuses what kubectl refuses", { ignore: KUBECTL === undefined }, async (t) => {
  for (const { name, files, options = defaults, kubectlDiffers } of REFUSALS) {
    await t.step(name + (kubectlDiffers === undefined ? "" : `, where kubectl ${kubectlDiffers}`), async () => {
      let told: Finished | undefined;
      await assert.rejects(load(files, async (folder) => {
        const given = options(folder);
        told = await kubectl(ASK, given);
        return given;
      }));
      assert.notEqual(told?.code, 0);
      assert.equal(ASKED.test(told?.stderr ?? ""), kubectlDiffers !== undefined, told?.stderr);
    });
  }
});

const REFUSALS: {
  name: string;
  files: Record<string, string>;
  options?: (folder: string) => KubeconfigOptions;
  says: RegExp;
  hints?: RegExp;
  /** What kubectl does in place of a refusal. */
  kubectlDiffers?: string;
}[] = [
  {
    name: "no kubeconfig at all",
    kubectlDiffers: "asks localhost:8080",
    files: {},
    options: (folder) => ({ env: { HOME: folder } }),
    says: /^Cannot find a kubeconfig: looked at ".*\/\.kube\/config"$/,
    hints: /export KUBECONFIG=/,
  },
  {
    name: "no HOME either",
    kubectlDiffers: "asks localhost:8080",
    files: {},
    options: () => ({ env: {} }),
    says: /KUBECONFIG and HOME are not set/,
  },
  {
    name: "a file that is named and missing",
    files: {},
    options: (folder) => ({ env: {}, path: join(folder, "none") }),
    says: /^Cannot read the kubeconfig ".*\/none": there is no such file$/,
  },
  {
    name: "files that are all missing",
    kubectlDiffers: "asks localhost:8080",
    files: {},
    options: (folder) => ({ env: { KUBECONFIG: `${join(folder, "a")}:${join(folder, "b")}` } }),
    says: /^Cannot find a kubeconfig: looked at ".*\/a", ".*\/b"$/,
  },
  { name: "a folder for a file", files: { "config/x": "" }, says: /^Cannot read the kubeconfig ".*": / },
  {
    name: "bad YAML",
    files: { config: "a: b: c" },
    says: /is not YAML: bad indentation/,
    hints: /^Compare with: kubectl config view --kubeconfig /,
  },
  { name: "a list for a file", files: { config: "- a" }, says: /: it is none$/ },
  { name: "plain text", files: { config: "no kubeconfig\nat all" }, says: /: it is none$/ },
  { name: "a text for a list", files: { config: "contexts: x" }, says: /: contexts is not a list$/ },
  { name: "a name twice in one file", files: { config: "users: [{name: a}, {name: a}]" }, says: /two users "a"/ },
  {
    name: "an unknown context",
    files: { config: kubeconfig({}) },
    options: (folder) => ({ env: { KUBECONFIG: join(folder, "config") }, context: "nope" }),
    says: /^Cannot use the context "nope": the kubeconfig has no such context$/,
    hints: /^Contexts there are: ctx, other$/,
  },
  {
    name: "no current context",
    kubectlDiffers: "asks localhost:8080",
    files: { config: kubeconfig({ current: '""' }) },
    says: /^No current-context set\. Please use the --context option to explicitly set the context\.$/,
    hints: /ctx, other/,
  },
  {
    name: "a cluster that is not there",
    kubectlDiffers: "asks localhost:8080",
    files: { config: kubeconfig({ context: "cluster: x" }) },
    says: /no cluster "x"/,
  },
  {
    name: "a user that is not there",
    files: { config: kubeconfig({ context: "cluster: c, user: x" }) },
    says: /no user "x"/,
  },
  {
    name: "no server",
    kubectlDiffers: "asks localhost:8080",
    files: { config: kubeconfig({ server: "" }) },
    says: /it has no server$/,
  },
  {
    name: "a server that is none",
    files: { config: kubeconfig({ server: "ftp://x" }) },
    says: /not an http or https address/,
  },
  {
    name: "an authority and no verification",
    files: {
      config: kubeconfig({ cluster: `insecure-skip-tls-verify: true, certificate-authority-data: ${base64(CA)}` }),
    },
    says: /both "insecure-skip-tls-verify" and a certificate authority/,
  },
  {
    name: "a boolean that is none",
    files: { config: kubeconfig({ cluster: "insecure-skip-tls-verify: maybe" }) },
    says: /clusters\[0\]/,
  },
  {
    name: "an authority's file that is missing",
    files: { config: kubeconfig({ cluster: "certificate-authority: none" }) },
    says: /^Cannot read "certificate-authority" of the cluster "c".*No such file/,
  },
  {
    name: "an authority that is no PEM",
    files: { config: kubeconfig({ cluster: `certificate-authority-data: ${base64("x")}` }) },
    says: /no PEM certificate in it/,
  },
  {
    name: "data that is no base64",
    files: { config: kubeconfig({ cluster: "certificate-authority-data: '%'" }) },
    says: /it is not base64/,
  },
  {
    name: "a certificate without a key",
    files: { config: kubeconfig({ user: `client-certificate-data: ${base64(CERT)}` }) },
    says: /no client key$/,
  },
  {
    name: "a key without a certificate",
    files: { config: kubeconfig({ user: `client-key-data: ${base64(KEY)}` }) },
    says: /no client certificate$/,
  },
  {
    name: "an encrypted key",
    files: {
      config: kubeconfig({
        user: `client-certificate-data: ${base64(CERT)}, client-key-data: ${base64(tlsFile("alice.encrypted.key"))}`,
      }),
    },
    says: /it is encrypted/,
    hints: /openssl pkey/,
  },
  {
    name: "two ways to log in",
    files: { config: kubeconfig({ user: "token: t, username: u" }) },
    says: /of which one is allowed/,
  },
  { name: "groups without a user", files: { config: kubeconfig({ user: "as-groups: [x]" }) }, says: /without "as"/ },
  {
    name: "an auth-provider",
    files: { config: kubeconfig({ user: "auth-provider: {name: gcp}" }) },
    says: /"gcp" is no longer supported/,
    hints: /gcloud/,
  },
  {
    name: "both exec and auth-provider",
    files: { config: kubeconfig({ user: "auth-provider: {name: oidc}, exec: {command: x}" }) },
    says: /both "exec" and "auth-provider"/,
  },
  {
    name: "a plugin without a command",
    files: { config: kubeconfig({ user: "exec: {apiVersion: v1}" }) },
    says: /no command/,
  },
  {
    name: "a plugin of v1alpha1",
    files: { config: kubeconfig({ user: "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}" }) },
    says: /dropped in 1\.24/,
    hints: /aws eks update-kubeconfig/,
  },
  {
    name: "a plugin of v1 without an interactiveMode",
    files: {
      config: kubeconfig({
        user: "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: null}",
      }),
    },
    says: /no interactiveMode, which v1 asks for/,
  },
  {
    name: "a proxy of another kind",
    files: { config: kubeconfig({ cluster: "proxy-url: 'ftp://x'" }) },
    says: /not an http, https or socks5 address/,
  },
];

Deno.test("loadKubeconfig() refuses with a sentence", async (t) => {
  for (const { name, files, options, says, hints } of REFUSALS) {
    await t.step(name, async () => {
      await assert.rejects(load(files, options), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, says);
        assert.equal(error.cause instanceof Error && /[{[]/.test(error.cause.message), false, "no parser's own words");
        if (hints) assert.ok(error.hints.some((hint) => hints.test(hint)), error.hints.join());
        return true;
      });
    });
  }
});

Deno.test("parseKubeconfig() survives whatever a file may hold", () => {
  const good = kubeconfig({
    user: "token: t, exec: {command: x, env: [{name: A, value: b}]}",
    cluster: "proxy-url: x",
  });
  for (let seed = 0; seed < 300; seed++) {
    const [at = 0, length = 0, ...bytes] = randomBytes(12, seed);
    const place = Math.floor(at / 256 * good.length);
    const noise = String.fromCharCode(...bytes.slice(0, length % 10));
    for (const text of [noise, good.slice(0, place) + noise + good.slice(place + length % 50), good.slice(0, place)]) {
      try {
        parseKubeconfig(text, "/config");
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }
  }
});

Deno.test("loadKubeconfig() says nothing of a broken file's content", async () => {
  await assert.rejects(load({ config: "users:\n- name: u\n  user: {token: very-secret\nx" }), (error) => {
    assert.ok(!Deno.inspect(error).includes("very-secret"));
    return true;
  });
});
