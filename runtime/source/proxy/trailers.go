package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// wantsTrailers reports whether the upstream is told that the client takes trailers: if the client has said so itself (RFC 9110 §10.1.4). An
// upstream may send them anyway.
func wantsTrailers(h http.Header, r *backend.Request) bool {
	return h["Te"] != nil && takesTrailers(r) && !r.Tunnel
}

// takesTrailers reports whether trailers of the response can be passed on.
func takesTrailers(r *backend.Request) bool { return r.Parsed.Trailers && !r.Parsed.Head }

// announced returns the field that names the trailers which the upstream has announced, as far as they can be passed on; "": none.
func announced(r *backend.Request, response *http.Response) string {
	var names []string
	for name := range response.Trailer {
		if takesTrailers(r) && http1.ValidTrailer(name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return ""
	}
	slices.Sort(names)
	return "Trailer: " + strings.Join(names, ", ") + "\r\n"
}

// trailers returns the trailers of a response whose body has been read, without those that must not be passed on. Package http has kept their bytes
// below those of its buffer.
func trailers(response *http.Response) (fields exchange.Trailers, err error) {
	n := 0
	for name, values := range response.Trailer {
		for _, value := range values {
			if !http1.ValidTrailer(name) || !clean(value) {
				err = fmt.Errorf("dropped the trailer field %.80q", name)
				continue
			}
			n++
			fields = append(append(append(append(fields, spelling(name)...), ": "...), value...), "\r\n"...)
		}
	}
	if n > http1.MaxTrailers || len(fields) > http1.MaxTrailerBytes {
		return nil, fmt.Errorf("dropped %d trailer fields of %d bytes, more than %d or %d bytes", n, len(fields), http1.MaxTrailers, http1.MaxTrailerBytes)
	}
	return fields, err
}
