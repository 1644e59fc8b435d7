import type { ClientCertificate } from "./cluster_config.ts";

/** What a request is sent with. */
export interface Identity {
  readonly headers: readonly (readonly [string, string])[];
  /** A certificate that takes the place of the configuration's own. */
  readonly clientCertificate?: ClientCertificate;
}

/** Where requests get their identity from; asks again when what it has is too old or was refused. */
export interface CredentialSource extends Disposable {
  /** @throws {UserError} when the file or program behind it fails */
  identity(signal?: AbortSignal): Promise<Identity>;
  /** Drops what the server refused with 401. @returns whether asking again can give something else */
  refused(identity: Identity): boolean;
}
