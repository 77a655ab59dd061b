package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import "fapws/runtime/exchange"

// serverCerts are the certificates of this server as C has them, for the TLS extension of ASGI. A process has few in its life, which are
// never freed: records of requests point to them.
type serverCerts struct {
	last   *exchange.TLS // most clients share one
	text   *C.char       // of last
	byText map[string]*C.char
}

// of returns the certificate in PEM that a client was shown; nil: not known. It must be called on the event loop.
func (s *serverCerts) of(t *exchange.TLS) *C.char {
	if t == nil || t.Server == "" {
		return nil
	}
	if t == s.last {
		return s.text
	}
	text := s.byText[t.Server]
	if text == nil {
		if s.byText == nil {
			s.byText = map[string]*C.char{}
		}
		text = C.CString(t.Server)
		s.byText[t.Server] = text
	}
	s.last, s.text = t, text
	return text
}
