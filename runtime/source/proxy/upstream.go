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
func rest(u *upstream, now time.Time) time.Duration {
	if u.unhealthy {
		return checkEvery
	}
	return max(0, u.trial.Sub(now))
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
	for _, u := range p.upstreams {
		switch left := rest(u, now); {
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case slices.Contains(tried, u), len(tried) == maxTries, len(tried) > 0 && !u.trial.IsZero():
			works = true
		case best == nil || u == previous || best != previous && u.active < best.active:
			best, equal = u, 1
		case best != previous && u.active == best.active:
			if equal++; rand.N(equal) == 0 {
				best = u
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

func (p *Proxy) leave(u *upstream) {
	p.mu.Lock()
	u.active--
	p.mu.Unlock()
}

// responded records that the upstream has responded to a request that was sent at the time began.
func (p *Proxy) responded(u *upstream, began time.Time) {
	p.mu.Lock()
	u.answered = time.Now()
	// If the request was sent before the failure, its response does not show that the upstream works again.
	again := !u.trial.IsZero() && !began.Before(u.trial.Add(-pause))
	if again {
		u.trial = time.Time{}
	}
	p.mu.Unlock()
	if again {
		u.log("", "responds again")
	}
}

// failed reports whether an error counts, so that the upstream gets no requests for a pause, and whether it is the
// first error that counts. Errors of the only upstream never count. An error after the request was sent may be the
// fault of the page, for example if it takes too long, and clients must not disable all upstreams with this page. The
// error therefore counts only if another upstream works, and if this upstream has not responded to any request in the
// second half of the time that this request took.
func (p *Proxy) failed(u *upstream, began time.Time, sent bool, err error) (counts, first bool) {
	if len(p.upstreams) == 1 || err == errStale {
		return false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if sent {
		works := func(other *upstream) bool { return other != u && rest(other, now) == 0 }
		if !slices.ContainsFunc(p.upstreams, works) || u.answered.After(began.Add(now.Sub(began)/2)) {
			return false, false
		}
	}
	first = u.trial.IsZero()
	u.trial = now.Add(pause)
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
func (u *upstream) watch(c *connection) {
	u.waiting.opened++
	c.opened, c.number = time.Now(), u.waiting.opened
	if u.opt.mounts() {
		return
	}
	c.overdue = u.later(patience, func() {
		if w := &u.waiting; c.state <= asking && c.number > w.overdue {
			w.overdue, w.since = c.number, c.opened
			u.yield()
		}
	})
}

func (c *connection) unwatch() {
	if c.overdue != nil {
		c.overdue.Stop()
	}
}

// later calls f on the loop after the time d.
func (u *upstream) later(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { u.proxy.conns.Events.Post(f) })
}

// yield closes the connections that stay idle for yieldIdle while a connection waits.
func (u *upstream) yield() {
	if !u.waiting.starves() || u.yielding {
		return
	}
	if left := u.closeIdle(yieldIdle); left > 0 {
		u.yielding = true
		u.later(left, func() {
			u.yielding = false
			u.yield()
		})
	}
}

// keeps reports whether c may be kept idle. The result is false if the upstream has answered a request on c although a
// connection waits that was opened before this request: c may occupy a process that the waiting connection needs. A busy
// upstream that accepts all connections answers in order instead, and its connections are kept.
func (u *upstream) keeps(c *connection) bool {
	w := &u.waiting
	c.since = time.Now()
	return !(w.starves() && c.asked.After(w.since)) && (u.opt.Idle > 0 || c.since.Sub(c.opened) < keepAge) && !u.proxy.ended.Load()
}

// keep keeps c for another request. If there are too many idle connections, it closes the least recently used one.
func (u *upstream) keep(c *connection) {
	after := cmp.Or(u.opt.Idle, keepIdle)
	u.idle = append(u.idle, c)
	u.proxy.counts.Idle.Add(1)
	if len(u.idle) > maxIdle && (!u.opt.mounts() || len(u.idle) > maxDoor) {
		u.idle[0].Close("there are too many idle connections")
	}
	u.yield()
	if !u.dropping {
		u.dropping = true
		u.later(after, func() { u.dropIdle(after) })
	}
}

// dropIdle closes the connections that have been idle for the duration age, and later the others.
func (u *upstream) dropIdle(age time.Duration) {
	left := u.closeIdle(age)
	if u.dropping = left > 0; left > 0 {
		u.later(left, func() { u.dropIdle(age) })
	}
}

// closeIdle closes the connections that have been idle for the duration age, and returns the time until the next one
// will be, or 0 without another one.
func (u *upstream) closeIdle(age time.Duration) (wait time.Duration) {
	for now := time.Now(); len(u.idle) > 0; {
		c := u.idle[0]
		if wait = age - now.Sub(c.since); wait > 0 {
			return wait
		}
		c.Close("it was idle for too long")
	}
	return 0
}

// forget is called when c has closed.
func (u *upstream) forget(c *connection) {
	if at := slices.Index(u.idle, c); at >= 0 {
		u.idle = slices.Delete(u.idle, at, at+1)
		u.proxy.counts.Idle.Add(-1)
	}
}

// reusable returns the idle connection that was used last, or nil. If trusts is true, the caller trusts
// the upstream to send nothing without a request, and can send the request again if the upstream has closed the
// connection.
func (u *upstream) reusable(trusts bool) *connection {
	for len(u.idle) > 0 {
		c := u.idle[len(u.idle)-1]
		if trusts || c.Quiet() {
			u.forget(c)
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
	parsed, target := q.parse(), &q.upstream.target
	call := p.opt.Spans.Call(http1.OwnIdentity(q.Head, parsed, q.Own))
	if call == nil {
		return nil
	}
	scheme := "http"
	if target.tls != nil {
		scheme = "https"
	}
	call.Method, call.Resent = string(parsed.Method.In(q.Head)), q.sent
	call.URL = scheme + "://" + target.host + string(q.appendTarget(nil, parsed, q.upstream))
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
	for _, u := range p.upstreams {
		go func() {
			for p.ctx.Err() == nil {
				p.checked(u, check(p.ctx, u))
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
func check(ctx context.Context, u *upstream) error {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	host, path, err := ParseHealth(u.opt.Health)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(limited, http.MethodGet, "http://backend"+path, nil)
	if err != nil {
		return err
	}
	request.Host = cmp.Or(host, u.opt.HealthHost, u.target.host)
	request.Header.Set("User-Agent", "fapws")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, u.opt.Connect)
		defer cancel()
		under, secure, err := u.dial(ctx)
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

func (p *Proxy) checked(u *upstream, err error) {
	if errors.Is(p.ctx.Err(), context.Canceled) {
		return
	}
	p.mu.Lock()
	was := u.unhealthy || !u.trial.IsZero()
	changed := u.unhealthy != (err != nil) || err == nil && was
	if u.unhealthy = err != nil; err == nil {
		u.trial = time.Time{}
	}
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		u.log("", fmt.Sprintf("the health check %s failed: %v; it gets no requests until a check succeeds",
			u.opt.Health, err))
	case changed:
		u.log("", "responds again")
	}
}

// nameUpstreams sets the cookie name for Options.Sticky, and the cookie value for each upstream. The cookie name
// depends on the list of targets: all routes of a host share the cookie path "/", so two routes must not use the same
// cookie name.
func (p *Proxy) nameUpstreams() {
	key := machineKey()
	p.cookie = http1.UpstreamCookie + keyed(key, strings.Join(p.opt.Targets, " "))[:8]
	for _, u := range p.upstreams {
		u.cookie = keyed(key, u.name)
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

// previousOf returns the upstream that the client's cookie names, or nil.
func (p *Proxy) previousOf(r *exchange.Request) *upstream {
	if p.cookie == "" {
		return nil
	}
	request := http.Request{Header: http.Header{}}
	for line := range http1.Values(r.Head, r.Parsed.Fields, "cookie") {
		request.Header.Add("Cookie", string(line))
	}
	for _, c := range request.CookiesNamed(p.cookie) {
		for _, u := range p.upstreams {
			if c.Value == u.cookie {
				return u
			}
		}
	}
	return nil
}

// stick returns the cookie that names the upstream u as the client's upstream.
func (q *request) stick(u *upstream) string {
	c := http.Cookie{Name: q.p.cookie, Value: u.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: q.Peer.HTTPS}
	return c.String()
}
