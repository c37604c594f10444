#!/bin/sh
# Installs the tools named on the command line; without a name, all that the tests need.
# On Debian and Ubuntu it uses apt-get (through sudo where needed); elsewhere it says how to get them.
# Exit code: 0 all are installed, 1 some are missing, 2 wrong usage.
set -eu

tools="go npm node squid podman debootstrap curl shellcheck ip chromium python javac clients"
# Needed by a deployment only.
tools_by_name_only="engine"

# The Node.js of npm ci comes before the machine's, as in the Makefile.
PATH=$(dirname "$0")/../node_modules/.bin:$PATH

# The test of this script sets SETUP_ROOT for the files outside of PATH.
root=${SETUP_ROOT:-}

usage() {
	echo "usage: scripts/setup.sh [TOOL ...]"
	echo "tools: $tools"
	echo "only by name: $tools_by_name_only"
}

# Succeeds if a tool is installed. Squid also needs its helper, which lies outside of PATH.
is_there() {
	case $1 in
	node) node --version | grep -Eq '^v(2[2-9]|[3-9][0-9]|[1-9][0-9][0-9])\.' ;;
	engine) if [ -n "${CDK_DOCKER:-}" ]; then command -v "$CDK_DOCKER"; else command -v docker && docker info; fi ;;
	squid) system_program squid && test -x "$root/usr/lib/squid/digest_file_auth" ;;
	podman) command -v podman && system_program runc ;;
	debootstrap) system_program debootstrap ;;
	ip) command -v ip || test -x "$root/sbin/ip" ;;
	# A snap's stub is on PATH and fails.
	chromium) google-chrome --version || chromium --version || chromium-browser --version ;;
	python) /usr/bin/python3 -c 'import requests_toolbelt' ;;
	clients) clients_are_there ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

# Succeeds if the programs and libraries of docs/use.md are there that are no npm packages, and what their test needs.
clients_are_there() {
	for program in wget git http java javac ruby php pip3 chromedriver certutil openssl; do
		command -v "$program" || return
	done
	/usr/bin/python3 -c 'import aiohttp, httpx, pycurl, requests, scrapy' && /usr/bin/perl -MLWP::Protocol::https -e 1 &&
		php -r 'exit(function_exists("curl_init") ? 0 : 1);' && test -e /usr/share/java/httpclient.jar
}

# Also looks where Debian keeps programs from the PATH of other users than root.
system_program() { command -v "$1" || test -x "$root/usr/sbin/$1"; }

debian_packages() {
	case $1 in
	podman) echo "podman runc uidmap" ;;
	ip) echo iproute2 ;;
	python) echo python3-requests-toolbelt ;;
	javac) echo default-jdk-headless ;;
	clients)
		echo git wget httpie libhttpclient-java default-jdk-headless ruby php-cli php-curl liblwp-protocol-https-perl
		echo python3-aiohttp python3-httpx python3-pip python3-pycurl python3-requests python3-scrapy openssl libnss3-tools
		is_ubuntu || echo chromium-driver
		;;
	go | npm | node) ;; # Debian's are too old
	engine) ;;          # the machine's owner chooses
	chromium) is_ubuntu || echo chromium ;; # Ubuntu's is a snap, which needs a running snapd
	*) echo "$1" ;;
	esac
}

is_ubuntu() { grep -q '^ID=ubuntu$' "$root/etc/os-release" 2>/dev/null; }

advice() {
	case $1 in
	go) how="install the version named in go.mod or a newer one, see https://go.dev/dl/" ;;
	npm) how="install Node.js 22 or newer with npm, see https://nodejs.org/" ;;
	node) how="install Node.js 22 or newer, see https://nodejs.org/ (npm ci has one for Linux on x64 and arm64 only)" ;;
	engine) how="to build the image, install and start Docker, or install Podman and set CDK_DOCKER=podman" ;;
	squid) how="install Squid 5.7 or newer with digest_file_auth (Debian, Ubuntu: squid); Linux only" ;;
	podman) how="for the tests of the image, install podman and runc" ;;
	debootstrap) how="makes the base image where no registry can be reached (Debian, Ubuntu: debootstrap)" ;;
	ip) how="install iproute2; the tests with a real Squid make network namespaces (Linux only)" ;;
	chromium) how="install Google Chrome (https://www.google.com/chrome/) or Chromium (Debian: chromium)" ;;
	clients) how="install the clients of docs/use.md, a JDK, ChromeDriver, openssl and certutil (Debian: libnss3-tools)" ;;
	python) how="for /usr/bin/python3, install requests_toolbelt (Debian, Ubuntu: python3-requests-toolbelt)" ;;
	*) how="install it with your system's package manager (brew install $1, dnf install $1, ...)" ;;
	esac
	echo "$1: $how"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian starts a service when it installs the package. The tests start their own Squids.
policy=$root/usr/sbin/policy-rc.d
keep_services_off() {
	[ ! -e "$policy" ] || return 0
	# A policy that stays would keep off the services of all later packages.
	trap 'as_root rm -f "$policy"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >&2; }

# Installs the Debian packages of the tools given: at once, or else one tool after the other, because
# a package that is not available makes apt-get install none.
# shellcheck disable=SC2046,SC2086 # lists of package names
apt_install() {
	packages=$(for tool in "$@"; do debian_packages "$tool"; done | xargs)
	[ -n "$packages" ] || return 0
	echo "setup: installing $packages" >&2
	keep_services_off
	apt_get update || echo "setup: apt-get update failed" >&2
	install="install -y --no-install-recommends"
	if apt_get $install $packages; then return 0; fi
	for tool in "$@"; do
		packages=$(debian_packages "$tool")
		[ -z "$packages" ] || apt_get $install $packages || echo "setup: apt-get could not install $packages" >&2
	done
}

for argument in "$@"; do
	case $argument in
	-h | --help) usage && exit 0 ;;
	esac
	case " $tools $tools_by_name_only " in
	*" $argument "*) ;;
	*)
		echo "setup: unknown tool \"$argument\"" >&2
		usage >&2
		exit 2
		;;
	esac
done
[ $# -gt 0 ] || eval "set -- $tools"

missing=
for tool in "$@"; do
	is_there "$tool" || missing="$missing $tool"
done
can_be_root() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1 && can_be_root; then
	# shellcheck disable=SC2086 # a list of tools
	apt_install $missing
fi

status=0
for tool in $missing; do
	is_there "$tool" || { status=1 && echo "setup: missing: $(advice "$tool")" >&2; }
done
exit $status
