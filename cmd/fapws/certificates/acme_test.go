package certificates

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/logfile"
)

func TestOnlyTokensOfTheDirectoryAreSent(t *testing.T) {
	dir := t.TempDir()
	certtest.Write(t, dir+"/a-token_1+http-01", []byte("answer"))
	certtest.Write(t, dir+"/example.org", []byte("key"))
	text, err := TokenACME(dir, "a-token_1")
	checktest.Truef(t, err == nil && string(text) == "answer", "%q, %v", text, err)
	for _, token := range []string{"", "none", "example.org", "../a-token_1", "a/b", "a-token_1+http-01", "a\x00",
		strings.Repeat("a", 129)} {
		text, err := TokenACME(dir, token)
		checktest.Truef(t, err != nil, "%q: %q", token, text)
	}
}

func TestCertificateIsOrderedIfMissingOrTwoThirdsOver(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	put := func(name string, start, end time.Duration) {
		c := ca.Sign(certtest.Options{Names: []string{name}, Start: time.Now().Add(start), End: time.Now().Add(end)})
		certtest.Write(t, dir+"/"+name, append(c.Key, c.Chain...))
	}
	put("new.test", -time.Hour, 100*time.Hour)
	put("short.test", -24*time.Hour, 5*24*time.Hour) // six days long, of which one is over
	put("old.test", -70*time.Hour, 30*time.Hour)
	put("over.test", -70*time.Hour, -time.Hour)
	other := ca.For("new.test")
	certtest.Write(t, dir+"/mixed.test", append(ca.For("mixed.test").Key, other.Chain...))
	certtest.Write(t, dir+"/damaged.test", []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	certtest.Write(t, dir+"/empty.test", nil)
	a := &ACME{Dir: dir}
	for name, want := range map[string]string{
		"new.test": "", "short.test": "", "old.test": "two thirds of its time are over",
		"over.test":    "two thirds of its time are over",
		"damaged.test": "it cannot be read", "empty.test": "it cannot be read", "missing.test": "there is none",
		"mixed.test": "it cannot be read", "new.test *.new.test": "it does not cover *.new.test",
	} {
		checktest.Equalf(t, a.due(strings.Fields(name), time.Now()), want, "%s", name)
	}
}

func TestOnlyClientsThatOfferACMEAloneAreAuthorities(t *testing.T) {
	for protocols, want := range map[string]bool{acmeProtocol: true, "": false, "http/1.1": false, acmeProtocol +
		" http/1.1": false} {
		checktest.Equalf(t, asksACME(&tls.ClientHelloInfo{SupportedProtos: strings.Fields(protocols)}), want,
			"%q: %v", protocols, !want)
	}
}

// After a failed order, Orders pauses, because authorities limit the number of failures. A worker that replaces another
// worker orders certificates for the same hosts, and must not end the pause. A reload ends the pause.
func TestReplacedWorkerDoesNotEndThePauseAfterAFailure(t *testing.T) {
	tries := 0
	a := ACME{Dir: t.TempDir(), Directory: "https://127.0.0.1:1/"}
	o := &Orders{ctx: t.Context(), wake: make(chan struct{}, 1), log: func(level logfile.Level, line string) {
		if level == logfile.Error {
			tries++
		}
	}}
	now := time.Now()
	order := func(hosts ...string) {
		a.Hosts = hosts
		o.Order(&a)
	}
	for _, c := range []struct {
		do   func()
		want int
	}{
		{func() { order("a.test") }, 1},
		{func() { order("a.test") }, 1},
		{func() { order("a.test", "b.test") }, 2},
		{func() { o.Retry() }, 4},
		{func() { now = now.Add(firstPause + time.Minute) }, 6},
		{func() {}, 6},
	} {
		c.do()
		pause := o.round(now)
		checktest.Truef(t, pause <= longestPause, "a pause of %v", pause)
		checktest.Equalf(t, tries, c.want, "tries")
	}
}

// If the directory cannot be used, Orders tries again later.
func TestOrdersLockOnlyTheDirectoryOfTheLastReload(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir() + "/missing"}
	certtest.Write(t, dirs[1], []byte("a file in its place"))
	logged := make(chan string, 9)
	o := NewOrders(&ACME{Dir: dirs[0]}, nil, func(_ logfile.Level, line string) { logged <- line })
	locked := func(dir string) bool {
		f, err := os.Open(dir + "/.lock")
		if err != nil {
			return false
		}
		defer f.Close()
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
	}
	comes := func(first, second bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); locked(dirs[0]) != first ||
			locked(dirs[1]) != second; time.Sleep(time.Millisecond) {
			checktest.Needf(t, !time.Now().After(end), "not locked: %v, %v", first, second)
		}
	}
	comes(true, false)
	o.Order(&ACME{Dir: dirs[1]})
	comes(false, false)
	checktest.Has(t, <-logged, dirs[1])
	checktest.Must(t, os.Remove(dirs[1]))
	o.Retry()
	comes(false, true)
}

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
		status                 int
		order, challenge, want string
		wait                   time.Duration
		deactivated            int32
	}{
		"rate limit": {status: 429, order: kind +
			`rateLimited", "detail": "too many certificates already issued for this name in the last 168h"}`,
			want: "the CA refused: too many certificates already issued for this name in the last 168h", wait: 2 * time.Hour},
		"identifiers": {status: 400, order: kind + `rejectedIdentifier", "detail": "Cannot issue.", "subproblems": [` +
			kind + `malformed", "detail": "a.test: invalid\r\nsuffix"}]}`,
			want: "the CA refused: Cannot issue.; a.test: invalid suffix", wait: firstPause},
		"no detail": {status: 403, order: kind + `caa"}`,
			want: "the CA refused: urn:ietf:params:acme:error:caa", wait: firstPause},
		"challenges": {status: 201, challenge: kind + `dns", "detail": "DNS problem: NXDOMAIN looking up A for a.test"}`,
			want: "the CA refused: DNS problem: NXDOMAIN looking up A for a.test; the name must " +
				"resolve to this machine, and the CA must reach its port 80 or 443", wait: firstPause,
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

func TestNameWithStarSharesTheCertificateOfItsDomain(t *testing.T) {
	for hosts, want := range map[string]string{
		"a.test":                           "[[a.test]]",
		"a.test b.test":                    "[[a.test] [b.test]]",
		"*.a.test":                         "[[*.a.test]]",
		"*.a.test b.test a.test":           "[[b.test] [a.test *.a.test]]",
		"a.test *.b.a.test *.a.test":       "[[a.test *.a.test] [*.b.a.test]]",
		"www.a.test *.a.test *.www.a.test": "[[www.a.test *.www.a.test] [*.a.test]]",
	} {
		a := ACME{Hosts: strings.Fields(hosts)}
		checktest.Equalf(t, fmt.Sprint(slices.Collect(a.Certificates())), want, "%s", hosts)
	}
}

func newHooks(t *testing.T) (o *Orders, log *logged) {
	log = &logged{}
	o = &Orders{log: log.log}
	o.last, o.kill = context.WithCancel(t.Context())
	o.ctx, o.stop = context.WithCancel(o.last)
	return o, log
}

func hookFile(t *testing.T, text string) string {
	t.Helper()
	file := certtest.Write(t, t.TempDir()+"/hook", []byte("#!/bin/sh\n"+text))
	checktest.Must(t, os.Chmod(file, 0o755))
	return file
}

// A hook may leave a background process that keeps the hook's output open. The server must not wait for this process.
func TestHookReturnsItsOutputOrTheReasonOfItsFailure(t *testing.T) {
	t.Setenv("SECRET", "of the application")
	t.Setenv("HOME", "/home/of-the-server")
	for text, want := range map[string]struct{ output, failure string }{
		"echo $CERTBOT_DOMAIN":                 {output: "a.test"},
		"printf 'a\\n\\nb'":                    {output: "a\n\nb"},
		"printf 'a\\000b\\n'":                  {output: "ab"},
		"true":                                 {},
		"echo a; sleep 1000 &":                 {output: "a"},
		"echo $HOME$SECRET":                    {output: "/home/of-the-server"},
		"echo a; exit 3":                       {output: "a", failure: "exit status 3"},
		"kill -9 $$":                           {failure: "exit status 137"},
		"kill -9 $PPID":                        {failure: "was killed"},
		"head -c 65530 /dev/zero | tr '\\0' a": {output: strings.Repeat("a", 65530)},
		"while true; do echo 0123456789abcdef; done": {failure: "more than 65536 bytes"},
		"trap '' TERM; cat /dev/zero":                {failure: "more than 65536 bytes"},
		"exec >&- 2>&-; exit 5":                      {failure: "exit status 5"},
	} {
		o, _ := newHooks(t)
		file := hookFile(t, text)
		output, err := o.hook(t.Context(), "acme-dns-hook", file, []string{"CERTBOT_DOMAIN=a.test"})
		failure := ""
		if err != nil {
			failure = strings.TrimPrefix(err.Error(), "acme-dns-hook "+file+": ")
		}
		checktest.Truef(t, failure == want.failure && (want.failure != "" || output == want.output),
			"%s: %.100q, %v", text, output, err)
	}
	o, log := newHooks(t)
	_, err := o.hook(t.Context(), "acme-dns-hook", t.TempDir()+"/none", nil)
	checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), "/none: exit status 127"), "%v", err)
	log.want(t, "not found")
}

