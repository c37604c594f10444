package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AsDocker is a shell script that takes docker's arguments and has this engine do what they say: a build of the Dockerfile with base, which PrepareBase returned, for its first FROM, with the machine's
// network; a login and a push without TLS, at a registry on loopback; and everything else as it is.
func (e *Engine) AsDocker(dockerfile, base string) (string, error) {
	from, err := e.from(dockerfile, base)
	if err != nil {
		return "", err
	}
	var script strings.Builder
	// Podman keeps the logins in a file of this name; docker keeps them below its directory anyway.
	for _, variable := range slices.Concat(e.variables, []string{"REGISTRY_AUTH_FILE=" + filepath.Join(e.dir, "auth.json")}, proxies()) {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&script, "export %s=%s\n", name, quoted(value))
	}
	fmt.Fprintf(&script, "engine=%s\n", quoted(e.program))
	script.WriteString("command=$1\nshift\ncase $command in\n")
	fmt.Fprintf(&script, "build) exec \"$engine\" build --network=host%s \"$@\" ;;\n", words(from))
	fmt.Fprintf(&script, "login | push) exec \"$engine\" \"$command\"%s \"$@\" ;;\n", words(e.plainHTTP))
	script.WriteString("*) exec \"$engine\" \"$command\" \"$@\" ;;\nesac\n")
	return script.String(), nil
}

// proxies are those variables of the environment by which a build finds its way to the machine's network.
func proxies() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
}

// words are options as a shell's words, each after a space.
func words(options []string) string {
	var all strings.Builder
	for _, option := range options {
		all.WriteString(" " + quoted(option))
	}
	return all.String()
}

// quoted is text as a shell's word.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
