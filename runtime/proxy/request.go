package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
)

// hopByHop are the fields that are about one connection only (RFC 9110 §7.6.1),
// besides those that Connection names.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// ours are fields of requests that a client could make up, and what framing
// decides.
var ours = []string{
	"Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Real-Ip",
}

// drop removes what is between two hops.
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

// request returns what the server is asked for r.
func (p *Proxy) request(ctx context.Context, r *backend.Request) *http.Request {
	h := http.Header{}
	for _, f := range r.Parsed.Fields {
		if bytes.IndexByte(f.Name.In(r.Head), '_') >= 0 {
			continue // to many applications X_Real_IP is X-Real-IP
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.In(r.Head)))
		h[name] = append(h[name], string(f.Value.In(r.Head)))
	}
	drop(h)
	for _, name := range ours {
		delete(h, name)
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // none
	}
	host := r.Host()
	p.introduce(h, r, host)
	if p.opt.ReplaceHost || host == "" {
		host = p.target.host
	}
	request := &http.Request{
		Method:     r.Method(),
		URL:        p.url(r),
		Host:       host,
		Header:     h,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	if r.Size > 0 {
		request.ContentLength = r.Size
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.Body()), nil }
		request.Body, _ = request.GetBody()
	}
	return request.WithContext(ctx)
}

// introduce says who the client is. What it says itself of proxies before it
// does not count; what trusted proxies have said is in r.Peer.
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
}

// url returns what is asked for, as the client has encoded it where possible.
func (p *Proxy) url(r *backend.Request) *url.URL {
	u := &url.URL{Scheme: "http", Host: "backend", Path: r.Path[r.Root:], RawQuery: r.Query()}
	raw := r.Parsed.Path.In(r.Head)
	if p.target.base != "" {
		info := r.Path[r.Script:]
		if strings.HasSuffix(p.target.base, "/") {
			info = strings.TrimPrefix(info, "/")
		}
		u.Path = p.target.base + info
		return u
	}
	if string(http1.DecodePath(nil, raw)) == u.Path {
		u.RawPath = string(raw)
	}
	u.ForceQuery = strings.HasSuffix(r.Target(), "?")
	return u
}
