package programs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A Forwarder forwards the output of a program to the client, first the head, then the body as it arrives, on the
// goroutine that calls Respond.
type Forwarder struct {
	W   *backend.ResponseWriter
	R   *backend.Request
	Raw bool // the program itself writes an HTTP head (nph-)

	// Plain forbids responses that name a file or another page of the server, because the program may have fewer rights
	// than the server.
	Plain bool

	buf  []byte
	head OutputHead // head of the response; complete if Status is not 0
	// a file is sent instead of the body, after the end of the output
	sends bool
}

// errNoType is the error of a body without a type (RFC 3875 §6.3.1).
var errNoType = errors.New("the response has a body but no Content-Type")

var errNoResponse = errors.New("no response")

// Write processes a piece of the output. If the client has disconnected, the error is backend.ErrGone. Otherwise the
// error describes an invalid head in one line, and Write has sent nothing to the client.
func (a *Forwarder) Write(p []byte) error {
	if a.head.Status == 0 {
		a.buf = append(a.buf, p...)
		head, n, err := ParseHead(a.buf, a.Raw)
		if errors.Is(err, ErrNeedMore) {
			return nil
		}
		if err != nil {
			return err
		}
		head.Local = head.Local && !a.Plain
		a.sends = !head.Local && head.send(a.W, a.Plain)
		a.head = head
		p, a.buf = a.buf[n:], nil
	}
	if a.head.Local || a.sends {
		return nil
	}
	if a.typeMissing() {
		if len(p) > 0 {
			return errNoType
		}
		return nil
	}
	a.W.Start(a.head.Head)
	_, err := a.W.Write(p)
	return err
}

func (a *Forwarder) typeMissing() bool {
	h := &a.head
	return !h.HasType && !a.Raw && h.Location == "" && h.Status != 204 && h.Status != 304 && !a.R.Parsed.Head
}

// passAll forwards output until its end. take reads output, and returns os.ErrDeadlineExceeded if none arrives within
// the duration wait, and io.EOF at the end of the output. passAll waits up to timeout for more output. Before
// passAll sends output, it waits for the duration short, because most programs end soon after writing, so that the
// response can have a Content-Length.
func (a *Forwarder) passAll(short, timeout time.Duration, take func(wait time.Duration) error) error {
	for wait := timeout; ; {
		switch err := take(wait); {
		case err == nil:
			wait = short
		case err == io.EOF:
			return a.End()
		case errors.Is(err, os.ErrDeadlineExceeded) && wait == short:
			if a.W.Started() {
				if err := a.W.Flush(); err != nil {
					return err
				}
			}
			wait = timeout
		default:
			return err
		}
	}
}

// End processes the end of the output, must be called before Redirect, and returns the same errors as Write.
func (a *Forwarder) End() error {
	switch {
	case a.head.Status == 0 && len(a.buf) == 0:
		return errNoResponse
	case a.head.Status == 0:
		return ErrNeedMore
	case !a.head.Local:
		a.W.Start(a.head.Head)
	}
	return nil
}

// Redirect responds with another page of this server if the program has requested a local redirect. Redirect must be
// called after End, and after the caller has released resources that the other page may need, such as a place in the
// Places.
func (a *Forwarder) Redirect() error {
	if !a.head.Local {
		return nil
	}
	return a.W.Relay(a.R, a.head.Location)
}

const (
	MaxHead   = 64 << 10 // in bytes
	maxFields = 200
)

type OutputHead struct {
	exchange.Head
	Location string
	Local    bool // Location is a path of this server, which sends the page at this path instead (RFC 3875 §6.2.2)
	HasType  bool

	// values of X-Sendfile, X-Accel-Redirect (which Fields contains, too) and Fapws-Channel
	sendfile, accel, channels []byte
}

var ErrNeedMore = errors.New("the response ended within its header")

// ParseHead parses the head at the front of data and returns its length including the empty line. Lines end with LF or
// CRLF. raw is true for programs whose output begins with an HTTP status line (nph-). Slices in the OutputHead are
// copies.
//
// Errors other than ErrNeedMore have one line.
func ParseHead(data []byte, raw bool) (h OutputHead, n int, err error) {
	h.Length = -1
	count := 0
	for {
		end := bytes.IndexByte(data[n:], '\n')
		if end < 0 && len(data) <= MaxHead {
			return h, 0, ErrNeedMore
		}
		if end < 0 || n+end > MaxHead {
			return h, 0, fmt.Errorf("the header exceeds %d bytes", MaxHead)
		}
		line := bytes.TrimSuffix(data[n:n+end], []byte{'\r'})
		n += end + 1
		if len(line) == 0 {
			break
		}
		if raw && h.Status == 0 {
			if err := h.statusLine(line); err != nil {
				return h, 0, err
			}
			continue
		}
		if count++; count > maxFields {
			return h, 0, fmt.Errorf("the header has more than %d fields", maxFields)
		}
		if err := h.field(line, raw); err != nil {
			return h, 0, err
		}
	}
	if raw && h.Status == 0 || count == 0 && !raw {
		return h, 0, errors.New("the header is empty")
	}
	h.settle()
	return h, n, nil
}

