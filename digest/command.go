package digest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
)

// Command runs the verifier as Squid's helper: Serve with the files of the arguments. It returns
// the exit code: 0 at the end of the input, 2 for wrong arguments, 1 for everything else. Errors go
// to stderr, never to stdout. Without a good key and a good password file it answers no request.
//
//	-passwords file   lines user:realm:HA1, see ParsePasswordFile
//	-keys file        see ParseKeys
//
// Paths are relative to the working directory, which is Squid's.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("digest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	passwords := flags.String("passwords", "", "file with lines user:realm:HA1")
	keys := flags.String("keys", "", "file with the nonce keys, the signing one first")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	usage := ""
	switch {
	case *passwords == "":
		usage = "-passwords: a file is needed"
	case *keys == "":
		usage = "-keys: a file is needed"
	case flags.NArg() > 0:
		usage = fmt.Sprintf("%q: there are no arguments beside the flags", flags.Arg(0))
	}
	if usage != "" {
		fmt.Fprintf(stderr, "digest: %s\n", usage)
		return 2
	}

	v, err := load(*passwords, *keys)
	if err == nil {
		if s := openSocket(stdin); s != nil {
			stdin = s
		}
		if s := openSocket(stdout); s != nil {
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
func load(passwords, keys string) (*Verifier, error) {
	var c Config
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
