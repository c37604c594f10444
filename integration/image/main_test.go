// Package image tests the container image. The image is built from the directory that the CDK
// publishes, and runs as the synthesised task definition says. The tests need root, podman,
// and the project's npm packages for synth.
package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"testing"

	"squidfleet/internal/engine"
	"squidfleet/internal/rig"
	"squidfleet/proxyimage"
)

// storeVariable is the directory of the images for the copy inside the namespaces.
const storeVariable = "SQUIDFLEET_IMAGE_STORE"

// containers is the engine with the images, see tag.
var containers *engine.Engine

// fleets are the parts of the assemblies, by mode.
var fleets = map[string]published{}

func TestMain(m *testing.M) {
	if benching("BenchmarkCapacity") {
		maps.Copy(contexts, capacityContexts())
	}
	if benching("BenchmarkMemory") {
		maps.Copy(contexts, memoryContexts())
	}
	var code int
	var err error
	if store := os.Getenv(storeVariable); store != "" {
		rig.Isolate()
		code, err = test(m, store)
	} else {
		// A build downloads packages from Debian. The tests' namespaces have no way there.
		code, err = buildAndTest()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration/image:", err)
		code = 1
	}
	os.Exit(code)
}

// test runs the tests with the images in the store.
func test(m *testing.M, store string) (code int, err error) {
	for mode := range contexts {
		if fleets[mode], err = load(store, mode); err != nil {
			return 0, err
		}
	}
	if containers, err = engine.New(store); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// buildAndTest builds the images, runs the tests in a copy of this program, and then removes
// everything.
func buildAndTest() (code int, err error) {
	// An interrupt ends the copy, which shares the terminal. This process catches it, to clean up.
	// The copy would inherit an ignored signal.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	// TMPDIR may be a file system in memory, which cannot hold an overlay.
	store, err := os.MkdirTemp("/var/tmp", "squidfleet-image-")
	if err != nil {
		return 0, err
	}
	e, err := engine.New(store)
	if err != nil {
		return 0, errors.Join(err, os.RemoveAll(store))
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := buildImages(e, store); err != nil {
		return 0, err
	}
	if err := os.Setenv(storeVariable, store); err != nil {
		return 0, err
	}
	tests := rig.Apart(context.Background(), os.Args[1:]...)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	err = tests.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// The addresses and users of all tests.
var (
	insider      = netip.MustParseAddr("198.51.100.7")
	loadBalancer = netip.MustParseAddr("10.0.0.5")
	passwords    = map[string]string{"alice": "correct horse battery staple", "bob": "another pass\\word"}
)

const (
	inSecrets = "secretsmanager"
	inImage   = "image"
)

// contexts are the differences from cdk.json's parameters, by image. These two have both choices of
// every parameter that the image depends on. A benchmark adds its own.
var contexts = map[string]map[string]any{
	inSecrets: {"clientCidrs": "198.51.100.0/24", "users": "alice,bob"},
	inImage: {"clientCidrs": "198.51.100.0/24", "users": "alice,bob",
		"credentials": "image", "digest": "squid", "timezone": "Asia/Tokyo"},
}

func tag(mode string) string { return "localhost/squidfleet:" + mode }

// buildImages builds the images from the directories that the CDK would use.
func buildImages(e *engine.Engine, store string) error {
	ctx := context.Background()
	if err := synth(store); err != nil {
		return err
	}
	base, err := e.PrepareBase(ctx, proxyimage.Base())
	if err != nil {
		return err
	}
	for mode := range contexts {
		fleet, err := load(store, mode)
		if err != nil {
			return err
		}
		if mode == inSecrets && benching("BenchmarkImage") {
			if err := benchBuilds(e, fleet.context, base); err != nil {
				return err
			}
		}
		if err := e.Build(ctx, fleet.context, base, tag(mode)); err != nil {
			return err
		}
	}
	return nil
}
