package proxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
)

type upstream struct {
	proxy  *Proxy
	opt    *Options
	name   string // an element of Options.Targets
	target target
	idle   []*connection // in the order of their last use
	// timers will close connections that are idle for too long, or while another connection waits
	dropping, yielding bool
	cookie             string // value of the cookie Proxy.cookie for this upstream
	waiting            waiting
	lines              logfile.Seldom

	// The fields below are guarded by Proxy.mu.
	active   int       // number of active requests
	answered time.Time // time when the latest response began
	// time when a request may be sent to the upstream again after a failure; zero if the upstream works
	trial time.Time

	unhealthy bool // the latest health check failed
}

// rest returns how long the upstream will get no requests, or 0 if it works.
func rest(up *upstream, now time.Time) time.Duration {
	if up.unhealthy {
		return checkEvery
	}
	return max(0, up.trial.Sub(now))
}

const (
	// pause is how long no requests are sent to a failed upstream, as in nginx (fail_timeout).
	pause = 10 * time.Second
	// maxTries limits the number of upstreams to which a request is sent.
	maxTries = 3
)

// take chooses a working upstream that is not in tried, unless tried has maxTries elements. It prefers previous, which
// the client's cookie names, and then the upstream with the fewest active requests, at random among equals, because
// other workers choose at the same time. After its pause, a failed upstream gets one request as a trial, but never a
// request that another upstream has already got. The caller must call leave. If there is no upstream for the request,
// best is nil, and wait is the time until the next trial, or 0 if an upstream works.
func (p *Proxy) take(tried []*upstream, previous *upstream) (best *upstream, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, equal, works := time.Now(), 0, false
	for _, up := range p.upstreams {
		switch left := rest(up, now); {
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case slices.Contains(tried, up), len(tried) == maxTries, len(tried) > 0 && !up.trial.IsZero():
			works = true
		case best == nil || up == previous || best != previous && up.active < best.active:
			best, equal = up, 1
		case best != previous && up.active == best.active:
			if equal++; rand.N(equal) == 0 {
				best = up
			}
		}
	}
	switch {
	case best == nil && works:
		return nil, 0
	case best == nil:
		return nil, wait
	}
	// This request is a trial. Until its result is known, the upstream gets no other requests.
	if !best.trial.IsZero() {
		best.trial = now.Add(pause)
	}
	best.active++
	return best, 0
}

func (p *Proxy) leave(up *upstream) {
	p.mu.Lock()
	up.active--
	p.mu.Unlock()
}

// responded records that the upstream has responded to a request that was sent at the time began.
func (p *Proxy) responded(up *upstream, began time.Time) {
	p.mu.Lock()
	up.answered = time.Now()
	// If the request was sent before the failure, its response does not show that the upstream works again.
	again := !up.trial.IsZero() && !began.Before(up.trial.Add(-pause))
	if again {
		up.trial = time.Time{}
	}
	p.mu.Unlock()
	if again {
		up.log("", "responds again")
	}
}

// failed reports whether an error counts, so that the upstream gets no requests for a pause, and whether it is the
// first error that counts. Errors of the only upstream never count. An error after the request was sent may be the
// fault of the page, for example if it takes too long, and clients must not disable all upstreams with this page. The
// error therefore counts only if another upstream works, and if this upstream has not responded to any request in the
// second half of the time that this request took.
func (p *Proxy) failed(up *upstream, began time.Time, sent bool, err error) (counts, first bool) {
	if len(p.upstreams) == 1 || err == errStale {
		return false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if sent {
		other := func(u *upstream) bool { return u != up && rest(u, now) == 0 }
		if !slices.ContainsFunc(p.upstreams, other) || up.answered.After(began.Add(now.Sub(began)/2)) {
			return false, false
		}
	}
	first = up.trial.IsZero()
	up.trial = now.Add(pause)
	return true, first
}

// Some upstreams need a process or thread for each connection, so an idle connection may block the requests of other
// clients and workers. Therefore, without Options.Idle, a connection is kept only while requests follow each other
// closely.
const (
	maxIdle  = 64
	maxDoor  = 1024                   // maxIdle behind a door, where a connection needs no process or thread
	keepIdle = 100 * time.Millisecond // maximum idle time between two requests
	keepAge  = time.Second            // maximum age of the connection
	// maximum time from opening a connection to its first response (see watch)
	patience = 20 * time.Millisecond
	// maximum idle time while a connection waits (see yield)
	yieldIdle = 5 * time.Millisecond
)

type waiting struct {
	opened   uint64
	answered uint64
	// sequence number of the latest connection that got no response within patience, and when it was opened
	overdue uint64
	since   time.Time
}

// starves reports whether a connection waits, perhaps because the upstream has not accepted it. An upstream accepts
// connections in order, so a response on a connection shows that all older connections were accepted.
func (w *waiting) starves() bool { return w.overdue > w.answered }

// watch is called when c is opened. If no response arrives on c within patience, the idle connections may occupy all
// processes of the upstream, and watch closes them.
func (up *upstream) watch(c *connection) {
	up.waiting.opened++
	c.opened, c.number = time.Now(), up.waiting.opened
	if up.opt.mounts() {
		return
	}
	c.overdue = up.later(patience, func() {
		if w := &up.waiting; c.state <= asking && c.number > w.overdue {
			w.overdue, w.since = c.number, c.opened
			up.yield()
		}
	})
}

func (c *connection) unwatch() {
	if c.overdue != nil {
		c.overdue.Stop()
	}
}

// later calls f on the loop after the time d.
func (up *upstream) later(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { up.proxy.conns.Events.Post(f) })
}