// A server must start when the certificate of the previous run has expired, because it orders another one.
func TestOrderedCertificateThatIsNotValidDoesNotPreventTheStart(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	put := func(name string, o certtest.Options) string {
		c := ca.Sign(o)
		return certtest.Write(t, dir+"/"+name, append(c.Key, c.Chain...))
	}
	now := time.Now()
	w := &Want{ACME: ACME{Dir: dir}, Pairs: []Pair{
		{Cert: put("over.test", certtest.Options{Names: []string{"over.test"}, Start: now.Add(-9 * time.Hour),
			End: now.Add(-time.Hour)}), Names: []string{"over.test"}, Later: true},
		{Cert: certtest.Write(t, dir+"/damaged.test", []byte("damaged")), Names: []string{"damaged.test"}, Later: true},
		{Cert: put("a.test", certtest.Options{Names: []string{"a.test"}}), Names: []string{"a.test", "*.a.test"},
			Later: true},
		{Cert: dir + "/none.test", Names: []string{"none.test"}, Later: true},
	}}
	log := &logged{}
	r := Reader{Log: log.log}
	b := checktest.Try(r.KeySet(w)).Must(t)
	log.want(t, "the certificate expired on", "damaged.test: no certificate in this file")
	c := checktest.Try(newConfigs(w, b)).Must(t)
	for name, want := range map[string]bool{"a.test": true, "*.a.test": false, "over.test": false} {
		checktest.Equalf(t, c.certs.hosts[name] != nil, want, "%s has a certificate: %v", name, !want)
	}
}
