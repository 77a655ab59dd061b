package certificates

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// maxResponse is the maximum of a response that is read: a certificate with its chain is the largest.
const maxResponse = 1 << 20

// maxReason is the maximum length of the reason of a refusal in a log line: the authority may quote a page of the host.
const maxReason = 1000

// conversation sends the requests of an order to an authority, and reads in the responses what golang.org/x/crypto/acme and autocert expect
// elsewhere or drop. It is safe for concurrent use.
type conversation struct {
	http.RoundTripper

	mu       sync.Mutex
	orders   map[string]string // URLs of orders, by those of the requests that finalize them
	refusals []problem         // each once
}

// problem is the reason of a refusal (RFC 8555 §6.7).
type problem struct {
	Type, Detail string
	Subproblems  []struct{ Detail string }
}

// RoundTrip implements http.RoundTripper.
func (c *conversation) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locate(r.URL.String(), resp, body)
	c.noteRefusals(resp.StatusCode, body)
	return resp, nil
}

// locate gives the response to the request that finalizes an order its Location, the URL of the order: golang.org/x/crypto/acme asks there for
// the certificate, but RFC 8555 §7.4 does not require the field, and some authorities leave it out.
func (c *conversation) locate(url string, resp *http.Response, body []byte) {
	location := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusCreated && location != "":
		var order struct{ Finalize string } // or an account, which has none
		if json.Unmarshal(body, &order) == nil && order.Finalize != "" {
			if c.orders == nil {
				c.orders = map[string]string{}
			}
			c.orders[order.Finalize] = location
		}
	case location == "" && c.orders[url] != "":
		resp.Header.Set("Location", c.orders[url])
	}
}

// noteRefusals keeps the problems in a response: of the request, of an order, or of the challenges of a host, which autocert drops.
func (c *conversation) noteRefusals(status int, body []byte) {
	if status >= http.StatusBadRequest {
		var p problem
		if json.Unmarshal(body, &p) == nil && p.Type != "" && !p.is("badNonce") { // which is tried again
			c.refuse(p)
		}
		return
	}
	var about struct {
		Status     string
		Error      *problem
		Challenges []struct{ Error *problem }
	}
	if json.Unmarshal(body, &about) != nil || about.Status != "invalid" {
		return
	}
	for _, one := range append(about.Challenges, struct{ Error *problem }{about.Error}) {
		if one.Error != nil {
			c.refuse(*one.Error)
		}
	}
}

func (c *conversation) refuse(p problem) {
	if !slices.ContainsFunc(c.refusals, func(other problem) bool { return other.text() == p.text() }) {
		c.refusals = append(c.refusals, p)
	}
}

// is reports whether p is of a type, such as "dns".
func (p *problem) is(types ...string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(p.Type, "urn:ietf:params:acme:error:"+t) })
}

func (p *problem) text() string {
	if p.Detail == "" && len(p.Subproblems) == 0 {
		return p.Type
	}
	texts := []string{p.Detail}
	for _, sub := range p.Subproblems {
		texts = append(texts, sub.Detail)
	}
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "; ")
}

// explain returns the error of an order, from err of autocert, for a log line: why the authority refused, in its words, and what to do about it.
func (c *conversation) explain(err error, directory string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refusals) == 0 {
		var unreachable *url.Error
		if errors.As(err, &unreachable) {
			return fmt.Errorf("cannot reach the certificate authority %s: %s", directory, oneLine(unreachable.Err.Error()))
		}
		return fmt.Errorf("no certificate from %s: %s", directory, strings.TrimPrefix(oneLine(err.Error()), "acme/autocert: "))
	}
	var texts []string
	hint := ""
	for i := range c.refusals {
		p := &c.refusals[i]
		texts = append(texts, strings.TrimRight(oneLine(p.text()), ". "))
		if p.is("connection", "dns", "tls", "unauthorized") {
			hint = "; the name must lead to port 80 or 443 of this machine"
		}
	}
	reason := strings.Join(texts, "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return fmt.Errorf("the certificate authority refused: %s%s", reason, hint)
}

// ACMEProtocol is what a client asks for by ALPN that looks for a token (RFC 8737 §4).
const ACMEProtocol = acme.ALPNProto

var errNoToken = errors.New("there is no such token")

// TokenACME returns the answer to an authority that asks for a token over HTTP, from the directory of Orders.
func TokenACME(dir, token string) ([]byte, error) {
	if token == "" || len(token) > 128 || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, errNoToken
	}
	return autocert.DirCache(dir).Get(context.Background(), token+"+http-01") // as autocert names it
}

// AsksACME reports whether a client is an authority that looks for a token.
func AsksACME(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{ACMEProtocol})
}

// ChallengeACME returns the function that answers such clients, from the directory of Orders.
func ChallengeACME(dir string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), HostPolicy: autocert.HostWhitelist()}
	return m.GetCertificate
}
