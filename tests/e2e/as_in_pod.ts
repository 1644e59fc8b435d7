/**
 * What programs ask of the cluster and have to hear, the same under each method: one command of inject-tcp, a namespace
 * of its own, a whole machine.
 *
 * @module
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { pods, services } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { type Cluster, NAMESPACE } from "./harness.ts";

/** Service `helloworld` answers with this. */
export const PAGE = /<h1>Hello, world!<\/h1>/;
const QUALIFIED = `helloworld.${NAMESPACE}`;
/** Its name in all three forms. */
export const NAMES = ["helloworld", QUALIFIED, `${QUALIFIED}.svc.cluster.local`];

/** Runs lines of sh where programs are carried. @returns their standard output, trimmed; rejects when they fail */
export type Shell = (lines: string) => Promise<string>;

/** Whether a program is on this machine; tests of programs that are not are no failures. */
export async function isHere(program: string): Promise<boolean> {
  return (await runProgram(["sh", "-c", `command -v ${program}`])).code === 0;
}

/** Builds a static Go program that gets `/` of a host. @returns its path; undefined where Go is not installed */
export async function buildGet({ directory }: Cluster): Promise<string | undefined> {
  if (!await isHere("go")) return undefined;
  await Deno.writeTextFile(`${directory}/get.go`, GO_GET);
  const env = { CGO_ENABLED: "0", GO111MODULE: "off" };
  const built = await runProgram(["go", "build", "-o", "get", "get.go"], { cwd: directory, env });
  equals(built.code, 0, built.stderr);
  return `${directory}/get`;
}

/** Records of every type are the pod's, for a program that speaks DNS itself and, where it is installed, for dig. */
export async function hearsRecords(shell: Shell): Promise<void> {
  const said = await shell(`python3 -c '${RECORDS}'`);
  equals(said.split("\n"), RECORDS_SAID, said);
  await digs(shell, DUG);
  equals((await shell(GETENT_RECORDS)).split("\n"), ["kube-dns.kube-system.svc.cluster.local", "0"]);
  if (await isHere("node")) equals((await shell(`node -e '${NODE_RECORDS}'`)).split("\n"), RECORDS_BY_LIBRARY);
}

/** The same as Go's own resolver has it. @param get what {@linkcode buildGet} has built */
export async function hearsRecordsByGo(get: string, shell: Shell): Promise<void> {
  equals((await shell(`${get} records`)).split("\n"), RECORDS_BY_LIBRARY);
}

/** Asks dig, with EDNS and a cookie. @param questions its words, and what it has to print: code, records */
export async function digs(shell: Shell, questions: Readonly<Record<string, string>>): Promise<void> {
  if (!await isHere("dig")) return;
  const said = await shell(`for words in ${Object.keys(questions).map((words) => `"${words}"`).join(" ")}
do echo $(dig +noall +answer +comments $words | grep -o "status: [A-Z]*\\|SRV.*\\|PTR.*\\|TXT.*\\|A\t"); done`);
  equals(said.split("\n"), Object.values(questions));
}

/** Datagrams go to a pod and back, in both directions within one flow. */
export async function hearsEcho(cluster: Cluster, shell: Shell): Promise<void> {
  const { name, address } = await toolsOf(cluster);
  const [said] = await Promise.all([
    shell(`python3 -c '${UDP_ASK}' ${address}`),
    cluster.kube.exec({ namespace: NAMESPACE, name }, { command: ["timeout", "40", "python3", "-c", UDP_ECHO] }),
  ]);
  equals(said, "echo of one, echo of two");
}

/** A new Service, a headless one and an ExternalName are reached in a namespace that has none yet. */
export async function reachesServices(cluster: Cluster, namespace: string, shell: Shell): Promise<void> {
  const { address } = await toolsOf(cluster);
  const spec = { ports: [{ port: 80, targetPort: 8000 }] };
  const specs = {
    late: spec,
    headless: { ...spec, clusterIP: "None" },
    elsewhere: { type: "ExternalName", externalName: `${QUALIFIED}.svc.cluster.local` },
  };
  for (const [name, spec] of Object.entries(specs)) {
    await cluster.kube.create(services, { metadata: { name, namespace }, spec });
  }
  for (const name of ["late", "headless"]) {
    await cluster.kube.create(ENDPOINT_SLICES, {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
      endpoints: [{ addresses: [address] }],
      ports: [{ port: 8000, protocol: "TCP" }],
    });
  }
  const said = await shell(`for name in late headless elsewhere
do for i in $(seq 60); do getent ahostsv4 $name.${namespace} >/dev/null && break; sleep 0.5; done; done
getent ahostsv4 headless.${namespace} | cut -d' ' -f1 | head -1
for name in late headless; do curl -sS --max-time 20 http://$name.${namespace}:8000 2>/dev/null || echo $?; done
curl -sS http://elsewhere.${namespace}`);
  // Nobody listens on port 8000: the pod says so (7, CURLE_COULDNT_CONNECT), and no timeout does (28).
  equals(said.split("\n").slice(0, 3), [address, "7", "7"], said);
  match(said, PAGE);
}

