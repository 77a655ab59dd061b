package proxy

import (
	"bufio"
	"bytes"
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

// hopByHop lists fields that apply to a single connection (RFC 9110 §7.6.1), in addition to the fields that Connection
// names.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// ours lists the request fields that only this server may set: fields that clients could forge, framing fields, and
// Proxy, which would become the variable HTTP_PROXY of a CGI program.
var ours = []string{
	"Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Ingress-Path", "X-Real-Ip", "Client-Cert", "Client-Cert-Chain",
	"Proxy",
}

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

func (peer *upstream) request(r *backend.Request) *http.Request {
	h := http.Header{}
	for _, f := range r.Parsed.Fields {
		if bytes.IndexByte(f.Name.In(r.Head), '_') >= 0 {
			continue // omit the field, because many applications treat X_Real_IP like X-Real-IP
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.In(r.Head)))
		h[name] = append(h[name], string(f.Value.In(r.Head)))
	}
	// Forward "TE: trailers" if the client accepts trailers (RFC 9110 §10.1.4).
	trailers := h["Te"] != nil && takesTrailers(r) && !r.Upgrade
	drop(h)
	if trailers {
		h["Te"], h["Connection"] = []string{"trailers"}, []string{"TE"}
	}
	for _, name := range ours {
		delete(h, name)
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // an empty value omits the field
	}
	h["Via"] = append(h["Via"], via(r.Parsed.Version.String()))
	if r.Upgrade {
		for name, values := range maps.Clone(h) {
			delete(h, name)
			h[spelling(name)] = values
		}
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	host := r.Host()
	peer.introduce(h, r, host)
	if peer.opt.ReplaceHost || host == "" {
		host = peer.target.host
	}
	request := &http.Request{Method: r.Method(), URL: peer.url(r), Host: host, Header: h, Close: r.Parsed.Head,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	switch {
	case r.More:
		request.ContentLength, request.Body = r.Size, &streamedBody{r: r}
	case r.Size > 0:
		request.ContentLength = r.Size
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.Body()), nil }
		request.Body, _ = request.GetBody()
	}
	return request.WithContext(r.Context)
}

// introduce adds fields that describe the client. The values come from r.Peer, which includes values from trusted
// proxies; the same fields from the client were already removed.
func (peer *upstream) introduce(h http.Header, r *backend.Request, host string) {
	scheme := r.Peer.Scheme()
	client, node := r.Peer.Addr, r.Peer.Addr
	if client == "" {
		client, node = "unknown", "unknown"
	} else if a, err := netip.ParseAddr(client); err == nil && a.Is6() {
		node = `"[` + client + `]"`
	}
	forwarded := "for=" + node + ";proto=" + scheme
	h["X-Forwarded-For"] = []string{client}
	h["X-Forwarded-Proto"] = []string{scheme}
	h["X-Real-Ip"] = []string{client}
	if host != "" {
		h["X-Forwarded-Host"] = []string{host}
		// No escapes are needed, because http1.ValidHost permits only characters without a special meaning in a quoted
		// string.
		forwarded += `;host="` + host + `"`
	}
	h["Forwarded"] = []string{forwarded}
	if r.Peer.User != "" {
		// The client itself cannot set Remote-User, because package exchange removes this field if the server has
		// users.
		h["Remote-User"] = []string{r.Peer.User}
	}
	if t := r.Peer.TLS; peer.opt.ClientCert && t != nil && t.Verified {
		showCertificates(h, t.Certificates)
	}
}

// showCertificates adds the fields with the client's certificates (RFC 9440). The first certificate in chain is the
// client's own certificate.
func showCertificates(h http.Header, chain []*x509.Certificate) {
	var items []string
	for _, c := range chain {
		items = append(items, ":"+base64.StdEncoding.EncodeToString(c.Raw)+":")
	}
	if h["Client-Cert"] = items[:1]; len(items) > 1 {
		h["Client-Cert-Chain"] = []string{strings.Join(items[1:], ", ")}
	}
}

// url returns the target of the request to the upstream, with the client's percent-encoding if possible.
func (peer *upstream) url(r *backend.Request) *url.URL {
	u := &url.URL{Scheme: "http", Host: "backend", Path: r.Path[r.Root:], RawQuery: r.Query()}
	if peer.target.base != "" {
		info := r.Path[r.Script:]
		if strings.HasSuffix(peer.target.base, "/") {
			info = strings.TrimPrefix(info, "/")
		}
		u.Path = peer.target.base + info
		return u
	}
	raw := r.Parsed.Path.In(r.Head)
	if string(http1.DecodePath(nil, raw)) == u.Path {
		u.RawPath = string(raw)
	}
	u.ForceQuery = strings.HasSuffix(r.Target(), "?")
	return u
}

