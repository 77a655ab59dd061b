package programs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"fapws/runtime/backend"
)

// Answer passes on the output of a program: first the head, then the body as it comes. It must be used on the
// goroutine of Respond.
type Answer struct {
	W   *backend.Response
	R   *backend.Request
	Raw bool // the program writes an HTTP head (nph-)

	// Plain: neither a file nor another page of the server answers in place of the program, which may read less than the server.
	Plain bool

	buf     []byte // the head as far as it has come
	head    Head
	parsed  bool
	sends   bool // a file is sent instead of the body, when the output has ended
	started bool // the head went on
}

// errNoType is for a body without a type (RFC 3875 §6.3.1).
var errNoType = errors.New("the response has a body but no Content-Type")

// Write takes in a piece of the output. The error is backend.ErrGone, or of one
// line, about the head: the client has got nothing then.
func (a *Answer) Write(p []byte) error {
	if !a.parsed {
		a.buf = append(a.buf, p...)
		head, n, err := ParseHead(a.buf, a.Raw)
		if errors.Is(err, ErrNeedMore) {
			return nil
		}
		if err != nil {
			return err
		}
		a.head, a.parsed = head, true
		if a.Plain {
			a.head.Local = false
		}
		a.sends = !a.Plain && !head.Local && a.head.send(a.W.Sends())
		p, a.buf = a.buf[n:], nil
	}
	if a.head.Local || a.sends {
		return nil // the rest is not sent
	}
	if !a.started {
		if a.typeMissing() {
			if len(p) > 0 {
				return errNoType
			}
			return nil // it may have no body
		}
		a.start()
	}
	_, err := a.W.Write(p)
	return err
}

func (a *Answer) typeMissing() bool {
	h := &a.head
	return !h.HasType && !a.Raw && h.Location == "" && h.Status != 204 && h.Status != 304 && !a.R.Parsed.Head
}

func (a *Answer) start() {
	a.started = true
	a.W.Start(a.head.Head)
}

// Flush sends the output so far, because more takes long.
func (a *Answer) Flush() error {
	if !a.started {
		return nil
	}
	return a.W.Flush()
}

// End is for the end of the output, before Redirect. The error is as with Write.
func (a *Answer) End() error {
	switch {
	case !a.parsed && len(a.buf) == 0:
		return errors.New("no response")
	case !a.parsed:
		return ErrNeedMore
	case !a.started && !a.head.Local:
		a.start()
	}
	return nil
}

// Redirect answers with another page of this server, if the program has asked for
// that. It is for after End, when nothing is held any more that the other page
// may need.
func (a *Answer) Redirect() error {
	if !a.head.Local || a.started {
		return nil
	}
	return a.W.Relay(a.R, a.head.Location)
}

// ParseCGIOptions reads the options of a CGIApplication of Python. Options that depend on the process (Site, Gate, Log)
// are not in it. The error is one line.
func ParseCGIOptions(text string) (o CGIOptions, err error) {
	var said struct {
		Path         string
		Timeout      float64 // seconds
		Interpreters map[string][]string
		Env          map[string]string
		Index        []string
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return o, err
	}
	o.Root, o.Index = said.Path, said.Index
	o.Timeout = time.Duration(said.Timeout * float64(time.Second))
	if info, err := os.Stat(said.Path); err == nil && !info.IsDir() {
		o.Root, o.Only = filepath.Dir(said.Path), filepath.Base(said.Path)
	}
	o.Interpreters = map[string][]string{}
	for extension, command := range said.Interpreters {
		if len(command) > 0 {
			program, err := exec.LookPath(command[0])
			if err != nil {
				return o, fmt.Errorf("interpreter for %q: program %s not found", extension, command[0])
			}
			command[0] = program
		}
		o.Interpreters[extension] = command
	}
	for name, value := range said.Env {
		o.Env = append(o.Env, name+"="+value)
	}
	return o, nil
}
