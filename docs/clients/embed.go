// Package clients holds the files of this directory that squidfleet quotes. Tests run all of them.
package clients

import "embed"

// Files are the files by their names here.
//
//go:embed get-requests.py get-requests-digest.py get-undici.mjs get-undici-digest.mjs get-playwright.mjs
//go:embed nethttp/main.go nethttp-digest/main.go
var Files embed.FS
