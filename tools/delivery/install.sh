#!/bin/sh
# Installs telepresence @VERSION@ for who runs it: no root, nothing but sh, tar, and curl or wget.
#
#   curl -fsSL @RELEASES@/latest/download/install.sh | sh
#
# PREFIX (~/.local) is where it goes. TELEPRESENCE_RELEASES names another place to get it from. It is compared with its
# SHA-256 sum before it is unpacked: that guards against damage; who it comes from, https vouches for.
set -eu

version='@VERSION@'
releases=${TELEPRESENCE_RELEASES:-@RELEASES@}
prefix=${PREFIX:-${HOME:?"HOME is not set: PREFIX=DIRECTORY says where to install"}/.local}

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "Cannot install telepresence: $1"
    [ -z "${2:-}" ] || say "hint: $2"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

get() { # URL FILE
    if has curl; then
        # Who is asked by https does not lead elsewhere by http.
        case $1 in
            https://*) by='=https' ;;
            *) by='=http,https' ;;
        esac
        curl --proto "$by" --fail --silent --show-error --location --output "$2" "$1"
    elif has wget; then
        wget -q -O "$2" "$1"
    else
        fail "there is neither curl nor wget" "install one of them, or copy the one file by hand: it needs no installation"
    fi
}

sum_of() { # FILE
    if has sha256sum; then
        sha256sum "$1"
    elif has shasum; then
        shasum -a 256 "$1"
    else
        fail "there is neither sha256sum nor shasum to compare the sum with"
    fi | cut -d ' ' -f 1
}

choose_target() {
    case "$(uname -s) $(uname -m)" in
@CASES@
        *) fail "there is none for $(uname -s) on $(uname -m)" "where Deno runs: deno run -A $releases/latest/download/main.js" ;;
    esac
}

target=$(choose_target) # before anything is made; "fail" has said why it is not
case $target in
    *-apple-darwin) say "On macOS this has never been tried, and --run is refused there: see docs/install.md" ;;
esac
name=telepresence-$version-$target
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Getting $name"
get "$releases/download/v$version/$name.tar.gz" "$fresh/$name.tar.gz" || fail "it cannot be got from $releases"
get "$releases/download/v$version/SHA256SUMS" "$fresh/SHA256SUMS" || fail "its sum cannot be got from $releases"
wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$fresh/SHA256SUMS")
[ -n "$wanted" ] || fail "SHA256SUMS has no sum of $name.tar.gz"
found=$(sum_of "$fresh/$name.tar.gz")
[ "$found" = "$wanted" ] || fail "the sum of $name.tar.gz is $found, and $wanted is wanted" "try again: it may have been damaged on its way"

tar -xzf "$fresh/$name.tar.gz" -C "$fresh" || fail "$name.tar.gz cannot be unpacked"
mkdir -p "$prefix/bin" "$prefix/share" || fail "$prefix cannot be written to" "PREFIX=DIRECTORY names another place"
# By rename, so that one that runs goes on with its own file.
cp "$fresh/$name/bin/telepresence" "$prefix/bin/.telepresence.$$" || fail "$prefix/bin cannot be written to" "PREFIX=DIRECTORY names another place"
mv -f "$prefix/bin/.telepresence.$$" "$prefix/bin/telepresence"
cp -R "$fresh/$name/share/." "$prefix/share"
"$prefix/bin/telepresence" --version >/dev/null || fail "what was installed in $prefix/bin does not start here"
say "Installed telepresence $version as $prefix/bin/telepresence"
case ":$PATH:" in
    *":$prefix/bin:"*) ;;
    *) say "hint: $prefix/bin is not in your PATH: export PATH=\"$prefix/bin:\$PATH\"" ;;
esac
