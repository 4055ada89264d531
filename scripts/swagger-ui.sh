#!/bin/sh
# Usage: scripts/swagger-ui.sh
# Puts the files of swagger-ui-dist that /docs needs into internal/openapi/assets, as npm has them, compressed. Needs
# npm and the network. A new version is a new hash here and another number in NOTICE; TestAssetsAreThePublished holds
# what is committed to the same hashes.
set -eu

version=5.35.0
into=$(cd "$(dirname "$0")/.." && pwd)/internal/openapi/assets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
tar -xzf "swagger-ui-dist-$version.tgz"
cd package
sha256sum -c <<EOF
e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2  swagger-ui-bundle.js
5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d  swagger-ui.css
EOF
gzip -9 -n -c swagger-ui-bundle.js >"$into/swagger-ui-bundle.js.gz"
gzip -9 -n -c swagger-ui.css >"$into/swagger-ui.css.gz"
cp swagger-ui-bundle.js.LICENSE.txt "$into/"
