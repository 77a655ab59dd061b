package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"fapws/runtime/exchange"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// subrequestConn is what the loop knows of a connection of the server to itself, by
// which a handler has it answer another request (exchange.Subrequester). It goes the
// way of all others, so routing, pipelining and back-pressure are the same. It
// has no slot of Config.MaxClients, no line in the access log, and may still
// begin when the server stops: what it is for has begun before.
type subrequestConn struct {
	depth int
	value any
}

// subrequestClient implements exchange.Subrequester: the client's end of such a connection, made
// when it is first used and kept for the next request.
type subrequestClient struct {
	s      *Server
	origin exchange.Origin
	conn   net.Conn
	r      *bufio.Reader
	body   *answerBody // of the last answer
}

func (s *Server) subrequester(o exchange.Origin) exchange.Subrequester {
	return &subrequestClient{s: s, origin: o}
}

var (
	errStopped   = errors.New("the server has stopped")
	errBadTarget = errors.New("not an absolute path of a URL")
)

// Ask implements exchange.Subrequester.
func (a *subrequestClient) Ask(ctx context.Context, target string, fields []byte) (*exchange.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a.origin.Depth >= exchange.MaxDepth {
		return nil, exchange.ErrTooDeep
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \t\r\n#\x00") {
		return nil, errBadTarget
	}
	a.finish()
	request := a.request(target, fields)
	kept := a.conn != nil
	answer, err := a.try(ctx, request)
	if err != nil && kept && ctx.Err() == nil && errors.Is(err, errNoAnswer) {
		answer, err = a.try(ctx, request) // it was closed for being idle, or as the server stops
	}
	return answer, err
}

// request returns the bytes of a request.
func (a *subrequestClient) request(target string, fields []byte) []byte {
	b := append(make([]byte, 0, 64+len(target)+len(fields)), "GET "...)
	b = append(append(b, target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, a.origin.Host...), '\r', '\n')
	b = append(b, fields...)
	return append(b, '\r', '\n')
}

// errNoAnswer says that a connection ended without a byte.
var errNoAnswer = errors.New("no answer")

func (a *subrequestClient) try(ctx context.Context, request []byte) (*exchange.Answer, error) {
	if a.conn == nil {
		if err := a.connect(); err != nil {
			return nil, err
		}
	}
	conn := a.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	answer, err := a.exchange(request)
	if err != nil {
		stop()
		a.drop()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	a.body.stop = stop
	a.body.ctx = ctx
	return answer, nil
}

// exchange sends a request and reads the head of the answer.
func (a *subrequestClient) exchange(request []byte) (*exchange.Answer, error) {
	if _, err := a.conn.Write(request); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	if _, err := a.r.Peek(1); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	answer, body, err := a.readAnswer()
	if err != nil {
		return nil, err
	}
	a.body, answer.Body = body, body
	return answer, nil
}

// connect makes a connection to the server's loop.
func (a *subrequestClient) connect() error {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	ours, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	if err := a.enrol(fds[1]); err != nil {
		ours.Close()
		unix.Close(fds[1])
		return err
	}
	a.conn = ours
	if a.r == nil {
		a.r = bufio.NewReader(ours)
	} else {
		a.r.Reset(ours)
	}
	return nil
}

// connOf makes a descriptor, which it takes, a net.Conn.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "inner connection")
	defer f.Close()
	return net.FileConn(f)
}

// enrol makes the loop serve the other end.
func (a *subrequestClient) enrol(fd int) error {
	peer := a.origin.Peer
	c := &client{l: a.s.loop, peer: &peer, subrequest: &subrequestConn{depth: a.origin.Depth + 1, value: a.origin.Value}}
	c.Internal = true
	c.Attach(&a.s.loop.http)
	c.Init(fd, &net.UnixAddr{Net: "unix"}, &net.UnixAddr{Net: "unix"})
	if a.origin.Root != "" {
		c.proxy = &trustedProxy{root: a.origin.Root}
	}
	if !a.s.gate.enter() {
		return errStopped
	}
	defer a.s.gate.leave()
	a.s.loop.post(func() { a.s.loop.open(c) })
	return nil
}

// finish makes the connection ready for the next request, or drops it.
func (a *subrequestClient) finish() {
	if a.body != nil {
		a.body.Close()
		a.body = nil
	}
}

func (a *subrequestClient) drop() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// Close implements exchange.Subrequester.
func (a *subrequestClient) Close() error {
	a.finish()
	a.drop()
	return nil
}

// shutdownGuard keeps connections from a loop that has ended.
type shutdownGuard struct {
	mu sync.RWMutex
	is bool // shut
}

func (g *shutdownGuard) enter() bool {
	g.mu.RLock()
	if g.is {
		g.mu.RUnlock()
		return false
	}
	return true
}

func (g *shutdownGuard) leave() { g.mu.RUnlock() }

func (g *shutdownGuard) shut() {
	g.mu.Lock()
	g.is = true
	g.mu.Unlock()
}

// answerBody reads the body of an answer.
type answerBody struct {
	io.Reader
	of   *subrequestClient
	ctx  context.Context
	stop func() bool // of what makes ctx end a Read
	size int64       // -1: not known
	last bool        // the connection ends with it
	err  error
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err = b.Reader.Read(p)
	if err != nil {
		if cause := b.ctx.Err(); cause != nil && err != io.EOF {
			err = cause
		}
		b.end(err)
	}
	return n, err
}

// end notes that there is no more, which a Close may come before.
func (b *answerBody) end(err error) {
	b.err = err
	inTime := b.stop()
	if err != io.EOF || b.last || !inTime {
		b.of.drop()
	}
}

// maxSkip is the largest body that is read to its end, though unwanted, to keep the connection.
const maxSkip = 64 << 10

// Close implements io.Closer.
func (b *answerBody) Close() error {
	if b.err == nil && (b.size < 0 || b.size > maxSkip) {
		b.end(io.ErrClosedPipe)
	}
	for b.err == nil {
		_, _ = io.Copy(io.Discard, b)
	}
	return nil
}

// ofConnection are the fields of an answer that are about the connection, or the loop's to say.
var ofConnection = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"}

// readAnswer reads the head of a response that this server has made.
func (a *subrequestClient) readAnswer() (*exchange.Answer, *answerBody, error) {
	r, err := http.ReadResponse(a.r, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("bug: an answer that cannot be read: %w", err)
	}
	_, reason, _ := strings.Cut(r.Status, " ")
	answer := &exchange.Answer{Status: r.StatusCode, Reason: reason, Length: r.ContentLength}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if slices.Contains(ofConnection, name) {
			continue
		}
		for _, value := range r.Header[name] {
			answer.Fields = append(answer.Fields, name+": "+value+"\r\n"...)
		}
	}
	return answer, &answerBody{Reader: r.Body, of: a, size: r.ContentLength, last: r.Close}, nil
}
