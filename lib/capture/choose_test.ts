import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { type ChoiceInput, CHOICES, chooseMethod, METHODS } from "./choose.ts";
import type { Refusal } from "./inject/carriable.ts";

const GO: Refusal = { kind: "go", path: "/bin/get", reason: "it is a Go program", hints: [] };
const SETUID: Refusal = { kind: "secure", path: "/bin/get", reason: "it is setuid", hints: ["Use a copy"] };
const FOREIGN: Refusal = { kind: "architecture", path: "/bin/get", reason: "it is for arm64", hints: [] };
const FORBIDDEN = { allowed: false, reason: "AppArmor forbids them", hints: ["sudo sysctl"] } as const;
const ALLOWED = { allowed: true } as const;

function input(
  { namespace = ALLOWED, ...more }: Partial<Omit<ChoiceInput, "namespace">> & {
    namespace?: typeof ALLOWED | typeof FORBIDDEN;
  },
): ChoiceInput {
  return { hasShim: true, program: "get", isRoot: false, namespace: () => Promise.resolve(namespace), ...more };
}

Deno.test("chooseMethod() takes the best that machine and command allow", async (t) => {
  const cases: readonly { name: string; of: ChoiceInput; want: string | RegExp }[] = [
    { name: "all is possible", of: input({}), want: "inject-tcp" },
    { name: "a Go program", of: input({ refusal: GO }), want: "namespace" },
    { name: "no preload library", of: input({ hasShim: false }), want: "namespace" },
    { name: "no namespaces", of: input({ namespace: FORBIDDEN }), want: "inject-tcp" },
    { name: "neither", of: input({ refusal: GO, namespace: FORBIDDEN }), want: /^Cannot carry .* it is a Go program$/ },
    { name: "setuid", of: input({ refusal: SETUID }), want: /it is setuid/ },
    { name: "setuid, as root", of: input({ refusal: SETUID, isRoot: true }), want: "namespace" },
    { name: "foreign", of: input({ refusal: FOREIGN }), want: /it is for arm64/ },
    { name: "inject-tcp is wanted", of: input({ wanted: "inject-tcp" }), want: "inject-tcp" },
    {
      name: "inject-tcp is wanted in vain",
      of: input({ wanted: "inject-tcp", refusal: GO }),
      want: /by inject-tcp: it is/,
    },
    { name: "namespace is wanted", of: input({ wanted: "namespace" }), want: "namespace" },
    {
      name: "namespace is wanted in vain",
      of: input({ wanted: "namespace", namespace: FORBIDDEN }),
      want: "Cannot use --method namespace: AppArmor forbids them",
    },
    { name: "vpn-tcp is wanted", of: input({ wanted: "vpn-tcp", hasHelper: true, refusal: GO }), want: "vpn-tcp" },
    { name: "vpn-tcp is wanted elsewhere", of: input({ wanted: "vpn-tcp" }), want: /vpn-tcp: there is no helper for/ },
  ];
  for (const { name, of, want } of cases) {
    await t.step(name, async () => {
      const got = await chooseMethod(of).then(({ method }) => method, (error: Error) => error.message);
      if (typeof want === "string") equals(got, want);
      else match(got, want);
    });
  }
});

Deno.test("chooseMethod() refuses every method on macOS, whatever is wanted, and says where there are some", async (t) => {
  for (const arch of ["aarch64", "x86_64"]) {
    for (const wanted of [undefined, ...METHODS]) {
      // Even with Linux's own programs at hand, which a Mac could not start.
      for (const has of [true, false]) {
        await t.step(`${arch}, ${wanted ?? "no --method"}, ${has ? "with" : "without"} programs`, async () => {
          const machine = { os: "darwin", arch };
          const of = input({ machine, hasShim: has, hasHelper: has, ...(wanted && { wanted }) });
          await rejects(chooseMethod(of), (error) => {
            ok(error instanceof UserError);
            const what = wanted === undefined ? 'carry "get"' : `use --method ${wanted}`;
            equals(error.message, `Cannot ${what}: all methods that carry a command are Linux's, and this is macOS`);
            match(error.hints.join("\n"), /^Run telepresence in a Linux virtual machine.*\n.*--plan, doctor, status/);
            return true;
          });
        });
      }
    }
  }
});

Deno.test("chooseMethod() does what the table of docs/methods.md says, for every machine and command", async (t) => {
  const commands: Readonly<Record<string, Refusal | undefined>> = {
    "a program": undefined,
    "a Go program": GO,
    "a setuid program": SETUID,
    "a program for another processor": FOREIGN,
  };
  for (const hasShim of [true, false]) {
    for (const namespace of [ALLOWED, FORBIDDEN]) {
      for (const isRoot of [true, false]) {
        for (const [what, refusal] of Object.entries(commands)) {
          // What each word of the table means here.
          const machine = { "has a preload library": hasShim, "allows namespaces": namespace.allowed, "any": true };
          const command = {
            "can load it": refusal === undefined,
            "is for this processor, and not setuid unless run as root": refusal?.kind !== "architecture" &&
              (refusal?.kind !== "secure" || isRoot),
            "any": true,
          };
          const row = CHOICES.find((row) => machine[row.machine] && command[row.command]);
          const name = `${what}, preload library: ${hasShim}, namespaces: ${namespace.allowed}, root: ${isRoot}`;
          await t.step(`${name}: ${row?.method}`, async () => {
            const of = input({ hasShim, namespace, isRoot, ...(refusal && { refusal }) });
            equals(await chooseMethod(of).then(({ method }) => method, () => "none"), row?.method);
          });
        }
      }
    }
  }
});

Deno.test("chooseMethod() says why, where the choice was ours", async () => {
  equals((await chooseMethod(input({}))).reason, '"get" can be preloaded');
  equals((await chooseMethod(input({ refusal: GO }))).reason, "inject-tcp cannot carry it: it is a Go program");
  equals((await chooseMethod(input({ wanted: "namespace" }))).reason, undefined);
});

Deno.test("chooseMethod() refuses with the other methods and what would allow them", async () => {
  const hints = async (of: ChoiceInput) => {
    let found: readonly string[] = [];
    await rejects(chooseMethod(of), (error) => {
      ok(error instanceof UserError);
      found = error.hints;
      return true;
    });
    return found.join("\n");
  };
  match(await hints(input({ wanted: "inject-tcp", refusal: GO })), /--method namespace carries it/);
  match(await hints(input({ wanted: "namespace", namespace: FORBIDDEN })), /sudo sysctl\n--method inject-tcp carries/);
  match(await hints(input({ refusal: GO, namespace: FORBIDDEN })), /would carry it, but AppArmor forbids them\nsudo/);
});

Deno.test("chooseMethod() asks nothing of the machine where the answer does not matter", async () => {
  const namespace = () => Promise.reject(new Error("asked"));
  equals((await chooseMethod({ ...input({}), namespace })).method, "inject-tcp");
});

Deno.test("docs/methods.md and docs/proxying.md have the tables", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/methods.md", import.meta.url));
  const { carriedTable, methodsPage } = await import("./methods_page.ts");
  equals(page, methodsPage(), "to write it anew: deno run -A tools/write_methods_page.ts");
  ok(CHOICES.at(-1)?.method === "none" && METHODS.length === 3);
  const proxying = await Deno.readTextFile(new URL("../../docs/proxying.md", import.meta.url));
  ok(proxying.includes(`\n${carriedTable()}\n`), `docs/proxying.md has not this table:\n${carriedTable()}`);
});
