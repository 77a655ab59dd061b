package proxy

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"

	"fapws/runtime/backend"
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
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Real-Ip", "Client-Cert", "Client-Cert-Chain", "Proxy",
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

// badPath is the text of the 400 for a request that request refuses.
const badPath = "the path leads outside its first directory"

// request returns the request to the upstream for r. ok is false if its path must not be sent.
func (p *Proxy) request(ctx context.Context, r *backend.Request) (request *http.Request, ok bool) {
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
	te := wantsTrailers(h, r)
	drop(h)
	if te {
		h["Te"], h["Connection"] = []string{"trailers"}, []string{"TE"}
	}
	for _, name := range ours {
		delete(h, name)
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // none
	}
	h["Via"] = append(h["Via"], via(r.Parsed.Version))
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
	return request.WithContext(ctx), true
}

// introduce adds fields about the client. Its own fields about proxies do not count; those of trusted proxies are in
// r.Peer.
func (p *Proxy) introduce(h http.Header, r *backend.Request, host string) {
	scheme := r.Peer.Scheme
	if scheme == "" {
		scheme = "http"
	}
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
		h["Remote-User"] = []string{r.Peer.User} // where there are users, package sites has removed that of the client
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
		for rest, more := path, true; more; {
			var segment string
			segment, rest = rest, ""
			if i := strings.IndexAny(segment, `/\`); i >= 0 {
				segment, rest = segment[:i], segment[i+1:]
			} else {
				more = false
			}
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
