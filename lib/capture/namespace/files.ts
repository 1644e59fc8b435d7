/** The files that programs inside see in place of the host's: who is asked for names. */
import { RESOLVER } from "./protocol.ts";

/**
 * resolv.conf(5) of the inside. No search list: the pod applies its own, ndots too, to whatever is asked, so a name
 * must arrive there as the program has it ("." is what keeps libc from making a list of the host's domain).
 */
export function resolvConf(): string {
  return `# Names are resolved in the pod, by telepresence\nnameserver ${RESOLVER.address}\nsearch .\noptions timeout:5 attempts:2\n`;
}

/**
 * nsswitch.conf(5) of the inside: the host's, but names come from files and DNS alone. Services of the host that answer
 * over a socket (systemd-resolved, mDNS, winbind) know the host's names, and take `.local` for themselves.
 */
export function nsswitchConf(host: string): string {
  const keeps = /^\s*hosts:.*\bmyhostname\b/m.test(host) ? " myhostname" : "";
  const line = `hosts: files${keeps} dns`;
  const lines = host.split("\n").filter((each) => !/^\s*hosts:/.test(each));
  return `${[line, ...lines].join("\n").trimEnd()}\n`;
}