// climbs reports whether the path, after one decoding, has a ".." segment in a spelling that some server resolves.
// These spellings are: ".." between slashes or backslashes; before the ";" of a path parameter ("..;/"); before NUL,
// "?" or "#", because some servers decode a path before parsing it; and percent-encoded again, because some servers
// decode a path twice.
func climbs(path string) bool {
	for range 3 {
		for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
			if after, ok := strings.CutPrefix(segment, ".."); ok && (after == "" ||
				strings.IndexByte(";?#\x00", after[0]) >= 0) {
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

// readHead reads the head of a response. net/http removes a field Connection that contains "close", but readHead
// restores it, because Connection names the fields that must not be forwarded (RFC 9110 §7.6.1). If the head is larger
// than the buffer of reader, the error is bufio.ErrBufferFull.
func readHead(reader *bufio.Reader, request *http.Request) (*http.Response, error) {
	head, err := wholeHead(reader)
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(reader, request)
	if err == nil && response.Close {
		// the slice head is still valid, because the buffer was not refilled
		again := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
		_, _ = again.ReadLine()
		fields, _ := again.ReadMIMEHeader()
		response.Header["Connection"] = fields["Connection"]
	}
	return response, err
}

// wholeHead waits for the whole head, and returns the buffered bytes of reader without consuming them. The
// result may include bytes after the head. If the first line is not HTTP, wholeHead does not wait for the rest.
func wholeHead(reader *bufio.Reader) (head []byte, err error) {
	for {
		head, _ = reader.Peek(reader.Buffered())
		first, _, complete := bytes.Cut(head, []byte{'\n'})
		if complete && !bytes.HasPrefix(first, []byte("HTTP/")) || bytes.Contains(head, []byte("\n\n")) ||
			bytes.Contains(head, []byte("\n\r\n")) {
			return head, nil
		}
		if _, err := reader.Peek(len(head) + 1); err != nil {
			return nil, err
		}
	}
}

func responseHead(response *http.Response) (head exchange.Head, ok bool) {
	_, reason, _ := strings.Cut(response.Status, " ")
	head = exchange.Head{Status: response.StatusCode, Reason: []byte(reason), Length: response.ContentLength}
	if !httpguts.ValidHeaderFieldValue(reason) || !trimNames(response) {
		return head, false
	}
	drop(response.Header)
	response.Header.Del("Content-Length")
	// Only this server's application may make clients subscribers of a channel, not an upstream.
	response.Header.Del("Fapws-Channel")
	if response.StatusCode >= 200 {
		response.Header["Via"] = append(response.Header["Via"], via(response.Proto))
	}
	for name, values := range response.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return head, false
			}
			head.Fields = http1.HeaderField{Name: spelling(name), Value: value}.AppendTo(head.Fields)
		}
		head.HasDate = head.HasDate || name == "Date"
		head.HasServer = head.HasServer || name == "Server"
	}
	return head, true
}

// via returns this server's entry for the field Via (RFC 9110 §7.6.3).
func via(version string) string { return strings.TrimPrefix(version, "HTTP/") + " fapws" }

// trimNames removes white space between field names and colons, which net/http keeps (RFC 9112 §5.1). It returns false
// if a name is invalid, or if white space follows the name of a framing field, because net/http then ignores the field.
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

// spelling returns the name of a field as it is sent: WebSocket fields as RFC 6455 spells them, and all other fields as
// net/http spells them. net/http spells the WebSocket fields differently, and some programs compare names exactly.
func spelling(name string) string {
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}

func takesTrailers(r *backend.Request) bool { return r.Parsed.Trailers && !r.Parsed.Head }

// announced returns the value of the field Trailer for the client, or "" if no trailers can be forwarded.
func announced(r *backend.Request, response *http.Response) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(response.Trailer)), func(name string) bool {
		return !http1.ValidTrailer(name)
	})
	if len(names) == 0 || !takesTrailers(r) {
		return ""
	}
	return "Trailer: " + strings.Join(names, ", ") + "\r\n"
}

// trailers returns the trailers of a response whose body was read, without trailers that must not be forwarded.
// net/http limits the size of the trailers.
func trailers(response *http.Response) (fields exchange.Trailers, err error) {
	n := 0
	for name, values := range response.Trailer {
		for _, value := range values {
			if !http1.ValidTrailer(name) || !httpguts.ValidHeaderFieldValue(value) {
				err = fmt.Errorf("dropped the trailer field %.80q", name)
				continue
			}
			n++
			fields = http1.HeaderField{Name: spelling(name), Value: value}.AppendTo(fields)
		}
	}
	if n > http1.MaxTrailers || len(fields) > http1.MaxTrailerBytes {
		return nil, fmt.Errorf("dropped %d trailer fields of %d bytes, more than %d or %d bytes", n, len(fields),
			http1.MaxTrailers, http1.MaxTrailerBytes)
	}
	return fields, err
}

// A streamedBody is a request body that is sent to the upstream while it arrives from the client (Options.Streams).
type streamedBody struct {
	r    *backend.Request
	out  *bufio.Writer // output buffer of the connection to the upstream
	rest []byte
}

// Read returns bytes of the body. Before it waits for more bytes, it sends all earlier bytes to the upstream.
func (b *streamedBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		err := b.out.Flush()
		if err == nil {
			b.rest, err = b.r.Next()
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *streamedBody) Close() error { return nil }

// A plainWriter hides the method ReadFrom of bufio.Writer, because ReadFrom would call streamedBody.Read, which calls
// Flush, and Flush is not permitted during ReadFrom.
type plainWriter struct{ out *bufio.Writer }

func (w plainWriter) Write(b []byte) (int, error) { return w.out.Write(b) }

func (w plainWriter) WriteByte(c byte) error { return w.out.WriteByte(c) }
