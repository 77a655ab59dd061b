package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type Result struct {
	counts
	options *Options
	elapsed time.Duration
	cpu     time.Duration
	stopped bool
}

// Run sends requests until all requests have been sent or ctx ends. If Run fails, the result is nil, and the text of
// the error is a line for the user.
func Run(ctx context.Context, o *Options) (*Result, error) {
	t, err := newTarget(o)
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(o.Threads)
	debug.SetGCPercent(moreGarbage)
	r := &Result{options: o, counts: newCounts()}
	g := newGenerator(ctx, t, &r.counts)
	switch g.connect(); {
	case ctx.Err() != nil:
		return nil, errors.New("stopped while connecting")
	case g.open == 0:
		for why := range r.refused {
			return nil, fmt.Errorf("%s: %s", o.URL, why)
		}
	}
	before := cpuTime()
	g.run(ctx)
	r.stopped = ctx.Err() != nil
	r.elapsed, r.cpu = g.now(), cpuTime()-before
	r.received = g.received.Load()
	return r, nil
}

// moreGarbage is the value of GOGC for the generator. It is high, so that the many short-lived objects for responses
// cause few collections.
const moreGarbage = 800

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Failed reports whether a request got no response or an error response (RFC 9110 §15.5, §15.6).
func (r *Result) Failed() bool {
	for status := range r.statuses {
		if status >= 400 {
			return true
		}
	}
	return len(r.failures) > 0 || len(r.refused) > 0
}

type target struct {
	*Options
	network, address string
	tls              *tls.Config
	asked            *http.Request
	request          []byte
}

// The text of an error is a line for the user.
func newTarget(o *Options) (t *target, err error) {
	t = &target{Options: o, network: "unix", address: o.socket}
	if o.socket == "" {
		if err := t.resolve(o.url); err != nil {
			return nil, err
		}
		o.URL = o.url.Redacted()
	}
	if o.url.Scheme == "https" {
		if t.tls, err = tlsConfig(o.url.Hostname(), o); err != nil {
			return nil, err
		}
	}
	return t, t.makeRequest(o.url)
}

// parseURL parses a URL, or a text such as "unix:/path/of/socket:/path". socket is "" unless the text names a unix
// socket.
func parseURL(typed string) (socket string, u *url.URL, err error) {
	text := typed
	if rest, ok := strings.CutPrefix(typed, "unix:"); ok && rest != "" {
		socket, text, _ = strings.Cut(rest, ":")
		text = "http://localhost/" + strings.TrimPrefix(text, "/")
	} else if !strings.Contains(typed, "://") {
		text = "http://" + typed // for example, "localhost:8888/" means "http://localhost:8888/"
	}
	if u, err = url.Parse(text); err != nil {
		return "", nil, fmt.Errorf("%s is not a URL such as http://127.0.0.1:8888/", typed)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", nil, fmt.Errorf("%s: must be a URL with http:// or https:// and a host", typed)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", nil, fmt.Errorf("port %s: must be from 1 to 65535", port)
		}
	}
	return socket, u, nil
}

// resolve finds an address of the server that accepts connections (RFC 8305).
func (t *target) resolve(u *url.URL) error {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	t.network, t.address = "tcp", net.JoinHostPort(u.Hostname(), port)
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil
	}
	c, err := net.DialTimeout(t.network, t.address, t.Timeout)
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fmt.Errorf("%s: the name is not known", u.Hostname())
	case err != nil:
		return fmt.Errorf("%s: %s", u.Redacted(), notOpened(err))
	}
	t.address = c.RemoteAddr().String()
	return c.Close()
}

func tlsConfig(host string, o *Options) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, InsecureSkipVerify: o.Insecure, NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS12}
	if o.HTTP2 {
		c.NextProtos = []string{"h2"}
	}
	if o.CAFile != "" {
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: has no certificate in PEM format", o.CAFile)
		}
	}
	return c, nil
}

// Header fields that the user has given replace default fields.
func (t *target) makeRequest(u *url.URL) (err error) {
	var body io.Reader
	if t.Body != nil {
		body = bytes.NewReader(t.Body)
	}
	if t.asked, err = http.NewRequest(t.Method, u.String(), body); err != nil {
		return err
	}
	t.asked.Header = t.Fields.Clone()
	t.asked.Host = cmp.Or(t.Fields.Get("Host"), t.asked.Host)
	for name, value := range map[string]string{"User-Agent": "fapws-request", "Accept": "*/*"} {
		if t.asked.Header[name] == nil {
			t.asked.Header.Set(name, value)
		}
	}
	if password, _ := u.User.Password(); u.User != nil && t.asked.Header["Authorization"] == nil { // RFC 7617
		t.asked.SetBasicAuth(u.User.Username(), password)
	}
	t.asked.Header.Del("Host")
	t.asked.Close = t.Close
	var text bytes.Buffer
	if err = t.asked.Write(&text); err != nil {
		return err
	}
	t.request = text.Bytes()
	return nil
}
