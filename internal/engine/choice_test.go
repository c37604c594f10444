package engine

import (
	"slices"
	"strings"
	"testing"
)

func TestWhichEngineItIs(t *testing.T) {
	for _, c := range []struct {
		wanted string
		there  []string
		want   string // "" is an error
	}{
		{"", []string{"podman", "runc", "docker", "dockerd"}, podman},
		{"", []string{"podman", "runc"}, podman},
		{"", []string{"runc", "docker", "dockerd"}, docker},
		{"", []string{"podman", "docker", "dockerd"}, docker},
		{"", []string{"docker"}, ""},
		{"", []string{"dockerd"}, ""},
		{"", []string{"podman"}, ""},
		{"", nil, ""},
		{podman, []string{"docker", "dockerd"}, podman},
		{docker, []string{"podman", "runc"}, docker},
	} {
		name, err := choose(c.wanted, func(program string) bool { return slices.Contains(c.there, program) })
		if name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: %q, %v", c, name, err)
		}
	}
}

func TestAnUnknownEngineIsNamed(t *testing.T) {
	_, err := choose("Podman", func(string) bool { return true })
	if err == nil || !strings.Contains(err.Error(), `SQUIDFLEET_ENGINE="Podman": is neither podman nor docker`) {
		t.Error(err)
	}
}
