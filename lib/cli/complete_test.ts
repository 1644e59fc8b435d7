import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { complete, formatCompletion, type Live } from "./complete.ts";

/** What is there, and what was asked for it. */
function makeLive() {
  const asked: unknown[] = [];
  const note = <T>(answer: T, ...question: unknown[]) => (asked.push(question), Promise.resolve(answer));
  const live: Live = {
    contexts: () => note(["prod", "staging"], "contexts"),
    namespaces: (where) => note(["default", "shop"], "namespaces", where),
    workloads: (kind, where) =>
      note(kind === "deployment" ? ["api", "web"] : kind === "pod" ? ["lone"] : [], kind, where),
    containers: (kind, name, where) => note(name === "web" ? ["main", "proxy"] : ["one"], kind, name, where),
    serviceAccounts: (where) => note(["default"], "serviceAccounts", where),
    leftSessions: () => note(["5e55104abc"], "leftSessions"),
    topics: () => ["volumes", "expose"],
  };
  return { live, asked };
}

/** The words offered for a line, the cursor at its end. */
async function offered(line: string): Promise<string[]> {
  const { candidates } = await complete(line.split(" "), makeLive().live);
  return candidates.map(({ word }) => word);
}

Deno.test("complete() offers subcommands as the first word, and flags everywhere", async () => {
  ok((await offered("")).includes("status") && (await offered("")).includes("--expose"));
  equals(await offered("st"), ["status"]);
  equals(await offered("--quiet st"), []);
  equals(await offered("--con"), ["--context"]);
  equals(
    (await offered("")).filter((word) => word === "complete" || word === "--docker-run"),
    [],
    "nothing hidden or unbuilt",
  );
});

Deno.test("complete() offers no flag twice but those that repeat, and none that excludes another one", async () => {
  equals(await offered("--verbose --verb"), []);
  equals(await offered("--expose 80 --exp"), ["--expose"]);
  equals(await offered("-nweb --swap"), ["--swap-deployment"], "joined short forms are words of their own");
  equals(await offered("--new-deployment web --swap"), []);
});

Deno.test("complete() offers what is there as values, asked where the line says", async () => {
  equals(await offered("--context st"), ["staging"]);
  equals(await offered("--context=st"), ["--context=staging"]);
  equals(await offered("--method na"), ["namespace"]);
  equals(await offered("--mount "), ["true", "false"]);
  equals(await offered("-s "), ["api", "web", "pod/lone"]);
  equals(await offered("--swap-deployment pod/"), ["pod/lone"]);
  const { live, asked } = makeLive();
  await complete(["--context", "prod", "--namespace=shop", "--serviceaccount", ""], live);
  equals(asked, [["serviceAccounts", { context: "prod", namespace: "shop" }]]);
});

Deno.test("complete() offers the containers of the workload that is swapped", async () => {
  equals(await offered("-s web:"), ["web:main", "web:proxy"]);
  equals(await offered("--swap-deployment=web:p"), ["--swap-deployment=web:proxy"]);
  equals(await offered("-s cronjob/web:"), []);
  const { live, asked } = makeLive();
  equals((await complete(["--namespace", "shop", "-s", "po/lone:"], live)).candidates, [{ word: "po/lone:one" }]);
  equals(asked, [["pod", "lone", { namespace: "shop" }]]);
});

Deno.test("complete() leaves what follows --run to the shell, from the command's own word on", async () => {
  const also = async (line: string) => (await complete(line.split(" "), makeLive().live)).also;
  equals(await also("--run "), "command 1");
  equals(await also("--quiet --run curl --con"), "command 2");
  equals(await also("--run -- ls "), "command 2");
  equals(await also("--env-json "), "files");
  equals(await also("--mount "), "directories");
});

Deno.test("complete() knows the words of subcommands", async () => {
  equals(await offered("completion "), ["bash", "zsh", "fish"]);
  equals(await offered("help vo"), ["volumes"]);
  equals(await offered("recover "), ["5e55104abc", "--context", "--namespace"]);
  equals(await offered("status --output "), ["text", "json"]);
  equals(await offered("status --output=j"), ["--output=json"]);
  equals(await offered("doctor --namespace s"), ["shop"]);
});

Deno.test("formatCompletion() is a line for the shell, then one for each candidate with its description", () => {
  const candidates = [{ word: "status", help: "show the sessions" }, { word: "x" }];
  equals(formatCompletion({ also: "files", candidates }), "files\nstatus\tshow the sessions\nx\n");
});
