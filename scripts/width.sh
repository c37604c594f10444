#!/bin/sh
# Lists lines that are too wide, and fails if there is one: Go 120 columns, Go comments 100, Markdown 120.
# Tables, indented blocks and lines with a link are left out.
set -eu
cd "$(dirname "$0")/.."
LC_ALL=C.UTF-8
export LC_ALL
status=0
wide() { # WHAT PATTERN FILES
	if git grep -nP "$2" -- "$3"; then
		echo "width: $1" >&2
		status=1
	fi
}
# A tab has four columns.
tab='(?:\t{1}.{117,}|\t{2}.{113,}|\t{3}.{109,}|\t{4}.{105,}|\t{5}.{101,}|\t{6}.{97,})'
wide "Go lines have at most 120 columns" "^(?:.{121,}|$tab)" '*.go'
wide "Go comments have at most 100 columns" '^(?!.*https://)(?=\s*//(?!go:)).{101,}' '*.go'
wide "Markdown has at most 120 columns" '^(?!\||    |.*\]\(http).{121,}' '*.md'
exit $status
