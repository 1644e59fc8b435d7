import { deepStrictEqual as equals, match, rejects } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { askForNewest, compareVersions } from "./newest.ts";

/** Asks a page on loopback that answers like this. */
async function ask(answer: () => Response, output: "text" | "json", signal?: AbortSignal) {
  const asked: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname}`);
    return answer();
  });
  const releases = `http://127.0.0.1:${server.addr.port}/releases`;
  let printed = "";
  const options = { version: "1.10.0", releases, output, print: (text: string) => printed += text };
  const code = await askForNewest({ ...options, ...(signal && { signal }) });
  return { code, asked, printed: printed.replaceAll(releases, "RELEASES") };
}

Deno.test("askForNewest() tells how this version is to the newest", async (t) => {
  const table = [
    ["1.10.0", "1.10.0 is the newest version\n", true],
    ["1.9.9", "1.10.0 is newer than what is published, 1.9.9\n", true],
    ["1.10.1", "1.10.0, and there is 1.10.1: RELEASES/latest\n", false],
  ] as const;
  for (const [newest, printed, upToDate] of table) {
    await t.step(newest, async () => {
      const asked = ["GET /releases/latest/download/VERSION"];
      equals(await ask(() => new Response(`${newest}\n`), "text"), { code: 0, asked, printed });
      const json = `${JSON.stringify({ version: "1.10.0", newest, upToDate })}\n`;
      equals((await ask(() => new Response(newest), "json")).printed, json);
    });
  }
});

Deno.test("askForNewest() says what the page answers when that is no version", async (t) => {
  const table = [
    ["a status", () => new Response("gone", { status: 404 }), /answers with status 404$/],
    ["a page", () => new Response("<html>"), /answers with something else than a version$/],
  ] as const;
  for (const [name, answer, message] of table) {
    await t.step(name, () =>
      rejects(ask(answer, "text"), (error) => {
        return error instanceof UserError && message.test(error.message) && error.hints.length === 1;
      }));
  }
  await t.step("nobody there", async () => {
    const options = { version: "1.0.0", releases: "http://127.0.0.1:9", output: "text", print() {} } as const;
    await rejects(askForNewest(options), (error) => {
      match((error as UserError).message, /^Cannot ask for the newest version: /);
      const look = "See what this machine gets from there (a proxy is named by HTTPS_PROXY): curl -L";
      equals((error as UserError).hints, [`${look} ${options.releases}/latest/download/VERSION`]);
      return true;
    });
  });
  await t.step("a signal came first", async () => {
    await rejects(ask(() => new Response("1.0.0"), "text", AbortSignal.abort(new Error("Received SIGINT"))), {
      message: "Received SIGINT",
    });
  });
});

Deno.test("compareVersions() compares number by number", () => {
  const ordered = ["0.9.10", "0.10.0", "1.2.3", "1.2.10", "10.0.0"];
  equals(ordered.toReversed().sort(compareVersions), ordered);
});
