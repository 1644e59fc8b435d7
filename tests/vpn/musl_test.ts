/** Static programs of musl on a machine that vpn-tcp carries: their resolver reads resolv.conf in its own way. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { DnsRecord } from "@/dns/mod.ts";
import type { DnsAnswer } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { needing } from "../testkit/needing.ts";
import { lookUp, vpnTest } from "./harness.ts";
import type { Machine } from "./played_machine.ts";

const hasMusl = (await runProgram(["sh", "-c", "command -v musl-gcc"])).code === 0;
const muslTest = needing(hasMusl ? undefined : "musl-gcc is not installed", vpnTest);

const [SOURCE = "", PROGRAM = ""] = ["./musl_names.c", "../../build/musl_names"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url))
);
if (hasMusl) {
  const words = ["musl-gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", PROGRAM, SOURCE] as const;
  const { code, stderr } = await runProgram(words);
  equals(code, 0, stderr);
}

const NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["", ".default", ".default.svc", ".default.svc.cluster.local", ".default.svc.cluster.local."].map((end) =>
      [`helloworld${end}`, "10.96.7.7"] as const
    ),
  ),
  "web.other": "10.96.8.8",
  "both.default": "10.96.7.8 fd00:96::7",
  "six.default": "fd00:96::6",
  "silent.default": "Name does not resolve",
  "db.private.example": "10.77.0.5",
  "six.private.example": "2001:db8:77::6",
  "db.cloud.example": "2001:db8:5::1 203.0.113.5 203.0.113.6",
  "printer.corp.example": "192.168.77.9",
  "six.corp.example": "fd77::9",
  "nowhere.example": "Name does not resolve",
  "nowhere": "Name does not resolve",
};

/** What follows the name server in resolv.conf. */
const LISTS: Readonly<Record<string, string>> = {
  "no search list": "",
  "the root domain for a search list": "search .\n",
  "a search list": "search corp.example sub.corp.example\n",
  "a search list that names the root domain too": "search corp.example .\n",
  "a search list of which each name is there": "search wild.example\n",
  "a search list, and five dots": "search corp.example\noptions ndots:5\n",
  "the root domain, and five dots": "search .\noptions ndots:5\n",
  "the root domain, and no dot": "search .\noptions ndots:0\n",
  "a domain with its last dot": "search corp.example.\n",
};

/** Where the machine's own servers have every name of a searched domain. */
const WILD = { "nowhere": "192.168.77.40" };

for (const [what, more] of Object.entries(LISTS)) {
  const names = { ...NAMES, ...(more.includes("wild") && WILD) };
  muslTest(`musl resolves each name with ${what}`, async ({ machine }) => {
    equals(await addressesOf(machine, Object.keys(names)), Object.entries(names).map((each) => each.join(": ")));
  }, {
    played: {
      resolvConf: `nameserver 192.168.77.1\n${more}`,
      names: { "*.wild.example": "192.168.77.40", "six.corp.example": "fd77::9" },
    },
  });
}

const ALIASES: Readonly<Record<string, string>> = {
  "alias.default.svc.cluster.local": "between.other.svc.cluster.local",
  "between.other.svc.cluster.local": "both.default.svc.cluster.local",
};
/** So many that a datagram without EDNS, which musl does not ask for, cannot carry them. */
const MANY = Array.from({ length: 60 }, (_, index) => `10.96.20.${index}`);

muslTest("musl follows a chain of aliases in both families, and has what a datagram carries of many", async (on) => {
  const [alias, many = ""] = await addressesOf(on.machine, ["alias.default", "many.default"]);
  equals(alias, "alias.default: 10.96.7.8 fd00:96::7");
  const [, ...found] = many.split(" ");
  equals(found.length > 20 && found.every((address) => MANY.includes(address)), true, many);
}, {
  resolve(name, type) {
    if (name === "many.default.svc.cluster.local.") return Promise.resolve(recordsOf(name, type === 1 ? MANY : []));
    if (!(name.slice(0, -1) in ALIASES)) return undefined;
    const aliases: DnsRecord[] = [];
    let at = name.slice(0, -1);
    for (let next; (next = ALIASES[at]) !== undefined; at = next) {
      aliases.push({ name: at, ttl: 5, data: { type: "CNAME", target: next } });
    }
    const last = lookUp(`${at}.`, type);
    return Promise.resolve({ ...last, name: name.slice(0, -1), records: [...aliases, ...last.records] });
  },
});

/** What musl finds, a line for each name; its order of addresses, which goes by this machine's routes, does not matter. */
async function addressesOf(machine: Machine, names: readonly string[]): Promise<string[]> {
  const said = await machine.shell(`${PROGRAM} ${names.join(" ")}`);
  return said.split("\n").map((line) => {
    const [name, words = ""] = line.split(/: (.*)/);
    return `${name}: ${/\d/.test(words) ? words.split(" ").sort().join(" ") : words}`;
  });
}

function recordsOf(name: string, addresses: readonly string[]): DnsAnswer {
  const own = name.replace(/\.$/, "");
  const records = addresses.map((address): DnsRecord => ({ name: own, ttl: 5, data: { type: "A", address } }));
  return { rcode: 0, name: own, records, authority: [] };
}
