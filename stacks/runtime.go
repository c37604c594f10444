package stacks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// NewApp returns an app whose assembly depends on the parameters alone, and which writes one only when it is synthesised: by itself the CDK would also write one when
// the program ends with an error. The CDK CLI tells the directory to write to and the context; outdir, unless it is empty, goes before the CLI's, and context is added to the CLI's.
func NewApp(outdir string, context map[string]any) awscdk.App {
	props := awscdk.AppProps{
		AutoSynth: jsii.Bool(false),
		// Stack traces and timings hold this machine's paths and speed.
		StackTraces:          jsii.Bool(false),
		PostCliContext:       &map[string]any{"aws:cdk:disable-creation-stack-traces": true},
		PerformanceReporting: jsii.Bool(false),
		// A resource in every template that tells AWS which constructs it was made with.
		AnalyticsReporting: jsii.Bool(false),
		Context:            &context,
	}
	if outdir != "" {
		props.Outdir = jsii.String(outdir)
	}
	return awscdk.NewApp(&props)
}

// Synth writes the app's assembly. The error says that the CDK's validation, which includes AWS's own rules for templates, found something wrong; what that
// is stands on stderr by then. The assembly then has no manifest, without which nothing can deploy it.
func Synth(app awscdk.App) (err error) {
	defer func() {
		problem := recover()
		if problem == nil {
			return
		}
		if !strings.HasPrefix(fmt.Sprint(problem), "ValidationFailed: ") {
			panic(problem)
		}
		err = errors.New("the stacks are not valid, as told above; nothing was synthesised")
		if removal := os.Remove(filepath.Join(*app.Outdir(), "manifest.json")); removal != nil && !errors.Is(removal, fs.ErrNotExist) {
			err = errors.Join(err, removal)
		}
	}()
	app.Synth(nil)
	return nil
}

// raceOfClose is what jsii-runtime-go 1.139 prints when it ends Node.js and two of its goroutines wait for the same process: the one that comes second finds
// none, although all went well.
var raceOfClose = []byte("Runtime process exited abnormally: waitid: no child processes")

// Close ends the CDK's Node.js process, which must be done before the program ends, and passes on whatever it still has to say.
func Close() {
	reader, writer, err := os.Pipe()
	if err != nil {
		jsii.Close()
		return
	}
	stderr := os.Stderr
	os.Stderr = writer // and so it stays: the second goroutine may be late
	said := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(reader)
		said <- all
	}()
	jsii.Close()
	writer.Close()
	stderr.Write(bytes.ReplaceAll(<-said, raceOfClose, nil))
}
