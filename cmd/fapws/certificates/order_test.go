package certificates

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// startAuthority starts an authority and returns the URL of its directory. The response to an order has the given
// status and the text order. If order is "", the authority accepts the order, but its only challenge fails with
// problem. deactivated counts the authorizations that are deactivated.
func startAuthority(t *testing.T, status int, order, problem string, deactivated *atomic.Int32) string {
	t.Helper()
	if order == "" {
		order = `{"status": "pending", "finalize": "URL/finalize", "authorizations": ["URL/host"]}`
	}
	const challenge = `{"type": "http-01", "url": "URL/challenge", "token": "t", "status": `
	failed := challenge + `"invalid", "error": ` + problem + `}`
	var tried atomic.Bool
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, text := status, ""
		switch r.URL.Path {
		case "/directory":
			status, text = 200, `{"newNonce": "URL/nonce", "newAccount": "URL/account", "newOrder": "URL/order"}`
		case "/nonce":
			status = 200
		case "/account":
			status, text = 201, `{"status": "valid"}`
		case "/order":
			w.Header().Set("Retry-After", "7200")
			text = order
			tried.Store(false)
		case "/host":
			status, text = 200, `{"status": "pending", "challenges": [`+challenge+`"pending"}]}`
			var signed struct{ Payload string }
			if _ = json.NewDecoder(r.Body).Decode(&signed); signed.Payload != "" {
				deactivated.Add(1)
			}
			if tried.Load() {
				text = `{"status": "invalid", "challenges": [` + failed + `]}`
			}
		case "/challenge":
			status, text = 200, failed
			tried.Store(true)
		}
		w.Header().Set("Replay-Nonce", "nonce")
		w.Header().Set("Location", s.URL+r.URL.Path)
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(text, "URL", s.URL))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/directory"
}

// The log line has the reason of the authority. The next attempt is not earlier than the authority allows.
func TestRejectedOrderIsLoggedAndRetriedInTime(t *testing.T) {
	const kind = `{"type": "urn:ietf:params:acme:error:`
	for name, c := range map[string]struct {
		status           int
		order, challenge string
		want             string
		wait             time.Duration
		deactivated      int32
	}{
		"rate limit": {status: 429, order: kind +
			`rateLimited", "detail": "too many certificates already issued for this name in the last 168h"}`,
			want: "the CA refused: too many certificates already issued for this name in " +
				"the last 168h", wait: 2 * time.Hour},
		"identifiers": {status: 400, order: kind + `rejectedIdentifier", "detail": "Cannot issue.", "subproblems": [` +
			kind + `malformed", "detail": "a.test: invalid\r\nsuffix"}]}`,
			want: "the CA refused: Cannot issue.; a.test: invalid suffix", wait: firstPause},
		"no detail": {status: 403, order: kind + `caa"}`,
			want: "the CA refused: urn:ietf:params:acme:error:caa", wait: firstPause},
		"challenges": {status: 201, challenge: kind +
			`dns", "detail": "DNS problem: NXDOMAIN looking up A for a.test"}`,
			want: "the CA refused: DNS problem: NXDOMAIN looking up A for a.test; the name must " +
				"lead to port 80 or 443 of this machine", wait: firstPause,
			deactivated: 1}, // of the first order, because the authority does not offer tls-alpn-01
		"no refusal": {status: 404, order: "<html>", want: "no certificate from http://.*/directory: 404 : <html>",
			wait: firstPause},
	} {
		t.Run(name, func(t *testing.T) {
			var deactivated atomic.Int32
			directory := startAuthority(t, c.status, c.order, c.challenge, &deactivated)
			var line string
			o, _ := newHooks(t)
			o.log = func(level logfile.Level, text string) {
				if level == logfile.Error {
					line += text
				}
			}
			o.Order(&ACME{Dir: t.TempDir(), Directory: directory, Hosts: []string{"a.test"}})
			before := time.Now()
			o.round(before)
			checktest.Truef(t, regexp.MustCompile("^a.test: "+c.want+
				`; next try at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, or at a reload$`).MatchString(line), "%q", line)
			checktest.Equalf(t, o.hosts[0].next.Sub(before).Round(time.Minute), c.wait, "waits")
			checktest.Equalf(t, deactivated.Load(), c.deactivated, "authorizations were deactivated")
		})
	}
}
