import { deepStrictEqual as equals, match } from "node:assert/strict";
import { formatEnvironmentFile, formatEnvironmentJson, writeEnvironmentFiles } from "./mod.ts";

Deno.test("formatEnvironmentJson() writes what Python's json.dumps(sort_keys=True, indent=4) does", async (t) => {
  // The wanted texts were printed by Python 3.11.
  const table = [
    { name: "nothing", input: {}, want: "{}" },
    {
      name: "order, and every kind of character",
      input: { B: "", A: 'a"b\\c/\x7f\x01\té😀\u2028' },
      want: '{\n    "A": "a\\"b\\\\c/\\u007f\\u0001\\t\\u00e9\\ud83d\\ude00\\u2028",\n    "B": ""\n}',
    },
    { name: "lines", input: { A: "1\r\n2\n" }, want: '{\n    "A": "1\\r\\n2\\n"\n}' },
  ];
  for (const { name, input, want } of table) await t.step(name, () => equals(formatEnvironmentJson(input), want));
});

Deno.test("formatEnvironmentFile() writes values as they are, and tells which have several lines", () => {
  equals(formatEnvironmentFile({ B: "x=y 'z' \"$A\" #é\r", Z: "1\n2", A: "", Y: "\n" }), {
    text: "A=\nB=x=y 'z' \"$A\" #é\r\n",
    skipped: ["Y", "Z"],
  });
});

Deno.test("writeEnvironmentFiles() writes for the owner alone, over what was there, and goes on when it cannot", async (t) => {
  const directory = await Deno.makeTempDir();
  const [json, file] = [`${directory}/a.json`, `${directory}/a.env`];
  const modeOf = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;
  try {
    await t.step("both files, one of which was there and open to all", async () => {
      await Deno.writeTextFile(json, "x".repeat(1000), { mode: 0o644 });
      const said: string[] = [];
      await writeEnvironmentFiles({ A: "1\n", B: "2" }, { json, file }, (line) => said.push(line));
      equals(await Deno.readTextFile(json), '{\n    "A": "1\\n",\n    "B": "2"\n}');
      equals(await Deno.readTextFile(file), "B=2\n");
      equals([await modeOf(json), await modeOf(file)], [0o600, 0o600]);
      equals(said, [
        "Skipped these environment keys when writing env file because the associated values have newlines:",
        "A",
      ]);
    });
    await t.step("a place where nothing can be written", async () => {
      const said: string[] = [];
      await writeEnvironmentFiles({ A: "1" }, { json: directory, file: "/nowhere/at/all" }, (line) => said.push(line));
      equals(said.length, 2);
      match(said.join("\n"), /^Failed to write environment as JSON: .+\nFailed to write environment as env file: .+$/);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
