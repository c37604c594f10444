#!/bin/sh
# Runs the go command for programs that contain the CDK's bindings: scripts/go.sh run .
# make and the CDK CLI both use it, because other settings would compile the bindings again, which takes long.
set -eu
# The image's entrypoint is compiled with these as well, so the standard library is compiled once.
export CGO_ENABLED=0
# The bindings only pass calls on. Without inlining and debugging data they compile faster.
export GOFLAGS="-trimpath '-gcflags=github.com/aws/aws-cdk-go/...=-dwarf=false -l' ${GOFLAGS:-}"
# The compiler collects garbage less often, which takes more memory and less time.
export GOGC="${GOGC:-400}"
exec go "$@"
