package certificates

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"fapws/runtime/logfile"
)

const (
	// lookEvery is the interval between checks of all certificates. A single timer until the next renewal would be
	// wrong after a change of the clock.
	lookEvery = time.Hour

	// orderWithin limits the duration of an order, in addition to the shorter limits of autocert.
	orderWithin = 15 * time.Minute

	// Let's Encrypt allows five failures per hour and host.
	firstPause   = 2 * time.Minute
	longestPause = time.Hour

	// managersMargin is the smallest value that autocert.Manager accepts for RenewBefore.
	managersMargin = time.Hour + time.Second
)

type Orders struct {
	issued func() // called on a separate goroutine after a new certificate was stored
	log    Log
	wake   chan struct{} // wakes the function run

	// Close cancels ctx at once. Close cancels last, the parent of ctx, after the hooks that clean up.
	ctx, last  context.Context
	stop, kill context.CancelFunc
	proving    sync.Mutex // held while hooks run

	mu    sync.Mutex
	acme  ACME
	hosts []*host
	retry bool
}

// A host stands for the names of one ordered certificate. All fields except names belong to the goroutine of run.
type host struct {
	names []string      // names in the certificate; names[0] is also its file name
	pause time.Duration // pause after the last failure; 0 after a success
	next  time.Time
}

// NewOrders returns an Orders that gets the certificates in a. The function issued is called on a separate goroutine
// after a new certificate was stored in the directory.
func NewOrders(a *ACME, issued func(), log Log) *Orders {
	orders := &Orders{issued: issued, log: log, wake: make(chan struct{}, 1)}
	orders.last, orders.kill = context.WithCancel(context.Background())
	orders.ctx, orders.stop = context.WithCancel(orders.last)
	orders.Order(a)
	go orders.run()
	return orders
}

// Close ends the orders: it kills a hook that adds a record, and waits until the hooks for cleanup have run. Close may
// be called again, and o may be nil.
func (o *Orders) Close() {
	if o != nil {
		o.stop()
		defer time.AfterFunc(cleanupWithin, o.kill).Stop()
		o.proving.Lock()
		defer o.proving.Unlock()
	}
}

// Order replaces the hosts and the authority. Pauses after failures remain.
func (o *Orders) Order(a *ACME) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.hosts
	o.acme, o.hosts = *a, nil
	for names := range a.Certificates() {
		if i := slices.IndexFunc(before, func(h *host) bool { return slices.Equal(h.names, names) }); i >= 0 {
			o.hosts = append(o.hosts, before[i])
		} else {
			o.hosts = append(o.hosts, &host{names: names})
		}
	}
	o.rouse()
}

func (o *Orders) Retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.retry = true
	o.rouse()
}

func (o *Orders) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run orders certificates until Orders is closed. If several servers share a directory, only one server orders; the
// other servers wait until that server ends.
func (o *Orders) run() {
	var used *directory
	for o.ctx.Err() == nil {
		pause := time.NewTimer(lookEvery)
		if used = o.use(used); used != nil {
			pause.Reset(o.round(time.Now()))
		}
		select {
		case <-o.wake:
		case <-pause.C:
		case <-o.ctx.Done():
		}
		pause.Stop()
	}
	if used != nil {
		used.close()
	}
}

// use returns the locked directory of the certificates. The parameter is the directory that is already locked, or nil.
// If a reload has changed the setting, use closes that directory and locks the new one. use returns nil if there is no
// directory or it cannot be used.
func (o *Orders) use(used *directory) *directory {
	o.mu.Lock()
	name := o.acme.Dir
	o.mu.Unlock()
	if used != nil && used.name == name {
		return used
	}
	if used != nil {
		used.close()
	}
	if name == "" {
		return nil
	}
	used, err := openDirectory(name)
	if err != nil {
		o.log(logfile.Error, err.Error())
		return nil
	}
	return used
}

