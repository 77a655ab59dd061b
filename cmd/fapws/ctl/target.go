package ctl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/process"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// target is the server, and what it is sent.
type target struct {
	address netip.AddrPort
	socket  string      // of a unix socket, in the place of address; "": TCP
	tls     *tls.Config // nil: plain
	http2   bool
	close   bool
	head    bool                // the method is HEAD: responses have no body
	request []byte              // a request of HTTP/1.1, whole
	fields  []hpack.HeaderField // a request of HTTP/2
	body    []byte
	streams int
	timeout time.Duration
}

// newTarget resolves the name of the server and makes its requests. Its errors are lines for the user.
func newTarget(o *BenchOptions) (*target, error) {
	socket, u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	secure := u.Scheme == "https"
	t := &target{http2: o.HTTP2, close: o.Close, head: o.Method == "HEAD", body: o.Body, streams: o.Streams, timeout: o.Timeout, socket: socket}
	if socket == "" {
		if err := t.resolve(u, o.Timeout); err != nil {
			return nil, err
		}
		o.URL = u.Redacted() // for the report
	}
	if secure {
		if t.tls, err = tlsConfig(u.Hostname(), o); err != nil {
			return nil, err
		}
	}
	t.makeRequests(u, o)
	return t, nil
}

// parseURL reads the URL as typed; socket is "" without one.
func parseURL(typed string) (socket string, u *url.URL, err error) {
	socket, text := onSocket(typed)
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

// onSocket divides "unix:/path/of/socket:/path", the form that targets of proxies have, into the socket and a URL. Any other URL is of no socket.
func onSocket(s string) (socket, url string) {
	rest, ok := strings.CutPrefix(s, "unix:")
	if !ok || rest == "" {
		return "", withScheme(s)
	}
	socket, path, _ := strings.Cut(rest, ":")
	return socket, "http://localhost/" + strings.TrimPrefix(path, "/")
}

// withScheme completes "localhost:8888/" as browsers do.
func withScheme(s string) string {
	if strings.Contains(s, "://") {
		return s
	}
	return "http://" + s
}

func (t *target) resolve(u *url.URL, timeout time.Duration) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, _ := strconv.ParseUint(port, 10, 16) // parseURL has checked it
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		var unknown *net.DNSError
		if errors.As(err, &unknown) && unknown.IsNotFound {
			return fmt.Errorf("%s: the name is not known", u.Hostname())
		}
		return err
	}
	t.address = netip.AddrPortFrom(addresses[0].Unmap(), uint16(n))
	if len(addresses) == 1 {
		return nil
	}
	// "localhost" is ::1, too, where a server may not listen: the first address that accepts (RFC 8305).
	if c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port)); err == nil {
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			a := a.AddrPort()
			t.address = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
		c.Close()
	}
	return nil
}

// sockaddr returns the address of t for connect(2), and its family. package unix writes into it.
func (t *target) sockaddr() (unix.Sockaddr, int) {
	a := t.address
	if t.socket != "" {
		return &unix.SockaddrUnix{Name: t.socket}, unix.AF_UNIX
	}
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	to := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone, err := net.InterfaceByName(a.Addr().Zone()); err == nil {
		to.ZoneId = uint32(zone.Index)
	}
	return to, unix.AF_INET6
}

func tlsConfig(host string, o *BenchOptions) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, InsecureSkipVerify: o.Insecure, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
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

// makeRequests makes the bytes of a request of HTTP/1.1 and the fields of one of HTTP/2 (RFC 9113 §8.3.1). Fields that a user has
// given take the place of ours.
func (t *target) makeRequests(u *url.URL, o *BenchOptions) {
	host := u.Host
	path := u.RequestURI()
	own := [][2]string{{"User-Agent", "fapws/" + process.Version}, {"Accept", "*/*"}}
	if u.User != nil { // RFC 7617
		password, _ := u.User.Password()
		own = append(own, [2]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))})
	}
	for _, f := range o.Fields {
		if strings.EqualFold(f[0], "Host") {
			host = f[1]
			continue
		}
		for i := range own {
			if strings.EqualFold(own[i][0], f[0]) {
				own[i][0] = ""
			}
		}
		own = append(own, f)
	}
	if o.Body != nil {
		own = append(own, [2]string{"Content-Length", strconv.Itoa(len(o.Body))})
	}
	t.fields = []hpack.HeaderField{{Name: ":method", Value: o.Method}, {Name: ":scheme", Value: u.Scheme}, {Name: ":authority", Value: host}, {Name: ":path", Value: path}}
	t.request = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", o.Method, path, host)
	for _, f := range own {
		if f[0] != "" {
			t.fields = append(t.fields, hpack.HeaderField{Name: strings.ToLower(f[0]), Value: f[1]})
			t.request = fmt.Appendf(t.request, "%s: %s\r\n", f[0], f[1])
		}
	}
	if t.close {
		t.request = append(t.request, "Connection: close\r\n"...)
	}
	t.request = append(append(t.request, "\r\n"...), o.Body...)
}