/** The pod of Deployment `tools`. */
async function toolsOf({ kube }: Cluster): Promise<{ name: string; address: string }> {
  const { items } = await kube.list(pods, { namespace: NAMESPACE, labelSelector: "app=tools" });
  const pod = items.find(({ status }) => status.phase === "Running");
  if (pod?.status.podIP === undefined) throw new Error("The pod of Deployment tools is not there");
  return { name: pod.metadata.name, address: pod.status.podIP };
}

/** What a Service leads to. */
export const ENDPOINT_SLICES = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  namespaced: true,
  parse: (value: unknown) => value,
};

/** Asks the name server of resolv.conf, message by message: code and count, or what the first record says. */
const RECORDS = `
import socket, struct
server = (open("/etc/resolv.conf").read().split("nameserver ")[1].split()[0], 53)
def name(m, at):
    labels, end = [], None
    while m[at]:
        if m[at] >= 192:
            end = end or at + 2
            at = (m[at] & 63) << 8 | m[at + 1]
        else:
            labels.append(m[at + 1:at + 1 + m[at]].decode()); at += m[at] + 1
    return ".".join(labels), end or at + 1
def ask(what, kind, to=server, tcp=False):
    q = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in what.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
    if tcp:
        s = socket.create_connection(to); s.sendall(struct.pack("!H", len(q)) + q); f = s.makefile("rb")
        m = f.read(struct.unpack("!H", f.read(2))[0])
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.sendto(q, to); m = s.recv(65535)
    count, at = struct.unpack("!H", m[6:8])[0], name(m, 12)[1] + 4
    words = [str(m[3] & 15), str(count)]
    if count and kind in (12, 33):
        at = name(m, at)[1] + 10
        words = words[:1] + ([str(struct.unpack("!H", m[at + 4:at + 6])[0]), name(m, at + 6)[0]] if kind == 33 else ["1", name(m, at)[0]])
    return " ".join(words)
dns = socket.gethostbyname("kube-dns.kube-system")
print("SRV", ask("_dns._udp.kube-dns.kube-system.svc.cluster.local", 33))
print("SRV by the search list", ask("_dns._udp.kube-dns.kube-system.svc", 33))
print("SRV by TCP", ask("_dns._udp.kube-dns.kube-system.svc", 33, tcp=True))
print("PTR", ask(".".join(reversed(dns.split("."))) + ".in-addr.arpa", 12))
print("A", ask("${QUALIFIED}", 1))
print("AAAA of a name without one", ask("${QUALIFIED}", 28))
print("TXT of a name without one", ask("${QUALIFIED}", 16))
print("a name that is not there", ask("nothing.${NAMESPACE}", 1))
print("the cluster itself, by UDP", ask("${QUALIFIED}.svc.cluster.local", 1, (dns, 53)))
`;

const RECORDS_SAID = [
  "SRV 0 53 kube-dns.kube-system.svc.cluster.local",
  "SRV by the search list 0 53 kube-dns.kube-system.svc.cluster.local",
  "SRV by TCP 0 53 kube-dns.kube-system.svc.cluster.local",
  "PTR 0 1 kube-dns.kube-system.svc.cluster.local",
  "A 0 1",
  "AAAA of a name without one 0 0",
  "TXT of a name without one 0 0",
  "a name that is not there 3 0",
  "the cluster itself, by UDP 0 1",
];

/** What libc says of an address, and how many addresses of IPv6 a name without one has. */
const GETENT_RECORDS = `
getent hosts $(getent ahostsv4 kube-dns.kube-system | cut -d" " -f1 | head -1) | sed "s/^[^ ]* *//"
getent ahostsv6 ${QUALIFIED} | grep -vc ::ffff: || true`;

