package eventloop

import (
	"sync"
	"testing"

	"fapws/runtime/checktest"
)

// The tested events are ready descriptors, room in a socket, and posted functions.
func TestLoopContinuesOnAnotherGoroutineWithoutLosingEvents(t *testing.T) {
	l := checktest.Try(New()).Must(t)
	const sockets, rounds = 40, 20
	var heard sync.WaitGroup
	leaves := false
	var watches [sockets]Watch
	var theirs [sockets]int
	for i := range sockets {
		var ours int
		ours, theirs[i] = pair(t)
		checktest.Must(t, l.Add(&watches[i], ours, handlerFunc(func(Readiness) {
			if read(ours) < 0 {
				return
			}
			if leaves {
				leaves = false
				l.Leave()
			}
			heard.Done()
		})))
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
	checktest.Equal(t, receive(t, ended), nil)
	checktest.Equal(t, l.Close(), nil)
}
