package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
)

// nameUpstreams sets the cookie name for Options.Sticky, and the cookie value for each upstream. The cookie name
// depends on the list of targets: all routes of a host share the cookie path "/", so two routes must not use the same
// cookie name.
func (p *Proxy) nameUpstreams() {
	key := machineKey()
	p.cookie = http1.UpstreamCookie + keyed(key, strings.Join(p.opt.Targets, " "))[:8]
	for _, up := range p.upstreams {
		up.cookie = keyed(key, up.name)
	}
}

// machineKey returns a key that clients do not know, and that is the same for all processes on this machine, even after
// a restart. The key must be used only for keyed hashes (machine-id(5)).
func machineKey() []byte {
	for _, name := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		if id, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(id)) > 0 {
			return id
		}
	}
	return nil
}

func keyed(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// previous returns the upstream that the client's cookie names, or nil.
func (p *Proxy) previous(r *backend.Request) *upstream {
	if p.cookie == "" {
		return nil
	}
	request := http.Request{Header: http.Header{}}
	for line := range http1.Values(r.Head, r.Parsed.Fields, "cookie") {
		request.Header.Add("Cookie", string(line))
	}
	for _, c := range request.CookiesNamed(p.cookie) {
		for _, up := range p.upstreams {
			if c.Value == up.cookie {
				return up
			}
		}
	}
	return nil
}

// stick sets, in a response, the cookie that names the client's upstream.
func (p *Proxy) stick(up *upstream, r *backend.Request, response *http.Response) {
	c := http.Cookie{Name: p.cookie, Value: up.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.Peer.HTTPS}
	response.Header.Add("Set-Cookie", c.String())
}
