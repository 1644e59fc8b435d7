import { type Attributes, FieldReader, OPEN_AND_READ, type Packet, SFTP, SftpError } from "./sftp.ts";

/** What a client asks of a server, after INIT. */
export type SftpRequest =
  | SftpChange
  | { readonly ask: "open"; readonly path: string; readonly flags: number; readonly attributes: Attributes }
  | {
    readonly ask: "open-and-read";
    readonly path: string;
    readonly flags: number;
    readonly attributes: Attributes;
    /** The number of the READ's answer, and how much it may have. */
    readonly readId: number;
    readonly length: number;
  }
  | { readonly ask: "close" | "fstat" | "readdir" | "fstatvfs" | "fsync"; readonly handle: number }
  | { readonly ask: "read"; readonly handle: number; readonly offset: number; readonly length: number }
  | { readonly ask: "write"; readonly handle: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly ask: "lstat" | "stat" | "opendir" | "realpath" | "readlink" | "statvfs"; readonly path: string }
  | { readonly ask: "setstat"; readonly path: string; readonly attributes: Attributes }
  | { readonly ask: "fsetstat"; readonly handle: number; readonly attributes: Attributes }
  /** One that we do not speak: it has an answer of its own. */
  | { readonly ask: "unknown"; readonly name: string }
  /** A name that is not UTF-8 or has a NUL: the runtime can reach no such file. */
  | { readonly ask: "unnameable" };

/** The requests that change which names there are. */
export type SftpChange =
  | { readonly ask: "remove" | "rmdir"; readonly path: string }
  | { readonly ask: "mkdir"; readonly path: string; readonly attributes: Attributes }
  | { readonly ask: "rename" | "posix-rename" | "hardlink"; readonly from: string; readonly to: string }
  | { readonly ask: "symlink"; readonly target: string; readonly path: string };

/** The requests that are an extension, by their names. */
const EXTENDED: Readonly<Record<string, (fields: FieldReader) => SftpRequest>> = {
  "posix-rename@openssh.com": (fields) => ({ ask: "posix-rename", from: pathOf(fields), to: pathOf(fields) }),
  "hardlink@openssh.com": (fields) => ({ ask: "hardlink", from: pathOf(fields), to: pathOf(fields) }),
  "statvfs@openssh.com": (fields) => ({ ask: "statvfs", path: pathOf(fields) }),
  "fstatvfs@openssh.com": (fields) => ({ ask: "fstatvfs", handle: handleOf(fields) }),
  "fsync@openssh.com": (fields) => ({ ask: "fsync", handle: handleOf(fields) }),
  [OPEN_AND_READ]: (fields) => ({
    ask: "open-and-read",
    path: pathOf(fields),
    flags: fields.uint32(),
    attributes: fields.attributes(),
    readId: fields.uint32(),
    length: fields.uint32(),
  }),
};

/**
 * Reads a request, and the number that its answer carries.
 *
 * @throws {SftpError} when it is none: too short for its fields, or of a type that no client sends
 */
export function decodeSftpRequest({ type, body }: Packet): { readonly id: number; readonly request: SftpRequest } {
  const fields = new FieldReader(body);
  const id = fields.uint32();
  try {
    return { id, request: decode(type, fields) };
  } catch (error) {
    if (error instanceof TypeError) return { id, request: { ask: "unnameable" } };
    throw error;
  }
}

function decode(type: number, fields: FieldReader): SftpRequest {
  switch (type) {
    case SFTP.OPEN:
      return { ask: "open", path: pathOf(fields), flags: fields.uint32(), attributes: fields.attributes() };
    case SFTP.CLOSE:
      return { ask: "close", handle: handleOf(fields) };
    case SFTP.READ:
      return { ask: "read", handle: handleOf(fields), offset: fields.uint64(), length: fields.uint32() };
    case SFTP.WRITE:
      return { ask: "write", handle: handleOf(fields), offset: fields.uint64(), bytes: fields.bytes() };
    case SFTP.LSTAT:
      return { ask: "lstat", path: pathOf(fields) };
    case SFTP.FSTAT:
      return { ask: "fstat", handle: handleOf(fields) };
    case SFTP.SETSTAT:
      return { ask: "setstat", path: pathOf(fields), attributes: fields.attributes() };
    case SFTP.FSETSTAT:
      return { ask: "fsetstat", handle: handleOf(fields), attributes: fields.attributes() };
    case SFTP.OPENDIR:
      return { ask: "opendir", path: pathOf(fields) };
    case SFTP.READDIR:
      return { ask: "readdir", handle: handleOf(fields) };
    case SFTP.REMOVE:
      return { ask: "remove", path: pathOf(fields) };
    case SFTP.MKDIR:
      return { ask: "mkdir", path: pathOf(fields), attributes: fields.attributes() };
    case SFTP.RMDIR:
      return { ask: "rmdir", path: pathOf(fields) };
    case SFTP.REALPATH:
      return { ask: "realpath", path: pathOf(fields) };
    case SFTP.STAT:
      return { ask: "stat", path: pathOf(fields) };
    case SFTP.RENAME:
      return { ask: "rename", from: pathOf(fields), to: pathOf(fields) };
    case SFTP.READLINK:
      return { ask: "readlink", path: pathOf(fields) };
    case SFTP.SYMLINK: // the target comes first, as OpenSSH has it (its PROTOCOL, section 4.1); the draft has it last
      return { ask: "symlink", target: pathOf(fields), path: pathOf(fields) };
    case SFTP.EXTENDED: {
      const name = fields.text();
      const known = Object.hasOwn(EXTENDED, name) ? EXTENDED[name] : undefined;
      return known === undefined ? { ask: "unknown", name: name.slice(0, 100) } : known(fields);
    }
    default:
      throw new SftpError(`A packet of type ${type}`);
  }
}

function pathOf(fields: FieldReader): string {
  const path = fields.text();
  if (path.includes("\0")) throw new TypeError("A name with a NUL");
  return path;
}

/** Handles are ours, and are numbers. @throws {SftpError} when it is none of ours */
function handleOf(fields: FieldReader): number {
  const bytes = fields.bytes();
  if (bytes.length !== 4) throw new SftpError(`A handle of ${bytes.length} bytes`);
  return new FieldReader(bytes).uint32();
}
