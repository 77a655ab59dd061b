package conn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"
)

type server struct {
	TLSServer
	t     *testing.T
	conns Set
	addr  string

	mu    sync.Mutex
	lines []string
	made  []*peer
	new   func() *peer
}

// newServer starts a server. peers returns the protocol of a new connection; if peers is nil, connections echo their
// input.
func newServer(t *testing.T, peers func() *peer) *server {
	t.Helper()
	loop := looptest.New(t)
	s := &server{t: t, new: peers}
	if peers == nil {
		s.new = func() *peer { return &peer{echo: true} }
	}
	s.conns.Init()
	s.conns.SetReadSize(64 << 10)
	s.conns.Events, s.conns.WriteTimeout = loop, time.Hour
	s.conns.Log = func(level logfile.Level, format string, args ...any) { s.log(level, fmt.Sprintf(format, args...)) }
	s.Init(&s.conns)
	cert, _ := certtest.Localhost()
	s.SetConfig(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	s.Freed = func() {}
	s.LogClient = func(level logfile.Level, client, line string) { s.log(level, "client: "+line) }
	ln := checktest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	s.addr = ln.Addr().String()
	go s.accept(ln)
	looptest.Run(t, loop, func() { s.conns.CloseAll("the test has ended") })
	t.Cleanup(func() { ln.Close() })
	return s
}

func (s *server) log(level logfile.Level, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprint(level)+" "+line)
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *server) accept(ln net.Listener) {
	for {
		accepted, err := ln.Accept()
		if err != nil {
			return
		}
		fd, err := descriptorOf(accepted)
		if err != nil {
			panic(err)
		}
		p := s.new()
		p.s, p.Holder = s, p
		p.Init(fd, accepted.LocalAddr(), accepted.RemoteAddr())
		s.mu.Lock()
		s.made = append(s.made, p)
		s.mu.Unlock()
		s.conns.Events.Post(func() {
			if err := p.Open(&s.conns, s.Handshake(&p.Conn, p, func(t *TLSTransport) { p.transport = t })); err == nil {
				p.Schedule()
			}
		})
	}
}

func (s *server) do(run func()) { looptest.Do(s.conns.Events, run) }

func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	looptest.Until(s.t, s.conns.Events, what, holds)
}

func (s *server) only() (p *peer) {
	s.t.Helper()
	s.until("a connection", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.made) > 0 {
			p = s.made[len(s.made)-1]
		}
		return p != nil
	})
	return p
}

type peer struct {
	Conn
	s                    *server
	transport            *TLSTransport
	echo, stays          bool
	answer               func(p *peer, b []byte)
	got                  []byte
	ends                 int
	closed, gone, finish bool
	sent                 []error
}

func (p *peer) Input(b []byte) {
	p.got = append(p.got, b...)
	if p.answer != nil {
		p.answer(p, b)
	}
	if p.echo {
		p.send(b)
	}
}

func (p *peer) send(b []byte) {
	p.Keep(b)
	p.push()
}

func (p *peer) push() {
	if p.Writing() || len(p.Pending()) == 0 {
		return
	}
	rest, err := p.Write(bytes.Clone(p.Pending()), nil, nil)
	p.DropInput()
	if rest != nil {
		p.Queue(Output{Items: rest}, true)
	} else if err != nil {
		p.Close(err.Error())
	}
}

func (p *peer) EOF() bool      { p.ends++; return p.stays }
func (p *peer) Due() int64     { return p.s.conns.Now + int64(time.Hour) }
func (p *peer) Drain(bool)     {}
func (p *peer) Closed()        { p.closed = true }
func (p *peer) Gone()          { p.gone = true }
func (p *peer) Sent(err error) { p.sent = append(p.sent, err) }

func (p *peer) Drained(ended bool) {
	if !ended {
		return
	}
	p.push()
	if p.finish && !p.Writing() {
		p.Finish()
	}
}

func (s *server) tcp() *net.TCPConn {
	s.t.Helper()
	return backendtest.Dial(s.t, s.addr)
}

func clientConfig() *tls.Config {
	_, pool := certtest.Localhost()
	return &tls.Config{ServerName: "localhost", RootCAs: pool, NextProtos: []string{"http/1.1"}}
}

// dial connects a TLS client. The function wraps the TCP connection, unless it is nil.
func (s *server) dial(config *tls.Config, over func(net.Conn) net.Conn) *tls.Conn {
	s.t.Helper()
	var below net.Conn = s.tcp()
	if over != nil {
		below = over(below)
	}
	if config == nil {
		config = clientConfig()
	}
	c := tls.Client(below, config)
	checktest.Mustf(s.t, c.Handshake(), "the log: %s", s.logged())
	return c
}

func echoes(t *testing.T, c net.Conn, sent []byte) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		failed <- err
	}()
	got := make([]byte, len(sent))
	n, err := io.ReadFull(c, got)
	checktest.Mustf(t, err, "%d of %d bytes", n, len(sent))
	checktest.Needf(t, bytes.Equal(got, sent), "other bytes")
	checktest.Must(t, <-failed)
}
