/**
 * The table of what is delivered: one row for each system and machine that Deno's own releases have among Linux and
 * macOS. The build, `make dist`, `install.sh`, the Homebrew formula and the tests take it from here.
 *
 * @module
 */
import { DENO_VERSION } from "../../version.ts";
import type { NpmPackage } from "./npm_package.ts";

/** A system and machine for which there is one file. */
export interface Target {
  /** Its name, as Deno's releases have it. */
  readonly triple: string;
  readonly os: "linux" | "darwin";
  readonly arch: "x86_64" | "aarch64";
  /** The official Deno for it; the integrity is npm's. */
  readonly runtime: NpmPackage;
  /** For `zig cc -target`: Linux by musl, so that the front is static and small; macOS 12 or newer. */
  readonly zig: string;
}

function deno(name: string, integrity: string): NpmPackage {
  return { name: `@deno/${name}`, version: DENO_VERSION, integrity };
}

/** Integrities are of version 2.9.6: a new `DENO_VERSION` needs new ones, or nothing is fetched. */
export const TARGETS: readonly Target[] = [
  {
    triple: "x86_64-unknown-linux-gnu",
    os: "linux",
    arch: "x86_64",
    runtime: deno(
      "linux-x64-glibc",
      "sha512-3md4TKLCuzsLDmfOoC5KN7NAZaxSVkMgm64vg6foD00JBADCpYS2/5QqXfzgnP5ZQz3iLP9vBQJtEgc116OAoQ==",
    ),
    zig: "x86_64-linux-musl",
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    os: "linux",
    arch: "aarch64",
    runtime: deno(
      "linux-arm64-glibc",
      "sha512-poqhoH9B3nYloigEMPT5t8HY+wBeiuea1An5Q7fqgJzP0SYmWsoS/oUnWO/pEiA4ofzIBy1Elt/in58xKtxEoQ==",
    ),
    zig: "aarch64-linux-musl",
  },
  {
    triple: "x86_64-apple-darwin",
    os: "darwin",
    arch: "x86_64",
    runtime: deno(
      "darwin-x64",
      "sha512-tPi3CWPRdjW1MaWlvWjORE7Ass5SADdWdj1BF1Q1PEdzi+5u/mC5YhmZzniMiPr81PpaFeqjXaLAsfb8lFsZ0Q==",
    ),
    zig: "x86_64-macos.12.0",
  },
  {
    triple: "aarch64-apple-darwin",
    os: "darwin",
    arch: "aarch64",
    runtime: deno(
      "darwin-arm64",
      "sha512-V8uO1Aolrl/yvdMb5lOtgtigs8YuZBjrOrgviVMiYkQ0swymFfzkae1wZak4Xi24t7vf7d/eiMb/7ryjjVm+tg==",
    ),
    zig: "aarch64-macos.12.0",
  },
];

/** zstd's sources in C, of which the front has the decoder: BSD-3-Clause, 1.5.7. npm has them inside this package. */
export const ZSTD_SOURCES: NpmPackage = {
  name: "zstd-napi",
  version: "0.0.13",
  integrity: "sha512-ErGF+Ko1PsbooU6oC/sc/diiWKwVa0kd/5AkFSs7kg5kwcEuOtSzOy3xUOadXQlAVNab9TxsxaUk3hOq3cj/lA==",
};

/** The target of the machine that builds. */
export function nativeTarget(): Target | undefined {
  return TARGETS.find(({ os, arch }) => os === Deno.build.os && arch === Deno.build.arch);
}
