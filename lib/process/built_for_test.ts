import { deepStrictEqual as equals } from "node:assert/strict";
import { builtFor } from "./built_for.ts";

Deno.test("builtFor() gives a Mac nothing of Linux's, whatever its architecture", () => {
  const texts = { aarch64: btoa("arm"), x86_64: btoa("intel") };
  const found = (os: string, name: string) => {
    const bytes = builtFor({ os }, texts, name);
    return bytes && new TextDecoder().decode(bytes);
  };
  equals(found("linux", "aarch64"), "arm");
  equals(found("linux", "x86_64"), "intel");
  equals(found("linux", "riscv64"), undefined);
  for (const os of ["darwin", "windows"]) for (const name of Object.keys(texts)) equals(found(os, name), undefined, os);
});
