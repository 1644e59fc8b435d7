/**
 * A client certificate in files that somebody renews while we run (cert-manager, step, a cloud's agent).
 *
 * Theory of operation. Before each request the files are looked at (`stat`, no more), and read again when one of them
 * is another than before; a connection with the former certificate is then used no more (`api.ts` compares). The two
 * files are not renewed in one step: a certificate that does not fit its key, or a file that is not whole, is taken for
 * a renewal under way, and the former pair is used until the next look. client-go looks every five minutes.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf } from "@/util/mod.ts";
import type { CertificateFiles, ClientCertificate } from "./cluster_config.ts";
import type { CredentialSource, Identity } from "./identity.ts";
import { isPair, requireCertificates, requirePrivateKey } from "./pem.ts";

/**
 * What `source` gives, with the certificate that the files have now; one that `source` gives itself goes first.
 *
 * @param first what the files had when the configuration was read, and whatever is in no file
 */
export function openCertificateFiles(
  files: CertificateFiles,
  first: ClientCertificate,
  source: CredentialSource,
  { log = silentLog }: { log?: Log } = {},
): CredentialSource {
  let current = first;
  let seen: string | undefined;
  let held: { of: Identity; identity: Identity } | undefined;

  return {
    async identity(signal) {
      const [of] = await Promise.all([source.identity(signal), look()]);
      if (of.clientCertificate !== undefined) return of;
      if (held?.of !== of || held.identity.clientCertificate !== current) {
        held = { of, identity: { ...of, clientCertificate: current } };
      }
      return held.identity;
    },
    refused(identity) {
      seen = undefined; // a file may be another and look the same: its time has a limit of exactness
      return source.refused(held?.identity === identity ? held.of : identity) || held?.identity === identity;
    },
    [Symbol.dispose]: () => source[Symbol.dispose](),
  };

  async function look(): Promise<void> {
    const now = (await Promise.all([files.cert, files.key].map(stampOf))).join();
    if (now === seen) return;
    try {
      const renewed = await readPair(files, first);
      seen = now;
      if (renewed.cert === current.cert && renewed.key === current.key) return;
      current = renewed;
      log.info("The client certificate was renewed in its files");
    } catch (error) {
      log.info(`The client certificate stays the former one: ${messageOf(error)}`);
    }
  }
}

/** What changes with a file's content: a renewal may write into it, or put another file in its place. */
async function stampOf(path: string | undefined): Promise<string> {
  if (path === undefined) return "";
  try {
    const { mtime, size, ino } = await Deno.stat(path);
    return `${mtime?.getTime()}/${size}/${ino}`;
  } catch {
    return "not there";
  }
}

async function readPair(files: CertificateFiles, first: ClientCertificate): Promise<ClientCertificate> {
  const [cert, key] = await Promise.all([
    files.cert === undefined ? first.cert : readPart(files.cert, requireCertificates),
    files.key === undefined ? first.key : readPart(files.key, requirePrivateKey),
  ]);
  if (cert === first.cert && key === first.key) return first;
  if (!await isPair({ cert, key })) throw new Error("the certificate and the key in its files do not fit each other");
  return { cert, key };
}

async function readPart(path: string, require: (text: string, what: string) => string): Promise<string> {
  return require(await Deno.readTextFile(path), `"${path}"`);
}
