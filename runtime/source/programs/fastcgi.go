package programs

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fapws/runtime/backend"
)

type FastCGIOptions struct {
	// Address is "unix:/run/app.sock" or "host:port".
	Address string `key:"address" needs:"such as \"unix:/run/app.sock\"" short:"an address such as \"127.0.0.1:9000\""`

	// Dial, if not nil, opens links (connections to an application) instead of connecting to Address. Errors of Dial
	// are logged, and the text of an Unavailable is sent to the client, too.
	Dial func(ctx context.Context) (*Link, error)

	// Scripts finds the script for SCRIPT_FILENAME. If Scripts is nil, the application handles all paths, and
	// SCRIPT_NAME is the path of the mount.
	Scripts *Scripts

	// Fallback is the script for paths without a script. nil means a response with status 404 or 403.
	Fallback *Script

	Common

	Params []string `key:"params" is:"pairs"`

	Connections int `key:"connections" range:"1-10000"`

	// Idle is how long an unused link (a connection to the application) is kept open. 0 means that each request has its
	// own link. While a link to a process of PHP-FPM is open, this process serves no other client.
	Idle time.Duration `key:"idle"`

	// MaxRequests is the number of requests after which a link is closed. 0 means no limit.
	MaxRequests int
}

type FastCGI struct {
	o      FastCGIOptions
	places *Places
	links  backend.Idle[*Link]
}

// NewFastCGI returns a Responder, without connecting to the application.
func NewFastCGI(o FastCGIOptions) (*FastCGI, error) {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Connections = cmp.Or(o.Connections, defaultRunning)
	f := &FastCGI{o: o, places: NewPlaces(o.Connections, DefaultWaiting)}
	f.links = backend.Idle[*Link]{After: o.Idle, Most: o.Connections,
		Quiet: func(l *Link) bool { return backend.Quiet(l.Conn) }, Drop: func(l *Link) { l.Drop(false) }}
	if o.Dial == nil {
		network, address, err := parseAddress(o.Address)
		if err != nil {
			return nil, err
		}
		f.o.Dial = func(ctx context.Context) (*Link, error) {
			conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &Link{Conn: conn, Drop: func(bool) { conn.Close() }}, nil
		}
	}
	return f, nil
}

const dialTimeout = 5 * time.Second

func parseAddress(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && (strings.HasPrefix(path, "/") || strings.HasPrefix(path, "@")) {
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(text)
	if n, wrong := strconv.ParseUint(port, 10, 16); err != nil || host == "" || wrong != nil || n == 0 {
		return "", "", fmt.Errorf("%q is not the address of a FastCGI application: it must be unix:/PATH or HOST:PORT", text)
	}
	return "tcp", text, nil
}

// Close closes idle connections at once, and each active connection after its request. Any goroutine may call Close.
func (f *FastCGI) Close() { f.links.Close() }

// Idle returns the number of idle links, and is safe for concurrent use.
func (f *FastCGI) Idle() int { return f.links.Len() }

func (f *FastCGI) Respond(w *backend.ResponseWriter, r *backend.Request) {
	respond(w, r, f.o.Scripts, f.o.Fallback, &f.o.Common, f.o.Address, f.ask)
}

func (f *FastCGI) ask(a *Forwarder, script *Script, log func(line string)) error {
	r := a.R
	if err := f.places.Enter(r.Context, r.Account()); err != nil {
		return err
	}
	defer f.places.Leave(r.Account())
	params := make([]byte, 0, 2<<10)
	set := func(name, value string) { params = appendParam(params, name, value) }
	Variables(r, &f.o.SiteVariables, script, set)
	for _, pair := range f.o.Params {
		name, value, _ := strings.Cut(pair, "=")
		set(name, value)
	}
	for {
		l, kept := f.links.Take()
		if !kept {
			var err error
			if l, err = f.o.Dial(r.Context); err != nil {
				return err
			}
		}
		c := call{Link: l, answer: a, log: log, keep: f.o.Idle > 0}
		reusable, err := c.run(r, params, f.o.Timeout)
		if l.served++; reusable && c.keep && l.served != f.o.MaxRequests {
			f.links.Put(l)
		} else {
			l.Drop(errors.Is(err, os.ErrDeadlineExceeded))
		}
		if kept && !c.heard && r.Parsed.Safe && err == errBroken && r.Context.Err() == nil {
			continue
		}
		if err == nil && c.status != 0 {
			log(fmt.Sprintf("exit status %d", c.status))
		}
		return err
	}
}

type Link struct {
	Conn net.Conn

	// Drop closes Conn, and is called once, when the link is no longer used. If hangs is true, the application did not
	// respond in time, and Drop may kill its process.
	Drop func(hangs bool)

	// Heard, if not nil, is called when the first record of a response arrives.
	Heard func()

	served int
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxRecord) }}

const fastcgiShort = 2 * time.Millisecond

type call struct {
	*Link
	in     *bufio.Reader
	answer *Forwarder
	log    func(line string)
	keep   bool // the application keeps the link open after the response
	// receives the standard error of the application; nil before the first output
	errors io.WriteCloser
	heard  bool
	status int
}

var errBroken = errors.New("it closed the connection")