/** What libraries with resolvers of their own print of the same. */
const RECORDS_BY_LIBRARY = [
  "SRV 53 kube-dns.kube-system.svc.cluster.local",
  "TXT 1.1.0",
  "PTR kube-dns.kube-system.svc.cluster.local",
  "AAAA none",
];

/** By Node's own resolver, c-ares. */
const NODE_RECORDS = `
const dns = require("node:dns").promises;
(async () => {
  const [srv] = await dns.resolveSrv("_dns._udp.kube-dns.kube-system.svc.cluster.local");
  console.log("SRV", srv.port, srv.name);
  console.log("TXT", (await dns.resolveTxt("dns-version.cluster.local")).join());
  const [address] = await dns.resolve4("kube-dns.kube-system.svc.cluster.local");
  console.log("PTR", (await dns.reverse(address)).join());
  await dns.resolve6("${QUALIFIED}.svc.cluster.local").catch((error) => console.log("AAAA", error.code === "ENODATA" ? "none" : error.code));
})();`;

/** TXT is that of Kubernetes' specification of its DNS (section 2.2): the version of its schema. */
const DUG: Readonly<Record<string, string>> = {
  "SRV _dns._udp.kube-dns.kube-system.svc.cluster.local":
    "status: NOERROR SRV 0 100 53 kube-dns.kube-system.svc.cluster.local.",
  "+tcp SRV _dns._udp.kube-dns.kube-system.svc": "status: NOERROR SRV 0 100 53 kube-dns.kube-system.svc.cluster.local.",
  "-x $(getent ahostsv4 kube-dns.kube-system | cut -d' ' -f1 | head -1)":
    "status: NOERROR PTR kube-dns.kube-system.svc.cluster.local.",
  "TXT dns-version.cluster.local": 'status: NOERROR TXT "1.1.0"',
  [`A ${QUALIFIED}.svc.cluster.local`]: "status: NOERROR A",
  [`AAAA ${QUALIFIED}`]: "status: NOERROR",
  [`AAAA nothing.${NAMESPACE}`]: "status: NXDOMAIN",
};

/** Answers, on addresses of both families, until it is told to stop. */
export const UDP_ECHO = `
import socket
family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("", 7777))
while True:
    data, peer = s.recvfrom(100); s.sendto(b"echo of " + data, peer)
    if data == b"stop": break`;

/** Asks twice by one socket, and then tells the other to stop. */
export const UDP_ASK = `
import socket, sys
to = (sys.argv[1], 7777)
s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
def ask(word):
    for attempt in range(20):
        try:
            s.sendto(word, to); said = s.recvfrom(100)[0].decode()
            if said.endswith(word.decode()): return said
        except OSError: pass # it is not there yet
print(ask(b"one"), ask(b"two"), sep=", "); s.sendto(b"stop", to)`;

/** A script of Node that gets the page by each name, by its own resolver. */
export const NODE_GET = `
const dns = require("node:dns"), http = require("node:http");
for (const name of "${NAMES.join(" ")}".split(" ")) dns.resolve4(name, (error, addresses) => {
  if (error) throw error;
  http.get({ host: addresses[0], headers: { host: name } }, (response) => response.pipe(process.stdout));
});`;

const GO_GET = `package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

func records() {
	_, services, err := net.LookupSRV("dns", "udp", "kube-dns.kube-system.svc.cluster.local")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("SRV", services[0].Port, strings.TrimSuffix(services[0].Target, "."))
	texts, err := net.LookupTXT("dns-version.cluster.local")
	fmt.Println("TXT", strings.Join(texts, ","))
	addresses, err := net.LookupHost("kube-dns.kube-system")
	if err != nil {
		fmt.Println(err)
		return
	}
	names, err := net.LookupAddr(addresses[0])
	fmt.Println("PTR", strings.TrimSuffix(strings.Join(names, ","), "."))
	found := "none"
	all, err := net.LookupIP("${QUALIFIED}.svc.cluster.local")
	for _, each := range all {
		if each.To4() == nil {
			found = each.String()
		}
	}
	fmt.Println("AAAA", found)
}

func main() {
	if os.Args[1] == "records" {
		records()
		return
	}
	conn, err := net.Dial("tcp", os.Args[1]+":80")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n", os.Args[1])
	io.Copy(os.Stdout, conn)
}
`;
