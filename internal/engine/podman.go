package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// newPodman is podman with images, containers and settings below dir.
func newPodman(dir string) (*flavour, error) {
	program, err := find("podman")
	if err != nil {
		return nil, err
	}
	limits, err := Ulimits(fargateFiles)
	if err != nil {
		return nil, err
	}
	runtime := ""
	if path, err := find("runc"); err == nil {
		// crun, podman's first choice, fails where control groups of both versions are mounted; runc does not.
		runtime = fmt.Sprintf("runtime = %q\n", path)
	}
	for name, content := range map[string]string{
		"storage.conf": fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n[storage.options.overlay]\nskip_mount_home = \"true\"\n",
			filepath.Join(dir, "graph"), filepath.Join(dir, "run")),
		"containers.conf": fmt.Sprintf("[containers]\ndefault_ulimits = [\"%s\"]\nlog_driver = \"k8s-file\"\n[engine]\n%scgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\ntmp_dir = %q\n[network]\nnetwork_config_dir = %q\n",
			strings.Join(limits, `", "`), runtime, filepath.Join(dir, "tmp"), filepath.Join(dir, "networks")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return &flavour{
		program:   program,
		inherited: os.Environ(),
		variables: []string{
			"CONTAINERS_CONF=" + filepath.Join(dir, "containers.conf"),
			"CONTAINERS_STORAGE_CONF=" + filepath.Join(dir, "storage.conf"),
		},
		// From 4.7, it makes what is mounted over a read-only root read-only too.
		create: []string{"--read-only-tmpfs=false"},
		// Otherwise it sends SIGTERM and waits.
		remove:    []string{"--time=0"},
		plainHTTP: []string{"--tls-verify=false"},
		from: func(_, base string) ([]string, error) {
			return []string{"--pull=never", "--from=" + base}, nil
		},
	}, nil
}
