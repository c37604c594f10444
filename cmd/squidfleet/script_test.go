package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	bases "squidfleet/internal/baseimage/standin"
	"squidfleet/internal/local"
	"squidfleet/internal/operator/standin"
	"squidfleet/params"
)

// The scripts in testdata run this test binary under the name squidfleet, which then is the
// program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"squidfleet": main})
}

// Each script has AWS to itself, with a fleet of two addresses: 198.51.100.1, started 3 h 12 min
// ago, and 198.51.100.2, 1 h 12 min. Besides testscript's own commands it has
//
//	$NOW                       when the script began, as --at takes it
//	$BASE                      a repository of a registry, for images to build from
//	$PROXY                     that registry, which refuses to be a proxy
//	$HANGS                     the same, of a registry that does not answer
//	aws CHANGE [ARGUMENT]      change the fleet, see standin.AWS.Set
//	fail ACTION CODE TIMES     make an action answer with an error
//	push TAG DATE ARCHITECTURE…  make a tag of $BASE lead to an image
//	synth TEXT                 write a cdk.out with that template, made from cdk.json
//	log ADDRESS AGO TEXT       make the task with that address write a line
//	exits CODE COMMAND…        run a command that must end with that code
//	await ACTION TIMES         wait until an action was called so often
//	[!] called ACTION [TIMES]  check that an action was called, or how often
//	needs COMMAND [-ACTION]    check that the command's help names the actions called, and that one
//	desired N…                 check the addresses' desired counts
func TestScripts(t *testing.T) {
	// A test run under nohup ignores SIGHUP, and the scripts' programs would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			aws := standin.New()
			env.Values["aws"] = aws
			registry := bases.New()
			env.Values["bases"] = registry
			hangs, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			// Longer than the commands wait; then they fail and the test does not hang.
			time.AfterFunc(time.Minute, func() { hangs.Close() })
			env.Setenv("BASE", registry.Repository)
			env.Setenv("PROXY", registry.Listener.Addr().String())
			env.Setenv("HANGS", hangs.Addr().String()+"/library/debian")
			env.Setenv("AWS_ENDPOINT_URL", aws.URL)
			env.Setenv("AWS_REGION", standin.Region)
			env.Setenv("AWS_ACCESS_KEY_ID", standin.AccessKey)
			env.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
			env.Setenv("AWS_CONFIG_FILE", env.WorkDir+"/config")
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", env.WorkDir+"/credentials")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("TERM", "xterm")
			env.Setenv("NOW", time.Now().UTC().Format(time.RFC3339))
			env.Defer(func() {
				aws.Close()
				registry.Close()
				hangs.Close()
				for _, problem := range aws.Problems() {
					t.Errorf("%s: %s", env.WorkDir, problem)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"aws": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(standIn(ts).Set(args[0], args[1:]...))
			},
			"fail": func(ts *testscript.TestScript, _ bool, args []string) {
				standIn(ts).Fail(args[0], args[1], number(ts, args[2]))
			},
			"push": func(ts *testscript.TestScript, _ bool, args []string) {
				made, err := time.Parse(time.DateOnly, args[1])
				ts.Check(err)
				_, err = ts.Value("bases").(*bases.Registry).Push(context.Background(), args[0], made, args[2:]...)
				ts.Check(err)
			},
			"synth": synth,
			"log": func(ts *testscript.TestScript, _ bool, args []string) {
				ago, err := time.ParseDuration(args[1])
				ts.Check(err)
				ts.Check(standIn(ts).Log(args[0], strings.Join(args[2:], " "), ago))
			},
			"exits": exits,
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				times := number(ts, args[1])
				for range 1000 {
					if countOf(standIn(ts).Calls(), args[0]) >= times {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
				ts.Fatalf("%s was not called %d times", args[0], times)
			},
			"called": func(ts *testscript.TestScript, neg bool, args []string) {
				times := countOf(standIn(ts).Calls(), args[0])
				if times > 0 == neg || len(args) > 1 && times != number(ts, args[1]) {
					ts.Fatalf("called were %s", strings.Join(standIn(ts).Calls(), " "))
				}
			},
			"needs": needsExactly,
			"desired": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := fmt.Sprint(standIn(ts).Desired()); got != fmt.Sprint(args) {
					ts.Fatalf("the desired counts are %s", got)
				}
			},
		},
	})
}

func standIn(ts *testscript.TestScript) *standin.AWS { return ts.Value("aws").(*standin.AWS) }

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func countOf(list []string, one string) int {
	return len(slices.DeleteFunc(list, func(each string) bool { return each != one }))
}

func synth(ts *testscript.TestScript, _ bool, args []string) {
	values, err := local.Context(ts.MkAbs("cdk.json"), nil)
	ts.Check(err)
	p, err := params.Parse(values)
	ts.Check(err)
	entry := map[string]any{"type": "squidfleet:parameters", "data": p}
	metadata, err := json.Marshal(map[string]any{"/Squidfleet-Proxy": []any{entry}})
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs("cdk.out"), 0o777))
	ts.Check(os.WriteFile(ts.MkAbs("cdk.out/Squidfleet-Proxy.metadata.json"), metadata, 0o666))
	ts.Check(os.WriteFile(ts.MkAbs("cdk.out/Squidfleet-Proxy.template.json"), []byte(args[0]), 0o666))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	code, err := 0, ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != number(ts, args[0]) {
		ts.Fatalf("%s ended with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

func needsExactly(ts *testscript.TestScript, _ bool, args []string) {
	root := newRoot(newStreams(os.Stdout, os.Stderr))
	cmd, _, err := root.Find(args[:1])
	ts.Check(err)
	_, help, _ := strings.Cut(cmd.Long, permissions)
	want := slices.DeleteFunc(strings.Fields(help), func(word string) bool {
		return !strings.Contains(word, ":") // is about when
	})
	slices.Sort(want)
	got := standIn(ts).Calls()
	for _, uncalled := range args[1:] {
		got = append(got, strings.TrimPrefix(uncalled, "-"))
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		ts.Fatalf("called were %s\nhelp says   %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}
