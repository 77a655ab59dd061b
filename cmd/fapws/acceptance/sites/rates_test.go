package sites_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const limitedApp = `
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]
`

// limited starts a server for limitedApp. toml is a part of its fapws.toml.
func limited(t *testing.T, toml string, flags ...string) *fapwstest.Server {
	t.Helper()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", limitedApp)
	fapwstest.Write(t, dir+"/site/page.shtml", strings.Repeat(`<!--#include virtual="/part.txt" -->`, 5))
	fapwstest.Write(t, dir+"/site/part.txt", "part")
	fapwstest.Write(t, dir+"/fapws.toml", "bind = \"127.0.0.1:0\"\nh2c = true\naccess-log = \"access.log\"\n"+
		"log-flush = \"1ms\"\nhealth = \"/healthz\"\nstatus = \"/_fapws\"\n"+toml)
	return fapwstest.Command{Flags: flags, Dir: dir}.Started(t)
}

func statuses(t *testing.T, s *fapwstest.Server, paths string, flags ...string) string {
	t.Helper()
	args := append([]string{"-w", "%{http_code} "}, flags...)
	for path := range strings.FieldsSeq(paths) {
		args = append(args, "-o", "/dev/null", s.URL+path)
	}
	return strings.TrimSpace(curl(t, args...))
}

func TestClientThatExceedsTheRateGets429(t *testing.T) {
	t.Parallel()
	s := limited(t, "[[host]]\nroot = \"site\"\napp = \"app:app\"\n[[host.route]]\nprefix = \"/api/\"\n"+
		"rate = \"1/h burst 4\"\n[[host.route]]\nprefix = \"/free/\"\nrate = false\n")
	for range 2 {
		fapwstest.Equal(t, statuses(t, s, "/api/a", "--http2-prior-knowledge"), "200")
	}
	fapwstest.Equal(t, statuses(t, s, "/api/a /api/b /api/c /x /part.txt /healthz"), "200 200 429 200 200 200")
	a := s.Get("/api/d", 429, "Accept: text/html").Field(t, "RateLimit-Policy", `"default";q=4;w=14400`)
	fapwstest.Truef(t, strings.Contains(a.Text, "<h1>") && strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"),
		"%v %s", a.Header, a.Text)
	after, err := strconv.Atoi(a.Header.Get("Retry-After"))
	left := fmt.Sprintf(`"default";r=0;t=%d`, after)
	fapwstest.Truef(t, err == nil && after >= 1 && after <= 3600 && a.Header.Get("RateLimit") == left, "%v", a.Header)
	s.Says(`warning client 127\.0\.0\.1\S*: GET of "/api/c" got 429: more than 1/h burst 4 by address \(fapws\.toml:\d+\)`)
	counts := s.Ask("GET /_fapws/metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").Want(t, 200).Text
	fapwstest.Matches(t, counts, `(?m)^fapws_rate_limited_total\{host="",route="/api/"\} 2$`)
	s.Stop()
	fapwstest.Equal(t, strings.Count(fapwstest.Read(t, s.Cmd.Dir+"/access.log"), `" 429 `), 2)
}

func TestRequestCountsOnceForEachLimit(t *testing.T) {
	t.Parallel()
	s := limited(t, "[[host]]\nroot = \"site\"\napp = \"app:app\"\nssi = true\nrate = \"1/h burst 4\"\n"+
		"[[host.route]]\nprefix = \"/two/\"\nrate = [\"1/h burst 2\", { rate = \"1/h\", burst = 3, fields = true }]\n")
	fapwstest.Equal(t, s.Get("/page.shtml", 200).Text, strings.Repeat("part", 5))
	fapwstest.Equal(t, statuses(t, s, "/a /page.shtml /b /c /page.shtml"), "200 200 200 429 429")
	s.Get("/two/a", 200).Field(t, "RateLimit", `"limit-2";r=2;t=3600`)
	fapwstest.Equal(t, statuses(t, s, "/two/b /two/c"), "200 429")
}

