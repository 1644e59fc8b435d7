import { RELEASES, REPOSITORY, VERSION } from "../../version.ts";
import type { Target } from "./targets.ts";

/** An archive that is published. */
export interface Archive {
  readonly target: Target;
  /** Its name, without `.tar.gz`. */
  readonly name: string;
  /** SHA-256, as hexadecimal digits. */
  readonly sum: string;
}

/** The Homebrew formula for these archives. */
export function formula(archives: readonly Archive[]): string {
  const systems = ([["linux", "on_linux"], ["darwin", "on_macos"]] as const).map(([os, block]) => {
    const machines = archives.filter(({ target }) => target.os === os).map((archive) =>
      `    ${archive.target.arch === "x86_64" ? "on_intel" : "on_arm"} do
      url "${RELEASES}/download/v${VERSION}/${archive.name}.tar.gz"
      sha256 "${archive.sum}"
    end`
    );
    return machines.length === 0 ? "" : `  ${block} do\n${machines.join("\n")}\n  end\n`;
  });
  return `# Made by "make dist" from the table of targets.
class Telepresence < Formula
  desc "Run a local process as if it were in a pod of a Kubernetes cluster"
  homepage "${REPOSITORY}"
  version "${VERSION}"
  license "Apache-2.0"

${systems.join("\n")}
  def install
    bin.install "bin/telepresence"
    share.install Dir["share/*"]
  end

  def caveats
    return unless OS.mac?

    <<~EOS
      On macOS almost nothing works yet, and nobody has tried it: a command (--run, --run-shell) is refused.
      Use a Linux virtual machine. More: telepresence help install
    EOS
  end

  test do
    assert_equal version.to_s, shell_output("#{bin}/telepresence --version").strip
  end
end
`;
}
