#!/bin/sh
# Usage: scripts/need.sh COMMAND...
# Installs, by the system's package manager, those of the commands that are
# missing, and says so. Knows node, npm, curl and gcc. Needs root or sudo only where
# something is missing.
set -eu

missing=""
for command in "$@"; do
	command -v "$command" >/dev/null 2>&1 || missing="$missing $command"
done
[ -n "$missing" ] || exit 0

fail() {
	echo "need.sh: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		fail "missing:$missing; install them, or run this as root or with sudo at hand"
	fi
}

manager=""
for candidate in apt-get dnf apk pacman zypper brew; do
	if command -v "$candidate" >/dev/null 2>&1; then
		manager=$candidate
		break
	fi
done

# package COMMAND: the packages that bring it, by this machine's names.
package() {
	case "$manager:$1" in
	brew:node | brew:npm) echo node ;;
	apt-get:gcc) echo gcc libc6-dev ;;
	apk:gcc) echo gcc musl-dev ;;
	zypper:npm) echo npm-default ;;
	*:node) echo nodejs ;;
	dnf:npm) echo nodejs-npm ;;
	*:npm) echo npm ;;
	*:gcc) echo gcc ;;
	*:curl) echo curl ;;
	*) fail "no package known for $1" ;;
	esac
}

packages=""
for command in $missing; do
	packages="$packages $(package "$command")"
done

echo "need.sh: missing:$missing; installing by ${manager:-nothing}:$packages"
# $packages is a list of words on purpose.
# shellcheck disable=SC2086
case "$manager" in
apt-get)
	as_root apt-get update -q </dev/null || echo "need.sh: apt-get update failed; trying with the lists at hand"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages </dev/null
	;;
dnf) as_root dnf install -y $packages </dev/null ;;
apk) as_root apk add --no-cache $packages </dev/null ;;
pacman) as_root pacman -Sy --noconfirm --needed $packages </dev/null ;;
zypper) as_root zypper --non-interactive install $packages </dev/null ;;
brew) brew install $packages </dev/null ;; # Homebrew refuses root
*) fail "missing:$missing, and no package manager that this script knows" ;;
esac

for command in $missing; do
	command -v "$command" >/dev/null 2>&1 || fail "$command is still missing after the installation"
done
