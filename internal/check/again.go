package check

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"squidfleet/proxyimage"
	"squidfleet/proxyimage/container"
	"squidfleet/squid"
	"squidfleet/stacks"
)

// again synthesises the fleet again into dir, from the parameters that the assembly records, and
// compares. It takes over what only the machine of the first synth could make, after a look at
// its form: a program that another Go compiled, and hashes of passwords that are not in the
// environment.
func (a *Assembly) again(ctx context.Context, o Options, dir string) (findings []Finding, err error) {
	var file struct{ Context map[string]any }
	if err := readJSON(filepath.Join(o.Root, "cdk.json"), &file); err != nil {
		return nil, err
	}
	maps.Copy(file.Context, a.lookups)
	// What the CDK CLI adds and was given. It has shown the warnings of a synth once.
	file.Context["aws:cdk:enable-path-metadata"] = slices.ContainsFunc(a.resources, func(r *resource) bool {
		return at(r.whole, "Metadata.aws:cdk:path") != nil
	})
	version := a.proxy().text("properties.bootstrapStackVersionSsmParameter") // /cdk-bootstrap/QUALIFIER/version
	file.Context["@aws-cdk/core:bootstrapQualifier"] = path.Base(path.Dir(version))
	file.Context["@aws-cdk/core:failSynthOnValidationErrors"] = false
	app, err := stacks.NewApp(dir, file.Context)
	if err != nil {
		return nil, err
	}
	defer app.Discard()
	impossible := func(reason any) []Finding {
		line, _, _ := strings.Cut(fmt.Sprint(reason), "\n")
		return []Finding{{a.name, "synth", "its parameters cannot be synthesised again: " + line}}
	}
	// What is recorded may never have been through params.Parse, on which stacks relies.
	defer func() {
		if problem := recover(); problem != nil {
			findings = impossible(problem)
		}
	}()
	fleet := stacks.Input{Params: a.Params, Account: a.account, Region: a.region}
	foreign := map[string]func(got, want []byte) string{} // what is wrong with a file that is taken over
	if a.Params.Credentials == container.CredentialsImage {
		if fleet.Passwords, err = proxyimage.Passwords(a.Params, o.Environment); err != nil {
			foreign["passwords"] = otherForm
			for _, user := range a.Params.Users {
				fleet.Passwords = append(fleet.Passwords, squid.Credential{User: user, Password: "any password"})
			}
		}
	}
	fleet.Staged = func(dir string) error {
		program, err := os.ReadFile(filepath.Join(dir, "entrypoint"))
		if err == nil && otherToolchain(a.image("entrypoint"), program) {
			// Each Go brings its own database of time zones. A change after the first synth
			// shows in the hash of all.
			foreign["entrypoint"], foreign["localtime"] = otherELF, func(_, _ []byte) string { return "" }
		}
		for name, problem := range foreign {
			got := a.image(name)
			if got == nil {
				continue // The comparison reports it.
			}
			want, _ := os.ReadFile(filepath.Join(dir, name)) // has just been written
			if p := problem(got, want); p != "" {
				findings = append(findings, Finding{a.ImageDirectory() + "/" + name, "synth", p})
			}
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), got, 0o600))
		}
		return err
	}
	if err = fleet.Add(ctx, app); err == nil {
		err = app.Synth()
	}
	if err != nil {
		return impossible(err), context.Cause(ctx)
	}
	again, _ := Read(os.DirFS(dir), nil)
	if again == nil || again.pending != "" {
		return impossible(fmt.Sprintf("%s holds no lookup of %s in account %q and region %q",
			o.Context, a.Params.VpcID, a.account, a.region)), nil
	}
	return append(findings, a.Compare(again)...), nil
}

// otherToolchain reports whether two versions of Go compiled two programs.
func otherToolchain(got, want []byte) bool {
	theirs, theirErr := buildinfo.Read(bytes.NewReader(got))
	ours, err := buildinfo.Read(bytes.NewReader(want))
	return theirErr == nil && err == nil && theirs.GoVersion != ours.GoVersion && theirs.Path == ours.Path
}

// otherELF says how a program differs in where it runs and what it needs there.
func otherELF(got, want []byte) string {
	header := func(program []byte) []leaf {
		text := "is none"
		if file, err := elf.NewFile(bytes.NewReader(program)); err == nil {
			needs, _ := file.ImportedLibraries() // without a dynamic section there are none
			text = fmt.Sprint(file.Class, file.Machine, file.Type, needs)
		}
		return []leaf{{"ELF header", text}}
	}
	return difference(header(got), header(want))
}

var hexadecimal = regexp.MustCompile(`(?m):[0-9a-f]*$`)

// otherForm says where a password file has other users, other realms, or hashes of other lengths.
func otherForm(got, want []byte) string {
	form := func(file []byte) []leaf {
		return lines(hexadecimal.ReplaceAllFunc(file, func(h []byte) []byte {
			return fmt.Appendf(nil, ":%d digits", len(h)-1)
		}))
	}
	return difference(form(got), form(want))
}
