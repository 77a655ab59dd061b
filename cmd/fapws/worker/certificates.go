package worker

import (
	"fmt"
	"sync/atomic"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

type https struct {
	log func(logfile.Level, string)
	// reads the files, or requests their contents from the supervisor
	read func(*certificates.Want) (*certificates.KeySet, error)
	tls  certificates.Server
	want atomic.Pointer[certificates.Want] // nil if HTTPS is not used

	// certificate of the machine's own authority in PEM; nil if none
	authority []byte
}

// use creates the TLS configuration. It is called only once. want is nil if HTTPS is not used.
func (h *https) use(want *certificates.Want) error {
	if want == nil || h.want.Load() != nil {
		return nil
	}
	bundle, err := h.read(want)
	if err == nil {
		err = h.tls.Use(want, bundle)
	}
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	h.authority = bundle.Authority(want)
	h.want.Store(want)
	return nil
}

func (h *https) acmeDir() string {
	if want := h.want.Load(); want != nil {
		return want.ACME.Dir
	}
	return ""
}

func (h *https) token() func(string) ([]byte, error) {
	dir := h.acmeDir()
	if dir == "" {
		return nil
	}
	return func(token string) ([]byte, error) { return certificates.TokenACME(dir, token) }
}

// renew replaces the certificates after their files have changed. renew is safe for concurrent use.
func (h *https) renew(b *certificates.KeySet) {
	want := h.want.Load()
	if want == nil {
		return
	}
	if err := h.tls.Use(want, b); err != nil {
		h.log(logfile.Error, fmt.Sprintf("%v; the certificates that were read before stay in use", err))
	}
}

// certificates returns the contents of the files that w names, and watches these files from now on.
func (a *alone) certificates(w *certificates.Want) (*certificates.KeySet, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reader.Log = a.s.log.Log
	b, err := a.reader.KeySet(w)
	if err != nil {
		return nil, a.s.plan.StateLocated(err)
	}
	if a.follower == nil {
		a.follower = certificates.Follow(func() { a.reread() }, false)
	}
	a.follower.Files(w.Files(), w.Auto != "")
	return b, nil
}

// order returns the orders of certificates, or nil if none are ordered.
func (a *alone) order() *certificates.Orders {
	if a.s.https.acmeDir() == "" {
		return nil
	}
	return certificates.NewOrders(&a.s.https.want.Load().ACME, func() { a.reread() }, a.s.log.Log)
}

// reread reads the certificates again, and returns false if HTTPS is not used.
func (a *alone) reread() bool {
	want := a.s.https.want.Load()
	if want == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Bundle cannot fail here, because the reader keeps the last valid certificates.
	if b, err := a.reader.KeySet(want); err == nil {
		a.s.https.renew(b)
	}
	return true
}
