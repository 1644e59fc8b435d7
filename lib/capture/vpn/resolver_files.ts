/** What the machine's own resolver is told: resolv.conf(5), nsswitch.conf(5). */
import { isAddress } from "./ranges.ts";

/** What resolv.conf says, as far as it matters here. */
export interface ResolvConf {
  /** Addresses of name servers; libc's own where there are none. */
  readonly servers: readonly string[];
  /** Domains that are tried behind a name. */
  readonly search: readonly string[];
}

/** Reads resolv.conf. A server with a zone (a link-local address) is left out: it is asked on its own link alone. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line.replace(/[#;].*$/, "").trim().split(/\s+/);
    if (keyword === "nameserver" && words[0] !== undefined && isAddress(words[0])) servers.push(words[0]);
    if (keyword === "search" || keyword === "domain") search = words;
  }
  const domains = search.map((word) => word.toLowerCase().replace(/\.$/, "")).filter((word) => word !== "");
  return { servers: servers.length > 0 ? servers : ["127.0.0.1"], search: domains };
}

/** Sources of names that answer by themselves, before DNS is asked, and take `.local` and plain names for their own. */
const BEFORE_DNS = /^(mdns\w*|resolve|mymachines|wins|libvirt\w*)$/;

/**
 * nsswitch.conf with DNS before what would answer in its place, and else as it was: what DNS does not know is asked
 * there as before.
 *
 * @returns undefined where nothing is to be changed
 */
export function dnsFirst(nsswitch: string): string | undefined {
  const lines = nsswitch.split("\n");
  const at = lines.findIndex((line) => /^\s*hosts:/.test(line));
  const line = lines[at];
  if (line === undefined) return undefined; // glibc's own order is "files dns"
  const [, head = "", rest = ""] = /^(\s*hosts:\s*)([^#]*)/.exec(line) ?? [];
  const sources = rest.match(/[^\s[\]]+(\s*\[[^\]]*\])*/g) ?? [];
  const nameOf = (source: string) => source.replace(/\s*\[.*/s, "");
  const first = sources.findIndex((source) => BEFORE_DNS.test(nameOf(source)));
  const dns = sources.findIndex((source) => nameOf(source) === "dns");
  if (first < 0 || (dns >= 0 && dns < first)) return undefined;
  const others = sources.filter((source) => nameOf(source) !== "dns").map((source) => source.trim());
  lines[at] = `${head}${others.toSpliced(first, 0, "dns").join(" ")}`;
  return lines.join("\n");
}
