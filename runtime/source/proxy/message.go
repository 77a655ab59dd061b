package proxy

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// hopByHop are the fields that are about one connection only (RFC 9110 §7.6.1), in addition to those that Connection
// names.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// ours are the fields of requests that only the server sets: those that a client could
// forge, those of framing, and Proxy, which programs take for HTTP_PROXY.
var ours = []string{
	"Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Ingress-Path", "X-Real-Ip", "Client-Cert", "Client-Cert-Chain", "Proxy",
}

// drop removes the fields that are between two hops.
func drop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// request returns the request to the upstream for r. ok is false if its path must not be sent.
func (p *Proxy) request(r *backend.Request) (request *http.Request, ok bool) {
	target, ok := p.url(r)
	if !ok {
		return nil, false
	}
	h := http.Header{}
	for _, f := range r.Parsed.Fields {
		if bytes.IndexByte(f.Name.In(r.Head), '_') >= 0 {
			continue // to many applications X_Real_IP is X-Real-IP
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.In(r.Head)))
		h[name] = append(h[name], string(f.Value.In(r.Head)))
	}
	trailers := h["Te"] != nil && takesTrailers(r) && !r.WebSocket // RFC 9110 §10.1.4; an upstream may send them anyway
	drop(h)
	if trailers {
		h["Te"], h["Connection"] = []string{"trailers"}, []string{"TE"}
	}
	for _, name := range ours {
		delete(h, name)
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // none
	}
	h["Via"] = append(h["Via"], via(r.Parsed.Version.String()))
	if r.WebSocket {
		for name, values := range maps.Clone(h) {
			delete(h, name)
			h[spelling(name)] = values
		}
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	host := r.Host()
	p.introduce(h, r, host)
	if p.opt.ReplaceHost || host == "" {
		host = p.target.host
	}
	request = &http.Request{
		Method:     r.Method(),
		URL:        target,
		Host:       host,
		Header:     h,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Close:      r.Parsed.Head, // see delimited
	}
	if r.Size > 0 {
		request.ContentLength = r.Size
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.Body()), nil }
		request.Body, _ = request.GetBody()
	}
	return request.WithContext(r.Context), true
}

// introduce adds fields about the client. Its own fields about proxies do not count; those of trusted proxies are in
// r.Peer.
func (p *Proxy) introduce(h http.Header, r *backend.Request, host string) {
	scheme := cmp.Or(r.Peer.Scheme, "http")
	client, node := r.Peer.Addr, r.Peer.Addr
	if client == "" {
		client, node = "unknown", "unknown"
	} else if a, err := netip.ParseAddr(client); err == nil && a.Is6() {
		node = `"[` + client + `]"` // RFC 7239 §6
	}
	forwarded := "for=" + node + ";proto=" + scheme
	h["X-Forwarded-For"] = []string{client}
	h["X-Forwarded-Proto"] = []string{scheme}
	h["X-Real-Ip"] = []string{client}
	if host != "" {
		h["X-Forwarded-Host"] = []string{host}
		forwarded += `;host="` + host + `"` // its characters need no escape: http1.ValidHost
	}
	h["Forwarded"] = []string{forwarded}
	if r.Peer.User != "" {
		h["Remote-User"] = []string{r.Peer.User} // where there are users, package exchange has removed that of the client
	}
	if t := r.Peer.TLS; p.opt.ClientCert && t != nil && t.Verified {
		showCertificates(h, t.Certificates)
	}
}

// showCertificates adds those that a client has shown, its own first (RFC 9440).
func showCertificates(h http.Header, chain []*x509.Certificate) {
	item := func(c *x509.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }
	h["Client-Cert"] = []string{item(chain[0])}
	var between []string
	for _, c := range chain[1:] {
		between = append(between, item(c))
	}
	if between != nil {
		h["Client-Cert-Chain"] = []string{strings.Join(between, ", ")}
	}
}

// url returns the target of the request to the upstream, as the client has encoded it where possible. ok is false if
// the upstream might resolve it to a path outside of the mount.
func (p *Proxy) url(r *backend.Request) (u *url.URL, ok bool) {
	u = &url.URL{Scheme: "http", Host: "backend", Path: r.Path[r.Root:], RawQuery: r.Query()}
	if climbs(u.Path) {
		return nil, false
	}
	if p.target.base != "" {
		info := r.Path[r.Script:]
		if strings.HasSuffix(p.target.base, "/") {
			info = strings.TrimPrefix(info, "/")
		}
		u.Path = p.target.base + info
		return u, true
	}
	raw := r.Parsed.Path.In(r.Head)
	if string(http1.DecodePath(nil, raw)) == u.Path {
		u.RawPath = string(raw)
	}
	u.ForceQuery = strings.HasSuffix(r.Target(), "?")
	return u, true
}

