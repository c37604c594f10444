package engine

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Variable is the environment variable that says which engine it is to be, podman or docker, whatever else is there.
const Variable = "SQUIDFLEET_ENGINE"

const (
	podman = "podman"
	docker = "docker"
)

// choose says which engine it is, by what Variable says and which programs are there: podman before docker, because it needs no daemon.
func choose(wanted string, there func(program string) bool) (string, error) {
	switch {
	case wanted == podman || wanted == docker:
		return wanted, nil
	case wanted != "":
		return "", fmt.Errorf("%s=%q: is neither %s nor %s", Variable, wanted, podman, docker)
	// Without runc, podman may take a runtime that does not work here, see newPodman.
	case there("podman") && there("runc"):
		return podman, nil
	// The client alone is the key to somebody else's daemon.
	case there("docker") && there("dockerd"):
		return docker, nil
	}
	return "", errors.New("neither podman with runc nor docker with dockerd is there; `make setup` installs podman on Debian and Ubuntu")
}

// find returns a program's path, also where Debian keeps it from the PATH of whoever is not root.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		if path, systemErr := exec.LookPath(filepath.Join("/usr/sbin", program)); systemErr == nil {
			return path, nil
		}
	}
	return path, err
}
