import { deepStrictEqual as equals, match } from "node:assert/strict";
import { originalWith } from "./_test_original.ts";
import { sentencesOfMarks } from "./keepers.ts";

Deno.test("sentencesOfMarks() tells what Argo CD, Flux and Helm will do", async (t) => {
  const table: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ["argocd.argoproj.io/tracking-id", {}, /Argo CD keeps it/],
    ["argocd.argoproj.io/instance", {}, /Argo CD keeps it/],
    ["kustomize.toolkit.fluxcd.io/name", {}, /Flux keeps it/],
    ["helm.toolkit.fluxcd.io/name", { "app.kubernetes.io/managed-by": "Helm" }, /Flux keeps it/],
    ["app.kubernetes.io/managed-by", {}, /Helm keeps it/],
  ];
  for (const [name, others, words] of table) {
    await t.step(name, () => {
      const value = name === "app.kubernetes.io/managed-by" ? "Helm" : "x";
      const [sentence = ""] = sentencesOfMarks(originalWith({ labels: { [name]: value, ...others } }));
      match(sentence, words);
      match(sentence, /^About deployment web: /);
    });
  }
  await t.step("nobody", () => {
    equals(sentencesOfMarks(originalWith({ labels: { "app.kubernetes.io/managed-by": "kustomize" } })), []);
  });
});
