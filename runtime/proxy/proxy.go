// Package proxy answers requests with what another HTTP server says: a reverse
// proxy, as a Responder of package backend.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// Options says where requests go. The zero value of every field but Target
// works.
type Options struct {
	// Target is "http://host:port", "unix:/path/of/socket", or either with a path
	// behind it ("http://host:port/base/", "unix:/path/of/socket:/base/"). Without
	// one the path of a request stays as it is; a path takes the place of what the
	// prefix of the mount has matched.
	Target string

	// ReplaceHost sends the host of Target instead of the one that the client
	// asked for.
	ReplaceHost bool

	Connect time.Duration // for a connection to the server; 0: 5 s
	Timeout time.Duration // for the head of its response, and for each pause in the body; 0: 60 s

	// Log gets a line when the server cannot be reached or breaks off, once a
	// second at most, and with it the client whose request it was, or "". nil:
	// nobody hears of it. Any goroutine.
	Log func(client, line string)
}

// Proxy is a backend.Responder.
type Proxy struct {
	opt       Options
	host      string // for the Host field
	base      string // path that takes the place of the prefix; "": none
	transport *http.Transport
	said      atomic.Int64 // when Log was called last, Unix nanoseconds
}

const (
	connectDefault = 5 * time.Second
	timeoutDefault = 60 * time.Second
	keepIdle       = 20 * time.Second // less than most servers keep a connection
	maxIdle        = 64
	maxHead        = 64 << 10 // bytes of the head of a response
	bufferSize     = 32 << 10
)

// New checks o; it connects to nothing. The error is one line.
func New(o Options) (*Proxy, error) {
	if o.Connect == 0 {
		o.Connect = connectDefault
	}
	if o.Timeout == 0 {
		o.Timeout = timeoutDefault
	}
	network, address, base, err := parseTarget(o.Target)
	if err != nil {
		return nil, err
	}
	p := &Proxy{opt: o, base: base, host: address}
	if network == "unix" {
		p.host = "localhost"
	}
	dialer := net.Dialer{Timeout: o.Connect}
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        keepIdle,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: maxHead,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
	}
	return p, nil
}

// parseTarget takes Options.Target apart.
func parseTarget(target string) (network, address, base string, err error) {
	bad := fmt.Errorf("%q is neither http://host:port nor unix:/path", target)
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		path, base, _ = strings.Cut(path, ":")
		if !strings.HasPrefix(path, "/") || base != "" && !strings.HasPrefix(base, "/") {
			return "", "", "", bad
		}
		return "unix", path, base, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", "", bad
	}
	address = u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	return "tcp", address, u.Path, nil
}

// Close closes the connections that wait for requests.
func (p *Proxy) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

// Respond implements backend.Responder.
func (p *Proxy) Respond(w *backend.Response, r *backend.Request) {
	if strings.EqualFold(r.Field("Upgrade"), "websocket") && r.Parsed.Upgrade {
		w.Refuse(501, "WebSockets cannot be passed on")
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context)
	defer cancel(nil)
	request := p.request(ctx, r)
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 999 {
		p.complain(r, "it answers with the status %d", response.StatusCode)
		w.Refuse(502, "")
		return
	}
	head, ok := responseHead(response)
	if !ok {
		p.complain(r, "its response has a field with a control character")
		w.Refuse(502, "")
		return
	}
	w.Start(head)
	if err := p.copy(w, response, cancel); err != nil && !errors.Is(err, backend.ErrGone) {
		if r.Context.Err() == nil {
			p.complain(r, "a response broke off: %v", cause(ctx, err))
		}
		w.Fail()
	}
}

var errPaused = errors.New("nothing came for too long")

// copy passes the body on as it comes. The time that the client takes does not
// count.
func (p *Proxy) copy(w *backend.Response, response *http.Response, cancel context.CancelCauseFunc) error {
	watch := time.AfterFunc(p.opt.Timeout, func() { cancel(errPaused) })
	defer watch.Stop()
	buf := make([]byte, bufferSize)
	for {
		n, err := response.Body.Read(buf)
		if n > 0 {
			watch.Stop()
			if _, gone := w.Write(buf[:n]); gone != nil {
				return gone
			}
			if response.ContentLength < 0 { // it may be long until more comes
				if gone := w.Flush(); gone != nil {
					return gone
				}
			}
			watch.Reset(p.opt.Timeout)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// refuse answers for a server that has not.
func (p *Proxy) refuse(w *backend.Response, r *backend.Request, err error) {
	if r.Context.Err() != nil { // the client has left
		w.Refuse(502, "")
		return
	}
	p.complain(r, "%v", err)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		w.Refuse(504, "the server behind this one does not answer")
		return
	}
	w.Refuse(502, "the server behind this one cannot be reached")
}

// cause returns why ctx ended, or err.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

func (p *Proxy) complain(r *backend.Request, format string, args ...any) {
	if p.opt.Log == nil {
		return
	}
	now := time.Now().UnixNano()
	if last := p.said.Load(); now-last < int64(time.Second) || !p.said.CompareAndSwap(last, now) {
		return
	}
	p.opt.Log(r.Client(), "proxy "+p.opt.Target+": "+fmt.Sprintf(format, args...))
}

// responseHead returns the head of a response without what was between the
// server and us. ok is false if a field cannot be passed on.
func responseHead(response *http.Response) (head exchange.Head, ok bool) {
	_, reason, _ := strings.Cut(response.Status, " ")
	head = exchange.Head{Status: response.StatusCode, Reason: []byte(reason), Length: response.ContentLength}
	if !clean(reason) {
		return head, false
	}
	drop(response.Header)
	response.Header.Del("Content-Length")
	// What another server says does not make anybody a listener here: it need not be
	// one that is to decide who hears what.
	response.Header.Del("Fapws-Channel")
	for name, values := range response.Header {
		for _, value := range values {
			if !clean(value) || !clean(name) {
				return head, false
			}
			head.Fields = append(append(append(append(head.Fields, name...), ": "...), value...), "\r\n"...)
		}
		head.HasDate = head.HasDate || name == "Date"
		head.HasServer = head.HasServer || name == "Server"
	}
	return head, true
}

func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