// round orders the certificates that are due at the time now. round returns the time until the next round.
func (o *Orders) round(now time.Time) (pause time.Duration) {
	o.mu.Lock()
	a, hosts, retry := o.acme, slices.Clone(o.hosts), o.retry
	o.retry = false
	o.mu.Unlock()
	pause = lookEvery
	for _, h := range hosts {
		if retry {
			h.pause, h.next = 0, time.Time{}
		}
		if now.Before(h.next) {
			pause = min(pause, h.next.Sub(now))
			continue
		}
		why := a.due(h.names, now)
		if why == "" {
			continue
		}
		all := strings.Join(h.names, ", ")
		o.log(logfile.Info, fmt.Sprintf("ordering a certificate for %s from %s, because %s", all, a.Directory, why))
		if wait, err := o.order(&a, h.names); o.ctx.Err() != nil {
			return pause
		} else if err != nil {
			h.pause = min(max(2*h.pause, firstPause), longestPause)
			wait = max(wait, h.pause)
			h.next = time.Now().Add(wait)
			pause = min(pause, wait)
			o.log(logfile.Error, fmt.Sprintf("%s: %v; next try at %s, or at a reload", all, err,
				h.next.Format(time.DateTime)))
			continue
		}
		h.pause, h.next = 0, time.Time{}
		o.issued()
	}
	return pause
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (a *ACME) due(names []string, now time.Time) string {
	text, err := os.ReadFile(filepath.Join(a.Dir, names[0]))
	if err != nil {
		return "there is none"
	}
	cert, err := new(Pair).parse(text, text)
	switch {
	case err != nil:
		return "it cannot be read"
	case isOld(cert.Leaf, now):
		return "two thirds of its time are over"
	}
	for _, name := range names {
		if !covers(cert.Leaf, name) {
			return "it does not cover " + name
		}
	}
	return ""
}

// After an error, the result wait is the minimum time before the next attempt, as requested by the authority.
func (o *Orders) order(a *ACME, names []string) (wait time.Duration, err error) {
	talk := &conversation{RoundTripper: http.DefaultTransport, hint: "the name must lead to port 80 or 443 of this " +
		"machine"}
	client := &acme.Client{DirectoryURL: a.Directory, UserAgent: "fapws", HTTPClient: &http.Client{Transport: talk},
		RetryBackoff: retryAfter}
	ctx, cancel := context.WithTimeout(o.ctx, orderWithin)
	defer cancel()
	if a.DNSHook != "" {
		talk.hint = "acme-dns-hook must end only when all name servers of the domain have the record"
		err = o.orderByDNS(ctx, client, a, names)
	} else {
		err = a.orderByToken(ctx, client, names[0])
	}
	switch {
	case err == nil:
		return 0, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("the CA %s did not answer within %v", a.Directory, orderWithin)
	}
	wait, _ = acme.RateLimit(err)
	return wait, talk.explain(err, a.Directory)
}

// orderByToken orders a certificate with autocert. The authority connects to this machine.
func (a *ACME) orderByToken(ctx context.Context, client *acme.Client, name string) error {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      &without{Cache: autocert.DirCache(a.Dir), name: name},
		HostPolicy: autocert.HostWhitelist(name),
		// Orders renews certificates earlier, so that autocert never does
		RenewBefore: managersMargin,
		Client:      client,
		Email:       a.Email,
	}
	m.HTTPHandler(nil) // enables http-01, whose tokens are then in the cache
	done := make(chan error, 1)
	go func() {
		_, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: name,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter returns the pause before attempt n+1 of a request within an order. If the authority reports that a rate
// limit was exceeded, retryAfter returns 0, which ends the order.
func retryAfter(n int, _ *http.Request, resp *http.Response) time.Duration {
	if resp.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Second)
}

type without struct {
	autocert.Cache
	name string
	put  atomic.Bool
}

func (c *without) Get(ctx context.Context, key string) ([]byte, error) {
	if key == c.name && !c.put.Load() {
		return nil, autocert.ErrCacheMiss
	}
	return c.Cache.Get(ctx, key)
}

func (c *without) Put(ctx context.Context, key string, data []byte) error {
	err := c.Cache.Put(ctx, key, data)
	if key == c.name && err == nil {
		c.put.Store(true)
	}
	return err
}

const maxResponse = 1 << 20 // in bytes

// maxReason limits a reason in the log, in bytes, because the authority may quote a page of the host.
const maxReason = 1000

// conversation sends the requests of an order to an authority. conversation adds to responses the information that
// golang.org/x/crypto/acme expects, and records reasons that autocert drops. conversation is safe for concurrent use.
type conversation struct {
	http.RoundTripper
	hint string // advice if the authority cannot verify a name

	mu       sync.Mutex
	orders   map[string]string
	refusals []problem
}

// problem is the reason for a refusal by an authority (RFC 8555 §6.7).
type problem struct {
	Type, Detail string
	Subproblems  []struct{ Detail string }
}

func (c *conversation) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locate(r.URL.String(), resp, body)
	c.noteRefusals(resp.StatusCode, body)
	return resp, nil
}

