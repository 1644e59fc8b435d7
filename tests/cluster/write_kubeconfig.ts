import type { ClusterConfig, Credentials, ExecCredentials } from "@/kube/mod.ts";

/** Writes a kubeconfig (JSON, which is YAML) with the one context that `config` is of. It holds secrets: mode 0600. */
export async function writeKubeconfig(path: string, config: ClusterConfig): Promise<void> {
  const { contextName: name, clusterName, userName, namespace, server, tls, credentials, proxy } = config;
  const cluster = {
    server,
    ...(tls.caCerts !== undefined && { "certificate-authority-data": btoa(tls.caCerts) }),
    ...(tls.serverName !== undefined && { "tls-server-name": tls.serverName }),
    ...(tls.skipVerify && { "insecure-skip-tls-verify": true }),
    ...(proxy !== undefined && { "proxy-url": proxy }),
    ...(credentials.kind === "exec" && { extensions: extensionsOf(credentials) }),
  };
  const text = JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      contexts: [{ name, context: { cluster: clusterName, user: userName, namespace } }],
      clusters: [{ name: clusterName, cluster }],
      users: [{
        name: userName,
        user: { ...certificateOf(config), ...userOf(credentials), ...impersonationOf(config) },
      }],
    },
    null,
    2,
  );
  await Deno.writeTextFile(path, text, { mode: 0o600 });
}

function certificateOf({ tls: { clientCertificate, clientCertificateFiles: files } }: ClusterConfig): object {
  if (clientCertificate === undefined) return {};
  const { cert, key } = clientCertificate;
  return {
    ...(files?.cert === undefined ? { "client-certificate-data": btoa(cert) } : { "client-certificate": files.cert }),
    ...(files?.key === undefined ? { "client-key-data": btoa(key) } : { "client-key": files.key }),
  };
}

function userOf(credentials: Credentials): object {
  switch (credentials.kind) {
    case "none":
      return {};
    case "token":
      return { token: credentials.token };
    case "token-file":
      return { tokenFile: credentials.path, ...(credentials.token !== undefined && { token: credentials.token }) };
    case "basic":
      return { username: credentials.username, password: credentials.password };
    case "exec": {
      const { apiVersion, command, args, env, installHint, interactiveMode, cluster } = credentials;
      const variables = Object.entries(env).map(([name, value]) => ({ name, value }));
      const provideClusterInfo = cluster !== undefined;
      return { exec: { apiVersion, command, args, env: variables, installHint, interactiveMode, provideClusterInfo } };
    }
  }
}

function extensionsOf({ cluster }: ExecCredentials): object[] {
  const { config = null } = (cluster ?? {}) as { config?: unknown };
  return config === null ? [] : [{ name: "client.authentication.k8s.io/exec", extension: config }];
}

function impersonationOf({ impersonate }: ClusterConfig): object {
  if (impersonate === undefined) return {};
  const { user, uid, groups, extra } = impersonate;
  return { as: user, ...(uid !== undefined && { "as-uid": uid }), "as-groups": groups, "as-user-extra": extra };
}
