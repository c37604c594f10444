package digest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
)

// Command runs the verifier as Squid's helper: Serve with the files of the
// arguments. It returns the exit code: 0 at the end of the input, 2 for wrong
// arguments, 1 for everything else. Errors go to stderr, never to stdout. Without
// a good key and a good password file it answers no request.
//
//	-passwords file   lines user:realm:HA1, see ParsePasswordFile
//	-keys file        see ParseKeys
//	-life duration    of a nonce, default 30m
//
// Paths are relative to the working directory, which is Squid's.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("digest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	passwords := flags.String("passwords", "", "file with lines user:realm:HA1")
	keys := flags.String("keys", "", "file with the nonce keys, the signing one first")
	life := flags.Duration("life", DefaultNonceLife, "how long a nonce is accepted")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch {
	case *passwords == "":
		fmt.Fprintln(stderr, "digest: -passwords: a file is needed")
		return 2
	case *keys == "":
		fmt.Fprintln(stderr, "digest: -keys: a file is needed")
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "digest: %q: there are no arguments beside the flags\n", flags.Arg(0))
		return 2
	}

	v, err := load(*passwords, *keys, Config{NonceLife: *life})
	if err == nil {
		if s := fileSocket(stdin); s != nil {
			stdin = s
		}
		if s := fileSocket(stdout); s != nil {
			stdout = s
		}
		err = Serve(ctx, stdin, stdout, v)
	}
	if err != nil {
		fmt.Fprintf(stderr, "digest: %v\n", err)
		return 1
	}
	return 0
}

// load makes a verifier of two files; the realm is the password file's.
func load(passwords, keys string, c Config) (*Verifier, error) {
	data, err := os.ReadFile(keys)
	if err != nil {
		return nil, err
	}
	if c.Keys, err = ParseKeys(string(data)); err != nil {
		return nil, fmt.Errorf("%s: %w", keys, err)
	}
	if data, err = os.ReadFile(passwords); err != nil {
		return nil, err
	}
	if c.Realm, c.Users, err = ParsePasswordFile(data); err != nil {
		return nil, fmt.Errorf("%s: %w", passwords, err)
	}
	return New(c)
}

// fileSocket returns a cheaper way to read or write a stream that is a socket, or nil.
func fileSocket(stream any) *socket {
	if f, ok := stream.(*os.File); ok {
		return openSocket(f)
	}
	return nil
}
