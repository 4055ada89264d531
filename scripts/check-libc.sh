#!/usr/bin/env bash
# Usage: scripts/check-libc.sh BINARY
# modernc.org/sqlite is C translated to Go against one version of
# modernc.org/libc, and is right with that version alone. Go would take a newer
# one without a word if any other module asked for it, so this compares what the
# binary holds with what sqlite's own go.mod names.
set -euo pipefail

go=${GO:-go}
binary=${1:?usage: scripts/check-libc.sh BINARY}

fail() {
	echo "check-libc: $*" >&2
	exit 1
}

# built MODULE: its version in the binary, or what replaces it there.
built() {
	awk -F '\t' -v module="$1" '
		found && $2 == "=>" { version = $3 " " $4 }
		found { exit }
		$2 == "dep" && $3 == module { found = 1; version = $4 }
		END { print version }' <<<"$info"
}

info=$("$go" version -m "$binary") || fail "$binary is not a Go binary; make build makes it"
sqlite=$(built modernc.org/sqlite)
libc=$(built modernc.org/libc)
[ -n "$sqlite" ] || fail "$binary holds no modernc.org/sqlite"
[ -n "$libc" ] || fail "$binary holds no modernc.org/libc"

read -r selected gomod < <("$go" list -m -f '{{.Version}} {{.GoMod}}' modernc.org/sqlite) ||
	fail "go list does not know modernc.org/sqlite"
[ "$selected" = "$sqlite" ] ||
	fail "$binary holds modernc.org/sqlite $sqlite, go.mod selects $selected; build it anew"
[ -r "$gomod" ] || fail "the go.mod of modernc.org/sqlite $sqlite is not in the module cache; run go mod download"

named=$(awk '$1 == "require" { $1 = ""; $0 = $0 } $1 == "modernc.org/libc" { print $2; exit }' "$gomod")
[ -n "$named" ] || fail "$gomod does not name modernc.org/libc"
[ "$libc" = "$named" ] || fail "$binary holds modernc.org/libc $libc, but modernc.org/sqlite $sqlite names $named
  pin it: go get modernc.org/libc@$named; where that does not hold, go mod graph | grep 'modernc.org/libc@' tells who asks for more"

echo "check-libc: modernc.org/libc $libc, as modernc.org/sqlite $sqlite names it"
