package certificates

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// protocols lists the protocols that clients may choose by ALPN (RFC 7301), the best first.
var protocols = []string{"h2", "http/1.1"}

func (w *Want) protocols() []string {
	if w.NoHTTP2 {
		return []string{"http/1.1"}
	}
	return slices.Clone(protocols)
}

// Cipher suites of Mozilla's "intermediate" recommendation, version 5.7, except DHE, which crypto/tls does not support.
// crypto/tls always allows all suites of TLS 1.3.
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

// Server is the configuration of TLS that all connections of a process have in common. Server is safe for concurrent
// use.
type Server struct {
	present atomic.Pointer[configs]
}

// Config returns the configuration for listeners. The configuration stays valid after a call of Use: new connections
// then use the new certificates.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: slices.Clone(protocols),
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if c := s.present.Load(); c != nil {
				return c.choose(hello), nil
			}
			return nil, errors.New("no certificate yet")
		},
	}
}

// Use makes new connections use the certificates of b as described by w. After an error, which is one line, nothing
// changes.
func (s *Server) Use(w *Want, b *KeySet) error {
	c, err := newConfigs(w, b)
	if err != nil {
		return err
	}
	s.present.Store(c)
	return nil
}

func (s *Server) Expiries() []Expiry {
	if c := s.present.Load(); c != nil {
		return c.expiry
	}
	return nil
}

func (c *configs) parse(w *Want, b *KeySet) (certs []*tls.Certificate, err error) {
	add := func(cert *tls.Certificate, names []string) {
		for _, name := range names {
			if key := hostKey(name); covers(cert.Leaf, name) {
				c.certs.hosts[key] = append(c.certs.hosts[key], cert)
			}
		}
	}
	for i := range w.Pairs {
		p := &w.Pairs[i]
		contents, known := b.Files[p.id()]
		if !known && p.Later {
			continue
		}
		cert, err := p.parse(contents.Certificate, contents.PrivateKey)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
		add(cert, p.Names)
	}
	c.certs.oneLabel = true
	own := maps.Clone(c.certs.hosts)
	// add names in certificates that are not host names in the configuration
	for _, cert := range certs {
		for _, name := range namesOf(cert.Leaf) {
			if own[hostKey(name)] == nil {
				add(cert, []string{name})
			}
		}
	}
	if len(certs) == 0 && w.ACME.Dir == "" {
		return nil, errors.New("no certificate")
	}
	if !w.Strict && len(certs) > 0 {
		c.certs.first = certs[:1]
		// The host of the first certificate may have further certificates, with other kinds of keys.
		if names := namesOf(certs[0].Leaf); len(names) > 0 {
			others := slices.DeleteFunc(slices.Clone(c.certs.hosts[hostKey(names[0])]), func(c *tls.Certificate) bool {
				return c == certs[0]
			})
			c.certs.first = slices.Concat(c.certs.first, others)
		}
	}
	return certs, nil
}

// certificate returns the certificate for the host name that a client requests, or nil to reject it. certificate is
// safe for concurrent use.
func (c *configs) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	list := c.certs.find(asked(hello))
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		unnamed := *hello
		unnamed.ServerName = "" // the certificates were chosen by name, so check only their keys
		for _, c := range list {
			if unnamed.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	// no certificate suits the client: crypto/tls then reports the reason
	return list[0]
}

// A value of the type names contains an entry for each host. A host has the form "example.org", "*.example.org" or
// "example.*", or is an IP address.
type names[T any] struct {
	hosts map[string]T
	first T // for clients that request no host or an unknown host

	// "*." matches one label, as in certificates (RFC 9525 §6.3); false means any number
	oneLabel bool
}

// maxName is the maximum length of a host name (RFC 1035 §2.3.4). A client may send a name of 64 KiB.
const maxName = 253

// hostKey normalizes a name of the configuration or of a certificate for comparison.
func hostKey(name string) string {
	return strings.Trim(strings.ToLower(strings.TrimSuffix(name, ".")), "[]")
}

// find returns the entry for a name. The exact name takes precedence over "*.rest", a longer "*.rest" over a shorter
// one, and "*.rest" over "beginning.*".
func (n *names[T]) find(name string) T {
	if value, ok := n.hosts[name]; ok {
		return value
	}
	if len(name) > maxName || net.ParseIP(name) != nil {
		return n.first
	}
	for _, rest, dotted := strings.Cut(name, "."); dotted; _, rest, dotted = strings.Cut(rest, ".") {
		if value, ok := n.hosts["*."+rest]; ok {
			return value
		}
		if n.oneLabel {
			break
		}
	}
	for dot := strings.LastIndexByte(name, '.'); dot >= 0; dot = strings.LastIndexByte(name[:dot], '.') {
		if value, ok := n.hosts[name[:dot]+".*"]; ok {
			return value
		}
	}
	return n.first
}

// asked returns the host that a client requests: the name in its ClientHello (SNI, RFC 6066 §3), or else the local
// address of the connection, because SNI contains no IP addresses.
func asked(hello *tls.ClientHelloInfo) string {
	if name := strings.ToLower(strings.TrimSuffix(hello.ServerName, ".")); name != "" {
		return name
	}
	if hello.Conn == nil {
		return ""
	}
	tcp, ok := hello.Conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return tcp.IP.String()
}

const (
	// ticketPeriod is the minimum time for which a secret encrypts tickets.
	ticketPeriod = 4 * time.Hour

	// ticketSecrets is the number of secrets, including secrets of earlier periods, so that a ticket is valid for at
	// least 20 hours.
	ticketSecrets = 6
)

// tickets holds the secrets from which the keys of session tickets are derived, newest first. Processes with the same
// KeySet share the secrets. Secrets of expired tickets are dropped.
type tickets [][]byte

func (t tickets) next() tickets {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret)
	return slices.Concat(tickets{secret}, t[:min(len(t), ticketSecrets-1)])
}

// keys returns ticket keys; the first key encrypts. The ticket keys depend on the settings for client certificates
// (hash), because a client could otherwise resume a session that these settings do not allow.
func (t tickets) keys(hash [sha256.Size]byte) (keys [][32]byte) {
	for _, secret := range t {
		keys = append(keys, sha256.Sum256(slices.Concat(secret, hash[:])))
	}
	return keys
}
