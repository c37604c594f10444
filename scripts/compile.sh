#!/bin/sh
# Compiles a Go package and its imports into the build cache, for scripts/go.sh: scripts/compile.sh PACKAGE NAME
# The first time takes a minute, so it counts the packages on a terminal and writes one line elsewhere. It is silent if
# there is nothing to do.
set -eu
name=$2

# go list compiles what it exports and, unlike go build, does not link. The braces' stdout is stderr.
{ if "${0%/*}/go.sh" list -export -v -f '{{""}}' "$1" 2>&1; then echo "= 0"; else echo "= $?"; fi; } | {
	packages=0
	says=
	progress() {
		if [ -t 1 ]; then
			printf '\rcompiling %s: %s packages ' "$name" "$packages"
		elif [ -z "$says" ]; then
			echo "compiling $name; the first time takes a minute"
		fi
		says=1
	}
	status=1
	while IFS= read -r line; do
		case $line in
		"") ;;
		"= "*) status=${line#= } ;;
		"go: downloading "*) progress ;;
		*[!A-Za-z0-9._/~-]*) printf '%s\n' "$line" ;; # not a package: an error
		*)
			packages=$((packages + 1))
			progress
			;;
		esac
	done
	if [ -t 1 ] && [ -n "$says" ]; then echo; fi
	exit "$status"
} >&2
