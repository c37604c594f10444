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

// outdir is the directory that a cloud assembly is written to. It holds the last complete
// assembly even after an error: the CDK writes to a directory inside it, and the files move up
// once all are written.
//
// An assembly that only asks the CDK CLI to look something up has to take the place of the
// complete one, because the CLI reads the question there. The files that it covers are kept aside
// until the CLI runs the app again, with the answer.
type outdir struct {
	dir   string
	work  string // inside dir, so that moving is renaming
	aside string // exists while dir holds a question
	made  bool   // dir was not there before
}

const (
	manifest = "manifest.json"
	question = ".question" // in aside: the names of the question's files in dir, one a line
)

func openOutdir(dir string) (*outdir, error) {
	failed := func(err error) (*outdir, error) {
		return nil, fmt.Errorf("the directory for the assembly: %w; "+
			"give another one, for instance with cdk --output", err)
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

// publish moves the written files into place. Those that a question covers are kept aside.
func (o *outdir) publish(asks bool) error {
	names, err := contents(o.work)
	if err == nil && asks {
		err = o.putAside(names)
	}
	if err != nil {
		return err
	}
	// Without a manifest there is no assembly, and between the first and the last move there must
	// be none.
	if err := os.Remove(filepath.Join(o.dir, manifest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return move(names, o.work, o.dir)
}

func (o *outdir) putAside(names []string) error {
	list := []byte(strings.Join(names, "\n"))
	if err := os.Mkdir(o.aside, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.aside, question), list, 0o644); err != nil {
		return err
	}
	covered := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, err := os.Lstat(filepath.Join(o.dir, name))
		return errors.Is(err, fs.ErrNotExist)
	})
	return move(covered, o.dir, o.aside)
}

// withdrawQuestion removes a question from dir, if there is one, and brings back the files it
// covered.
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

// discard removes what was not published.
func (o *outdir) discard() error {
	err := os.RemoveAll(o.work)
	if o.made {
		os.Remove(o.dir) // does nothing unless the directory is empty
	}
	return err
}

// contents returns the names of an assembly's files and directories. The manifest is last,
// because it makes an assembly of the rest.
func contents(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names, last []string
	for _, found := range entries {
		switch name := found.Name(); name {
		case question:
		case manifest:
			last = append(last, name)
		default:
			names = append(names, name)
		}
	}
	return append(names, last...), err
}

// move moves files and directories and replaces those of the same name.
func move(names []string, from, to string) error {
	for _, name := range names {
		// A directory can only replace an empty one.
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