// locate adds the Location field with the URL of the order to the response to a finalization. golang.org/x/crypto/acme
// requires the field, but RFC 8555 §7.4 does not, and some authorities omit it.
func (c *conversation) locate(url string, resp *http.Response, body []byte) {
	location := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusCreated && location != "":
		var order struct{ Finalize string } // the response may also be an account, which has no Finalize
		if json.Unmarshal(body, &order) == nil && order.Finalize != "" {
			if c.orders == nil {
				c.orders = map[string]string{}
			}
			c.orders[order.Finalize] = location
		}
	case location == "" && c.orders[url] != "":
		resp.Header.Set("Location", c.orders[url])
	}
}

// noteRefusals records the problems that a response reports about the request, an order, or a challenge.
func (c *conversation) noteRefusals(status int, body []byte) {
	if status >= http.StatusBadRequest {
		var p problem
		if json.Unmarshal(body, &p) == nil && p.Type != "" && !p.is("badNonce") { // badNonce leads to a retry
			c.refuse(p)
		}
		return
	}
	var about struct {
		Status     string
		Error      *problem
		Challenges []struct{ Error *problem }
	}
	if json.Unmarshal(body, &about) != nil || about.Status != "invalid" {
		return
	}
	for _, one := range append(about.Challenges, struct{ Error *problem }{about.Error}) {
		if one.Error != nil {
			c.refuse(*one.Error)
		}
	}
}

func (c *conversation) refuse(p problem) {
	if !slices.ContainsFunc(c.refusals, func(other problem) bool { return other.text() == p.text() }) {
		c.refusals = append(c.refusals, p)
	}
}

func (p *problem) is(types ...string) bool {
	return slices.ContainsFunc(types, func(t string) bool {
		return strings.EqualFold(p.Type, "urn:ietf:params:acme:error:"+t)
	})
}

func (p *problem) text() string {
	if p.Detail == "" && len(p.Subproblems) == 0 {
		return p.Type
	}
	texts := []string{p.Detail}
	for _, sub := range p.Subproblems {
		texts = append(texts, sub.Detail)
	}
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "; ")
}

// explain converts an error of autocert for the log: it adds the reason of the authority and advice.
func (c *conversation) explain(err error, directory string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refusals) == 0 {
		var unreachable *url.Error
		if errors.As(err, &unreachable) {
			return fmt.Errorf("cannot reach the CA %s: %s", directory,
				oneLine(unreachable.Err.Error()))
		}
		return fmt.Errorf("no certificate from %s: %s", directory,
			strings.TrimPrefix(oneLine(err.Error()), "acme/autocert: "))
	}
	var texts []string
	hint := ""
	for i := range c.refusals {
		p := &c.refusals[i]
		texts = append(texts, strings.TrimRight(oneLine(p.text()), ". "))
		if p.is("connection", "dns", "tls", "unauthorized") {
			hint = "; " + c.hint
		}
	}
	reason := strings.Join(texts, "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return fmt.Errorf("the CA refused: %s%s", reason, hint)
}

// acmeProtocol is the ALPN protocol of a client that requests a token (RFC 8737 §4).
const acmeProtocol = acme.ALPNProto

var errNoToken = errors.New("there is no such token")

// TokenACME returns the response to an authority that requests a token over HTTP. dir is the directory of Orders.
func TokenACME(dir, token string) ([]byte, error) {
	if token == "" || len(token) > 128 ||
		strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, errNoToken
	}
	return autocert.DirCache(dir).Get(context.Background(), token+"+http-01") // as autocert names it
}

func asksACME(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{acmeProtocol})
}

// challengeACME returns the function that responds to authorities in TLS handshakes. dir is the directory of Orders.
func challengeACME(dir string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir),
		HostPolicy: autocert.HostWhitelist()}
	return m.GetCertificate
}
