import { messageOf } from "@/util/mod.ts";
import { isHealthy } from "./health.ts";
import type { Instance } from "./instance.ts";
import { readComponents } from "./made.ts";
import { findNode } from "./node.ts";
import { kubectl } from "./objects.ts";
import { findComponent } from "./running.ts";

/** The state of a cluster, as lines to read, and whether all is well. */
export interface Status {
  readonly lines: readonly string[];
  readonly well: boolean;
}

/** Looks at every component, and asks the API server for nodes and pods. */
export async function readStatus(instance: Instance): Promise<Status> {
  const node = await findNode(instance);
  if (node === undefined) return { lines: [`cluster "${instance.name}" is not up`], well: false };
  const components = await Promise.all((await readComponents(instance)).map(async (component) => {
    const process = await findComponent(node, component);
    const healthy = process !== undefined && await isHealthy(instance, node, component);
    const state = process === undefined ? "not running" : healthy ? "healthy" : "not healthy";
    return { line: row(component.name, process?.pid ?? "-", state), well: healthy };
  }));
  const objects = await readObjects(instance);
  return {
    lines: [row("COMPONENT", "PID", "STATE"), ...components.map(({ line }) => line), ...objects.lines],
    well: objects.well && components.every(({ well }) => well),
  };
}

async function readObjects(instance: Instance): Promise<Status> {
  try {
    const query = ["get", "nodes,pods", "--all-namespaces", "--no-headers", "--request-timeout=5s"];
    const output = await kubectl(instance, [...query, "--output=jsonpath=" + CONDITIONS]);
    const objects = output.trim().split("\n").map((line) => line.split("\t"));
    return {
      lines: objects.map(([kind = "", name = "", ready, phase]) => {
        return row(kind.toLowerCase(), "", `${name} ${ready === "True" ? "Ready" : phase || "not Ready"}`);
      }),
      well: objects.every(([, , ready, phase]) => ready === "True" || phase === "Succeeded"),
    };
  } catch (error) {
    return { lines: [messageOf(error)], well: false };
  }
}

const CONDITIONS = '{range .items[*]}{.kind}{"\\t"}{.metadata.namespace}/{.metadata.name}{"\\t"}' +
  '{.status.conditions[?(@.type=="Ready")].status}{"\\t"}{.status.phase}{"\\n"}{end}';

function row(...cells: readonly (string | number)[]): string {
  const [name = "", pid = "", state = ""] = cells;
  return `${String(name).padEnd(24)}  ${String(pid).padStart(8)}  ${state}`;
}
