#!/usr/bin/env bash
# Makes the image pgmahout-lab:SUITE, a bare Debian server, and says so; silent when it is there, as the Dockerfile wants it.
# Its base is debian:SUITE from the registry; where that cannot be had, mmdebstrap makes it from the mirror MIRROR.
set -euo pipefail
suite="${1:?Say which release of Debian: image.sh bullseye, bookworm, trixie or forky.}"
mirror="${MIRROR:-http://deb.debian.org/debian}"
base="debian:$suite"
image="pgmahout-lab:$suite"

# make_base: the base image, with the repositories of a server.
make_base() {
  if ! command -v mmdebstrap > /dev/null; then
    echo "The image $base could not be pulled, and mmdebstrap, which would make it, is missing; install mmdebstrap." >&2
    exit 1
  fi
  # The index of a mirror that stands still has expired; where this machine's apt does not mind, the image's does not either.
  local checked
  checked="$(apt-config dump --format '%v' Acquire::Check-Valid-Until)"
  tree="$(mktemp)"
  trap 'rm "$tree"' EXIT
  mmdebstrap --quiet --variant=apt --format=tar ${checked:+"--aptopt=Acquire::Check-Valid-Until \"$checked\""} "$suite" "$tree" \
    "deb $mirror $suite main" "deb $mirror $suite-updates main" "deb $mirror-security $suite-security main"
  docker import "$tree" "$base" > /dev/null
}

if ! docker image inspect "$base" > /dev/null 2>&1 && ! docker pull --quiet "$base"; then
  make_base
fi

before="$(docker image ls --quiet --no-trunc "$image")"
after="$(docker build --quiet --build-arg "BASE=$base" --tag "$image" "$(dirname "$0")")"
if [ "$after" != "$before" ]; then
  echo "The image $image is made."
fi
