package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// useCertificates creates the TLS configuration once if HTTPS is enabled.
func (s *service) useCertificates() error {
	want := s.plan.Certificates(&s.conf)
	if want == nil || s.want.Load() != nil {
		return nil
	}
	var bundle *certificates.Bundle
	var err error
	if s.parent != nil {
		bundle, err = s.parent.certificates(want)
	} else {
		bundle, err = s.readCertificates(want)
	}
	if err == nil {
		err = s.tls.Use(want, bundle)
	}
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	s.authority = bundle.Authority(want)
	s.want.Store(want)
	return nil
}

func (s *service) acmeDir() string {
	if want := s.want.Load(); want != nil {
		return want.ACME.Dir
	}
	return ""
}

// token returns the function that finds the tokens of a public authority; nil without one.
func (s *service) token() func(string) ([]byte, error) {
	dir := s.acmeDir()
	if dir == "" {
		return nil
	}
	return func(token string) ([]byte, error) { return certificates.TokenACME(dir, token) }
}

func (s *service) renewCertificates(b *certificates.Bundle) {
	want := s.want.Load()
	if want == nil {
		return
	}
	if err := s.tls.Use(want, b); err != nil {
		s.log.Log(logfile.Error, fmt.Sprintf("%v; the certificates that were read before stay in use", err))
	}
}

type ownCertificates struct {
	mu       sync.Mutex
	reader   certificates.Reader
	follower *certificates.Follower
}

// readCertificates returns the contents of the files that w names, and follows them from now on.
func (s *service) readCertificates(w *certificates.Want) (*certificates.Bundle, error) {
	c := &s.alone.files
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader.Log = s.log.Log
	b, err := c.reader.Bundle(w)
	if err != nil {
		return nil, err
	}
	if c.follower == nil {
		c.follower = certificates.Follow(func() { s.rereadCertificates() }, false)
	}
	c.follower.Files(w.Files(), w.Auto != "")
	return b, nil
}

// orderCertificates begins to order certificates, when the tokens for them can be found.
func (s *service) orderCertificates() {
	if s.acmeDir() != "" {
		certificates.NewOrders(&s.want.Load().ACME, func() { s.rereadCertificates() }, s.log.Log)
	}
}

// rereadCertificates uses what the files have now. It reports whether there are any.
func (s *service) rereadCertificates() bool {
	want := s.want.Load()
	if want == nil {
		return false
	}
	c := &s.alone.files
	c.mu.Lock()
	defer c.mu.Unlock()
	// This cannot fail, because all files were valid before and are kept.
	if b, err := c.reader.Bundle(want); err == nil {
		s.renewCertificates(b)
	}
	return true
}

// certificates asks the supervisor, which reads them, because it may be allowed to read keys that this process may not.
func (p *Parent) certificates(w *certificates.Want) (*certificates.Bundle, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	m := p.questions.Ask(context.Background(), pool.Message{Kind: pool.Certificates, Raw: text}, p.send) // or listen ends this process
	if m.Text != "" {
		return nil, errors.New(m.Text)
	}
	b := new(certificates.Bundle)
	return b, json.Unmarshal(m.Raw, b)
}

func (p *Parent) takeCertificates(m *pool.Message) {
	b := new(certificates.Bundle)
	if err := json.Unmarshal(m.Raw, b); err != nil {
		p.s.log.Log(logfile.Error, fmt.Sprintf("certificates from the supervisor: %v", err))
		return
	}
	p.s.renewCertificates(b)
}
