package certificates

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// protocols are those that clients may choose by ALPN (RFC 7301), the best first.
var protocols = []string{"h2", "http/1.1"}

// protocols returns those that w offers.
func (w *Want) protocols() []string {
	if w.NoHTTP2 {
		return []string{"http/1.1"}
	}
	return slices.Clone(protocols)
}

// Mozilla's "intermediate" recommendation, version 5.7, as far as crypto/tls has it: it has no DHE. Of TLS 1.3 all suites
// are good, and crypto/tls allows no choice.
var (
	suites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	curves = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
)

// Server is the configuration of TLS that all connections of a process have in common. It is safe for concurrent use.
type Server struct {
	present   atomic.Pointer[configs]
	challenge atomic.Pointer[tls.Config] // for an authority that looks for a token; nil: none does

	rotating sync.Once

	mu      sync.Mutex
	tickets Tickets
}

// Config returns the configuration for listeners. It stays the same: what Use sets is chosen for each new connection.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: slices.Clone(protocols),
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if challenge := s.challenge.Load(); challenge != nil && AsksACME(hello) {
				return challenge, nil
			}
			if c := s.present.Load(); c != nil {
				return c.choose(hello), nil
			}
			return nil, errors.New("no certificate yet")
		},
	}
}

// Use lets new connections have the certificates of b as w asks for them. After an error, which is one line, everything
// stays as it was.
func (s *Server) Use(w *Want, b *Bundle) error {
	c, err := newConfigs(w, b)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Tickets.newer(&s.tickets) {
		s.tickets = b.Tickets
	}
	s.tickets.advance(uptime())
	c.useTickets(&s.tickets)
	if w.ACME.Dir != "" {
		s.challenge.Store(&tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{ACMEProtocol}, GetCertificate: ChallengeACME(w.ACME.Dir)})
	}
	s.present.Store(c)
	s.rotating.Do(func() { go s.rotate() })
	return nil
}

// Expiries returns when the certificates in use end.
func (s *Server) Expiries() []Expiry {
	if c := s.present.Load(); c != nil {
		return c.expiry
	}
	return nil
}

// rotate looks at the time for as long as the process lives.
func (s *Server) rotate() {
	for range time.Tick(TicketPeriod / 16) {
		s.rotateTickets(uptime())
	}
}

// rotateTickets uses the keys of the time since the machine was started.
func (s *Server) rotateTickets(since time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.present.Load(); c != nil && s.tickets.advance(since) {
		c.useTickets(&s.tickets)
	}
}

// newChooser parses the certificates that w asks for, and returns them all, too.
func newChooser(w *Want, b *Bundle) (ch *chooser, all []*tls.Certificate, err error) {
	ch = &chooser{}
	for i := range w.Pairs {
		p := &w.Pairs[i]
		contents := b.of(p)
		if contents == nil && p.Later {
			continue
		}
		if contents == nil {
			return nil, nil, fmt.Errorf("the certificate %s is missing", p.Cert)
		}
		cert, err := p.parse(contents.Certificate, contents.PrivateKey)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, cert)
		ch.add(cert, p.Names)
	}
	own := map[string]bool{}
	for name := range ch.byName {
		own[name] = true
	}
	for _, cert := range all { // names in certificates, where the configuration has no host of the name
		for _, name := range namesOf(cert.Leaf) {
			if !own[hostKey(name)] {
				ch.add(cert, []string{name})
			}
		}
	}
	if len(all) == 0 && w.ACME.Dir == "" {
		return nil, nil, errors.New("no certificate")
	}
	if !w.Strict && len(all) > 0 {
		ch.first = all[:1]
		if names := namesOf(all[0].Leaf); len(names) > 0 { // perhaps with a key of another kind as well
			others := slices.DeleteFunc(slices.Clone(ch.byName[hostKey(names[0])]), func(c *tls.Certificate) bool { return c == all[0] })
			ch.first = slices.Concat(ch.first, others)
		}
	}
	return ch, all, nil
}