// yield closes the connections that stay idle for yieldIdle while a connection waits.
func (up *upstream) yield() {
	if !up.waiting.starves() || up.yielding {
		return
	}
	if left := up.closeIdle(yieldIdle); left > 0 {
		up.yielding = true
		up.later(left, func() {
			up.yielding = false
			up.yield()
		})
	}
}

// keeps reports whether c may be kept idle. The result is false if the upstream has answered a request on c although a
// connection waits that was opened before this request: c may occupy a process that the waiting connection needs. A busy
// upstream that accepts all connections answers in order instead, and its connections are kept.
func (up *upstream) keeps(c *connection) bool {
	w := &up.waiting
	c.since = time.Now()
	return !(w.starves() && c.asked.After(w.since)) && (up.opt.Idle > 0 || c.since.Sub(c.opened) < keepAge) && !up.proxy.ended.Load()
}

// keep keeps c for another request. If there are too many idle connections, it closes the least recently used one.
func (up *upstream) keep(c *connection) {
	after := cmp.Or(up.opt.Idle, keepIdle)
	up.idle = append(up.idle, c)
	up.proxy.counts.Idle.Add(1)
	if len(up.idle) > maxIdle && (!up.opt.mounts() || len(up.idle) > maxDoor) {
		up.idle[0].Close("there are too many idle connections")
	}
	up.yield()
	if !up.dropping {
		up.dropping = true
		up.later(after, func() { up.dropIdle(after) })
	}
}

// dropIdle closes the connections that have been idle for the duration age, and later the others.
func (up *upstream) dropIdle(age time.Duration) {
	left := up.closeIdle(age)
	if up.dropping = left > 0; left > 0 {
		up.later(left, func() { up.dropIdle(age) })
	}
}

// closeIdle closes the connections that have been idle for the duration age, and returns the time until the next one
// will be, or 0 without another one.
func (up *upstream) closeIdle(age time.Duration) (wait time.Duration) {
	for now := time.Now(); len(up.idle) > 0; {
		c := up.idle[0]
		if wait = age - now.Sub(c.since); wait > 0 {
			return wait
		}
		c.Close("it was idle for too long")
	}
	return 0
}

// forget is called when c has closed.
func (up *upstream) forget(c *connection) {
	if at := slices.Index(up.idle, c); at >= 0 {
		up.idle = slices.Delete(up.idle, at, at+1)
		up.proxy.counts.Idle.Add(-1)
	}
}

// reusable returns the idle connection that was used last, or nil. If trusts is true, the caller trusts
// the upstream to send nothing without a request, and can send the request again if the upstream has closed the
// connection.
func (up *upstream) reusable(trusts bool) *connection {
	for len(up.idle) > 0 {
		c := up.idle[len(up.idle)-1]
		if trusts || c.Quiet() {
			up.forget(c)
			return c
		}
		c.Close("it is no longer usable")
	}
	return nil
}

// beginSpan begins the span of a request to the upstream, so that spans of the upstream become its children.
func (p *Proxy) beginSpan(q *request) *otel.Call {
	if p.opt.Spans == nil {
		return nil
	}
	parsed, target := q.parse(), &q.up.target
	call := p.opt.Spans.Call(http1.OwnIdentity(q.Head, parsed, q.Own))
	if call == nil {
		return nil
	}
	scheme := "http"
	if target.tls != nil {
		scheme = "https"
	}
	call.Method, call.Resent = string(parsed.Method.In(q.Head)), q.sent
	call.URL = scheme + "://" + target.host + string(q.appendTarget(nil, parsed, q.up))
	if target.network == "unix" {
		call.Address = target.address
	} else {
		call.Address, call.Port, _ = net.SplitHostPort(target.address)
	}
	return call
}

