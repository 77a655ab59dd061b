package certificates

import "crypto/tls"

// chooser finds the certificate for a client by the host that it names.
type chooser struct {
	byName names[[]*tls.Certificate]
	first  []*tls.Certificate // for clients that name no host, or an unknown one; nil: these are refused
}

// add makes c the certificate of names. Several of a name differ in the kind of their key; a name of the configuration
// (own) goes before one that is only in another certificate.
func (ch *chooser) add(c *tls.Certificate, names []string) {
	if ch.byName == nil {
		ch.byName = map[string][]*tls.Certificate{}
	}
	for _, name := range names {
		key := hostKey(name)
		ch.byName[key] = append(ch.byName[key], c)
	}
}

// choose returns the certificate for a client, or nil if it is to be refused. It is safe for concurrent use.
func (ch *chooser) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	list, ok := ch.byName.find(asked(hello))
	if !ok {
		list = ch.first
	}
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		unnamed := *hello
		unnamed.ServerName = "" // whether the name fits does not matter any more
		for _, c := range list {
			if unnamed.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return list[0] // if the client does not support it, the handshake tells why
}
