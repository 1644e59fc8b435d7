import { type Log, silentLog } from "@/log/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { UserError } from "@/util/mod.ts";
import { placeProgram } from "../inject/place.ts";
import { wordsOfRoot } from "./machine.ts";

/** Where the helper's state files are (netns/machine.c). */
const STATE_DIRECTORY = "/run";

/**
 * Whether both processes of a session of vpn-tcp were killed, so that this machine's network is still as they had it.
 *
 * @param directory where state files are @default {"/run"}
 */
export async function isMachineLeft(directory: string = STATE_DIRECTORY): Promise<boolean> {
  const { ino } = await Deno.stat("/proc/self/ns/net").catch(() => ({ ino: null }));
  const text = await Deno.readTextFile(`${directory}/telepresence-vpn-${ino}`).catch(() => undefined);
  if (text === undefined) return false;
  const pid = /^pid (\d+)/.exec(text)?.[1];
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return !/\(telepresence.*\) [^ZX]/.test(stat); // a later process may have its number, and it may be nobody's any more
}

/**
 * Gives back what they left.
 *
 * @throws {UserError} when there is no root for it, or something stays
 */
export async function recoverMachine(
  helper: Uint8Array<ArrayBuffer>,
  { directories = ["/tmp"], log = silentLog }: { readonly directories?: readonly string[]; readonly log?: Log } = {},
): Promise<void> {
  await using place = await placeProgram(helper, directories, "netns");
  const [program = place.shim, ...words] = [...wordsOfRoot(), place.shim, "--give-back"];
  const { code, stderr } = await runProgram([program, ...words], { log });
  if (code === 0) return;
  throw new UserError(`Cannot give back this machine's network: ${stderr.trim() || `exit status ${code}`}`, {
    hints: ["ip rule, ip route show table 29808 and nft list table inet telepresence show what is left"],
  });
}
