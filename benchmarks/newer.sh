#!/usr/bin/env bash
# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root on a host: a repository there offers an installed package as a newer version of itself, newer.sh PACKAGE NUMBER.
# Only what the package says of its version is another, and it is compressed as Debian's are, so that it takes as long to unpack.
set -euo pipefail
package="$1" number="$2"
version="$(dpkg-query --show --showformat '${Version}' "$package")"
version="${version%+newer*}"
file="${package}_newer$number.deb"

mkdir -p /srv/newer
cd /srv/newer
dpkg-deb --raw-extract "/var/cache/apt/archives/${package}_${version/:/%3a}_$(dpkg --print-architecture).deb" tree
sed -i "s/^Version: .*/Version: $version+newer$number/" tree/DEBIAN/control
dpkg-deb -Zxz -z1 --build tree "$file" > /dev/null
rm -r tree
{
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n' "$file" "$(stat --format=%s "$file")" "$(sha256sum < "$file" | cut -d ' ' -f 1)"
} > Packages
echo 'deb [trusted=yes] file:/srv/newer ./' > /etc/apt/sources.list.d/newer.list
