#!/bin/sh
# Installs what is missing of the tools named on the command line; without a name, all of them.
# On Debian and Ubuntu it uses apt-get (through sudo where needed); elsewhere it says what is missing and how to get it.
# Exit code: 0 everything is there, 1 something is missing and could not be installed, 2 wrong usage.
set -eu

tools="go npm squid podman debootstrap curl shellcheck ip chromium python"

usage() {
	echo "usage: scripts/setup.sh [TOOL ...]"
	echo "tools: $tools"
}

# A program that shows that a tool is there. Squid's helper is part of what is needed, and lies outside of PATH.
is_there() {
	case $1 in
	squid) { command -v squid || test -x /usr/sbin/squid; } && test -x /usr/lib/squid/digest_file_auth ;;
	podman) command -v podman && command -v runc ;; # docker is no substitute: the tests give the engine a store of its own
	debootstrap) command -v debootstrap || test -x /usr/sbin/debootstrap ;;
	ip) command -v ip || test -x /sbin/ip ;;
	chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
	python) /usr/bin/python3 -c 'import requests_toolbelt' ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

debian_packages() {
	case $1 in
	podman) echo "podman runc uidmap" ;;
	ip) echo iproute2 ;;
	python) echo python3-requests-toolbelt ;;
	go | npm) ;; # Debian's are too old
	*) echo "$1" ;;
	esac
}

advice() {
	case $1 in
	go) echo "go: install the version named in go.mod or a newer one, see https://go.dev/dl/" ;;
	npm) echo "npm: install Node.js 22 or newer with npm, see https://nodejs.org/" ;;
	squid) echo "squid: install Squid 5.7 or newer with digest_file_auth (Debian, Ubuntu: squid); it runs on Linux only the way the tests need it" ;;
	podman) echo "podman: install podman with runc, for the tests of the image; docker is not enough" ;;
	debootstrap) echo "debootstrap: makes the base image where no registry can be reached (Debian, Ubuntu: debootstrap)" ;;
	ip) echo "ip: install iproute2; the tests with a real Squid make network namespaces (Linux only)" ;;
	chromium) echo "chromium: install Chromium or Google Chrome; it is one of the clients that the tests send through the proxy" ;;
	python) echo "python: install Python's requests and requests_toolbelt for /usr/bin/python3 (Debian, Ubuntu: python3-requests-toolbelt)" ;;
	*) echo "$1: install it with your system's package manager (brew install $1, dnf install $1, ...)" ;;
	esac
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian starts a service when its package is installed. The tests start their own Squids; the machine's stays off.
policy=/usr/sbin/policy-rc.d
apt_install() {
	made_policy=no
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
		made_policy=yes
	fi
	status=0
	{ as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } >&2 || status=$?
	[ $made_policy = no ] || as_root rm -f $policy
	return $status
}

for argument in "$@"; do
	case $argument in
	-h | --help) usage && exit 0 ;;
	esac
	case " $tools " in
	*" $argument "*) ;;
	*)
		echo "setup: unknown tool \"$argument\"" >&2
		usage >&2
		exit 2
		;;
	esac
done
[ $# -gt 0 ] || eval "set -- $tools"

packages=
for tool in "$@"; do
	is_there "$tool" || packages="$packages $(debian_packages "$tool")"
done
packages=$(echo "$packages" | xargs)
if [ -n "$packages" ] && command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }; then
	echo "setup: installing $packages" >&2
	# shellcheck disable=SC2086 # a list of package names
	apt_install $packages || echo "setup: apt-get failed" >&2
fi

missing=0
for tool in "$@"; do
	is_there "$tool" || { missing=1 && echo "setup: missing: $(advice "$tool")" >&2; }
done
exit $missing
