import { messageOf } from "@/util/mod.ts";

/** An error in the system's words alone: "Permission denied", without the error's number and what was being done. */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\).*$/s, "");
}
