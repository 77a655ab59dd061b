package ctl

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// connectWithin is how long a server may take to accept: it does nothing else
	// on that goroutine.
	connectWithin = 2 * time.Second

	// answerWithin is how long a server may take for what it can say at once: longer than it waits for its own workers
	// and for its clients, since the machine may be busy.
	answerWithin = 45 * time.Second

	// lookEvery is how often a client that waits looks whether the server lives.
	lookEvery = time.Second
)

var (
	errEnded = errors.New("the server has ended")
	errLate  = fmt.Errorf("no answer within %v", answerWithin)
)

// conversation is the connection of a client to a server. It ends with the process of the server: other processes, forks of
// the application, may hold the socket longer than that.
type conversation struct {
	*net.UnixConn
	pid int // of the server; 0: unknown
}

const (
	findSocket   = "start the server, or name its socket as the server's --ctl-socket does"
	notListening = "no server listens on %s; " + findSocket
)

// connect connects to the socket of a server.
func connect(path string) (*conversation, error) {
	c, err := dialWithin(path, connectWithin)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf(notListening, path)
	case errors.Is(err, syscall.ENOENT):
		return nil, fmt.Errorf("%s: no such file; "+findSocket, path)
	case err != nil:
		return nil, short(err)
	}
	_, pid, _ := peerOf(c) // else 0
	if pid > 0 && ended(pid) {
		c.Close()
		return nil, fmt.Errorf(notListening, path)
	}
	return &conversation{c, pid}, nil
}

// ask sends a request and returns the answer, which has to come within a time; 0: as long as the server lives.
func (c *conversation) ask(r *request, within time.Duration) (a answer, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	_ = c.SetWriteDeadline(time.Now().Add(answerWithin))
	if _, err := c.Write(append(text, '\n')); err != nil {
		return a, short(err)
	}
	line, err := bufio.NewReader(&patience{c, within}).ReadBytes('\n')
	if err == io.EOF {
		return a, errors.New("the server closed the connection")
	}
	if err != nil {
		return a, short(err)
	}
	return a, json.Unmarshal(line, &a)
}

// awaitEnd returns when the server has ended.
func (c *conversation) awaitEnd() { _, _ = (&patience{c: c}).Read(make([]byte, 1)) }

// patience reads what a server sends in its own time.
type patience struct {
	c    *conversation
	left time.Duration // 0: as long as the server lives
}

// Read implements io.Reader.
func (p *patience) Read(b []byte) (n int, err error) {
	over := false
	for until := time.Now().Add(p.left); ; {
		_ = p.c.SetReadDeadline(time.Now().Add(lookEvery))
		n, err = p.c.Read(b)
		switch {
		case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case over:
			return 0, errEnded
		case p.left > 0 && time.Now().After(until):
			return 0, errLate
		}
		over = p.c.pid > 0 && ended(p.c.pid) // the next round reads its last words
	}
}
