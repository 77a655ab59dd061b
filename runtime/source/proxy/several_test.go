package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/source/proxy"
)

func TestRequestThatMayHaveBeenProcessedIsRepeatedIfItsMethodIsIdempotent(t *testing.T) {
	for method, want := range map[string]int64{"GET": 2, "PUT": 2, "DELETE": 2, "POST": 1, "PATCH": 1} {
		closes := func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) { io.Copy(io.Discard, r.Body) }
		one, first := server(t, closes)
		two, second := server(t, closes)
		address, _ := front(t, "/", proxy.Options{Targets: []string{one, two}})
		response := backendtest.Ask(t, address, method, "/", "body")
		if n := first.Load() + second.Load(); response.StatusCode != 502 || n != want {
			t.Errorf("%s: %s after %d requests to upstreams, want %d", method, response.Status, n, want)
		}
	}
}

func TestRepeatedRequestHasItsWholeBody(t *testing.T) {
	closes, tried := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) { io.Copy(io.Discard, r.Body) })
	echoes, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", body)
	})
	for _, size := range []int{10, 1 << 20} {
		want := strings.Repeat("x", size)
		for before := tried.Load(); tried.Load() == before; {
			address, _ := front(t, "/", proxy.Options{Targets: []string{closes, echoes}})
			a := backendtest.Ask(t, address, "PUT", "/", want)
			checktest.Truef(t, a.Text == want && a.Err == nil, "%s, %d bytes of %d, %v", a.Status, len(a.Text), size, a.Err)
		}
	}
}

func TestRequestsAvoidAnUpstreamThatRefusesConnections(t *testing.T) {
	works, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	refuses := "http://" + backendtest.Unused(t)
	address, logged := front(t, "/", proxy.Options{Targets: []string{refuses, works}})
	checktest.Eventually(t, "the upstream is chosen", func() bool {
		a := backendtest.Ask(t, address, "POST", "/", "body")
		checktest.Equalf(t, a.StatusCode, 200, "%s", a.Status)
		return strings.Contains(logged.String(), "proxy "+refuses+": cannot connect: connection refused; it gets no "+
			"requests for 10s")
	})
}

func TestAllUpstreamsHaveFailed(t *testing.T) {
	address, _ := front(t, "/", proxy.Options{Targets: []string{"http://" + backendtest.Unused(t),
		"unix:/no/such/socket", "unix:/no/other/socket"}})
	for _, method := range []string{"POST", "GET"} {
		response := backendtest.Ask(t, address, method, "/", "body")
		if after := response.Header.Get("Retry-After"); response.StatusCode != 503 || after == "" || after == "1" {
			t.Errorf("%s: %s, Retry-After: %s", method, response.Status, after)
		}
	}
}

func visit(t *testing.T, address string, fields ...string) (body string, cookie *http.Cookie) {
	t.Helper()
	a := backendtest.Ask(t, address, "GET", "/", "", fields...)
	for _, c := range a.Cookies() {
		if strings.HasPrefix(c.Name, "fapws-upstream-") {
			cookie = c
		}
	}
	return a.Text, cookie
}

func TestClientStaysWithTheUpstreamOfItsCookie(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: own=1\r\n\r\n%s", name)
		})
		return url
	}
	refuses := "http://" + backendtest.Unused(t)
	address, _ := front(t, "/", proxy.Options{Targets: []string{named("one"), named("two"), refuses}, Sticky: true})
	cookies := map[string]string{}
	for range 200 {
		body, c := visit(t, address)
		checktest.Needf(t, c != nil && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && !c.Secure,
			"cookie %+v", c)
		checktest.Needf(t, !strings.Contains(c.Value, "127.") && (cookies[body] == "" || cookies[body] == c.Value),
			"%s has the cookies %q and %q", body, cookies[body], c.Value)
		if cookies[body] = c.Value; len(cookies) == 2 {
			break
		}
	}
	_, c := visit(t, address)
	for name, value := range cookies {
		cookie := "Cookie: own={\"a\": \"b\"}; unnamed; " + c.Name + "=" + value
		for range 20 {
			body, again := visit(t, address, cookie)
			checktest.Needf(t, body == name && again == nil, "%s responds to a client of %s, and sets %+v", body, name, again)
		}
	}
	checktest.Equalf(t, len(cookies), 2, "cookies %v", cookies)
	_, again := visit(t, address, "Cookie: "+c.Name+"=0123456789abcdef")
	checktest.Truef(t, again != nil, "a client with an unknown value gets no cookie")
}

func TestClientMovesIfTheUpstreamOfItsCookieFails(t *testing.T) {
	t.Parallel()
	works, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
	})
	failing := backendtest.Unused(t)
	address, _ := front(t, "/", proxy.Options{Targets: []string{works, "http://" + failing}, Sticky: true})
	_, of := visit(t, address)
	// A client with an unknown cookie value gets the cookie value of the working upstream.
	for range 5 {
		_, c := visit(t, address, "Cookie: "+of.Name+"=of-another")
		checktest.Needf(t, c != nil && c.Value == of.Value, "cookie %+v, want %+v", c, of)
	}
}

// The sick upstream responds to health checks with status 503, but to all other requests with status 200.
func TestUpstreamThatFailsItsHealthCheckGetsNoRequests(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	sick.Store(true)
	named := func(name string, sick *atomic.Bool) string {
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
			status := "200 OK"
			if r.URL.RequestURI() == "/healthz?a=b" && r.Host != "site.example:8080" && sick.Load() {
				status = "503 Service Unavailable"
			}
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nConnection: close\r\n\r\n"+name)
		})
		return url
	}
	one, two := named("one", &sick), named("two", new(atomic.Bool))
	address, logged := front(t, "/", proxy.Options{Targets: []string{one, two}, Health: "/healthz?a=b"})
	ask := func() string { return backendtest.Ask(t, address, "GET", "/", "").Text }
	ask()
	logged.Says(t, "proxy "+one+": the health check /healthz?a=b failed: status 503; it gets no requests until a check "+
		"succeeds")
	for range 10 {
		checktest.Equalf(t, ask(), "two", "the upstream")
	}
	sick.Store(false)
	checktest.Eventually(t, "the other upstream responds", func() bool { return ask() == "one" })
	checktest.Truef(t, strings.Contains(logged.String(), "proxy "+one+": responds again") &&
		!strings.Contains(logged.String(), "proxy "+two), "%s", logged.String())
}

func TestOnlyUpstreamThatFailsItsHealthCheckGetsNoRequests(t *testing.T) {
	t.Parallel()
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		if r.URL.Path != "/healthz" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Health: "/healthz"})
	checktest.Eventually(t, "503 with Retry-After", func() bool {
		a := backendtest.Ask(t, address, "POST", "/", "body")
		return a.StatusCode == 503 && a.Header.Get("Retry-After") == "10"
	})
}
