package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// newDocker is docker with a daemon of its own, whose images, containers and settings are below dir.
func newDocker(dir string) (*flavour, error) {
	client, err := find("docker")
	if err != nil {
		return nil, err
	}
	server, err := find("dockerd")
	if err != nil {
		return nil, err
	}
	limits, err := Ulimits(fargateFiles)
	if err != nil {
		return nil, err
	}
	d := &flavour{
		program: client,
		// What the machine's user has set for another daemon holds for none of this one's commands.
		inherited: slices.DeleteFunc(os.Environ(), func(variable string) bool {
			return strings.HasPrefix(variable, "DOCKER_") || strings.HasPrefix(variable, "BUILDKIT_") || strings.HasPrefix(variable, "BUILDX_")
		}),
		variables: []string{
			"DOCKER_HOST=unix://" + socket(dir),
			"DOCKER_CONFIG=" + filepath.Join(dir, "client"),
		},
		from: func(dockerfile, base string) ([]string, error) {
			return fromBase(dir, dockerfile, base)
		},
	}
	d.daemon, err = newDaemon(dir, server, limits, d)
	return d, err
}

// fromBase are the options of a build from a copy of the Dockerfile that begins with base. A build takes the image of that name that is there, and asks no registry then.
//
// The base cannot be given the name that the Dockerfile has for it instead, because a name with a digest is the registry's to give.
func fromBase(dir, dockerfile, base string) ([]string, error) {
	content, err := os.ReadFile(dockerfile)
	if err != nil {
		return nil, err
	}
	match := from.FindSubmatchIndex(content)
	if match == nil {
		return nil, noBase(dockerfile)
	}
	draft, err := os.CreateTemp(dir, "Dockerfile-*")
	if err != nil {
		return nil, err
	}
	defer draft.Close()
	if _, err := fmt.Fprintf(draft, "%s%s%s", content[:match[2]], base, content[match[3]:]); err != nil {
		return nil, err
	}
	options := []string{"--file=" + draft.Name()}
	for _, variable := range proxies() {
		// Podman hands these to a build by itself. They stay out of the image with either, and without its value, which may hold a password, out of the list of processes.
		name, _, _ := strings.Cut(variable, "=")
		options = append(options, "--build-arg="+name)
	}
	return options, nil
}