func (h *OutputHead) statusLine(line []byte) error {
	version, status, _ := bytes.Cut(line, []byte{' '})
	if !bytes.HasPrefix(version, []byte("HTTP/")) {
		return fmt.Errorf("invalid status line: %.80q", line)
	}
	return h.status(status)
}

func (h *OutputHead) status(value []byte) error {
	code, reason, _ := bytes.Cut(value, []byte{' '})
	n, err := strconv.ParseUint(string(code), 10, 16)
	if err != nil || len(code) != 3 || n < 200 {
		return fmt.Errorf("invalid status: %.80q", value)
	}
	h.Status, h.Reason = int(n), bytes.Clone(bytes.TrimSpace(reason))
	if !httpguts.ValidHeaderFieldValue(string(h.Reason)) {
		return fmt.Errorf("invalid status: %.80q", value)
	}
	return nil
}

func (h *OutputHead) field(line []byte, raw bool) error {
	name, value, ok := bytes.Cut(line, []byte{':'})
	value = bytes.Trim(value, " \t")
	if !ok || !httpguts.ValidHeaderFieldName(string(name)) || !httpguts.ValidHeaderFieldValue(string(value)) {
		return fmt.Errorf("invalid header line: %.80q", line)
	}
	switch string(bytes.ToLower(name)) {
	case "status":
		if raw {
			return nil // ignore the Status field, because the status line determines the status
		}
		if h.Status != 0 {
			return errors.New("the header has more than one status")
		}
		return h.status(value)
	case "content-length":
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 || value[0] == '+' || h.Length >= 0 && h.Length != n {
			return fmt.Errorf("invalid Content-Length: %.80q", value)
		}
		h.Length = n
		return nil
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		// Omit hop-by-hop fields, because the connection to the client belongs to the server.
		return nil
	case "location":
		if h.Location != "" || len(value) == 0 {
			return errors.New("the header has more than one Location, or an empty one")
		}
		h.Location = string(value)
	case "content-type":
		if h.HasType {
			return errors.New("the header has more than one Content-Type")
		}
		h.HasType = true
	case "date":
		h.HasDate = true
	case "server":
		h.HasServer = true
	case "x-sendfile": // names a file of the server; clients must not see the name
		if len(h.sendfile) == 0 {
			h.sendfile = bytes.Clone(value)
		}
		return nil
	case "x-accel-redirect":
		if len(h.accel) == 0 {
			h.accel = bytes.Clone(value)
		}
	case "fapws-channel": // makes the client a subscriber, and is not sent to it
		if len(h.channels) > 0 {
			h.channels = append(h.channels, ',')
		}
		h.channels = append(h.channels, value...)
		h.HasType = true
		return nil
	}
	h.Fields = append(append(append(append(h.Fields, name...), ": "...), value...), "\r\n"...)
	return nil
}

// send handles the header fields in which a program names a file or channels to send, if these fields are enabled. send
// reports whether the server will send a file.
func (h *OutputHead) send(w *backend.ResponseWriter, plain bool) (file bool) {
	counts := w.Sends()
	switch {
	case !plain && counts.File != nil && len(h.sendfile) > 0:
		h.Then = w.Then(counts.File, "X-Sendfile", h.sendfile)
	case !plain && counts.Accel != nil && len(h.accel) > 0:
		h.Then = w.Then(counts.Accel, "X-Accel-Redirect", h.accel)
	case counts.Subscribe != nil && len(h.channels) > 0:
		h.Then = w.Then(counts.Subscribe, "Fapws-Channel", h.channels)
		return false
	default:
		return false
	}
	h.Fields = http1.WithoutField(h.Fields, []byte("X-Accel-Redirect"))
	return true
}

func (h *OutputHead) settle() {
	if h.Status != 0 {
		return
	}
	h.Status = 200
	if h.Location == "" {
		return
	}
	h.Status = 302
	// A redirect with other fields, such as cookies, is sent to the client, because in a local redirect "the CGI script
	// MUST NOT return any other header fields".
	only := bytes.Count(h.Fields, []byte{'\n'}) == 1
	h.Local = only && h.Location[0] == '/' && !bytes.HasPrefix([]byte(h.Location), []byte("//"))
}