const (
	checkEvery = 10 * time.Second
	checkLimit = 5 * time.Second // maximum duration of a health check
)

// checkHealth checks each upstream until the Proxy is closed, at random intervals, so that workers do not check at the
// same times.
func (p *Proxy) checkHealth() {
	for _, up := range p.upstreams {
		go func() {
			for p.ctx.Err() == nil {
				p.checked(up, check(p.ctx, up))
				select {
				case <-time.After(checkEvery - checkEvery/10 + rand.N(checkEvery/5)):
				case <-p.ctx.Done():
				}
			}
		}()
	}
}

// ParseHealth parses a value of Options.Health: "/path", or "http://host/path" with the host of the request. The error
// has one line.
func ParseHealth(text string) (host, path string, err error) {
	if path = text; !strings.HasPrefix(text, "/") {
		rest, ok := strings.CutPrefix(text, "http://")
		at := strings.IndexByte(rest, '/')
		if !ok || at < 0 || !http1.ValidHost([]byte(rest[:at])) {
			return "", "", fmt.Errorf("%q is not a path, such as \"/healthz\", and not \"http://host/path\"", text)
		}
		host, path = rest[:at], rest[at:]
	}
	if strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		return "", "", fmt.Errorf("%q is not a path, such as \"/healthz\"", text)
	}
	return host, path, nil
}

// check returns nil if the upstream responds to a request for Options.Health with a status from 200 to 399.
func check(ctx context.Context, up *upstream) error {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	host, path, err := ParseHealth(up.opt.Health)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(limited, http.MethodGet, "http://backend"+path, nil)
	if err != nil {
		return err
	}
	request.Host = cmp.Or(host, up.opt.HealthHost, up.target.host)
	request.Header.Set("User-Agent", "fapws")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, up.opt.Connect)
		defer cancel()
		under, secure, err := up.dial(ctx)
		if secure != nil {
			return secure.Conn(), err
		}
		return under, err
	}
	response, err := (&http.Transport{DialContext: dial, DisableKeepAlives: true}).RoundTrip(request)
	switch {
	case err != nil && limited.Err() != nil:
		return fmt.Errorf("no response within %v", checkLimit)
	case err != nil:
		return err
	}
	response.Body.Close()
	switch status := response.StatusCode; {
	case status >= 400 && status <= 499: // an application may accept its own hosts only
		return fmt.Errorf("status %d to Host: %s (proxy-health = \"http://HOST%s\" sends another Host)", status,
			request.Host, path)
	case status < 200 || status > 399:
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func (p *Proxy) checked(up *upstream, err error) {
	if errors.Is(p.ctx.Err(), context.Canceled) {
		return
	}
	p.mu.Lock()
	was := up.unhealthy || !up.trial.IsZero()
	changed := up.unhealthy != (err != nil) || err == nil && was
	if up.unhealthy = err != nil; err == nil {
		up.trial = time.Time{}
	}
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		up.log("", fmt.Sprintf("the health check %s failed: %v; it gets no requests until a check succeeds",
			up.opt.Health, err))
	case changed:
		up.log("", "responds again")
	}
}

// nameUpstreams sets the cookie name for Options.Sticky, and the cookie value for each upstream. The cookie name
// depends on the list of targets: all routes of a host share the cookie path "/", so two routes must not use the same
// cookie name.
func (p *Proxy) nameUpstreams() {
	key := machineKey()
	p.cookie = http1.UpstreamCookie + keyed(key, strings.Join(p.opt.Targets, " "))[:8]
	for _, up := range p.upstreams {
		up.cookie = keyed(key, up.name)
	}
}

// machineKey returns a key that clients do not know, and that is the same for all processes on this machine, even after
// a restart. The key must be used only for keyed hashes (machine-id(5)).
func machineKey() []byte {
	for _, name := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		if id, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(id)) > 0 {
			return id
		}
	}
	return nil
}

func keyed(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// previous returns the upstream that the client's cookie names, or nil.
func (p *Proxy) previousOf(r *exchange.Request) *upstream {
	if p.cookie == "" {
		return nil
	}
	request := http.Request{Header: http.Header{}}
	for line := range http1.Values(r.Head, r.Parsed.Fields, "cookie") {
		request.Header.Add("Cookie", string(line))
	}
	for _, c := range request.CookiesNamed(p.cookie) {
		for _, up := range p.upstreams {
			if c.Value == up.cookie {
				return up
			}
		}
	}
	return nil
}

// stick returns the cookie that names the upstream up as the client's upstream.
func (q *request) stick(up *upstream) string {
	c := http.Cookie{Name: q.p.cookie, Value: up.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: q.Peer.HTTPS}
	return c.String()
}
