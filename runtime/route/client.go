package route

import (
	"bytes"
	"net/netip"

	"fapws/runtime/http1"
)

// AppendForwarded appends the fields of a request that Believe reads: its way through proxies, and its host. Most
// requests of a connection say the same, which is cheap to compare.
func AppendForwarded(dst []byte, r *http1.Request, head []byte) []byte {
	host := r.Authority // RFC 9112 §3.2.2: it wins
	if host.Len == 0 {
		host = r.Host
	}
	dst = append(append(append(dst, 'h'), host.In(head)...), '\n')
	if !r.Forwarded {
		return dst
	}
	for _, f := range r.Fields {
		if letter := forwardLetter(f.Name.In(head)); letter != 0 {
			dst = append(append(append(dst, letter), f.Value.In(head)...), '\n')
		}
	}
	return dst
}

// Believe returns what can be believed of forwarded fields, as AppendForwarded has them, of a request that a
// trusted proxy has sent, and the host that the request itself names.
func Believe(forwarded []byte, trusted func(netip.Addr) bool) (o Origin, host string) {
	var f forwarding
	for line := range bytes.Lines(forwarded) {
		value := string(line[1 : len(line)-1])
		switch line[0] {
		case 'h':
			host = value
		case 'f':
			f.forwarded = append(f.forwarded, value)
		case 'c':
			f.client = append(f.client, value)
		case 's':
			f.proto = append(f.proto, value)
		case 'a':
			f.host = append(f.host, value)
		case 'p':
			f.port = append(f.port, value)
		case 'r':
			f.path = append(f.path, value)
		}
	}
	return f.origin(trusted), host
}

// forwardLetter returns the letter that stands for a field, 0: it says nothing of proxies.
func forwardLetter(name []byte) byte {
	const x = "x-forwarded-"
	switch len(name) {
	case len("forwarded"):
		if bytes.EqualFold(name, []byte("forwarded")) {
			return 'f'
		}
	case len(x + "for"), len(x + "host"), len(x + "proto"), len(x + "prefix"):
		if !bytes.EqualFold(name[:len(x)], []byte(x)) {
			return 0
		}
		for _, one := range [...]struct {
			name   string
			letter byte
		}{{"for", 'c'}, {"proto", 's'}, {"host", 'a'}, {"port", 'p'}, {"prefix", 'r'}} {
			if len(one.name) == len(name)-len(x) && bytes.EqualFold(name[len(x):], []byte(one.name)) {
				return one.letter
			}
		}
	}
	return 0
}