// run sends a request and forwards the response. run reports whether the link can be used for another request.
func (c *call) run(r *backend.Request, params []byte, timeout time.Duration) (reusable bool, err error) {
	// When the client disconnects, the server closes the connection to the application, which may continue.
	unbind := context.AfterFunc(r.Context, func() { c.Conn.Close() })
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c.Conn)
	sent := send(c.Conn, len(params), r, func(writer *bufio.Writer) error {
		const responder, keepConn = 1, 1
		flags := byte(0)
		if c.keep {
			flags = keepConn
		}
		_, _ = writer.Write(appendRecord(nil, typeBegin, []byte{0, responder, flags, 0, 0, 0, 0, 0}))
		_, _ = stream{writer, typeParams}.Write(params)
		_, _ = writer.Write(appendRecord(nil, typeParams, nil))
		if _, err := io.Copy(stream{writer, typeStdin}, r.Body()); err != nil {
			return err
		}
		_, err := writer.Write(appendRecord(nil, typeStdin, nil))
		return err
	})
	err = c.answer.passAll(fastcgiShort, timeout, c.take)
	if c.errors != nil {
		c.errors.Close()
	}
	whole := sent() == nil && c.in.Buffered() == 0
	c.in.Reset(nil)
	readers.Put(c.in)
	return unbind() && whole && err == nil, err
}

// take waits for the next record, at most for the duration wait, and processes the record. At the end of the response,
// take returns io.EOF.
func (c *call) take(wait time.Duration) error {
	c.Conn.SetReadDeadline(time.Now().Add(wait))
	kind, content, err := readRecord(c.in)
	if err != nil {
		return err
	}
	if !c.heard && c.Heard != nil {
		c.Heard()
	}
	c.heard = true
	switch {
	case kind == typeStdout && len(content) > 0:
		return c.answer.Write(content)
	case kind == typeStderr:
		if c.errors == nil {
			var lines io.ReadCloser
			lines, c.errors = io.Pipe()
			lastWords.Go(func() { logLines(lines, maxLine, c.log) })
		}
		_, _ = c.errors.Write(content)
	case kind == typeEnd:
		return c.finish(content)
	}
	return nil
}

// finish processes the last record, and returns io.EOF if the response is complete.
func (c *call) finish(content []byte) error {
	if len(content) < 8 {
		return errors.New("its last record is too short")
	}
	c.status = int(int32(binary.BigEndian.Uint32(content)))
	switch why := content[4]; why { // §5.5
	case completed:
		return io.EOF
	case overloaded:
		return ErrBusy
	default:
		return fmt.Errorf("it refuses the request (protocol status %d)", why)
	}
}

const direct = 32 << 10 // maximum size of a body that is sent together with the request head, in bytes

// send starts a goroutine that calls write to send the request, so that the response can arrive before a long body is
// sent. head is the size of the request head in bytes; the output buffer has room for the head and a short body. The
// returned function stops the goroutine, even if the application has not read the whole request, and returns the error
// of write.
func send(conn net.Conn, head int, r *backend.Request, write func(writer *bufio.Writer) error) (sent func() error) {
	result := make(chan error, 1)
	go func() {
		out := bufio.NewWriterSize(conn, head+int(min(r.Size, direct))+1<<10)
		err := write(out)
		result <- cmp.Or(err, out.Flush())
	}()
	return func() error {
		conn.SetWriteDeadline(time.Unix(1, 0))
		defer conn.SetWriteDeadline(time.Time{})
		return <-result
	}
}

// requestID is the request ID of all requests, because a connection carries one request at a time (FastCGI
// Specification, version 1.0, 1996).
const requestID = 1

const (
	typeBegin  = 1
	typeEnd    = 3
	typeParams = 4
	typeStdin  = 5
	typeStdout = 6
	typeStderr = 7

	completed  = 0
	overloaded = 2

	headerLen  = 8
	maxContent = 65535
	maxRecord  = headerLen + maxContent + 255
)

// The Reader must have room for the whole record. After os.ErrDeadlineExceeded, the next call continues to read the
// same record. content is valid until the next call.
func readRecord(reader *bufio.Reader) (kind uint8, content []byte, err error) {
	head, err := reader.Peek(headerLen)
	if err == nil {
		kind = head[1]
		id, size := binary.BigEndian.Uint16(head[2:]), int(binary.BigEndian.Uint16(head[4:]))
		switch {
		case head[0] != 1:
			return 0, nil, fmt.Errorf("it does not speak FastCGI 1.0: %q", head)
		case id != requestID:
			return 0, nil, fmt.Errorf("response to the unknown request %d", id)
		case kind != typeStdout && kind != typeStderr && kind != typeEnd:
			return 0, nil, fmt.Errorf("it sends a record of type %d", kind)
		}
		n := headerLen + size + int(head[6])
		if content, err = reader.Peek(n); err == nil {
			_, err = reader.Discard(n)
			return kind, content[headerLen:][:size], err
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		err = errBroken
	}
	return 0, nil, err
}

func appendRecord(dst []byte, kind uint8, content []byte) []byte {
	dst = append(dst, 1, kind, 0, requestID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(content)))
	dst = append(dst, 0, 0)
	return append(dst, content...)
}

// A stream is a Writer that splits its input into FastCGI records of one type. After a write error, all further writes
// return the same error.
type stream struct {
	out  *bufio.Writer
	kind uint8
}

func (s stream) Write(content []byte) (int, error) {
	for piece := range slices.Chunk(content, maxContent) {
		if _, err := s.out.Write(appendRecord(s.out.AvailableBuffer(), s.kind, piece)); err != nil {
			return 0, err
		}
	}
	return len(content), nil
}

// appendParam appends a name-value pair (§3.4).
func appendParam(dst []byte, name, value string) []byte {
	dst = appendLength(appendLength(dst, len(name)), len(value))
	return append(append(dst, name...), value...)
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}
