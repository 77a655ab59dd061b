package forkserver

import (
	"os/exec"
	"testing"
)

// A fork server that has slept in, and ends when the next one serves already, leaves that one alone.
func TestEndsBehindTheNext(t *testing.T) {
	s := &Server{changed: make(chan struct{}), o: Options{
		Command: func() *exec.Cmd { return exec.Command("sh", "-c", "echo loaded >&4; exec 4>&-; exec cat <&3") },
		Log:     func(line string) { t.Error(line) },
	}}
	var both [2]*process
	for i := range both {
		p, loaded, err := startProcess(&s.o)
		if err != nil {
			t.Fatal(err)
		}
		s.loaded, both[i] = loaded, p
	}
	before, next := both[0], both[1]
	s.current = next
	_ = before.cmd.Process.Kill()
	s.watch(before)
	if s.current != next {
		t.Error("the next one is not used any more")
	}
	go s.watch(next)
	s.Close(0)
}
