// Package suite runs the cases of a client, and makes the records that all clients send.
package suite

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// StepSeconds bounds each case.
const StepSeconds = 60

// Case is what a client does with a broker; Proves are words of features.tsv.
type Case struct {
	Proves string
	Name   string
	Run    func() error
}

// Options are those of every suite's command line.
type Options struct {
	Bootstrap string
	only      string
}

// Flags reads --bootstrap HOST:PORT (or BOOTSTRAP) and --only PART.
func Flags() Options {
	var options Options
	flag.StringVar(&options.Bootstrap, "bootstrap", os.Getenv("BOOTSTRAP"), "the broker's HOST:PORT")
	flag.StringVar(&options.only, "only", "", "only cases whose name contains this")
	flag.Parse()
	if options.Bootstrap == "" {
		fmt.Fprintln(os.Stderr, "--bootstrap HOST:PORT or BOOTSTRAP is needed")
		os.Exit(2)
	}
	return options
}

// Run runs the cases one by one; it prints a line for each, one for each feature and the counts, and ends the process.
func Run(options Options, cases []Case) {
	passed, failed := 0, 0
	features, order := map[string]bool{}, []string{}
	for _, each := range cases {
		if !strings.Contains(each.Name, options.only) {
			continue
		}
		begun := time.Now()
		err := guarded(each.Run)
		if err == nil {
			passed++
			fmt.Printf("ok     %s (%d ms)\n", each.Name, time.Since(begun).Milliseconds())
		} else {
			failed++
			fmt.Printf("FAILED %s: %v\n", each.Name, err)
		}
		for _, feature := range strings.Fields(each.Proves) {
			soFar, seen := features[feature]
			if !seen {
				order = append(order, feature)
			}
			features[feature] = err == nil && (soFar || !seen)
		}
	}
	for _, feature := range order {
		outcome := "failed"
		if features[feature] {
			outcome = "passed"
		}
		fmt.Printf("feature %s %s\n", feature, outcome)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if passed == 0 || failed > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

// guarded runs a case that may panic or hang; each is a failure of that case alone.
func guarded(run func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- fmt.Errorf("panicked: %v", cause)
			}
		}()
		done <- run()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(StepSeconds * time.Second):
		return fmt.Errorf("not done after %d s", StepSeconds)
	}
}
