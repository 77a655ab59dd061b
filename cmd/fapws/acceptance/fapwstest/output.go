package fapwstest

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/waittest"
)

// output keeps what a process writes and lets a test wait for a part of it.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced when there is more
	ended bool
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

// close says that nothing more will come.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.ended = true
		close(o.grown)
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Await returns the first match of pattern with its groups.
func (o *output) Await(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	late := time.After(Patience)
	for {
		o.mu.Lock()
		match := pattern.FindStringSubmatch(o.text.String())
		grown, ended := o.grown, o.ended
		o.mu.Unlock()
		if match != nil {
			return match
		}
		if ended {
			t.Fatalf("no %q in the output:\n%s", pattern, o)
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("no %q in the output so far:\n%s", pattern, o)
		}
	}
}

// Eventually waits until a condition holds: for what announces itself nowhere.
var Eventually = waittest.Eventually

// OneLine fails unless text is one line with want in it.
func OneLine(t *testing.T, text, want string) {
	t.Helper()
	line, rest, _ := strings.Cut(text, "\n")
	if !strings.Contains(line, want) || rest != "" {
		t.Errorf("%q is no line with %q", text, want)
	}
}
