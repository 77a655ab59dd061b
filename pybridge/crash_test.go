package pybridge

import (
	"runtime"
	"testing"
)

// A nil pointer in Go code is a panic that can be recovered, also when C code has handlers for its signal.
func TestCrashInGoPanics(t *testing.T) {
	watchLoading("app.py")
	defer func() {
		if _, is := recover().(runtime.Error); !is {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}
