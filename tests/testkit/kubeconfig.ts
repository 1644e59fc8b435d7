/** What a kubeconfig of the fake cluster says. */
export interface KubeconfigFields {
  readonly server: string;
  /** The authority that it trusts: the fake cluster's own, or one that signed nothing of it. @default {"authority"} */
  readonly authority?: "authority" | "other_authority";
  /** Whose certificate it has: `stranger`'s is of another authority, and so of nobody. @default {"developer"} */
  readonly user?: "developer" | "stranger";
  /** @default {"default"} */
  readonly namespace?: string;
}

/** The text of a kubeconfig with the one context `fake`. JSON, which is YAML. */
export function kubeconfigFor(fields: KubeconfigFields): string {
  const { server, authority = "authority", user = "developer", namespace = "default" } = fields;
  const data = (name: string) => btoa(tlsFile(name));
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "fake",
      contexts: [{ name: "fake", context: { cluster: "fake-cluster", user: "fake-user", namespace } }],
      clusters: [{ name: "fake-cluster", cluster: { server, "certificate-authority-data": data(`${authority}.pem`) } }],
      users: [{
        name: "fake-user",
        user: { "client-certificate-data": data(`${user}.pem`), "client-key-data": data(`${user}.key`) },
      }],
    },
    null,
    2,
  );
}

/** The certificates and keys that the fake cluster shares with the tests of `lib/kube`. */
export const TLS_FOLDER = new URL("../../lib/kube/testdata/tls/", import.meta.url);

/** One of them. */
export function tlsFile(name: string): string {
  return Deno.readTextFileSync(new URL(name, TLS_FOLDER));
}
