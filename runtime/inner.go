package runtime

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"

	"golang.org/x/sys/unix"
)

// inner is what the loop knows of a connection of the server to itself, by
// which a handler has it answer another request (exchange.Inner). It goes the
// way of all others, so routing, pipelining and back-pressure are the same. It
// has no slot of Config.MaxClients, no line in the access log, and may still
// begin when the server stops: what it is for has begun before.
type inner struct {
	depth int
	value any
}

// asker implements exchange.Inner: the client's end of such a connection, made
// when it is first used and kept for the next request.
type asker struct {
	s      *Server
	origin exchange.Origin
	conn   net.Conn
	r      *bufio.Reader
	body   *innerBody // of the last answer
}

func (s *Server) inner(o exchange.Origin) exchange.Inner { return &asker{s: s, origin: o} }

var (
	errStopped    = errors.New("the server has stopped")
	errBadTarget  = errors.New("not an absolute path of a URL")
	errBadAnswer  = errors.New("bug: an answer that cannot be read")
	errAnswerHead = errors.New("the head of the answer is too long")
)

// maxAnswerHead bounds the head of an answer to an inner request, in bytes.
const maxAnswerHead = 64 << 10

// Ask implements exchange.Inner.
func (a *asker) Ask(ctx context.Context, target string, fields []byte) (*exchange.Answer, error) {
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
func (a *asker) request(target string, fields []byte) []byte {
	b := append(make([]byte, 0, 64+len(target)+len(fields)), "GET "...)
	b = append(append(b, target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, a.origin.Host...), '\r', '\n')
	b = append(b, fields...)
	return append(b, '\r', '\n')
}

// errNoAnswer says that a connection ended without a byte.
var errNoAnswer = errors.New("no answer")

func (a *asker) try(ctx context.Context, request []byte) (*exchange.Answer, error) {
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
func (a *asker) exchange(request []byte) (*exchange.Answer, error) {
	if _, err := a.conn.Write(request); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	if _, err := a.r.Peek(1); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	answer, body, err := readAnswer(a.r)
	if err != nil {
		return nil, err
	}
	body.of = a
	a.body, answer.Body = body, body
	return answer, nil
}

// connect makes a connection to the server's loop.
func (a *asker) connect() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	ours, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	theirs, err := connOf(fds[1])
	if err == nil {
		err = a.enrol(theirs)
	}
	if err != nil {
		ours.Close()
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

func (a *asker) enrol(nc net.Conn) error {
	peer := a.origin.Peer
	c := &conn{local: nc.LocalAddr(), remote: nc.RemoteAddr(), peer: &peer, inner: &inner{depth: a.origin.Depth + 1, value: a.origin.Value}}
	if a.origin.Root != "" {
		c.front = &front{root: a.origin.Root}
	}
	if !a.s.gate.enter() {
		nc.Close()
		return errStopped
	}
	defer a.s.gate.leave()
	return a.s.enrol(nc, c)
}

// finish makes the connection ready for the next request, or drops it.
func (a *asker) finish() {
	if a.body != nil {
		a.body.Close()
		a.body = nil
	}
}

func (a *asker) drop() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// Close implements exchange.Inner.
func (a *asker) Close() error {
	a.finish()
	a.drop()
	return nil
}

// gate lets nobody bring connections to a loop that has ended: gnet would not
// answer.
type gate struct {
	mu sync.RWMutex
	is bool // shut
}

func (g *gate) enter() bool {
	g.mu.RLock()
	if g.is {
		g.mu.RUnlock()
		return false
	}
	return true
}

func (g *gate) leave() { g.mu.RUnlock() }

func (g *gate) shut() {
	g.mu.Lock()
	g.is = true
	g.mu.Unlock()
}

// innerBody reads the body of an answer.
type innerBody struct {
	of      *asker
	ctx     context.Context
	stop    func() bool // of what makes ctx end a Read
	framing http1.Framing
	left    int64 // if Sized
	chunks  http1.ChunkedReader
	last    bool // the connection ends with it
	err     error
}

// Read implements io.Reader.
func (b *innerBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err = b.read(p)
	if err != nil {
		if cause := b.ctx.Err(); cause != nil && err != io.EOF {
			err = cause
		}
		b.end(err)
	}
	return n, err
}

func (b *innerBody) read(p []byte) (n int, err error) {
	r := b.of.r
	switch b.framing {
	case http1.NoBody:
		return 0, io.EOF
	case http1.Sized:
		if b.left == 0 {
			return 0, io.EOF
		}
		n, err = r.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	case http1.Chunked:
		for n == 0 && err == nil {
			n, err = b.readChunk(p)
		}
		return n, err
	}
	return r.Read(p)
}

// readChunk reads from a chunked body, perhaps nothing.
func (b *innerBody) readChunk(p []byte) (int, error) {
	if b.chunks.Done() {
		return 0, io.EOF
	}
	r := b.of.r
	if _, err := r.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	src, _ := r.Peek(r.Buffered())
	// Of data no more than p holds; what frames it is shorter than it is.
	data, used, err := b.chunks.Next(src[:min(len(src), len(p))])
	n := copy(p, data)
	r.Discard(used)
	if err == http1.ErrNeedMore {
		err = nil
	}
	return n, err
}

// end notes that there is no more, which a Close may come before.
func (b *innerBody) end(err error) {
	b.err = err
	inTime := b.stop()
	if err != io.EOF || b.last || !inTime {
		b.of.drop()
	}
}

// maxSkip is how much of a body nobody wants is read to keep the connection.
const maxSkip = 64 << 10

// Close implements io.Closer.
func (b *innerBody) Close() error {
	if b.err == nil && (b.framing != http1.Sized || b.left > maxSkip) {
		b.end(io.ErrClosedPipe)
	}
	for b.err == nil {
		_, _ = io.Copy(io.Discard, b)
	}
	return nil
}

// readAnswer reads the head of a response that this server has made.
func readAnswer(r *bufio.Reader) (*exchange.Answer, *innerBody, error) {
	a, b := &exchange.Answer{Length: -1}, &innerBody{framing: http1.UntilClose}
	line, err := readLine(r, maxAnswerHead)
	if err != nil {
		return nil, nil, err
	}
	// HTTP/1.1 200 OK
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return nil, nil, errBadAnswer
	}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return nil, nil, errBadAnswer
	}
	a.Reason = strings.TrimSpace(string(line[12:]))
	for left := maxAnswerHead - len(line); ; left -= len(line) {
		if line, err = readLine(r, left); err != nil {
			return nil, nil, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(bytes.ToLower(name)) {
		case "content-length":
			if a.Length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return nil, nil, errBadAnswer
			}
			b.framing, b.left = http1.Sized, a.Length
		case "transfer-encoding":
			b.framing = http1.Chunked
		case "connection":
			b.last = bytes.EqualFold(value, []byte("close"))
		case "keep-alive", "date", "server":
		default:
			a.Fields = append(a.Fields, line...)
		}
	}
	if a.Status < 200 || a.Status == 204 || a.Status == 304 {
		b.framing = http1.NoBody
	}
	return a, b, nil
}

// readLine reads a line with its end, of at most limit bytes.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		if len(line)+len(piece) > limit {
			return nil, errAnswerHead
		}
		line = append(line, piece...)
		if err == nil {
			return line, nil
		}
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}
