import { strictEqual as equal } from "node:assert/strict";
import { rbacPage } from "./rbac_page.ts";

Deno.test("docs/rbac.md is what the table of rights says", async () => {
  equal(await Deno.readTextFile(new URL("../docs/rbac.md", import.meta.url)), rbacPage());
});
