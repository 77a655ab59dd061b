package compress

import (
	"bytes"
	"fmt"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// acceptedBy returns the coding for a response to r. If strong is true, the client knows only strong entity tags, which
// belong to uncompressed responses.
func acceptedBy(r *exchange.Request) (c Coding, strong bool) {
	accepted := AcceptedBy(r.Head, r.Parsed.Fields)
	c = accepted.Choose(&Made)
	if c == Identity {
		return c, false
	}
	secret := r.Peer.TLS != nil && len(r.Peer.TLS.Certificates) > 0 || r.Peer.User != ""
	own := false
	for _, f := range r.Parsed.Fields {
		value := f.Value.In(r.Head)
		switch name := f.Name.In(r.Head); {
		case http1.EqualFold(name, "cache-control") && noTransform(value):
			return Identity, false
		case http1.EqualFold(name, "if-none-match"):
			strong = !bytes.Contains(value, []byte("W/"))
		case http1.EqualFold(name, "cookie"), http1.EqualFold(name, "authorization"):
			secret = true
		case http1.EqualFold(name, "sec-fetch-site"):
			own = own || string(value) == "same-origin" || string(value) == "none"
		case http1.EqualFold(name, "sec-fetch-user"):
			own = own || string(value) == "?1"
		}
	}
	if secret && !own && r.Peer.HTTPS {
		return Identity, false
	}
	return c, strong
}

func noTransform(value []byte) bool {
	return bytes.Contains(bytes.ToLower(value), []byte("no-transform"))
}

// suits reports whether the status, type and fields of h permit compression.
func suits(h *exchange.Head) bool {
	if h.Status < 200 || 204 <= h.Status && h.Status <= 206 {
		return false
	}
	kind := h.Type
	if h.Status == 304 { // a 304 usually has no Content-Type
		kind = "text/plain"
	}
	for line := range bytes.Lines(h.Fields) {
		name := http1.FieldName(line)
		value := line[min(len(name)+1, len(line)):]
		switch {
		case http1.EqualFold(name, "content-type"):
			kind = string(bytes.TrimSpace(value))
		case http1.EqualFold(name, "cache-control") && noTransform(value),
			http1.EqualFold(name, "vary") && bytes.Contains(bytes.ToLower(value), []byte("accept-encoding")),
			http1.EqualFold(name, "content-encoding"), http1.EqualFold(name, "content-range"), isDigest(name):
			return false
		}
	}
	return Compressible(kind)
}

func isDigest(name []byte) bool {
	return http1.EqualFold(name, "content-digest") || http1.EqualFold(name, "repr-digest") ||
		http1.EqualFold(name, "digest") || http1.EqualFold(name, "content-md5")
}

// trailersOf returns the trailers of p without digests, which are digests of the uncompressed body.
func trailersOf(p *exchange.Part) *exchange.Trailers {
	if p.Trailers == nil {
		return nil
	}
	kept := exchange.Trailers(http1.AppendFields(nil, *p.Trailers, isDigest))
	return &kept
}

var varies = []byte("Vary: Accept-Encoding\r\n")

// codedFields returns a copy of fields, changed for a response with the coding c. For a 304, c must be Identity.
func codedFields(fields []byte, c Coding) []byte {
	return append(Fields(http1.WithoutField(fields, []byte("Accept-Ranges")), c), varies...)
}

// Fields returns a copy of fields with a weak entity tag (RFC 9110 §8.8.1) and, unless c is Identity, with the field
// Content-Encoding. Compressed and uncompressed form need different strong tags, but may share a weak tag (§8.8.3.3).
func Fields(fields []byte, c Coding) []byte {
	out := make([]byte, 0, len(fields)+len(varies)+40)
	for line := range bytes.Lines(fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimLeft(value, " \t")
		if http1.EqualFold(name, "etag") && !bytes.HasPrefix(value, []byte("W/")) {
			line = slices.Concat(name, []byte(": W/"), value)
		}
		out = append(out, line...)
	}
	if c != Identity {
		out = fmt.Appendf(out, "Content-Encoding: %v\r\n", c)
	}
	return out
}
