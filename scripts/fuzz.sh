#!/usr/bin/env bash
# Usage: scripts/fuzz.sh [FUZZTIME]
# Runs every fuzz test of the module for FUZZTIME (default 5s), one after the
# other, and fails at the first that finds something: the input is then in the
# package's testdata/fuzz, to be committed with the repair.
set -euo pipefail

go=${GO:-go}
fuzztime=${1:-5s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# "go test -list" prints a package's names and then its "ok" line.
list=$("$go" test -list '^Fuzz' ./...) || {
	printf '%s\n' "$list"
	echo "fuzz.sh: the tests do not build" >&2
	exit 1
}
targets=$(awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' <<<"$list")
if [ -z "$targets" ]; then
	echo "fuzz.sh: no fuzz test found" >&2
	exit 1
fi

# The tag leaves out tests with large libraries, since all that a package's tests import is built anew to be fuzzed.
fuzz() {
	"$go" test -tags fuzz -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" "$1" >"$log" 2>&1
}

# Until Go 1.27 the fuzzer may fail with nothing but "context deadline exceeded"
# as its time runs out (go.dev/issue/75804): no input failed, so it starts again.
out_of_time() {
	grep -q 'context deadline exceeded' "$log" && ! grep -Eq 'Failing input written|panic:' "$log"
}

while read -r package name; do
	echo "fuzz $name ($package) for $fuzztime"
	for attempt in 1 2 3; do
		if fuzz "$package" "$name"; then
			grep '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz:/ /' || true
			continue 2
		fi
		out_of_time || break
		echo "  attempt $attempt ended with the fuzzer's own deadline, without a finding"
	done
	cat "$log"
	exit 1
done <<<"$targets"