// climbs reports whether a path, percent-decoded once, has a ".." segment in any spelling that servers
// are known to resolve: between slashes or backslashes, before the ";" of a path parameter ("..;/"), before NUL, "?" or "#"
// for those that decode a path before they parse it, and encoded again for those that decode twice.
func climbs(path string) bool {
	for range 3 {
		for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
			if after, ok := strings.CutPrefix(segment, ".."); ok && (after == "" || strings.IndexByte(";?#\x00", after[0]) >= 0) {
				return true
			}
		}
		if strings.IndexByte(path, '%') < 0 {
			return false
		}
		path = string(http1.DecodePath(nil, []byte(path)))
	}
	return false
}

// readHead reads the head of a response, with all values of Connection: net/http removes the field if "close" is one of
// them, though it names the fields that must not be passed on (RFC 9110 §7.6.1). The error is bufio.ErrBufferFull if
// the head is larger than the buffer of in.
func readHead(in *bufio.Reader, request *http.Request) (*http.Response, error) {
	head, err := wholeHead(in)
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(in, request)
	if err == nil && response.Close {
		again := textproto.NewReader(bufio.NewReader(bytes.NewReader(head))) // nothing has been read into the buffer since
		_, _ = again.ReadLine()
		fields, _ := again.ReadMIMEHeader()
		response.Header["Connection"] = fields["Connection"]
	}
	return response, err
}

// wholeHead waits for the whole head of a response and returns it, and the bytes that have come behind it, in the buffer of in, from which it reads
// nothing. If the first line is not of HTTP, it returns at once.
func wholeHead(in *bufio.Reader) (head []byte, err error) {
	for {
		head, _ = in.Peek(in.Buffered())
		first, _, complete := bytes.Cut(head, []byte{'\n'})
		if complete && !bytes.HasPrefix(first, []byte("HTTP/")) || bytes.Contains(head, []byte("\n\n")) || bytes.Contains(head, []byte("\n\r\n")) {
			return head, nil
		}
		if _, err := in.Peek(len(head) + 1); err != nil {
			return nil, err
		}
	}
}

// responseHead returns the head of a response without the fields that are about the connection to the
// upstream. ok is false if a field must not be passed on.
func responseHead(response *http.Response) (head exchange.Head, ok bool) {
	_, reason, _ := strings.Cut(response.Status, " ")
	head = exchange.Head{Status: response.StatusCode, Reason: []byte(reason), Length: response.ContentLength}
	if !httpguts.ValidHeaderFieldValue(reason) || !trimNames(response) {
		return head, false
	}
	drop(response.Header)
	response.Header.Del("Content-Length")
	// The application here decides which clients join a channel. Another server may not.
	response.Header.Del("Fapws-Channel")
	if response.StatusCode >= 200 {
		response.Header["Via"] = append(response.Header["Via"], via(response.Proto))
	}
	for name, values := range response.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return head, false
			}
			head.Fields = exchange.Field{Name: spelling(name), Value: value}.AppendTo(head.Fields)
		}
		head.HasDate = head.HasDate || name == "Date"
		head.HasServer = head.HasServer || name == "Server"
	}
	return head, true
}

// via is the entry for this server in a Via field of a message that it has received by that version of HTTP
// (RFC 9110 §7.6.3).
func via(version string) string { return strings.TrimPrefix(version, "HTTP/") + " fapws" }

// trimNames removes white space between names of fields and their colons (RFC 9112 §5.1), which
// package http leaves in. It reports whether all names are valid then, and none with white space has a part
// in framing, as it did not count for that.
func trimNames(response *http.Response) bool {
	for name, values := range response.Header {
		trimmed := textproto.CanonicalMIMEHeaderKey(strings.TrimRight(name, " "))
		framing := trimmed == "Content-Length" || trimmed == "Transfer-Encoding" || trimmed == "Connection"
		if !httpguts.ValidHeaderFieldName(trimmed) || trimmed != name && framing {
			return false
		}
		if trimmed != name {
			delete(response.Header, name)
			response.Header[trimmed] = append(response.Header[trimmed], values...)
		}
	}
	return true
}

// spelling is how RFC 6455 has the names of its fields, which package http spells in
// another way. There are programs that compare.
func spelling(name string) string {
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
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
			if !http1.ValidTrailer(name) || !httpguts.ValidHeaderFieldValue(value) {
				err = fmt.Errorf("dropped the trailer field %.80q", name)
				continue
			}
			n++
			fields = exchange.Field{Name: spelling(name), Value: value}.AppendTo(fields)
		}
	}
	if n > http1.MaxTrailers || len(fields) > http1.MaxTrailerBytes {
		return nil, fmt.Errorf("dropped %d trailer fields of %d bytes, more than %d or %d bytes", n, len(fields), http1.MaxTrailers, http1.MaxTrailerBytes)
	}
	return fields, err
}
