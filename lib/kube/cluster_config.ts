/**
 * All that is needed to talk to one API server, as plain data: it survives `JSON.stringify`, so that it can be handed
 * to another process. Holds secrets: never to be logged.
 */
export interface ClusterConfig {
  /** The kubeconfig's context, or `in-cluster`. */
  readonly contextName: string;
  readonly clusterName: string;
  readonly userName: string;
  /** The context's namespace, or `default`. */
  readonly namespace: string;
  /** Address of the API server with scheme, host, maybe a port and a path prefix; no slash at its end. */
  readonly server: string;
  readonly tls: TlsConfig;
  readonly credentials: Credentials;
  /** Whom to act as (`as`, `as-uid`, `as-groups`, `as-user-extra`). */
  readonly impersonate?: Impersonation;
  /** Address of the proxy on the way to the server: `http:`, `https:` or `socks5:`, maybe with user and password. */
  readonly proxy?: string;
}

/** How the server is known, and how we are known to it on the level of TLS. */
export interface TlsConfig {
  /** Certificates of the authorities to trust, PEM. Absent: the authorities that the runtime trusts. */
  readonly caCerts?: string;
  /** Name to ask for and to check instead of the address's host. */
  readonly serverName?: string;
  /** Whether the server's certificate is not checked at all. */
  readonly skipVerify: boolean;
  readonly clientCertificate?: ClientCertificate;
  /** Where the parts of `clientCertificate` that came from files came from, absolute: they may change there. */
  readonly clientCertificateFiles?: CertificateFiles;
}

/** Paths of PEM files; a part without a path does not change. */
export interface CertificateFiles {
  readonly cert?: string;
  readonly key?: string;
}

/** A certificate (or a chain of them, ours first) and its private key, both PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** How a request says whose it is; a client certificate ({@linkcode TlsConfig}) may say it as well. */
export type Credentials =
  | { readonly kind: "none" }
  | { readonly kind: "token"; readonly token: string }
  /** `token` is used while the file cannot be read. */
  | { readonly kind: "token-file"; readonly path: string; readonly token?: string }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | ExecCredentials;

/**
 * A program that is asked for credentials.
 * {@link https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins}
 */
export interface ExecCredentials {
  readonly kind: "exec";
  readonly apiVersion: "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1";
  /** A name to look for in PATH, or an absolute path. */
  readonly command: string;
  readonly args: readonly string[];
  /** Variables added to the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What to tell when the program is not there. */
  readonly installHint?: string;
  /** Whether the program may ask the user. */
  readonly interactiveMode: "Never" | "IfAvailable" | "Always";
  /** What the program is told about the cluster (`provideClusterInfo`). */
  readonly cluster?: unknown;
}

/**
 * Headers of impersonation.
 * {@link https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/}
 */
export interface Impersonation {
  readonly user: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}
