package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"

	"fapws/runtime/logfile"
)

const (
	// lookEvery is the interval between checks of all certificates. A single timer until the next renewal would be
	// wrong after a change of the clock.
	lookEvery = time.Hour

	// Let's Encrypt allows five failures per hour and host.
	firstPause   = 2 * time.Minute
	longestPause = time.Hour
)

type Orders struct {
	issued func() // called on a separate goroutine after a new certificate was stored
	log    Log
	wake   chan struct{} // wakes the function run

	// Close cancels ctx at once, and its parent, last, after the hooks for cleanup.
	ctx, last  context.Context
	stop, kill context.CancelFunc
	proving    sync.Mutex // held while hooks run

	mu    sync.Mutex
	acme  ACME
	hosts []*host
	retry bool
}

// A host has the names of one ordered certificate. All fields except names belong to the goroutine of run.
type host struct {
	names []string      // names in the certificate; names[0] is also its file name
	pause time.Duration // pause after the last failure; 0 after a success
	next  time.Time
}

// NewOrders returns an Orders that gets the certificates in a. issued is called on a separate goroutine after a new
// certificate was stored in the directory.
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
		pause := lookEvery
		if used = o.use(used); used != nil {
			pause = o.round(time.Now())
		}
		select {
		case <-o.wake:
		case <-time.After(pause):
		case <-o.ctx.Done():
		}
	}
	if used != nil {
		used.close()
	}
}

// use locks and returns the directory of the certificates, or returns nil if no directory is set or usable. used is the
// directory that is locked now, or nil. If a reload has changed the setting, use closes this directory and locks
// the new directory.
func (o *Orders) use(used *directory) *directory {
	o.mu.Lock()
	name := o.acme.Dir
	o.mu.Unlock()
	if used != nil {
		if used.name == name {
			return used
		}
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
			o.log(logfile.Error, fmt.Sprintf("%s: %v; next try at %s, or at a reload", all, err, h.next.Format(time.DateTime)))
			continue
		}
		h.pause, h.next = 0, time.Time{}
		o.issued()
	}
	return pause
}

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

// acmeProtocol is the ALPN protocol of a client that requests a token (RFC 8737 §4).
const acmeProtocol = acme.ALPNProto

var errNoToken = errors.New("there is no such token")

// TokenACME returns the response to an authority that requests a token over HTTP. dir is the directory of Orders.
func TokenACME(dir, token string) ([]byte, error) {
	return readToken(dir, token, httpToken, "-_")
}

// readToken reads the file of a token. It refuses a name that has other characters than letters, digits and signs,
// because the name comes from a client.
func readToken(dir, name, suffix, signs string) ([]byte, error) {
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"+signs) != "" {
		return nil, errNoToken
	}
	return os.ReadFile(filepath.Join(dir, name+suffix))
}

func asksACME(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{acmeProtocol})
}

// challengeACME is the configuration for an authority that requests a token. dir is the directory of Orders.
func challengeACME(dir string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmeProtocol},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			text, err := readToken(dir, strings.ToLower(hello.ServerName), tlsToken, "-.")
			if err != nil {
				return nil, err
			}
			cert, err := tls.X509KeyPair(text, text) // The file has both.
			return &cert, err
		}}
}
