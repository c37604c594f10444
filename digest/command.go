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
// Paths are relative to the working directory, which is Squid's.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("digest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	passwords := flags.String("passwords", "", "file with lines user:realm:HA1")
	keys := flags.String("keys", "", "file with the nonce keys, the signing one first; without, only Basic")
	basic := flags.Bool("basic", false, "accept Basic")
	shared := flags.String("share", "", "Unix socket to answer at as well")
	from := flags.String("from", "", "alone: Unix socket of the helper with -share, which answers")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	usage := ""
	switch {
	case *from != "" && flags.NFlag() > 1:
		usage = "-from: goes with no other flag"
	case *from == "" && *passwords == "":
		usage = "-passwords: a file is needed"
	case *from == "" && *keys == "" && !*basic:
		usage = "-keys: a file is needed, or -basic"
	case flags.NArg() > 0:
		usage = fmt.Sprintf("%q: there are no arguments beside the flags", flags.Arg(0))
	}
	if usage != "" {
		fmt.Fprintf(stderr, "digest: %s\n", usage)
		return 2
	}

	if *from != "" {
		if err := handOver(*from, stdin, stdout); err != nil {
			fmt.Fprintf(stderr, "digest: %v\n", err)
			return 1
		}
		return 0
	}
	v, err := load(*passwords, *keys, *basic)
	if err == nil && *shared != "" {
		err = share(ctx, *shared, v)
	}
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

// load makes a verifier of one or two files.
func load(passwords, keys string, basic bool) (*Verifier, error) {
	var parsed []string
	if keys != "" {
		data, err := os.ReadFile(keys)
		if err != nil {
			return nil, err
		}
		if parsed, err = ParseKeys(string(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", keys, err)
		}
	}
	data, err := os.ReadFile(passwords)
	if err != nil {
		return nil, err
	}
	v, err := New(data, parsed, basic)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", passwords, err)
	}
	return v, nil
}
