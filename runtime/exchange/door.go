package exchange

import (
	"crypto/x509"
	"encoding/json"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// PeerField is the request field in which a server describes the client to an application behind a door. A server
// believes the field only on a connection that came through a door, and removes it from the request.
const PeerField = "Fapws-Peer"

const peerField = "fapws-peer"

// introduction is the value of PeerField, encoded as JSON.
type introduction struct {
	Peer
	Version http1.Version
	Root    string // decoded path prefix of the application; part of SCRIPT_NAME
	TLS     *introducedTLS
}

// introducedTLS is a conn.TLSState whose certificates are encoded.
type introducedTLS struct {
	conn.TLSState
	Certificates [][]byte
}

// Introduce returns the value of PeerField for a request of p. root is the path prefix of the application.
func Introduce(p *Peer, version http1.Version, root string) []byte {
	i := introduction{Peer: *p, Version: version, Root: root}
	if t := p.TLS; t != nil {
		i.TLS = &introducedTLS{TLSState: *t}
		for _, one := range t.Certificates {
			i.TLS.Certificates = append(i.TLS.Certificates, one.Raw)
		}
		i.TLS.TLSState.Certificates = nil
	}
	text, _ := json.Marshal(&i) // cannot fail, because the types have an encoding
	return text
}

func isPeerField(name []byte) bool { return http1.EqualFold(name, peerField) }

// peer returns the client that i describes.
func (i *introduction) peer() (*Peer, error) {
	p := i.Peer
	p.TLS = nil
	if i.TLS == nil {
		return &p, nil
	}
	t := i.TLS.TLSState
	for _, raw := range i.TLS.Certificates {
		one, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, err
		}
		t.Certificates = append(t.Certificates, one)
	}
	p.TLS = &t
	return &p, nil
}

// ComesThroughDoor makes c believe PeerField. It must be called before c is opened.
func (c *Client) ComesThroughDoor() { c.proxy = &trustedProxy{trusted: true, door: true} }

// FromDoor reports whether c came through a door, so that each request can have a client of its own.
func (c *Client) FromDoor() bool { return c.proxy != nil && c.proxy.door }

// mostIntroduced limits the clients that a Server remembers by their introduction.
const mostIntroduced = 256

// An introducedClient is the result of decoding PeerField.
type introducedClient struct {
	peer    *Peer // nil if the field is malformed
	root    string
	version http1.Version
}

// clientOf returns the client in a value of PeerField.
func (s *Server) clientOf(value []byte, version http1.Version) (c introducedClient) {
	c, known := s.introductions[string(value)]
	if known {
		return c
	}
	i := introduction{Version: version}
	if json.Unmarshal(value, &i) == nil {
		c.peer, _ = i.peer()
	}
	c.root, c.version = i.Root, min(i.Version, http1.HTTP2)
	if s.introductions == nil || len(s.introductions) >= mostIntroduced {
		s.introductions = map[string]introducedClient{}
	}
	s.introductions[string(value)] = c
	return c
}

// introduced sets the client of x from PeerField, and removes the field. The field is missing if x is routed again.
func (s *Server) introduced(x *Exchange) {
	q, f := x.req, x.client.proxy
	value, found := http1.First(q.Head, q.parsed.Fields, peerField)
	if found {
		one := s.clientOf(value, q.parsed.Version)
		f.peer, f.root, q.parsed.Version = one.peer, one.root, one.version
	}
	if f.peer == nil {
		f.peer = x.client.direct()
	}
	if !found {
		return
	}
	// HTTP/2 has no field Transfer-Encoding, and needs no TE for trailers
	framed := q.parsed.Version.Has(http1.FramesItself)
	q.parsed.Trailers = q.parsed.Trailers || framed
	x.Out.trailers = q.parsed.Trailers
	q.Head = q.parsed.AppendWithout(nil, q.Head, func(field http1.Field) bool {
		name := field.Name.In(q.Head)
		return isPeerField(name) || framed && http1.EqualFold(name, "transfer-encoding")
	})
}
