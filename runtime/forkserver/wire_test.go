package forkserver

import (
	"encoding/binary"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// A child may send anything: the server neither fails nor takes more than it can keep.
func TestForgedParts(t *testing.T) {
	s := &Server{serving: Serving{Messages: func(raw []byte) { t.Errorf("messages of %d bytes", len(raw)) }}}
	for _, p := range []part{
		{Flags: messages, Body: -1},
		{Flags: messages, Body: maxMessages + 1},
		{Flags: first, Path: 1, Script: 2},
		{Flags: first, Fields: maxTexts, Reason: 1},
		{Flags: first, Fields: 1<<32 - 1, Reason: 1<<32 - 1},
	} {
		fds, err := system.Socketpair(unix.SOCK_STREAM)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := unixConn(fds[0])
		if err != nil {
			t.Fatal(err)
		}
		text, _ := binary.Append(nil, binary.NativeEndian, &p)
		if _, err := unix.Write(fds[1], text); err != nil {
			t.Fatal(err)
		}
		c := &child{conn: conn}
		got, err := c.next()
		if err != nil || got != p {
			t.Fatalf("%+v, %v", got, err)
		}
		if p.Flags&messages != 0 {
			err = s.hear(c, &got)
		} else {
			_, err = c.head(&got)
		}
		if err == nil {
			t.Errorf("%+v is taken", p)
		}
		conn.Close()
		unix.Close(fds[1])
	}
}

// Orders of a fork server that has been taken over are about its children only, and each begins and ends once.
func TestForgedOrders(t *testing.T) {
	run := &running{id: 1, begun: make(chan struct{}), ended: make(chan struct{})}
	p := &process{o: &Options{}, children: map[uint64]*running{1: run}}
	for _, o := range []order{{Op: opStarted, ID: 2}, {Op: opStarted, ID: 1, Value: 7}, {Op: opStarted, ID: 1, Value: 8}, {Op: 99, ID: 1}, {Op: opEnded, ID: 1}, {Op: opEnded, ID: 1}, {Op: opFailedTo, ID: 1, Value: int32(syscall.EAGAIN)}} {
		p.heard(o)
	}
	if run.pid != 7 || run.fail != nil || len(p.children) != 0 {
		t.Errorf("process %d, %v, %d children", run.pid, run.fail, len(p.children))
	}
}
