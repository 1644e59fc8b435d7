import { pluginsOf } from "./cable.ts";
import type { Instance } from "./instance.ts";
import { NODE_NAME } from "./instance.ts";
import { kubeconfigOf } from "./pki.ts";

/** How it is seen from outside that a component does its work. */
export type Health =
  /** It listens on this port of the node's loopback. */
  | { readonly kind: "listens"; readonly port: number }
  /** It accepts connections on this socket. */
  | { readonly kind: "socket"; readonly path: string }
  /** It answers a GET to this address with 200. */
  | { readonly kind: "answers"; readonly url: string };

/** One of the node's processes. */
export interface Component {
  readonly name: string;
  readonly command: readonly string[];
  readonly health: Health;
  /** Contents of the files that the command names, by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** Where containerd listens, as seen from the machine; inside the node it is the well-known path. */
export function containerdSocketOf(instance: Instance): string {
  return `${instance.state}/run/containerd/containerd.sock`;
}

/** What a node is made with, as its machine can. */
export interface Abilities {
  /** containerd's way to stack layers: "overlayfs", or "native" (copies) where that cannot be. */
  readonly snapshotter: "overlayfs" | "native";
  /** Whether node, pods and Services have IPv6 beside IPv4. */
  readonly ipv6: boolean;
}

/** What the node runs, in the order in which it is started. */
export function componentsOf(instance: Instance, abilities: Abilities): readonly Component[] {
  const { state, nodeAddress } = instance;
  const nodeAddresses = families(nodeAddress, instance.ipv6.nodeAddress, abilities);
  const serviceRanges = families(instance.services, instance.ipv6.services, abilities);
  const pki = `${state}/pki`;
  const etc = `${state}/etc`;
  const kubernetes = (name: string, flags: readonly string[], health: Health, files: Component["files"] = {}) => ({
    name,
    command: [`${state}/bin/cluster`, name, ...flags],
    health,
    files,
  });
  return [
    {
      name: "containerd",
      command: ["containerd", "--config", `${etc}/containerd.toml`],
      health: { kind: "socket", path: containerdSocketOf(instance) },
      files: {
        [`${etc}/containerd.toml`]: containerdConfig(instance, etc, abilities),
        [`${etc}/cni/10-pods.conflist`]: JSON.stringify(podNetwork(instance, abilities), null, 2),
      },
    },
    kubernetes("etcd", [
      "--data-dir=/var/lib/etcd",
      "--listen-client-urls=http://127.0.0.1:2379",
      "--advertise-client-urls=http://127.0.0.1:2379",
      "--listen-peer-urls=http://127.0.0.1:2380",
      "--unsafe-no-fsync", // the data lives as long as the node
      "--log-level=warn",
    ], { kind: "listens", port: 2379 }),
    kubernetes("kube-apiserver", [
      "--etcd-servers=http://127.0.0.1:2379",
      `--advertise-address=${nodeAddress}`,
      `--service-cluster-ip-range=${serviceRanges.join()}`,
      `--client-ca-file=${pki}/ca.crt`,
      `--tls-cert-file=${pki}/kube-apiserver.crt`,
      `--tls-private-key-file=${pki}/kube-apiserver.key`,
      `--kubelet-certificate-authority=${pki}/ca.crt`,
      `--kubelet-client-certificate=${pki}/admin.crt`,
      `--kubelet-client-key=${pki}/admin.key`,
      "--kubelet-preferred-address-types=InternalIP",
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-key-file=${pki}/service-accounts.crt`,
      `--service-account-signing-key-file=${pki}/service-accounts.key`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction", // beside the default ones, of which PodSecurity is one
      "--allow-privileged=true",
    ], { kind: "answers", url: `https://${nodeAddress}:6443/readyz` }),
    kubernetes("kube-controller-manager", [
      `--kubeconfig=${kubeconfigOf(instance, "kube-controller-manager")}`,
      `--tls-cert-file=${pki}/node.crt`,
      `--tls-private-key-file=${pki}/node.key`,
      `--root-ca-file=${pki}/ca.crt`,
      `--service-account-private-key-file=${pki}/service-accounts.key`,
      "--use-service-account-credentials=true",
      "--allocate-node-cidrs=false",
      "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",
      "--kube-api-qps=500", // its forty controllers start seconds earlier than with the default of 20
      "--kube-api-burst=500",
      "--leader-elect=false",
    ], { kind: "answers", url: `https://${nodeAddress}:10257/healthz` }),
    kubernetes("kube-scheduler", [
      `--kubeconfig=${kubeconfigOf(instance, "kube-scheduler")}`,
      `--tls-cert-file=${pki}/node.crt`,
      `--tls-private-key-file=${pki}/node.key`,
      "--leader-elect=false",
    ], { kind: "answers", url: `https://${nodeAddress}:10259/healthz` }),
    kubernetes(
      "kubelet",
      [
        `--kubeconfig=${kubeconfigOf(instance, "kubelet")}`,
        `--config=${etc}/kubelet.json`,
        `--node-ip=${nodeAddresses.join()}`,
        `--hostname-override=${NODE_NAME}`,
      ],
      { kind: "answers", url: `http://${nodeAddress}:10248/healthz` },
      {
        [`${etc}/kubelet.json`]: JSON.stringify(kubeletConfig(instance), null, 2),
        [`${etc}/resolv.conf`]: "nameserver 127.0.0.1\n", // what the machine itself would ask: nobody
      },
    ),
    kubernetes(
      "kube-proxy",
      [`--config=${etc}/kube-proxy.json`],
      { kind: "answers", url: `http://${nodeAddress}:10256/healthz` },
      { [`${etc}/kube-proxy.json`]: JSON.stringify(kubeProxyConfig(instance, abilities), null, 2) },
    ),
  ];
}

/** What there is of each family, the primary one first. */
function families(ipv4: string, ipv6: string, abilities: Abilities): readonly string[] {
  return abilities.ipv6 ? [ipv4, ipv6] : [ipv4];
}

/**
 * `restrict_oom_score_adj` lets pods start where we may not lower a process's OOM score (no CAP_SYS_RESOURCE, as in
 * many containers and small VMs); elsewhere it changes nothing that a test sees.
 */
function containerdConfig(instance: Instance, etc: string, { snapshotter }: Abilities): string {
  return `version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${pluginsOf(instance)}"
    conf_dir = "${etc}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

/** A cable per pod (no bridge, so that no bridge filter is needed), and host ports. */
function podNetwork(instance: Instance, abilities: Abilities): unknown {
  const subnets = families(instance.pods, instance.ipv6.pods, abilities);
  const everywhere = families("0.0.0.0/0", "::/0", abilities);
  return {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [
      {
        type: "cable",
        ipMasq: true,
        ipam: {
          type: "host-local",
          ranges: subnets.map((subnet) => [{ subnet }]),
          routes: everywhere.map((dst) => ({ dst })),
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

function kubeletConfig({ state, nodeAddress, dnsService, cgroup }: Instance): unknown {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${state}/pki/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: `${state}/pki/node.crt`,
    tlsPrivateKeyFile: `${state}/pki/node.key`,
    healthzBindAddress: nodeAddress,
    clusterDNS: [dnsService],
    clusterDomain: "cluster.local",
    resolvConf: `${state}/etc/resolv.conf`,
    volumePluginDir: "/var/lib/kubelet/volume-plugins",
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false, // old hosts are good enough for a test
    failSwapOn: false,
    // A test's node is not a place to run out of anything, least of all of images that no registry has.
    evictionHard: { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  };
}

function kubeProxyConfig(instance: Instance, abilities: Abilities): unknown {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    clusterCIDR: families(instance.pods, instance.ipv6.pods, abilities).join(),
    hostnameOverride: NODE_NAME,
    healthzBindAddress: `${instance.nodeAddress}:10256`,
    clientConnection: { kubeconfig: kubeconfigOf(instance, "kube-proxy") },
    conntrack: { maxPerCore: 0 }, // the machine's limit stays as it is
  };
}
