package eventloop

import (
	"sync"
	"testing"
)

// The tested events are ready descriptors, room in a socket, and posted functions.
func TestLoopContinuesOnAnotherGoroutineWithoutLosingEvents(t *testing.T) {
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const sockets, rounds = 40, 20
	var heard sync.WaitGroup
	leaves := false
	var watches [sockets]Watch
	var theirs [sockets]int
	for i := range sockets {
		var ours int
		ours, theirs[i] = pair(t)
		if err := l.Add(&watches[i], ours, handlerFunc(func(Readiness) {
			if read(ours) < 0 {
				return
			}
			if leaves {
				leaves = false
				l.Leave()
			}
			heard.Done()
		})); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error)
	go func() {
		for {
			err := l.Run()
			if err != ErrLeft {
				ended <- err
				return
			}
			left := make(chan error)
			go func() { left <- l.Run() }()
			l.Post(l.Leave)
			if err := <-left; err != ErrLeft {
				ended <- err
				return
			}
		}
	}()
	for range rounds {
		heard.Add(sockets)
		do(t, l, func() {
			leaves = true
			for _, fd := range theirs {
				write(t, fd)
			}
		})
		heard.Wait()
	}
	room := make(chan Readiness, 10)
	do(t, l, func() {
		watches[0].handler = handlerFunc(func(r Readiness) { room <- r })
		_ = watches[0].WantRoom(true)
		l.Leave()
	})
	for receive(t, room)&Writable == 0 {
	}
	l.Stop()
	if err := receive(t, ended); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
