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
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
)

// BenchResult is what a run has measured.
type BenchResult struct {
	counts
	options *BenchOptions
	elapsed time.Duration
	cpu     time.Duration // of this process, in the run
	stopped bool          // before its end
}

// RunBench sends the requests, until ctx ends at the latest. Its errors are lines for the user: then there is nothing to report.
func RunBench(ctx context.Context, o *BenchOptions) (*BenchResult, error) {
	t, err := newTarget(o)
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(processors(o.Threads, t.tls != nil))
	turns := make(chan struct{}, o.Threads)
	told := make(chan int, 2*o.Threads)
	var generators []*generator
	for i := range o.Threads {
		g, err := newGenerator(t, o.share(i), part(o.Connections, o.Threads, i), turns, told)
		if err != nil {
			return nil, err
		}
		defer g.close()
		generators = append(generators, g)
	}
	ended := make(chan error, len(generators))
	for _, g := range generators {
		go func() { ended <- g.loop.Run() }()
		g.loop.Post(g.connect)
	}
	ticks := time.NewTicker(tick)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticks.C:
				for _, g := range generators {
					g.loop.Post(g.tick)
				}
			case <-stop:
				return
			}
		}
	}()
	r := &BenchResult{options: o, counts: newCounts()}
	err = r.phases(ctx, generators, told)
	ticks.Stop()
	close(stop)
	for _, g := range generators {
		g.loop.Stop()
	}
	for range generators {
		err = errors.Join(err, <-ended)
	}
	for _, g := range generators {
		r.add(&g.counts)
	}
	if err == nil && r.elapsed == 0 {
		err = r.unreachable()
	}
	return r, err
}

// processors returns how many goroutines Go may run at once. With as many as loops, a loop that waits does not have Go wake a
// thread that finds nothing to do: with one connection a request costs a fifth less. Handshakes of TLS need others beside the loops.
func processors(loops int, handshakes bool) int {
	if handshakes {
		return max(runtime.GOMAXPROCS(0), loops+2)
	}
	return loops
}

// part returns the i-th of n parts of a whole that is divided as evenly as possible.
func part[T int | int64](whole T, n, i int) T {
	p := whole / T(n)
	if T(i) < whole%T(n) {
		p++
	}
	return p
}

// share returns the requests of the i-th generator. Those of all together are due at even distances.
func (o *BenchOptions) share(i int) schedule {
	s := schedule{left: -1, until: o.Duration}
	if o.Requests > 0 {
		s.left = part(o.Requests, o.Threads, i)
	}
	if o.Rate > 0 {
		between := float64(time.Second) / o.Rate
		s.interval, s.first = between*float64(o.Threads), between*float64(i)
	}
	return s
}

// phases lets the generators connect, then send, and waits for them.
func (r *BenchResult) phases(ctx context.Context, generators []*generator, told <-chan int) error {
	open := 0
	for range generators {
		select {
		case n := <-told:
			open += n
		case <-ctx.Done():
			return errors.New("stopped while connecting")
		}
	}
	if open == 0 {
		return nil
	}
	before, start := cpuTime(), time.Now()
	for _, g := range generators {
		g.loop.Post(func() { g.send(start) })
	}
	done := ctx.Done()
	for left := len(generators); left > 0; {
		select {
		case <-told:
			left--
		case <-done:
			done = nil
			r.stopped = true
			for _, g := range generators {
				g.loop.Post(g.interrupt)
			}
		}
	}
	r.elapsed = time.Since(start)
	r.cpu = cpuTime() - before
	return nil
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // which takes any process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// unreachable returns why there is nothing to report.
func (r *BenchResult) unreachable() error {
	for why := range r.refused {
		return fmt.Errorf("%s: %s", r.options.URL, why)
	}
	return nil
}

// Failed reports whether a request got no response, or one that says that it was in vain (RFC 9110 §15.5, §15.6).
func (r *BenchResult) Failed() bool {
	for _, n := range r.statuses[400:] {
		if n > 0 {
			return true
		}
	}
	return len(r.failures) > 0 || len(r.refused) > 0
}

// schedule says when requests are due, as times since the start.
type schedule struct {
	left     int64         // requests that may still be started; -1: any number
	until    time.Duration // when the last one may be due; 0: any time
	interval float64       // nanoseconds between two; 0: whenever there is room
	first    float64       // when the first one is due, in nanoseconds
	started  int64
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// due returns when the next request is due. With no interval that is now.
func (s *schedule) due(now time.Duration) time.Duration {
	if s.interval == 0 {
		return now
	}
	return time.Duration(s.first + float64(s.started)*s.interval)
}

// next returns when the next request is due, never if none may be started any more.
func (s *schedule) next(now time.Duration) time.Duration {
	due := s.due(now)
	if s.left == 0 || s.until > 0 && max(due, now) >= s.until {
		return never
	}
	return due
}

// start counts a request that has been started.
func (s *schedule) start() {
	s.started++
	if s.left > 0 {
		s.left--
	}
}

// over reports whether no request may be started any more.
func (s *schedule) over(now time.Duration) bool { return s.next(now) == never }

// missed calls f with the time of each request that was due before end and was not started.
func (s *schedule) missed(end time.Duration, f func(due time.Duration)) {
	for s.left != 0 && s.due(end) < end {
		f(s.due(end))
		s.start()
	}
}

// ring is a queue of connections, each of them in it once. They take turns.
type ring struct {
	conns       []*connection // of a fixed length
	first, used int
}

func (r *ring) put(c *connection) {
	if !c.idle {
		c.idle = true
		r.conns[(r.first+r.used)%len(r.conns)] = c
		r.used++
	}
}

// take returns the connection that has waited longest, nil if there is none.
func (r *ring) take() *connection {
	if r.used == 0 {
		return nil
	}
	c := r.conns[r.first]
	r.first = (r.first + 1) % len(r.conns)
	r.used--
	c.idle = false
	return c
}

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
	if (!ok || rest == "") && !strings.Contains(s, "://") {
		return "", "http://" + s // as browsers complete "localhost:8888/"
	} else if !ok || rest == "" {
		return "", s
	}
	socket, path, _ := strings.Cut(rest, ":")
	return socket, "http://localhost/" + strings.TrimPrefix(path, "/")
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
