package conn

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn/certtest"
)

// BenchmarkRead reads records of a small request, one at a time, as the loop does.
func BenchmarkRead(b *testing.B) {
	cert, _ := certtest.Localhost()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	client := make(chan *tls.Conn)
	go func() {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			panic(err)
		}
		client <- c
	}()
	accepted, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	w := &wire{s: new(TLSServer), tcp: true}
	shake := &through{Conn: accepted, w: w}
	t := &TLSTransport{tls: tls.Server(shake, &tls.Config{Certificates: []tls.Certificate{cert}})}
	if err := t.tls.Handshake(); err != nil {
		b.Fatal(err)
	}
	c := <-client
	file, err := accepted.(*net.TCPConn).File()
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	_ = unix.SetNonblock(int(file.Fd()), true)
	t.wire.fd, t.wire.tcp, t.wire.s = int32(file.Fd()), true, new(TLSServer)
	shake.w, shake.done = &t.wire, true
	request, into := make([]byte, 100), make([]byte, 64<<10)
	ready := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}}
	var took []time.Duration
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		_, _ = unix.Poll(ready, -1)
		begin := time.Now()
		if n, err := t.Read(into); n != len(request) {
			b.Fatal(n, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/4].Nanoseconds()), "ns/read") // other processes disturb the slower ones
}

// through is the connection of a handshake, and then a wire.
type through struct {
	net.Conn
	w    *wire
	done bool
}

func (t *through) Read(p []byte) (int, error) {
	if t.done {
		return t.w.Read(p)
	}
	n, err := t.Conn.Read(p[:min(len(p), t.w.frames.limit(nil))])
	t.w.frames.follow(p[:n])
	return n, err
}