func TestUsersAndKeysHaveTheirOwnRates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hash := fapwstest.Command{Flags: []string{"hash-password"}, Shell: "exec < " +
		fapwstest.Write(t, dir+"/word", "secret-1\n")}.Succeeds(t)
	users := fapwstest.Write(t, dir+"/users", "ann:"+hash+"bob:"+hash)
	s := limited(t, "[[host]]\napp = \"app:app\"\n[[host.route]]\nprefix = \"/user\"\n"+
		"auth = { users = \""+users+"\" }\n"+
		"rate = { rate = \"1/h burst 2\", by = \"user\" }\n[[host.route]]\nprefix = \"/key\"\n"+
		"rate = { rate = \"1/h burst 2\", by = \"header X-Api-Key\" }\n[[host.route]]\nprefix = \"/dry\"\n"+
		"rate = { rate = \"1/h burst 2\", dry-run = true, fields = true }\n")
	for _, c := range []struct{ path, want, flag string }{
		{"/user", "401 401 401", "ann:wrong"}, // wrong passwords do not count for the user
		{"/user", "200 200 429", "ann:secret-1"},
		{"/user", "200 200 429", "bob:secret-1"},
	} {
		fapwstest.Equalf(t, statuses(t, s, strings.Repeat(c.path+" ", 3), "-u", c.flag), c.want, "%s", c.flag)
	}
	for _, key := range []string{"X-Api-Key: a", "X-Api-Key: b", "X-Other: a"} {
		fapwstest.Equalf(t, statuses(t, s, "/key /key /key", "-H", key), "200 200 429", "%s", key)
	}
	fapwstest.Equal(t, statuses(t, s, "/dry /dry /dry"), "200 200 200")
	s.Get("/dry", 200).Field(t, "RateLimit", `"default";r=0;t=3600`)
	s.Says(`GET of "/dry" would have got 429: more than 1/h burst 2 by address`)
}

func TestClientsOfATrustedProxyHaveTheirOwnRates(t *testing.T) {
	t.Parallel()
	s := limited(t, "[[host]]\napp = \"app:app\"\nrate = \"1/h burst 2\"\n", "--forwarded-allow-ips", "127.0.0.1",
		"--max-clients-per-address", "2")
	for range 5 { // the proxy itself may have any number of connections
		s.Dial().Fetch("/healthz").Want(t, 200)
	}
	for _, c := range []struct{ from, want string }{
		{"192.0.2.1", "200 200 429"},
		{"192.0.2.2", "200 200 429"},
		{"2001:db8::1", "200 200 429"},
		{"2001:db8::ffff:2", "429 429 429"}, // an address in the same /64 network
		{"2001:db8:0:1::1", "200 200 429"},
	} {
		fapwstest.Equalf(t, statuses(t, s, "/a /a /a", "-H", "X-Forwarded-For: "+c.from), c.want, "%s", c.from)
	}
}

// The server rejects the upload while curl sends, and must not reset the connection.
func TestUploadThatExceedsTheRateGets429(t *testing.T) {
	t.Parallel()
	s := limited(t, "[[host]]\napp = \"app:app\"\nrate = \"1/h burst 1\"\n")
	file := fapwstest.Write(t, t.TempDir()+"/file", strings.Repeat("0123456789abcdef", 1<<20))
	fapwstest.Equal(t, statuses(t, s, "/a"), "200")
	for _, flags := range [][]string{{"-H", "Expect:"}, {}, {"--http2-prior-knowledge"},
		{"-H", "Transfer-Encoding: chunked"}} {
		fapwstest.Equalf(t, statuses(t, s, "/a", append(flags, "--data-binary", "@"+file)...), "429", "%q", flags)
	}
}

func TestWorkersShareTheRateThroughReloadsAndUpgrades(t *testing.T) {
	t.Parallel()
	const burst, clients = 600, 6
	s := limited(t, fmt.Sprintf("workers = 3\n[[host]]\napp = \"app:app\"\nrate = \"1/h burst %d\"\n", burst))
	var accepted, rejected atomic.Int64
	wait := fapwstest.InBackground(clients, func(int) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConns: 1}}
		defer client.CloseIdleConnections()
		for rejected.Load() < 200 && !t.Failed() {
			r, err := client.Get(s.URL)
			if err != nil {
				t.Error(err)
				return
			}
			r.Body.Close()
			switch r.StatusCode {
			case 200:
				accepted.Add(1)
			case 429:
				rejected.Add(1)
			default:
				t.Error(r.Status)
			}
		}
	})
	more := func(n int64) {
		t.Helper()
		fapwstest.Eventually(t, "requests are accepted", func() bool { return t.Failed() || accepted.Load() >= n })
	}
	more(burst / 4)
	s.Reload()
	more(burst / 2)
	s.Upgrade()
	more(burst * 3 / 4)
	s.Reload()
	wait()
	fapwstest.Equalf(t, accepted.Load(), burst, "accepted")
}

func TestCheckExaminesByWhatARateCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for by, c := range map[string]struct {
		code int
		want string
	}{
		"header X-Api-Key": {0, "fapws.toml:1: rate: clients choose X-Api-Key"},
		"user":             {2, "by user requires auth or login"},
	} {
		fapwstest.Write(t, dir+"/fapws.toml", "rate = { rate = \"5/s\", by = \""+by+"\" }\n"+
			"[[host]]\nroot = \".\"\n[[host.route]]\nprefix = \"/\"\nstatus = 204\n")
		code, _, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
		fapwstest.Truef(t, code == c.code && strings.Count(stderr, c.want) == 1, "%s: code %d, %s", by, code, stderr)
	}
}

func TestAddressHasALimitedNumberOfConnections(t *testing.T) {
	t.Parallel()
	s := limited(t, "[[host]]\napp = \"app:app\"\n", "--max-clients-per-address", "2")
	first, second := s.Dial(), s.Dial()
	first.Fetch("/a").Is(t, "/a")
	second.Fetch("/a").Is(t, "/a")
	c := s.Dial()
	c.Answer().Want(t, 503, "Too many connections are open from your address").Field(t, "Retry-After", "1")
	c.Closed()
	s.Says(`sent 503: 2 connections are open from its address \(--max-clients-per-address\)`)
	fapwstest.Equalf(t, statuses(t, s, "/b", "--interface", "127.0.0.2"), "200", "another address")
	first.Close()
	fapwstest.Eventually(t, "the next connection is served", func() bool {
		out, _ := exec.Command("curl", "-s", s.URL+"/next").Output()
		return string(out) == "/next"
	})
}

const slowApp = `
import os, threading, time

gate = threading.Event()
lock = threading.Lock()
active = most = calls = 0

def app(environ, start_response):
    global active, most, calls
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"]
    if path.startswith("/report"):
        with lock:
            calls += 1
            active += 1
            most = max(most, active)
        gate.wait()
        with lock:
            active -= 1
        gate.wait(0.005)
    elif path == "/open":
        gate.set()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{path} {len(body)} {environ['QUERY_STRING']} {most} {calls}".encode()]
`

// reports starts a server for slowApp with three threads. At most two requests for /report may run at the same time.
func reports(t *testing.T, toml string) *fapwstest.Server {
	t.Helper()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", slowApp)
	fapwstest.Write(t, dir+"/fapws.toml", "bind = \"127.0.0.1:0\"\nh2c = true\nthreads = 3\n[[host]]\n"+
		"app = \"app:app\"\n[[host.route]]\nprefix = \"/report\"\nmax-active = 2\n"+toml)
	return fapwstest.Command{Dir: dir}.Started(t)
}

func TestRequestsBeyondMaxActiveWaitAndLeaveThreadsToOthers(t *testing.T) {
	t.Parallel()
	s := reports(t, "")
	var all sync.WaitGroup
	file := fapwstest.Write(t, t.TempDir()+"/file", strings.Repeat("0123456789abcdef", 1<<15))
	const n = 8
	for i := range n {
		flags := [][]string{{}, {"--http2-prior-knowledge"}, {"--data-binary", "short"},
			{"--data-binary", "@" + file, "-H", "Expect:"}}[i%4]
		want := fmt.Sprintf("/report %d n=%d 2 ", []int{0, 0, 5, 1 << 19}[i%4], i)
		all.Go(func() {
			out, err := exec.Command("curl", append(flags, "-sS", fmt.Sprintf("%s/report?n=%d", s.URL, i))...).CombinedOutput()
			fapwstest.Truef(t, err == nil && strings.HasPrefix(string(out), want), "%q: %v %s, want %s", flags, err, out, want)
		})
	}
	left := s.Dial() // a client that leaves while its request waits
	left.Send(fapwstest.Get("/report?left"))
	fapwstest.Eventually(t, "two reports are active", func() bool {
		return strings.HasSuffix(s.Get("/other", 200).Text, " 2 2")
	})
	left.Close()
	s.Get("/other", 200).Is(t, "/other 0  2 2")
	s.Get("/open", 200)
	all.Wait()
	// The request of the disconnected client may have reached the handler or not.
	got := s.Get("/other", 200).Text
	fapwstest.Truef(t, got == fmt.Sprint("/other 0  2 ", n) || got == fmt.Sprint("/other 0  2 ", n+1), "%q", got)
}

