/** The page that `telepresence report` makes, in a real browser: what it shows, sorts and needs. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { readRecord, reportPage } from "@/session/mod.ts";
import { runProgram } from "@/process/mod.ts";

const [BROWSER] = (await runProgram(["sh", "-c", "command -v chromium || command -v google-chrome"])).stdout.split(
  "\n",
);
const SHOT = new URL("../../docs/report.png", import.meta.url);

/** A session as people have them: a cache that refuses, a name that is not there, a long download. */
function exampleRecord(): string {
  const at = Date.parse("2026-11-24T12:00:00Z");
  const flow = (id: number, since: number, ms: number, rest: Record<string, unknown>) => ({
    line: "flow",
    id,
    state: "ended",
    since: at + since,
    until: at + since + ms,
    sent: 0,
    received: 0,
    ...rest,
  });
  const web = { kind: "tcp", host: "10.96.7.10", port: 80, name: "catalog.shop", pid: 4711, program: "node" };
  const cache = { kind: "tcp", host: "10.96.3.4", port: 6379, name: "cache.shop", pid: 4711, program: "node" };
  const refused = { ...cache, state: "failed", error: "ECONNREFUSED" };
  const caller = { kind: "exposed", host: "10.244.1.17", port: 8080, sent: 1800, received: 420 };
  const lines = [
    {
      line: "session",
      session: "5e55104abc",
      doing: "--swap-deployment web",
      context: "staging",
      namespace: "shop",
      at,
    },
    flow(1, 300, 9, { kind: "lookup", host: "catalog.shop", port: 0, answer: ["10.96.7.10"] }),
    flow(2, 320, 2100, { ...web, sent: 900, received: 48_000 }),
    flow(3, 500, 4, refused),
    flow(4, 1500, 4, refused),
    flow(5, 3500, 5, refused),
    flow(6, 2200, 14, { kind: "lookup", host: "mailer.shop", port: 0, state: "failed", error: "EAI_NONAME" }),
    flow(7, 4000, 5200, { ...web, sent: 400, received: 12_500_000 }),
    flow(8, 5000, 60, caller),
    flow(9, 7000, 3000, { ...cache, sent: 5200, received: 900 }),
    flow(10, 8200, 45, caller),
    { line: "end", at: at + 11_000, opened: 3, failed: 4, accepted: 2, sent: 10_100, received: 12_549_740 },
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** The page with a script of the test at its end, as the browser has it afterwards; how it says what it saw. */
async function inBrowser(page: string, script: string, ...flags: string[]): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/page.html`;
    const probe =
      `<script>const say = (words) => document.body.append(Object.assign(document.createElement("output"), ` +
      `{ textContent: words })); ${script}</script></body>`;
    await Deno.writeTextFile(path, page.replace("</body>", probe));
    const { stdout, stderr } = await runProgram([
      BROWSER ?? "",
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      `--user-data-dir=${directory}/profile`,
      ...flags,
      "--dump-dom",
      `file://${path}`,
    ]);
    const said = [...stdout.matchAll(/<output>(.*?)<\/output>/gs)].map(([, words = ""]) => words);
    ok(said.length > 0, stderr);
    return said;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function browserTest(name: string, fn: () => Promise<void>): void {
  const isThere = BROWSER !== undefined && BROWSER !== "";
  Deno.test({ name: `${name}${isThere ? "" : " (skipped: no Chromium is installed)"}`, ignore: !isThere, fn });
}

const page = reportPage(readRecord(exampleRecord(), "example"));

browserTest("the table sorts by each column, by numbers where they are numbers, and says so", async () => {
  const [sent, again, state] = await inBrowser(
    page,
    `
    const column = (name) => [...document.querySelectorAll("th")].findIndex((th) => th.textContent.includes(name));
    const press = (name) => {
      const at = column(name);
      const th = document.querySelectorAll("th")[at];
      th.querySelector("button").click();
      const cells = [...document.querySelectorAll("tbody tr")].map((row) => row.cells[at].textContent);
      say(th.getAttribute("aria-sort") + ": " + cells.join(" | "));
    };
    press("Received"); press("Received"); press("State");`,
  );
  equals(sent, "ascending: 0 B | 0 B | 0 B | 0 B | 0 B | 420 B | 420 B | 900 B | 48 kB | 13 MB");
  equals(again, "descending: 13 MB | 48 kB | 900 B | 420 B | 420 B | 0 B | 0 B | 0 B | 0 B | 0 B");
  match(state ?? "", /^ascending: EAI_NONAME \| ECONNREFUSED \| ECONNREFUSED \| ECONNREFUSED \| ended/);
});

browserTest("everything that acts can be reached and used by keys, and has a name", async () => {
  const [names, focused] = await inBrowser(
    page,
    `
    const all = [...document.querySelectorAll("button, a, input, select, [tabindex]")];
    say(all.map((one) => (one.textContent.trim().split("\\n")[0] || one.getAttribute("aria-label")).slice(0, 8)).join("|"));
    const button = document.querySelectorAll("th button")[3];
    button.focus();
    say(String(document.activeElement === button) + " " + all.every((one) => one.tabIndex === 0) + " " +
      [...document.querySelectorAll("svg")].every((one) => one.getAttribute("aria-label") && one.getAttribute("role")));`,
  );
  match(names ?? "", /At\|Kind\|What\|State\|Took\|Sent\|Received\|By$/);
  equals(focused, "true true true");
});

browserTest(
  "errors are red on light and on dark, and the colors can be told apart from what is behind them",
  async () => {
    const script = `
    const contrast = (a, b) => {
      const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
          const value = part / 255;
          return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
      return (high + 0.05) / (low + 0.05);
    };
    const back = getComputedStyle(document.body).backgroundColor;
    const bad = getComputedStyle(document.querySelector("tr.bad td")).color;
    const good = getComputedStyle(document.querySelector("tr:not(.bad) td")).color;
    say(matchMedia("(prefers-color-scheme: dark)").matches + " " + back + " " + bad);
    say([contrast(bad, back), contrast(good, back)].every((ratio) => ratio >= 4.5));`; // WCAG 2.2, 1.4.3
    const [light, isLightLegible] = await inBrowser(page, script);
    const [dark, isDarkLegible] = await inBrowser(page, script, "--blink-settings=preferredColorScheme=0");
    equals([light, isLightLegible], ["false rgb(255, 255, 255) rgb(179, 20, 29)", "true"]);
    equals([dark, isDarkLegible], ["true rgb(22, 24, 28) rgb(255, 138, 128)", "true"]);
  },
);

browserTest("the page asks for nothing: no request leaves the browser", async () => {
  const [requests] = await inBrowser(page, `say(String(performance.getEntriesByType("resource").length));`);
  equals(requests, "0");
});

browserTest("it can be drawn; UPDATE_SCREENSHOT=1 keeps the picture in docs", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/page.html`, page);
    await runProgram([
      BROWSER ?? "",
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--hide-scrollbars",
      `--user-data-dir=${directory}/profile`,
      "--window-size=1000,880",
      `--screenshot=${directory}/report.png`,
      `file://${directory}/page.html`,
    ]);
    const shot = await Deno.readFile(`${directory}/report.png`);
    equals([...shot.subarray(1, 4)], [...new TextEncoder().encode("PNG")]);
    ok(shot.length > 20_000, `a page with content has more than ${shot.length} bytes`);
    if (Deno.env.get("UPDATE_SCREENSHOT") === "1") await Deno.writeFile(SHOT, shot);
    ok((await Deno.stat(SHOT)).size < 150_000, "the picture in docs is of modest size");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
