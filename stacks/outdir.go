package stacks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outdir is the directory that a cloud assembly is written to. Whatever goes wrong, it holds the last complete assembly: the CDK writes to a directory inside it, and
// what was written there moves up once it is complete.
//
// An assembly that only asks the CDK CLI to look something up has to stand where the complete one stands, because that is where the CLI reads the question. What it covers is
// kept aside until the CLI runs the app again, with the answer.
type outdir struct {
	dir   string
	work  string // inside dir, so that a move is a change of names and never a copy
	aside string // exists while dir holds a question
	made  bool   // dir was not there before
}

const (
	manifest = "manifest.json"
	question = ".question" // in aside: the names in dir that belong to the question, one a line
)

func openOutdir(dir string) (*outdir, error) {
	failed := func(err error) (*outdir, error) {
		return nil, fmt.Errorf("the directory for the assembly: %w; give another one, for instance with cdk --output", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return failed(err)
	}
	_, missing := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed(err)
	}
	o := &outdir{dir: dir, aside: filepath.Join(dir, ".last"), made: errors.Is(missing, fs.ErrNotExist)}
	if err := o.withdrawQuestion(); err != nil {
		return failed(err)
	}
	if o.work, err = os.MkdirTemp(dir, ".synth-"); err != nil {
		return failed(err)
	}
	return o, nil
}

// publish moves what was written into place.
func (o *outdir) publish() error {
	names, err := contents(o.work)
	if err != nil {
		return err
	}
	// Without a manifest there is no assembly, and between the first and the last move there must be none.
	if err := os.Remove(filepath.Join(o.dir, manifest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return move(names, o.work, o.dir)
}

// publishQuestion does the same with an assembly that only asks for a lookup.
func (o *outdir) publishQuestion() error {
	names, err := contents(o.work)
	if err != nil {
		return err
	}
	if err := os.Mkdir(o.aside, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.aside, question), []byte(strings.Join(names, "\n")), 0o644); err != nil {
		return err
	}
	covered := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, err := os.Lstat(filepath.Join(o.dir, name))
		return errors.Is(err, fs.ErrNotExist)
	})
	if err := move(covered, o.dir, o.aside); err != nil {
		return err
	}
	return move(names, o.work, o.dir)
}

// withdrawQuestion takes a question out of dir, if there is one, and brings back what it covered.
func (o *outdir) withdrawQuestion() error {
	list, err := os.ReadFile(filepath.Join(o.aside, question))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for name := range strings.SplitSeq(string(list), "\n") {
		if err := os.RemoveAll(filepath.Join(o.dir, filepath.Base(name))); err != nil {
			return err
		}
	}
	covered, err := contents(o.aside)
	if err != nil {
		return err
	}
	if err := move(covered, o.aside, o.dir); err != nil {
		return err
	}
	return os.RemoveAll(o.aside)
}

// discard forgets what was not published.
func (o *outdir) discard() error {
	err := os.RemoveAll(o.work)
	if o.made {
		os.Remove(o.dir) // which does nothing to a directory that holds anything
	}
	return err
}

// contents returns the names of an assembly's files and directories, the manifest last, because it is what makes an assembly of the rest.
func contents(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names, last []string
	for _, entry := range entries {
		switch name := entry.Name(); name {
		case question:
		case manifest:
			last = append(last, name)
		default:
			names = append(names, name)
		}
	}
	return append(names, last...), err
}

// move moves files and directories, and replaces what has the same name.
func move(names []string, from, to string) error {
	for _, name := range names {
		old, new := filepath.Join(from, name), filepath.Join(to, name)
		if os.Rename(old, new) == nil {
			continue
		}
		// A directory takes the place of nothing but an empty one.
		if err := os.RemoveAll(new); err != nil {
			return err
		}
		if err := os.Rename(old, new); err != nil {
			return err
		}
	}
	return nil
}