func TestRequestThatWaitsTooLongAtMaxActiveGets503(t *testing.T) {
	t.Parallel()
	s := reports(t, "timeout = \"1s\"\n")
	wait := fapwstest.InBackground(2, func(int) { s.Get("/report", 504) })
	fapwstest.Eventually(t, "two reports are active", func() bool {
		return strings.HasSuffix(s.Get("/other", 200).Text, " 2 2")
	})
	s.Get("/report", 503).Field(t, "Retry-After", "1").Want(t, 503, "too many active requests")
	s.Says(`sent 503: requests of its route: 2 active, \d+ waiting \(max-active\)`)
	wait()
	s.Get("/open", 200)
}

func basicAuth(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
}

// 40 clients of one address send wrong passwords as fast as they can: some wait for the response, half of them send
// several requests at once, most disconnect.
func TestRightPasswordsAreAnsweredDuringAFloodOfWrongOnes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var text strings.Builder
	const honest = 3
	for i := range honest {
		hash := fapwstest.Try(bcrypt.GenerateFromPassword(fmt.Appendf(nil, "right password %d", i), bcrypt.MinCost)).Must(t)
		fmt.Fprintf(&text, "user%d:%s\n", i, hash)
	}
	users := fapwstest.Write(t, filepath.Join(dir, "users"), text.String())
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"),
		fmt.Sprintf("[[host]]\n[[host.route]]\nprefix = \"/basic\"\nstatus = 200\ntext = \"basic\"\nauth = { users = "+
			"%q }\n[[host.route]]\nprefix = \"/\"\nstatus = 200\ntext = \"form\"\nlogin = %q\n", users, users))
	s := fapwstest.Command{Flags: []string{"-c", config, "--state-dir", dir + "/state"}}.Serve(t, fapwstest.Threads)

	var wrong atomic.Int64
	var over atomic.Bool
	wait := fapwstest.InBackground(40, func(i int) {
		for n := 0; !over.Load(); n++ {
			c, err := net.Dial("tcp", s.Address)
			if err != nil {
				continue
			}
			for k := range 1 + 31*(i%2) {
				fmt.Fprintf(c, "GET /basic HTTP/1.1\r\nHost: x\r\n%s\r\n", basicAuth(fmt.Sprint("user", k%honest),
					fmt.Sprintf("wrong %d %d %d", i, n, k)))
			}
			if i%8 < 2 {
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = c.Read(make([]byte, 1000))
			} else {
				c.(*net.TCPConn).CloseWrite()
			}
			wrong.Add(1)
			c.Close()
		}
	})
	fapwstest.Eventually(t, "the flood", func() bool { return wrong.Load() > 1000 })
	for i := range honest {
		name, password := fmt.Sprint("user", i), fmt.Sprint("right password ", i)
		s.Ask("GET /basic HTTP/1.0\r\n"+basicAuth(name, password)+"\r\n").Want(t, 200)
		if i == 0 {
			v := visit(t, s.URL)
			v.logIn(name, password, "/x").want(t, 303, "Location: /x")
			v.get("/x").want(t, 200, "form")
		}
	}
	over.Store(true)
	wait()
}

// With HTTP/2, eight requests of one connection have traces of their own, but share the limit of the connection.
func TestFormChecksOnePasswordOfAConnectionAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hash := fapwstest.Try(bcrypt.GenerateFromPassword([]byte("right password"), 12)).Must(t)
	users := fapwstest.Write(t, filepath.Join(dir, "users"), fmt.Sprintf("admin:%s\n", hash))
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"),
		fmt.Sprintf("trace = true\nh2c = true\n[[host]]\n[[host.route]]\nprefix = \"/\"\nstatus = 200\nlogin = %q\n", users))
	s := fapwstest.Command{Flags: []string{"-c", config, "--state-dir", dir + "/state"}}.Serve(t, fapwstest.Threads)
	v := visit(t, s.URL)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	v.client.Transport = transport
	defer transport.CloseIdleConnections()
	token := tokenOf.FindStringSubmatch(v.get("/_fapws/login").body)[1]
	var busy atomic.Int64
	fapwstest.AtOnce(8, func(i int) {
		form := url.Values{"token": {token}, "name": {"admin"}, "password": {fmt.Sprint("wrong ", i)}}
		a, err := v.client.PostForm(s.URL+"/_fapws/login", form)
		if err != nil {
			t.Error(err)
			return
		}
		a.Body.Close()
		if a.StatusCode == 503 {
			busy.Add(1)
		}
	})
	fapwstest.Truef(t, busy.Load() != 0, "all passwords were checked")
}
