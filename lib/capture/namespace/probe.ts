import { runProgram } from "@/process/mod.ts";
import { placeProgram } from "../inject/place.ts";

/** Whether this machine lets this user have a network namespace; if not, why, and what would change that. */
export type NamespaceVerdict = { readonly allowed: true } | {
  readonly allowed: false;
  /** A sentence without its period. */
  readonly reason: string;
  readonly hints: readonly string[];
};

/** Options of {@linkcode probeNamespace}. */
export interface ProbeOptions {
  /** Directories for the helper, the most wanted first. @default {["/tmp"]} */
  readonly directories?: readonly string[];
  /** Runs the helper to its end. @default {runProgram} */
  readonly run?: (words: readonly [string, ...string[]]) => Promise<{ readonly code: number; readonly stderr: string }>;
  /** The text of a file; undefined where there is none. @default {Deno.readTextFile} */
  readonly read?: (path: string) => Promise<string | undefined>;
}

/** Tries all that a session would do, in namespaces that are gone a moment later. Nothing on the machine changes. */
export async function probeNamespace(
  helper: Uint8Array<ArrayBuffer> | undefined,
  options: ProbeOptions = {},
): Promise<NamespaceVerdict> {
  const { directories = ["/tmp"], run = runProgram, read = readIfThere } = options;
  if (helper === undefined) {
    return { allowed: false, reason: `there is no helper for ${Deno.build.os} on ${Deno.build.arch}`, hints: [] };
  }
  await using place = await placeProgram(helper, directories, "netns");
  const { code, stderr } = await run([place.shim, "--address", "192.0.0.2"]);
  if (code === 0) return { allowed: true };
  const [, step = "", errno = ""] = /^netns: ([^:]+): (\w+)/m.exec(stderr) ?? [];
  return { allowed: false, ...await causeOf({ step, errno, words: stderr.trim() }, read) };
}

/** What the helper said of its failure (netns/README.md, "Failures"). */
interface Failure {
  readonly step: string;
  readonly errno: string;
  readonly words: string;
}

/** Switches by which systems forbid user namespaces, and the value that allows them. */
const SWITCHES = [
  {
    path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    forbids: "1",
    reason: "AppArmor keeps user namespaces from programs without a profile (as on Ubuntu 24.04)",
    hint: "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
  },
  {
    path: "/proc/sys/kernel/unprivileged_userns_clone",
    forbids: "0",
    reason: "the sysctl kernel.unprivileged_userns_clone forbids user namespaces without root",
    hint: "sudo sysctl -w kernel.unprivileged_userns_clone=1",
  },
  {
    path: "/proc/sys/user/max_user_namespaces",
    forbids: "0",
    reason: "the sysctl user.max_user_namespaces allows no user namespace",
    hint: "sudo sysctl -w user.max_user_namespaces=10000",
  },
] as const;

/** Files that container engines leave in their containers. */
const CONTAINER_FILES = ["/.dockerenv", "/run/.containerenv"];

async function causeOf(
  { step, errno, words }: Failure,
  read: (path: string) => Promise<string | undefined>,
): Promise<{ reason: string; hints: readonly string[] }> {
  if (["nftables", "netfilter", "gate"].includes(step) && !["EPERM", "EACCES"].includes(errno)) {
    return { reason: `this kernel has no nftables with TPROXY (${step}: ${errno})`, hints: [] };
  }
  for (const { path, forbids, reason, hint } of SWITCHES) {
    if ((await read(path))?.trim() === forbids) return { reason, hints: [`To allow them: ${hint}`] };
  }
  for (const path of CONTAINER_FILES) {
    if (await read(path) === undefined) continue;
    return {
      reason: "this is a container, and its engine forbids new namespaces",
      hints: ["Start it with --cap-add SYS_ADMIN, or run telepresence outside of it"],
    };
  }
  return { reason: `this system forbids a network namespace (${step ? `${step}: ${errno}` : words})`, hints: [] };
}

async function readIfThere(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(() => undefined);
}
