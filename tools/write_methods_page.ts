/**
 * Writes docs/methods.md from the tables in the code.
 *
 * `deno run -A tools/write_methods_page.ts`
 *
 * @module
 */
import { methodsPage } from "@/capture/mod.ts";

await Deno.writeTextFile("docs/methods.md", methodsPage());
