#!/bin/sh
# telepresence: runs main.js beside this file with the Deno that built it. Made by `make build` where Deno's runtime for
# compiled programs cannot be had.
here=$(dirname "$(readlink -f "$0")")
# Deno itself would fail without a sentence here.
pwd -P >/dev/null 2>&1 && [ -d . ] && [ -e "$(pwd -P)" ] || {
    echo "T: Error: Current working directory does not exist." >&2
    exit 255
}
export DENO_NO_UPDATE_CHECK=1
exec "@DENO@" run --allow-all --quiet --no-config --no-lock "$here/main.js" "$@"
