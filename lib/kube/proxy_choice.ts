import { UserError } from "@/util/mod.ts";
import ipaddr from "ipaddr.js";

/** Schemes of proxies that `dial` can go through. */
const SCHEMES = ["http:", "https:", "socks5:", "socks5h:"];

/**
 * The proxy on the way to `server`, as Go's clients choose it: the kubeconfig's own, else that of the environment.
 *
 * @param written `proxy-url` of the cluster, or empty
 * @param what names the field in an error
 * @returns undefined where the way is direct
 * @throws {UserError} when the address is none, or of a kind that is not supported
 */
export function chooseProxy(
  server: string,
  written: string,
  env: Readonly<Record<string, string | undefined>>,
  what: string,
): string | undefined {
  if (written !== "") return requireProxy(written, what);
  const url = new URL(server);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  if (isLoopback(hostname)) return undefined;
  const [name, value] = url.protocol === "https:" ? pick(env, "HTTPS_PROXY") : pick(env, "HTTP_PROXY");
  if (value === "") return undefined;
  const [, exceptions] = pick(env, "NO_PROXY");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (isExcepted(hostname, port, exceptions)) return undefined;
  return requireProxy(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`, name);
}

/**
 * Whether NO_PROXY excepts a host: `*`, names with their subdomains (`.x` the subdomains alone), addresses, ranges, each
 * maybe with a port.
 */
export function isExcepted(hostname: string, port: string, exceptions: string): boolean {
  const host = hostname.toLowerCase().replace(/\.$/, "");
  return exceptions.split(",").map((entry) => entry.trim().toLowerCase()).filter((entry) => entry !== "").some(
    (entry) => {
      if (entry === "*") return true;
      if (entry.includes("/")) return isInRange(host, entry);
      const [, name = entry, entryPort] =
        /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(looksLikeIpv6(entry) ? `[${entry}]` : entry) ?? [];
      if (entryPort !== undefined && entryPort !== port) return false;
      if (ipaddr.isValid(name)) return ipaddr.isValid(host) && same(name, host);
      const suffix = name.startsWith("*.") ? name.slice(1) : name;
      return suffix.startsWith(".") ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
    },
  );
}

/** The variable in capitals or, without it, in small letters. */
function pick(env: Readonly<Record<string, string | undefined>>, name: string): [string, string] {
  const small = name.toLowerCase();
  return env[name] ? [name, env[name]] : [small, env[small] ?? ""];
}

function requireProxy(address: string, what: string): string {
  const url = URL.parse(address);
  if (url !== null && SCHEMES.includes(url.protocol) && url.hostname !== "") return address;
  throw new UserError(`Cannot use the proxy of ${what}: it is not an http, https or socks5 address`, {
    hints: ["An address is like: http://user:password@proxy.example.com:3128"],
  });
}

function isLoopback(hostname: string): boolean {
  if (hostname === "localhost") return true;
  return ipaddr.isValid(hostname) && ipaddr.process(hostname).range() === "loopback";
}

function isInRange(host: string, range: string): boolean {
  if (!ipaddr.isValid(host) || !ipaddr.isValidCIDR(range)) return false;
  const address = ipaddr.process(host);
  const [network, bits] = ipaddr.parseCIDR(range);
  return address.kind() === network.kind() && address.match(network, bits);
}

function looksLikeIpv6(entry: string): boolean {
  return !entry.startsWith("[") && entry.split(":").length > 2;
}

function same(a: string, b: string): boolean {
  return ipaddr.process(a).toNormalizedString() === ipaddr.process(b).toNormalizedString();
}
