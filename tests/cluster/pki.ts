import { requireProgram } from "@/process/mod.ts";
import { type Instance, NODE_NAME } from "./instance.ts";

/** Who a certificate names: `O` is the group that the API server sees, and `names` are for a server's certificate. */
interface Subject {
  readonly user: string;
  readonly group?: string;
  readonly names?: readonly string[];
}

/** The clients that get a kubeconfig. */
const CLIENTS = {
  "admin": { user: "telepresence-cluster-admin", group: "system:masters" },
  "kubelet": { user: `system:node:${NODE_NAME}`, group: "system:nodes" },
  "kube-controller-manager": { user: "system:kube-controller-manager" },
  "kube-scheduler": { user: "system:kube-scheduler" },
  "kube-proxy": { user: "system:kube-proxy" },
} satisfies Record<string, Subject>;

/**
 * Makes keys, certificates and kubeconfigs in `pki/` of the instance's folder: one authority, a server's certificate
 * for the API server and one for the other components, the service accounts' key, and the clients' kubeconfigs.
 */
export async function makePki(instance: Instance): Promise<void> {
  const folder = `${instance.state}/pki`;
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  await certify(folder, "ca", { user: `telepresence-cluster-${instance.name}` });
  await Promise.all([
    certify(folder, "kube-apiserver", {
      user: "kube-apiserver",
      names: [
        ...["", ".default", ".default.svc", ".default.svc.cluster.local"].map((end) => `DNS:kubernetes${end}`),
        ...[instance.nodeAddress, instance.apiService, "127.0.0.1"].map((address) => `IP:${address}`),
      ],
    }),
    certify(folder, "node", { user: NODE_NAME, names: [`DNS:${NODE_NAME}`, `IP:${instance.nodeAddress}`] }),
    certify(folder, "service-accounts", { user: "service-accounts" }), // of which only the key counts
    ...Object.entries(CLIENTS).map(async ([name, subject]) => {
      await certify(folder, name, subject);
      await writeKubeconfig(instance, name);
    }),
  ]);
}

/** Path of a client's kubeconfig. */
export function kubeconfigOf(instance: Instance, client: keyof typeof CLIENTS): string {
  return client === "admin" ? `${instance.state}/kubeconfig` : `${instance.state}/pki/${client}.kubeconfig`;
}

async function certify(folder: string, name: string, { user, group, names }: Subject): Promise<void> {
  const authority = name === "ca";
  const config = [
    "[req]",
    "distinguished_name = subject",
    "prompt = no",
    "x509_extensions = extensions",
    "[subject]",
    ...(group === undefined ? [] : [`O = ${group}`]),
    `CN = ${user}`,
    "[extensions]",
    `basicConstraints = critical, CA:${authority}`,
    `keyUsage = critical, ${authority ? "keyCertSign, cRLSign" : "digitalSignature"}`,
    ...(authority ? [] : [`extendedKeyUsage = ${names ? "serverAuth, " : ""}clientAuth`]),
    ...(names === undefined ? [] : [`subjectAltName = ${names.join(", ")}`]),
  ];
  await Deno.writeTextFile(`${folder}/${name}.cnf`, config.join("\n") + "\n");
  await requireProgram([
    ...["openssl", "req", "-x509", "-days", "3650", "-config", `${folder}/${name}.cnf`] as const,
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"],
    ...["-keyout", `${folder}/${name}.key`, "-out", `${folder}/${name}.crt`],
    ...(authority ? [] : ["-CA", `${folder}/ca.crt`, "-CAkey", `${folder}/ca.key`]),
  ]);
}

async function writeKubeconfig(instance: Instance, client: string): Promise<void> {
  const folder = `${instance.state}/pki`;
  const encoded = async (file: string) => (await Deno.readFile(`${folder}/${file}`)).toBase64();
  const name = instance.cgroup;
  const text = `apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: https://${instance.nodeAddress}:6443
    certificate-authority-data: ${await encoded("ca.crt")}
users:
- name: ${client}
  user:
    client-certificate-data: ${await encoded(`${client}.crt`)}
    client-key-data: ${await encoded(`${client}.key`)}
contexts:
- name: ${name}
  context:
    cluster: ${name}
    user: ${client}
current-context: ${name}
`;
  const path = client === "admin" ? `${instance.state}/kubeconfig` : `${folder}/${client}.kubeconfig`;
  await Deno.writeTextFile(path, text, { mode: 0o600 });
}
