import { type DnsRecord, RCODES, type RecordData, typeNumber } from "@/dns/mod.ts";
import { type Address, type DatagramFlow, DialError, type ErrnoName, LookupError, type Pod } from "@/pod/mod.ts";
import type { Duplex } from "@/util/mod.ts";

/** What a fake pod can reach. */
export interface FakeCluster {
  /** Where "address port" leads: a port of a server on the host's loopback, an errno, or "silence" for no answer. */
  readonly services: Record<string, number | ErrnoName | "silence">;
  /** Holds every dial until it resolves; for programs that look at a connect that is under way. */
  readonly held?: () => Promise<unknown>;
  /** What names resolve to, "silence" for no answer; a name that is not there is EAI_NONAME. */
  readonly names: Record<string, readonly string[] | "silence">;
  /** Records of names, for {@linkcode Pod.resolve}; a name that is not there does not exist. */
  readonly records?: Record<string, readonly RecordData[]>;
  /** What comes back for a datagram to "address port"; a peer that is not there answers nothing. */
  readonly peers?: Record<string, (payload: Uint8Array) => readonly Uint8Array[]>;
}

/** A pod in this process: its cluster is a table. It keeps what it was asked. */
export interface FakePod extends Pod {
  /** The dials, as "address port". */
  readonly dials: string[];
  /** The flows of datagrams that were opened, as "address port". */
  readonly flows: string[];
  /** The lookups, as "family name". */
  readonly lookups: string[];
  /** Dials and lookups that were given up by their signal. */
  readonly givenUp: string[];
}

/** Makes a pod whose cluster is `cluster`, which may be changed while it is used. */
export function makeFakePod(cluster: FakeCluster): FakePod {
  const dials: string[] = [];
  const lookups: string[] = [];
  const givenUp: string[] = [];
  const flows: string[] = [];
  return {
    flows,
    dials,
    lookups,
    givenUp,
    async dial({ host, port }: Address, { signal } = {}): Promise<Duplex> {
      const subject = `${host} ${port}`;
      dials.push(subject);
      await cluster.held?.();
      const target = cluster.services[subject] ?? "ECONNREFUSED";
      if (target === "silence") {
        return await silence(signal, new DialError("ETIMEDOUT", "Given up")).finally(() => givenUp.push(subject));
      }
      if (typeof target === "string") throw new DialError(target, `Cannot connect to ${subject}: ${target}`);
      return duplexOf(await Deno.connect({ hostname: "127.0.0.1", port: target }));
    },
    async lookup(name, { family = "any", signal } = {}) {
      lookups.push(`${family} ${name}`);
      const known = cluster.names[name] ?? [];
      if (known === "silence") {
        return await silence(signal, new LookupError("EAI_AGAIN", "Given up")).finally(() => givenUp.push(name));
      }
      const addresses = known.filter((address) => family === "any" || (family === 6) === address.includes(":"));
      if (addresses.length > 0) return { addresses };
      const code = name.endsWith(".again") ? "EAI_AGAIN" : name.endsWith(".fail") ? "EAI_FAIL" : "EAI_NONAME";
      throw new LookupError(code, `Cannot resolve "${name}": ${code}`);
    },
    listen: () => Promise.reject(new DialError("EACCES", "This pod does not listen")),
    async resolve(name, type, { signal } = {}) {
      if (name.endsWith(".again")) throw new LookupError("EAI_AGAIN", "No name server answers");
      const addresses = cluster.names[name];
      if (addresses === "silence") {
        return await silence(signal, new LookupError("EAI_AGAIN", "Given up")).finally(() => givenUp.push(name));
      }
      const known = cluster.records?.[name] ?? addresses;
      const records = [...cluster.records?.[name] ?? [], ...(addresses ?? []).map(toData)]
        .filter((data) => typeNumber(data) === type).map((data): DnsRecord => ({ name, ttl: 5, data }));
      return { rcode: known ? RCODES.NOERROR : RCODES.NXDOMAIN, name, records, authority: [] };
    },
    datagrams({ host, port }, { signal } = {}) {
      flows.push(`${host} ${port}`);
      return Promise.resolve(flowOf(cluster.peers?.[`${host} ${port}`] ?? (() => []), signal));
    },
    environment: () => Promise.resolve({}),
    files: () => Promise.reject(new DialError("EACCES", "This pod has no files")),
  };
}

function toData(address: string): RecordData {
  return { type: address.includes(":") ? "AAAA" : "A", address };
}

/** Waits until the signal, and fails then. */
async function silence(signal: AbortSignal | undefined, error: Error): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal?.addEventListener("abort", () => reject(error));
  if (signal?.aborted) reject(error);
  return await promise;
}

function flowOf(peer: (payload: Uint8Array) => readonly Uint8Array[], signal: AbortSignal | undefined): DatagramFlow {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, undefined, {
    highWaterMark: 1000,
  });
  const writer = writable.getWriter();
  const end = () => void writer.close().catch(() => {});
  signal?.addEventListener("abort", end, { once: true });
  return {
    async send(payload) {
      for (const back of peer(payload)) await writer.write(back);
    },
    received: () => readable,
    [Symbol.asyncDispose]() {
      signal?.removeEventListener("abort", end);
      end();
      return Promise.resolve();
    },
  };
}

function duplexOf(conn: Deno.Conn): Duplex {
  let open = true;
  return {
    read: (into) => conn.read(into),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => conn.closeWrite(),
    close() {
      if (open) conn.close();
      open = false;
    },
  };
}
