package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// LetsEncrypt is the directory URL of Let's Encrypt.
const LetsEncrypt = autocert.DefaultACMEDirectory

const (
	// lookEvery is the time between two looks at certificates that need nothing: the clock may be set meanwhile.
	lookEvery = time.Hour

	// orderWithin bounds an order; autocert has bounds of its own, which are shorter.
	orderWithin = 15 * time.Minute

	// firstPause and longestPause are between two tries: Let's Encrypt allows five failures an hour for a host.
	firstPause   = 2 * time.Minute
	longestPause = time.Hour

	// managersMargin is how long before the end of a certificate autocert itself would renew it; the least that it takes.
	managersMargin = time.Hour + time.Second
)

// ACMEOptions say where certificates come from.
type ACMEOptions struct {
	Dir       string // of certificates, keys, tokens and the account
	Email     string // that the authority may write to; "": none
	Directory string // URL of the authority
	Issued    func() // called on a goroutine when there is another certificate in Dir
	Log       func(level logfile.Level, line string)
}

// Orders orders certificates for hosts until the process ends.
type Orders struct {
	o    ACMEOptions
	wake chan struct{} // there is something to do; holds one

	mu    sync.Mutex
	hosts []*host
	retry bool // forget the pauses after failures
}

// host is a host whose certificate is ordered. All but its name is of the goroutine of run.
type host struct {
	name  string
	pause time.Duration // after the last failure; 0: there was none
	next  time.Time     // no try before
}

// NewOrders returns Orders that order nothing yet.
func NewOrders(o ACMEOptions) *Orders {
	orders := &Orders{o: o, wake: make(chan struct{}, 1)}
	go orders.run()
	return orders
}

// Order orders certificates for hosts, instead of those before. The pause after a failure stays.
func (o *Orders) Order(hosts []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.hosts
	o.hosts = nil
	for _, name := range hosts {
		if i := slices.IndexFunc(before, func(h *host) bool { return h.name == name }); i >= 0 {
			o.hosts = append(o.hosts, before[i])
		} else {
			o.hosts = append(o.hosts, &host{name: name})
		}
	}
	o.rouse()
}

// Retry tries at once where an order has failed.
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

// run orders the certificates that are due. Of several servers with one directory, the others wait until the first one ends.
func (o *Orders) run() {
	<-o.wake
	lock, err := o.lock()
	if err != nil {
		o.o.Log(logfile.Error, fmt.Sprintf("cannot use the directory %s: %v; make it writable, or name another one with --state-dir", o.o.Dir, err))
		return
	}
	defer lock.Close()
	for {
		pause := time.NewTimer(o.round(time.Now()))
		select {
		case <-o.wake:
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (o *Orders) lock() (*os.File, error) {
	if err := os.MkdirAll(o.o.Dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(o.o.Dir, ".lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	return f, err
}

// round orders the certificates that are due at the time now, and returns the time until the next round.
func (o *Orders) round(now time.Time) (pause time.Duration) {
	o.mu.Lock()
	hosts, retry := slices.Clone(o.hosts), o.retry
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
		why := o.due(h.name, now)
		if why == "" {
			continue
		}
		o.o.Log(logfile.Info, fmt.Sprintf("ordering a certificate for %s from %s, because %s", h.name, o.o.Directory, why))
		if wait, err := o.order(h.name); err != nil {
			h.pause = min(max(2*h.pause, firstPause), longestPause)
			wait = max(wait, h.pause)
			h.next = time.Now().Add(wait)
			pause = min(pause, wait)
			o.o.Log(logfile.Error, fmt.Sprintf("%s: %v; next try at %s, or at a reload", h.name, err, h.next.Format(time.DateTime)))
			continue
		}
		h.pause, h.next = 0, time.Time{}
		o.o.Issued()
	}
	return pause
}

// oneLine returns a text without line feeds.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// due returns why a certificate has to be ordered, or "".
func (o *Orders) due(name string, now time.Time) string {
	text, err := os.ReadFile(filepath.Join(o.o.Dir, name))
	if err != nil {
		return "there is none"
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "it cannot be read"
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return "it cannot be read"
		case now.After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)):
			return "two thirds of its time are over"
		}
		return ""
	}
}

// order orders a certificate, whether there is one or not. The new one is in the directory afterwards. After an error, wait is the minimum
// time until the next try that the authority asks for.
func (o *Orders) order(name string) (wait time.Duration, err error) {
	talk := &conversation{RoundTripper: http.DefaultTransport}
	m := &autocert.Manager{
		Prompt:      autocert.AcceptTOS,
		Cache:       &without{Cache: autocert.DirCache(o.o.Dir), name: name},
		HostPolicy:  autocert.HostWhitelist(name),
		RenewBefore: managersMargin, // by then it has been renewed here, which autocert sees
		Client:      &acme.Client{DirectoryURL: o.o.Directory, UserAgent: "fapws", HTTPClient: &http.Client{Transport: talk}, RetryBackoff: retryAfter},
		Email:       o.o.Email,
	}
	m.HTTPHandler(nil) // allows http-01; its tokens are in the cache
	done := make(chan error, 1)
	go func() {
		_, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			return 0, nil
		}
		wait, _ = acme.RateLimit(err)
		return wait, talk.explain(err, o.o.Directory)
	case <-time.After(orderWithin):
		return 0, fmt.Errorf("the certificate authority %s did not answer within %v", o.o.Directory, orderWithin)
	}
}

// retryAfter returns the time before try n+1 of a request, within an order; 0 if there is no other try: after a rate limit, for which the next
// order has to wait.
func retryAfter(n int, _ *http.Request, resp *http.Response) time.Duration {
	if resp.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Second)
}

// without is a cache that has no certificate of a name until another one is put there.
type without struct {
	autocert.Cache
	name string
	put  atomic.Bool
}

// Get implements autocert.Cache.
func (c *without) Get(ctx context.Context, key string) ([]byte, error) {
	if key == c.name && !c.put.Load() {
		return nil, autocert.ErrCacheMiss
	}
	return c.Cache.Get(ctx, key)
}

// Put implements autocert.Cache.
func (c *without) Put(ctx context.Context, key string, data []byte) error {
	err := c.Cache.Put(ctx, key, data)
	if key == c.name && err == nil {
		c.put.Store(true)
	}
	return err
}
