package fapwstest

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

type Output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
	ended bool
}

func NewOutput() *Output { return &Output{grown: make(chan struct{})} }

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.ended = true
		close(o.grown)
	}
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *Output) Await(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	match := o.Find(pattern)
	Needf(t, match != nil, "no %q in the output so far:\n%s", pattern, o)
	return match
}

// Find waits for a match of pattern, and returns nil if the output ends without a match, or after Patience.
func (o *Output) Find(pattern *regexp.Regexp) []string {
	late := time.After(Patience)
	for {
		o.mu.Lock()
		match := pattern.FindStringSubmatch(o.text.String())
		grown, ended := o.grown, o.ended
		o.mu.Unlock()
		if match != nil || ended {
			return match
		}
		select {
		case <-grown:
		case <-late:
			return nil
		}
	}
}

var Eventually = checktest.Eventually

func OneLine(t *testing.T, text, want string) {
	t.Helper()
	line, rest, _ := strings.Cut(text, "\n")
	Truef(t, strings.Contains(line, want) && rest == "", "%q is no line with %q", text, want)
}
