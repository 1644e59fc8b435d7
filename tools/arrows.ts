/** Which room may import which. ARCHITECTURE.md shows this table; `tools/lint_plugin.ts` keeps it. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  util: [],
  dns: [],
  log: ["util"],
  process: ["util", "log"],
  kube: ["util", "log", "process"],
  transport: ["util", "log"],
  pod: ["util", "dns", "log", "transport"],
  agent: ["util", "dns", "log", "transport", "pod"],
  env: ["util", "log", "process", "pod"],
  volumes: ["util", "log", "process", "pod"],
  capture: ["util", "dns", "log", "process", "pod"],
  session: ["util", "log", "process", "kube", "transport", "pod", "env", "volumes", "capture"],
  cli: ["util", "log", "kube", "session"],
};

/** The table as ARCHITECTURE.md shows it. */
export function arrowsTable(): string {
  const rows = Object.entries(MAY_IMPORT).map(([room, may]) => `| ${room} | ${may.join(", ") || "nothing of ours"} |`);
  return ["| room | may import |", "| --- | --- |", ...rows].join("\n");
}
