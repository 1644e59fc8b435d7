/** Static programs of musl on a machine that vpn-tcp carries: their resolver reads resolv.conf in its own way. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";
import { needing } from "../testkit/needing.ts";
import { vpnTest } from "./harness.ts";

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
  "printer.corp.example": "192.168.77.9",
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
    const said = await machine.shell(`${PROGRAM} ${Object.keys(names).join(" ")}`);
    equals(said.split("\n"), Object.entries(names).map(([name, address]) => `${name}: ${address}`));
  }, { played: { resolvConf: `nameserver 192.168.77.1\n${more}`, names: { "*.wild.example": "192.168.77.40" } } });
}
