/** The files that programs inside see in place of the host's: who is asked for names. */
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
