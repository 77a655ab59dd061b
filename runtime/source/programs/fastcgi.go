package programs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/backend"
)

// FastCGIOptions describe an application.
type FastCGIOptions struct {
	// Address is "unix:/run/app.sock" or "host:port".
	Address string `key:"address" needs:"such as \"unix:/run/app.sock\"" short:"an address such as \"unix:/run/app.sock\" or \"127.0.0.1:9000\""`

	// Dial makes links in the place of connecting to Address. Its errors are for
	// the log, but those of type Unavailable.
	Dial func(ctx context.Context) (*Link, error)

	// Scripts finds SCRIPT_FILENAME. nil: the application itself handles
	// any path, and SCRIPT_NAME is that of the mount.
	Scripts *Scripts

	// Fallback answers for paths that Scripts has nothing for. nil: 404 or 403.
	Fallback *Script

	Common

	// Params are added to the meta-variables: "NAME=value".
	Params []string `key:"params" is:"pairs"`

	// Connections bounds the connections, and so the requests at the same time. 0: 16.
	Connections int `key:"connections" range:"1-10000"`

	// Idle is after how long an unused link is dropped. 0: 60 s.
	Idle time.Duration `key:"idle"`

	// MaxRequests is after how many requests a link is dropped. 0: never.
	MaxRequests int
}

// FastCGI is a backend.Responder.
type FastCGI struct {
	o     FastCGIOptions
	gate  *Gate
	links backend.Idle[*Link]
}

// NewFastCGI returns a Responder; nothing is connected yet. The error is one line.
func NewFastCGI(o FastCGIOptions) (*FastCGI, error) {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Connections = cmp.Or(o.Connections, DefaultRunning)
	o.Idle = cmp.Or(o.Idle, time.Minute)
	f := &FastCGI{o: o, gate: NewGate(o.Connections, DefaultWaiting)}
	f.links = backend.Idle[*Link]{
		After: o.Idle,
		Most:  o.Connections,
		Quiet: func(l *Link) bool { return backend.Quiet(l.Conn) },
		Drop:  func(l *Link) { l.Drop(false) },
	}
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

// Close drops the connections, those in use when their requests have ended. Any
// goroutine.
func (f *FastCGI) Close() { f.links.Close() }

// Idle returns the number of connections that wait for a request. It is safe for concurrent use.
func (f *FastCGI) Idle() int { return f.links.Len() }

// Respond implements backend.Responder.
func (f *FastCGI) Respond(w *backend.Response, r *backend.Request) {
	respond(w, r, f.o.Scripts, f.o.Fallback, &f.o.Common, f.o.Address, f.ask)
}

// ask has the application answer.
func (f *FastCGI) ask(a *Answer, script *Script, log func(line string)) error {
	r := a.R
	if err := f.gate.Enter(r.Context); err != nil {
		return err
	}
	defer f.gate.Leave()
	params := make([]byte, 0, 2<<10)
	set := func(name, value string) { params = appendParam(params, name, value) }
	Variables(r, &f.o.Site, script, set)
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
		c := call{Link: l, answer: a, log: log}
		reusable, err := c.run(r, params, f.o.Timeout)
		if l.served++; reusable && l.served != f.o.MaxRequests {
			f.links.Put(l)
		} else {
			l.Drop(errors.Is(err, os.ErrDeadlineExceeded))
		}
		if kept && !c.heard && r.Parsed.Safe && err == errBroken && r.Context.Err() == nil {
			continue // it was closed just when it was taken
		}
		if err == nil && c.status != 0 {
			log(fmt.Sprintf("exit status %d", c.status))
		}
		return err
	}
}
