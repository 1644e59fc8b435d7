import type { Authorities, RuntimeAuthorities } from "@/kube/mod.ts";

/**
 * Chooses the authorities that the runtime trusts beside those that a connection names, as kubectl does: none where
 * the kubeconfig names its own, else the system's. For the whole process, and once: after something has spoken TLS it is
 * in vain (`deno run -A https://...` that has just downloaded us).
 *
 * The runtime makes its list at the first use of TLS, from a variable of the environment; there is no other way to
 * shorten it (`caCerts` only adds to it). So the variable is set for that moment alone: programs that we start have it
 * as it was. Where the system's are meant, what the user chose by it holds; what `DENO_CERT` names is always trusted.
 * {@link https://docs.deno.com/runtime/reference/env_variables/}
 *
 * @returns whom the runtime trusts by itself from now on: nobody, where the list was emptied in time
 */
export function chooseAuthorities(wanted: Authorities): RuntimeAuthorities {
  const name = "DENO_TLS_CA_STORE";
  const before = Deno.env.get(name);
  if (wanted === "system" && before !== undefined) return "some";
  try {
    // A compiled program has spoken no TLS before us; and it would keep the error of the question for its list.
    if (!Deno.build.standalone) {
      Deno.env.set(name, "no-such-store");
      if (canMakeList()) return "some"; // it is made already: nobody has looked at the variable
    }
    Deno.env.set(name, wanted === "kubeconfig" ? "" : "mozilla,system"); // a system without any has those of the runtime
    return canMakeList() && wanted === "kubeconfig" ? "none" : "some";
  } finally {
    if (before === undefined) Deno.env.delete(name);
    else Deno.env.set(name, before);
  }
}

/** Has the runtime make its list, if it has none yet. @returns whether it could */
function canMakeList(): boolean {
  try {
    Deno.createHttpClient({}).close();
    return true;
  } catch {
    return false;
  }
}
