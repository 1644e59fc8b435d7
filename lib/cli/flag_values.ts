/**
 * What single values of flags may be and what they mean, without a look at any other flag. A value that will not do is
 * answered with a sentence, which the parser makes an error of.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { WORKLOAD_KINDS, type WorkloadKind } from "@/session/mod.ts";
import { type Exposed, type Method, MOUNT_MODES, type MountMode, type MountPlace, type Operation } from "./flags.ts";

/** A port mapping, or what is wrong with it. */
export function readExposed(value: string): Exposed | string {
  const [, host, pod = host] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(value) ?? [];
  if (isPort(host) && isPort(pod)) return { host: Number(host), pod: Number(pod) };
  return `invalid port: '${value}' (expected PORT or LOCAL:REMOTE, each from 1 to 65535)`;
}

/** What is wrong with the number of a port, if anything, in the words of argparse. */
export function checkPort(value: string): string | undefined {
  if (!/^\s*[+-]?\d+\s*$/.test(value)) return `invalid int value: '${value}'`;
  return Number(value) >= 1 && Number(value) <= 65535 ? undefined : `invalid port: '${value}' (expected 1 to 65535)`;
}

/** A workload and a container of it, or what is wrong with the words. */
export function readSwap(value: string): Operation & { kind: "swap" } | string {
  const [, word = "deployment", name, container] = /^(?:([^/:]+)\/)?([^/:]+)(?::([^/:]+))?$/.exec(value) ?? [];
  if (name === undefined || !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) {
    return `invalid workload: '${value}' (expected NAME or KIND/NAME, and maybe :CONTAINER)`;
  }
  const kind = kindOf(word);
  if (kind === undefined) {
    if (/^(dc|deploymentconfigs?)(\.|$)/i.test(word)) {
      return `DeploymentConfigs of OpenShift are not swapped: ` +
        `'oc scale dc/${name} --replicas=0' and --new-deployment NAME --expose PORT come near`;
    }
    if (/^(svc|services?)$/i.test(word)) {
      return `a Service has no place to take, but the workload behind it has: 'kubectl describe service ${name}' shows its selector`;
    }
    return `invalid kind of workload: '${word}' (choose from ${WORKLOAD_KINDS.join(", ")})`;
  }
  if (container !== undefined && !isLabel(container)) return `invalid container: '${container}' (${LABEL_RULE})`;
  return { kind: "swap", workload: { kind, name }, ...(container !== undefined && { container }) };
}

/** Where volumes are to be. */
export function readMount(value: string): MountPlace {
  if (isFalse(value)) return { kind: "nowhere" };
  return isTrue(value) ? { kind: "temporary" } : { kind: "path", path: value };
}

/** How they come there. */
export function readMode(value: string | undefined): MountMode {
  return MOUNT_MODES.find((mode) => mode === value) ?? "auto";
}

/** Whether it is a method that is built. */
export function isMethod(word: string | undefined): word is Method {
  return word === "inject-tcp" || word === "namespace" || word === "vpn-tcp";
}

/** Whether it is an address, a range of addresses, or what a name of the DNS may look like. */
export function isHostOrRange(text: string): boolean {
  const [address = "", bits] = text.split("/", 2);
  if (bits !== undefined) return isAddress(address) && ipaddr.isValidCIDR(text);
  const label = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?";
  const isName = new RegExp(`^${label}(\\.${label})*\\.?$`, "i").test(text) && !/^[\d.]+$/.test(text);
  return isAddress(text) || (isName && text.length <= 254);
}

/** Whether it is the number of a port. */
export function isPort(text: string | undefined): boolean {
  return /^\d{1,5}$/.test(text ?? "") && Number(text) >= 1 && Number(text) <= 65535;
}

/** Whether it says yes. */
export function isTrue(value: string): boolean {
  return /^(true|on|yes|1)$/i.test(value);
}

/** Whether it says no. */
export function isFalse(value: string): boolean {
  return /^(false|off|no|0)$/i.test(value);
}

/** What {@linkcode isLabel} wants, in words. */
export const LABEL_RULE =
  'a name has at most 63 characters a-z, 0-9 and "-", and begins and ends with a letter or a digit';

/** Whether Kubernetes takes it as a name: a label of RFC 1123. */
export function isLabel(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
}

/** A kind by the words that kubectl takes for it. */
function kindOf(word: string): WorkloadKind | undefined {
  const short: Readonly<Record<string, WorkloadKind>> = {
    deploy: "deployment",
    sts: "statefulset",
    rs: "replicaset",
    ds: "daemonset",
    po: "pod",
  };
  const singular = word.toLowerCase().replace(/(\.apps)?$/, "").replace(/s(\.apps)?$/, "");
  return WORKLOAD_KINDS.find((kind) => kind === singular || kind === word.toLowerCase()) ?? short[word.toLowerCase()];
}

function isAddress(text: string): boolean {
  return ipaddr.IPv6.isValid(text) || ipaddr.IPv4.isValidFourPartDecimal(text);
}
