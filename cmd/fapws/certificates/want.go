package certificates

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
)

// Want is what the settings of a server ask for. It travels between processes as JSON.
type Want struct {
	Pairs []Pair // the first one is for clients that name no host, or an unknown one

	// Auto, if not "", is the directory of an authority of this machine's own, which the Reader maintains: one of Pairs is
	// its certificate. AutoHosts are names of hosts in it, in addition to those of the machine.
	Auto      string
	AutoHosts []string

	// ACME, if its Dir is not "", is where certificates are ordered: Pairs has those of its Hosts.
	ACME ACME

	Hosts []string // names of hosts without a certificate of their own

	Asking []Asking // of which clients certificates are asked for; nil: of none

	MinVersion uint16 // tls.VersionTLS12 or tls.VersionTLS13
	NoHTTP2    bool   // HTTP/2 is not offered
	Strict     bool   // refuse clients that name no host, or an unknown one
}

// Pair names the files of a certificate and its key.
type Pair struct {
	Cert  string   // file with the certificate, followed by those of the authorities between it and a root
	Key   string   // file with its private key; "": in Cert
	Names []string // host names that must be covered by it, and get it; nil: those in the certificate
	Later bool     // the files need not exist yet
	From  string   // where the configuration names it, for messages: "--certfile" or "fapws.toml:3: certfile"
}

// Asking says for which certificates the clients of some hosts are asked.
type Asking struct {
	Names   []string // of the hosts, as in Pair
	Default bool     // also for clients that name no host, or another one

	CAs  string // file of the authorities that may vouch for the certificates; "": clients are not asked
	From string // where the configuration names it

	// Auth is tls.RequestClientCert if requests are refused instead of handshakes: their connection knows why the certificate is not good
	// (exchange.TLS).
	Auth tls.ClientAuthType
}

// ACME names the hosts and the authority for orders: see orders.go.
type ACME struct {
	Dir, Email, Directory string
	Hosts                 []string
}

// keyFile returns the file that has the key.
func (p *Pair) keyFile() string {
	if p.Key == "" {
		return p.Cert
	}
	return p.Key
}

// id identifies the files of a pair.
func (p *Pair) id() string { return p.Cert + "\x00" + p.keyFile() }

// Bundle has the contents of the files of a Want.
type Bundle struct {
	Pairs     []Contents
	Authority []byte // certificate of the authority of Want.Auto, PEM
	Tickets   Tickets

	ClientCAs map[string][]byte `json:",omitempty"` // files of Asking, by name, PEM
}

// Contents are the files of one pair, in PEM.
type Contents struct {
	Cert, Key   string // their names, as in Pair
	Certificate []byte // with its chain
	PrivateKey  []byte
}

// of returns the contents for a pair, or nil.
func (b *Bundle) of(p *Pair) *Contents {
	for i := range b.Pairs {
		if c := &b.Pairs[i]; c.Cert == p.Cert && c.Key == p.Key {
			return c
		}
	}
	return nil
}

// Encode returns the want as text for DecodeWant in another process.
func (w *Want) Encode() (string, error) {
	text, err := json.Marshal(w)
	return string(text), err
}

// DecodeWant reads the text of Encode.
func DecodeWant(text string) (*Want, error) {
	w := new(Want)
	return w, json.Unmarshal([]byte(text), w)
}

// Encode returns the bundle for DecodeBundle in another process. It has private keys.
func (b *Bundle) Encode() ([]byte, error) { return json.Marshal(b) }

// DecodeBundle reads the text of Encode.
func DecodeBundle(text []byte) (*Bundle, error) {
	b := new(Bundle)
	return b, json.Unmarshal(text, b)
}

// hash identifies the demands on client certificates. Tickets of sessions are bound to it.
func (a *Asking) hash(cas []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{byte(a.Auth), 0}, cas...))
}
