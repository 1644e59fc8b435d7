import { match, ok, throws } from "node:assert/strict";
import { helpOn, topics } from "./topics.ts";
import { UsageError } from "./usage_error.ts";

Deno.test("helpOn() explains pages, subcommands and options, each by its name", () => {
  match(helpOn("rbac"), /^# Which rights does it need\?/);
  match(helpOn("install"), /^# How do I get it\?[^]*telepresence version --check/);
  match(helpOn("status"), /^usage: telepresence status \[--context CONTEXT\].*\n/);
  match(helpOn("--expose"), /^ {2}--expose PORT\[:REMOTE\]\n {24}Forward the pod's port REMOTE/);
  match(helpOn("-n"), /--new-deployment NAME, -n NAME/);
  for (const topic of topics()) ok(helpOn(topic).length > 40, topic);
});

Deno.test("each page of docs/ is a topic", () => {
  const pages = [...Deno.readDirSync(new URL("../../docs/", import.meta.url))].map(({ name }) => name);
  for (const page of pages.filter((name) => name.endsWith(".md"))) {
    match(helpOn(page.slice(0, -3)), /^# /, page);
  }
});

Deno.test("helpOn() shows a page without what is for web pages", () => {
  const page = helpOn("troubleshooting");
  ok(!/\]\(|<!--|^\|[ |:-]+\|$/m.test(page), page);
});

Deno.test("helpOn() says what was meant by a word that is no topic", () => {
  throws(() => helpOn("volume"), (error: unknown) => {
    ok(error instanceof UsageError);
    match(error.message, /^help: no such topic: 'volume'$/);
    match(error.hints.join("\n"), /^did you mean telepresence help volumes\?\ntopics: .*rbac/);
    return true;
  });
});
