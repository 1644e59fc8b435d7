/** What `telepresence doctor` looks at on this machine. Nothing is changed. */
import {
  type Choice,
  hasMethods,
  METHODS,
  type NamespaceVerdict,
  NO_METHOD_HINTS,
  probeInject,
  probeNamespace,
  whyNoMethod,
} from "@/capture/mod.ts";
import type { runProgram } from "@/process/mod.ts";
import { failed, type Finding, ok, problem, warning } from "./finding.ts";

/** This machine, as far as it is looked at; tests have others. */
export interface Machine {
  /** What is preloaded here; undefined where there is nothing for this machine. */
  readonly shim: Uint8Array<ArrayBuffer> | undefined;
  /** What makes namespaces here. */
  readonly netns: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Where programs and sockets may be put, the most wanted first. */
  readonly directories: readonly string[];
  /** Runs a program to its end. */
  readonly run: typeof runProgram;
  /** The text of a file; undefined where there is none. */
  read(path: string): Promise<string | undefined>;
  /** Why the pod's volumes cannot be mounted; undefined where they can. */
  whyNoLiveMount(): Promise<string | undefined>;
  readonly isRoot: boolean;
  /** The system, as the runtime names it. */
  readonly os: string;
}

/**
 * Which methods there are, and why not the others.
 *
 * @param methods those that are built
 */
export async function checkMethods(machine: Machine, methods: readonly string[] = METHODS): Promise<Finding[]> {
  const { shim, netns, directories, run, read, isRoot, os } = machine;
  if (!hasMethods({ os })) {
    return methods.map((method) => problem(`method ${method}`, whyNoMethod({ os }), NO_METHOD_HINTS.slice(0, 1)));
  }
  const [inject, namespace] = await Promise.all([
    probeInject(shim, { directories, run }).catch((error): NamespaceVerdict => {
      const { says, hints } = failed("", error, []);
      return { allowed: false, reason: says, hints };
    }),
    netns().then((helper) => probeNamespace(helper, { directories, run, read })).catch((error): NamespaceVerdict => {
      const { says, hints } = failed("", error, []);
      return { allowed: false, reason: says, hints };
    }),
  ]);
  const one = (
    method: Choice["method"],
    verdict: NamespaceVerdict,
    other: NamespaceVerdict,
    carries: string,
    otherwise: string,
  ): Finding => {
    const check = `method ${method}`;
    if (verdict.allowed) return ok(check, carries);
    const hints = verdict.hints.length > 0 ? verdict.hints : [otherwise];
    return (other.allowed ? warning : problem)(check, verdict.reason, hints);
  };
  const root = isRoot ? "as root" : "without root";
  const helper = await netns();
  return [
    one(
      "inject-tcp",
      inject,
      namespace,
      "a library can be preloaded here",
      "--method namespace carries every program, where the system allows namespaces",
    ),
    one(
      "namespace",
      namespace,
      inject,
      `the system allows a network namespace, ${root}`,
      "--method inject-tcp needs none; it does not carry static and Go programs",
    ),
    ...(methods.includes("vpn-tcp") ? [await checkVpn(machine, helper !== undefined, namespace)] : []),
  ];
}

/** Whether the whole machine can be carried: it takes root's rights, and what the kernel needs for a namespace too. */
async function checkVpn(
  { isRoot, run }: Machine,
  hasHelper: boolean,
  namespace: NamespaceVerdict,
): Promise<Finding> {
  const check = "method vpn-tcp";
  const instead = "--method namespace and inject-tcp carry a command, without root";
  if (!hasHelper) {
    return warning(check, `there is no helper for ${Deno.build.os} on ${Deno.build.arch}`, [instead]);
  }
  if (!namespace.allowed && namespace.reason.startsWith("this kernel")) {
    return warning(check, namespace.reason, [instead]);
  }
  if (isRoot) return ok(check, "the whole machine can be carried, as root");
  const { code } = await run(["sudo", "--version"]).catch(() => ({ code: 1 }));
  if (code === 0) return ok(check, "the whole machine can be carried, by sudo, which may ask for a password");
  return warning(check, "it needs root's rights, and there is no sudo", [
    "Install sudo, or run telepresence as root",
    instead,
  ]);
}

/** Whether volumes can be mounted. */
export async function checkVolumes({ whyNoLiveMount }: Machine): Promise<Finding> {
  const check = "volumes";
  const why = await whyNoLiveMount();
  if (why === undefined) return ok(check, "the pod's volumes can be mounted (FUSE, sshfs)");
  const [, install] = /\((apt-get [^)]*)\)/.exec(why) ?? [];
  return warning(check, `the pod's volumes are copied, not mounted, as ${why.replace(/ \(apt-get [^)]*\)/, "")}`, [
    install === undefined
      ? "docs/volumes.md says what copies can do"
      : `To mount them: sudo ${install}; docs/volumes.md says what copies can do`,
  ]);
}

/** How names are resolved on this machine: what resolves for the command is the pod, what finds the API server is this. */
export async function checkNames({ read }: Machine): Promise<Finding> {
  const check = "name resolution";
  const [resolv, nsswitch, nscd] = await Promise.all([
    read("/etc/resolv.conf"),
    read("/etc/nsswitch.conf"),
    read("/run/nscd/nscd.pid"),
  ]);
  const servers = [...(resolv ?? "").matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server]) => server ?? "");
  if (servers.length === 0) {
    const what = resolv === undefined ? "there is no /etc/resolv.conf" : "/etc/resolv.conf names no name server";
    return warning(check, `${what}: an API server or proxy that is given by name is not found`, [
      "Name one: echo nameserver ADDRESS | sudo tee -a /etc/resolv.conf",
    ]);
  }
  const [, hosts] = /^\s*hosts:\s*(.*)$/m.exec(nsswitch ?? "") ?? [];
  if (hosts !== undefined && !/\b(dns|resolve)\b/.test(hosts)) {
    return warning(check, `the line "hosts: ${hosts.trim()}" of /etc/nsswitch.conf does not ask DNS`, [
      "Add dns to it: hosts: files dns",
    ]);
  }
  const stub = servers.some((server) => /^127\./.test(server)) ? " (a resolver of this machine)" : "";
  const cache = nscd === undefined ? "" : ", with nscd's cache in front; a session goes around it";
  return ok(check, `${servers.join(", ")}${stub}${cache}`);
}
