#!/usr/bin/env bash
# ansible-test sanity on what users install: the built artifact, unpacked where ansible-test insists on having it.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PATH="$root/.venv/bin:$PATH"
copy="$work/ansible_collections/pgmahout/cluster"
mkdir -p "$copy"
ansible-galaxy collection build "$root" --output-path "$work" > /dev/null
tar --extract --file "$work"/pgmahout-cluster-*.tar.gz --directory "$copy"

# ansible-test keeps its tools in the home directory; they are worth keeping from run to run, and out of the user's own.
export HOME="$root/.ansible/sanity"
mkdir -p "$HOME/.ansible/test/cache"
# It bootstraps pip from a script that it downloads; every Python at hand brings its own pip.
printf 'import ensurepip\nensurepip.bootstrap()\n' > "$HOME/.ansible/test/cache/get_pip_24_2.py"
python="$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
cd "$copy"
ansible-test sanity --color no --python "$python" --requirements "$@"
