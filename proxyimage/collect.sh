#!/bin/sh
# Collects what the final image holds, in a Debian that has Squid installed: Squid's programs, the libraries they are linked
# with, what they read, and the records by which a scanner knows the packages all this came from.
#
#   collect.sh CONTEXT ROOT OWNED
#
# CONTEXT is the build context. ROOT receives what belongs to root, OWNED what belongs to the unprivileged user below /srv/squidfleet.
set -eu
umask 022
context=$1
root=$2
owned=$3

programs="/usr/sbin/squid /usr/lib/squid/digest_file_auth /usr/lib/squid/unlinkd"
packages=$root.packages
: >"$packages"

# keep PATH [AS]: copies a file, links resolved, under the name it is asked for by, and notes its package. Debian keeps one
# /usr, so a name is looked up in both spellings.
keep() {
	name=${2:-$(realpath "$(dirname "$1")")/$(basename "$1")}
	mkdir -p "$root$(dirname "$name")"
	cp -L --preserve=mode "$1" "$root$name"
	real=$(realpath "$1")
	{ dpkg-query -S "$real" 2>/dev/null || dpkg-query -S "${real#/usr}"; } | cut -d: -f1 >>"$packages"
}

# One /usr, as in Debian, so that the loader and the libraries are found by their usual names.
mkdir -p "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin" "$root/usr/bin"
for link in bin lib lib64 sbin; do
	ln -s "usr/$link" "$root/$link"
done

for program in $programs; do
	# Debian's squid is a link made by update-alternatives; the image has the program itself there.
	keep "$program" "$program"
	# A program's libraries and its loader: "name => /path (address)" or "/path (address)". "not found" stops the build.
	ldd "$program" >"$root.ldd"
	if grep 'not found' "$root.ldd"; then
		exit 1
	fi
	sed -n 's|^[^/]*\(/[^ ]*\) (0x[0-9a-f]*)$|\1|p' "$root.ldd" >"$root.libraries"
	while read -r library; do
		keep "$library"
	done <"$root.libraries"
done
# Squid does not start without this directory, although nothing in it is ever served.
mkdir -p "$root/usr/share/squid/icons"

# What a scanner needs: the distribution, and dpkg's record of every package that something was taken from.
keep /usr/lib/os-release
keep /etc/debian_version
ln -s ../usr/lib/os-release "$root/etc/os-release"
mkdir -p "$root/var/lib/dpkg"
sort -u "$packages" | while read -r package; do
	dpkg-query -s "$package"
	echo
	mkdir -p "$root/usr/share/doc/$package"
	cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done >"$root/var/lib/dpkg/status"

# Our own files, with modes said here: those of the context are what the CDK made of them, which depends on the umask of whoever deploys.
home=/srv/squidfleet
install -d -m 0755 "$root$home" "$root$home/errors"
# To be executed, not read: the kernel then hides the environment of such a process, which holds the secrets when ECS runs the
# health check in a task, from the user it runs as, which is Squid's (core(5); /proc/PID/environ in proc(5)).
install -m 0711 "$context/entrypoint" "$root$home/"
install -m 0644 "$context/squid.conf" "$context/localtime" "$root$home/"
install -m 0644 "$context"/errors/* "$root$home/errors/"
# The password file is there with credentials=image only.
install -d "$owned"
if [ -e "$context/passwords" ]; then
	install -m 0400 "$context/passwords" "$owned/"
fi
install -d -m 0700 "$owned/run"
