#!/bin/sh
# Usage: scripts/need.sh COMMAND...
# Installs, by the system's package manager, those of the commands that are
# missing, and says so. Knows node, npm, curl, gcc, chromium and postgres, which
# stands for PostgreSQL 15 or newer with all that a server needs. Needs root or sudo
# only where something is missing.
set -eu

# has COMMAND: it is there.
has() {
	case "$1" in
	postgres) has_postgres ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# has_postgres looks where internal/scratchpg/programs.go does: on PATH, links
# followed, then where packages keep it off PATH.
has_postgres() {
	on_path=$(readlink -f "$(command -v postgres)" 2>/dev/null) || on_path=""
	for folder in "${on_path%/*}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
		if is_postgres "$folder"; then return 0; fi
	done
	return 1
}

# is_postgres FOLDER: it holds all programs, of a version that will do.
is_postgres() {
	for program in initdb postgres pg_ctl pg_basebackup psql; do
		[ -x "$1/$program" ] || return 1
	done
	version=$("$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')
	[ "${version:-0}" -ge 15 ]
}

missing=""
for command in "$@"; do
	has "$command" || missing="$missing $command"
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
	*:chromium) echo chromium ;;
	dnf:postgres | zypper:postgres) echo postgresql-server ;;
	brew:postgres) echo postgresql@16 ;;
	*:postgres) echo postgresql ;;
	*) fail "no package known for $1" ;;
	esac
}

# no_default_cluster: Debian's package makes a server and starts it as soon as it is
# installed, for which nobody asked. A machine that is set up for PostgreSQL keeps
# what it has.
no_default_cluster() {
	settings=/etc/postgresql-common/createcluster.conf
	if [ -e "$settings" ]; then return 0; fi
	echo "need.sh: writing $settings: no default PostgreSQL cluster"
	as_root mkdir -p "${settings%/*}"
	echo "create_main_cluster = false" | as_root tee "$settings" >/dev/null
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
	case "$missing" in *postgres*) no_default_cluster ;; esac
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
	has "$command" || fail "$command is still missing after the installation, or too old: install it by hand"
done
