import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { openMachine } from "./machine.ts";

Deno.test("openMachine() says what there is where no sudo is, and leaves nothing", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const opening = openMachine({
      helper: new Uint8Array(1),
      directories: [directory],
      asRoot: ["/nowhere/sudo", "--"],
    });
    await rejects(opening, (error) => {
      ok(error instanceof UserError);
      ok(error.message.startsWith("Cannot use --method vpn-tcp: it needs root for a helper process: "), error.message);
      equals(error.hints, [
        "Where there is no sudo: run telepresence as root",
        "--method namespace carries one command, and needs no root",
      ]);
      return true;
    });
    equals(await Array.fromAsync(Deno.readDir(directory)), []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
