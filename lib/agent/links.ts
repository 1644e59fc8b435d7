import { silentLog } from "@/log/mod.ts";
import { admitHost, GRACE_MS, type Link, openLink, openMux } from "@/transport/mod.ts";
import { type Duplex, messageOf } from "@/util/mod.ts";
import type { Guests } from "./guests.ts";
import { type AgentOptions, serveMux } from "./serve.ts";

/** How many links there may be at a time: one for each session that shares this agent. */
const MAX_LINKS = 16;

/** The links of an agent. Disposing it says goodbye to every host. */
export interface Links extends AsyncDisposable {
  /**
   * Serves one carrier, from the handshake to its end. It never rejects: what goes wrong is told to the host where it
   * can be, and to the log.
   *
   * @param admitted called when the host has proved itself
   */
  serve(carrier: Duplex, admitted?: () => void): Promise<void>;
  /** Resolves when no host has had a link for the time of grace; one that never came counts from the start. */
  readonly abandoned: Promise<void>;
}

/** The links of an agent: each is made by its first carrier, and lives over the loss of all of them for a while. */
export function openLinks(options: AgentOptions): Links {
  const { log = silentLog, graceMs = GRACE_MS } = options;
  const links = new Map<string, Link>();
  const guests: Guests = new Set();
  const abandoned = Promise.withResolvers<void>();
  let lonely: ReturnType<typeof setTimeout> | undefined;
  let ending = false;
  const lookIfLonely = () => {
    clearTimeout(lonely);
    // With a link, the link's own time of grace runs first; without one, the host is given as long to come.
    if (links.size === 0 && !ending) lonely = setTimeout(abandoned.resolve, graceMs);
  };
  lookIfLonely();

  const begin = (id: string, version: string): Link => {
    const link = openLink({ log, graceMs });
    links.set(id, link);
    clearTimeout(lonely);
    serveMux((onOpen) => openMux(link, { role: "agent", onOpen }), guests, options);
    log.info(`A host of version ${version} is connected`);
    link.closed.then(() => {}, (error) => log.info(`A host is gone: ${messageOf(error)}`)).then(() => {
      links.delete(id);
      lookIfLonely();
    });
    return link;
  };

  return {
    abandoned: abandoned.promise,
    async serve(carrier, admitted = () => {}) {
      try {
        const { link: id, carrier: index, version } = await admitHost(carrier, options.publicKey, {
          version: options.version,
          knows: (link) => links.has(link),
        });
        admitted();
        if (ending || !links.has(id) && links.size >= MAX_LINKS) return carrier.close();
        await (links.get(id) ?? begin(id, version)).attach(index, carrier);
      } catch (error) {
        log.info(`A carrier was not let in: ${messageOf(error)}`);
      }
    },
    async [Symbol.asyncDispose]() {
      ending = true;
      clearTimeout(lonely);
      await Promise.all([...links.values()].map((link) => link.leave("The agent is being ended")));
    },
  };
}
