package proxy

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fapws/runtime/http1"
)

// A fate says what happens to a field of a message that is forwarded.
type fate uint8

const (
	passes fate = iota
	// the field applies to a single connection (RFC 9110 §7.6.1), in addition to the fields that Connection names
	hops
	// in requests, only this server sets the field: clients could forge it, it frames the body, or it would become the
	// variable HTTP_PROXY of a CGI program
	ours
)

// longest is the length of the longest name that fateOf knows.
const longest = len("proxy-authorization")

func fateOf(name []byte) fate {
	var lower [longest]byte
	if len(name) > longest {
		return passes
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length":
		return hops
	case "host", "expect", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
		"x-forwarded-proto", "x-ingress-path", "x-real-ip", "client-cert", "client-cert-chain", "proxy":
		return ours
	}
	return passes
}

// named reports whether a Connection field of a head names the field (RFC 9110 §7.6.1). connection is the list of their
// values.
func named(connection [][]byte, name []byte) bool {
	for _, list := range connection {
		for option := range bytes.SplitSeq(list, []byte{','}) {
			if bytes.EqualFold(bytes.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}

// connectionFields returns the values of Connection fields, without those that name no field.
func connectionFields(head []byte, fields []http1.Field) (values [][]byte) {
	for value := range http1.Values(head, fields, "connection") {
		if !bytes.EqualFold(value, []byte("keep-alive")) && !bytes.EqualFold(value, []byte("close")) {
			values = append(values, value)
		}
	}
	return values
}

func appendField(dst []byte, name, value string) []byte {
	return append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
}

// appendHead appends the head of the request to the upstream u. Fields have the order and the case in which the client
// has sent them.
func (q *request) appendHead(dst []byte, u *upstream) []byte {
	parsed, head := q.parse(), q.Head
	dst = append(append(dst, parsed.Method.In(head)...), ' ')
	dst = append(q.appendTarget(dst, parsed, u), " HTTP/1.1\r\nHost: "...)
	at := len(dst)
	dst = q.Peer.AppendHost(dst, parsed, head)
	host := string(dst[at:])
	if u.opt.ReplaceHost || host == "" {
		dst = append(dst[:at], u.target.host...)
	}
	dst = append(dst, "\r\n"...)
	connection := connectionFields(head, parsed.Fields)
	te := false
	for _, f := range parsed.Fields {
		name := f.Name.In(head)
		te = te || http1.EqualFold(name, "te")
		if fateOf(name) != passes || named(connection, name) ||
			bytes.IndexByte(name, '_') >= 0 || // many applications treat X_Real_IP like X-Real-IP
			q.call != nil && http1.EqualFold(name, "traceparent") {
			continue
		}
		dst = append(append(append(append(dst, name...), ": "...), f.Value.In(head)...), "\r\n"...)
	}
	// Forward "TE: trailers" if the client accepts trailers (RFC 9110 §10.1.4).
	switch {
	case q.Upgrade:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case te && q.takesTrailers:
		dst = append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	case q.isHead:
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "Via: "...)
	dst = append(dst, strings.TrimPrefix(parsed.Version.String(), "HTTP/")...)
	dst = append(dst, " fapws\r\n"...)
	dst = q.introduce(dst, u, host)
	if q.call != nil {
		dst = appendField(dst, "Traceparent", q.call.Traceparent())
	}
	switch method := parsed.Method.In(head); {
	case q.More && q.Size < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case q.More, q.Size > 0, string(method) == "POST", string(method) == "PUT", string(method) == "PATCH":
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), q.Size, 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// introduce appends fields that describe the client. The values come from q.Peer, which includes values from trusted
// proxies; the same fields from the client are not forwarded.
func (q *request) introduce(dst []byte, u *upstream, host string) []byte {
	scheme := q.Peer.Scheme()
	client, node := q.Peer.Addr, q.Peer.Addr
	if client == "" {
		client, node = "unknown", "unknown"
	} else if strings.IndexByte(client, ':') >= 0 {
		if a, err := netip.ParseAddr(client); err == nil && a.Is6() {
			node = `"[` + client + `]"`
		}
	}
	dst = appendField(dst, "X-Forwarded-For", client)
	dst = appendField(dst, "X-Forwarded-Proto", scheme)
	dst = appendField(dst, "X-Real-Ip", client)
	dst = append(append(append(append(dst, "Forwarded: for="...), node...), ";proto="...), scheme...)
	if host != "" {
		// No escapes are needed, because http1.ValidHost permits only characters without a special meaning in a quoted
		// string.
		dst = append(append(append(dst, `;host="`...), host...), `"`...)
		dst = appendField(append(dst, "\r\n"...), "X-Forwarded-Host", host)
	} else {
		dst = append(dst, "\r\n"...)
	}
	if q.Peer.User != "" {
		// The client itself cannot set Remote-User, because package exchange removes this field if the server has users.
		dst = appendField(dst, "Remote-User", q.Peer.User)
	}
	if t := q.Peer.TLS; u.opt.ClientCert && t != nil && t.Verified {
		dst = appendCertificates(dst, t.Certificates)
	}
	return dst
}

// appendCertificates appends the fields with the client's certificates (RFC 9440). The first certificate in chain is the
// client's own certificate.
func appendCertificates(dst []byte, chain []*x509.Certificate) []byte {
	var items []string
	for _, c := range chain {
		items = append(items, ":"+base64.StdEncoding.EncodeToString(c.Raw)+":")
	}
	if dst = appendField(dst, "Client-Cert", items[0]); len(items) > 1 {
		dst = appendField(dst, "Client-Cert-Chain", strings.Join(items[1:], ", "))
	}
	return dst
}

// appendTarget appends the target of the request to the upstream, with the client's percent-encoding if possible.
func (q *request) appendTarget(dst []byte, parsed *http1.Request, u *upstream) []byte {
	raw, path := parsed.Path.In(q.Head), q.Path[q.Root:]
	same := u.target.base == "" && bytes.Equal(raw, path)
	if u.target.base == "" && !same {
		same = bytes.Equal(http1.DecodePath(nil, raw), path)
	}
	if same {
		dst = append(dst, raw...)
	} else {
		location := url.URL{Path: string(path)}
		if base := u.target.base; base != "" {
			info := string(q.Path[q.Script:])
			if strings.HasSuffix(base, "/") {
				info = strings.TrimPrefix(info, "/")
			}
			location.Path = base + info
		}
		dst = append(dst, location.EscapedPath()...)
	}
	query, target := parsed.Query.In(q.Head), parsed.Target.In(q.Head)
	if len(query) > 0 || bytes.HasSuffix(target, []byte{'?'}) {
		dst = append(append(dst, '?'), query...)
	}
	return dst
}

// climbs reports whether the path, after one decoding, has a ".." segment in a spelling that some server resolves.
// These spellings are: ".." between slashes or backslashes; before the ";" of a path parameter ("..;/"); before NUL,
// "?" or "#", because some servers decode a path before parsing it; and percent-encoded again, because some servers
// decode a path twice.
func climbs(path []byte) bool {
	for range 3 {
		for i := 0; ; {
			k := bytes.Index(path[i:], []byte(".."))
			if k < 0 {
				break
			}
			before := i + k - 1
			if i += k + len(".."); (before < 0 || separates(path[before], `/\`)) &&
				(i == len(path) || separates(path[i], "/\\;?#\x00")) {
				return true
			}
		}
		if bytes.IndexByte(path, '%') < 0 {
			return false
		}
		path = http1.DecodePath(nil, path)
	}
	return false
}

func separates(c byte, chars string) bool { return strings.IndexByte(chars, c) >= 0 }

// appendFields appends the fields of a response that the client gets, in their order and case.
func (u *upstream) appendFields(dst []byte, a *http1.UpstreamHead, head []byte) (fields []byte, hasDate bool) {
	connection := connectionFields(head, a.Fields)
	for _, f := range a.Fields {
		name := f.Name.In(head)
		// Only this server's application may make clients subscribers of a channel, not an upstream.
		if fateOf(name) == hops || named(connection, name) || http1.EqualFold(name, "fapws-channel") {
			continue
		}
		hasDate = hasDate || http1.EqualFold(name, "date")
		dst = append(append(append(append(dst, name...), ": "...), f.Value.In(head)...), "\r\n"...)
	}
	switch {
	case a.Status < 200 && a.Status != 101, u.opt.mounts():
	case a.Version == http1.HTTP10:
		dst = append(dst, "Via: 1.0 fapws\r\n"...)
	default:
		dst = append(dst, "Via: 1.1 fapws\r\n"...)
	}
	return dst, hasDate
}

// appendAnnounced appends the field Trailer for the client, if the upstream announces trailers that can be forwarded.
func appendAnnounced(dst []byte, a *http1.UpstreamHead, head []byte) []byte {
	var names []string
	for value := range http1.Values(head, a.Fields, "trailer") {
		for name := range strings.SplitSeq(string(value), ",") {
			if name = strings.TrimSpace(name); http1.ValidTrailer(name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return dst
	}
	return appendField(dst, "Trailer", strings.Join(names, ", "))
}
