package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

// The sick upstream responds to health checks with status 503, but to all other requests with status 200.
func TestUpstreamThatFailsItsHealthCheckGetsNoRequests(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	sick.Store(true)
	named := func(name string, sick *atomic.Bool) string {
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
			status := "200 OK"
			if r.URL.RequestURI() == "/healthz?a=b" && r.Host != "x" && sick.Load() {
				status = "503 Service Unavailable"
			}
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nConnection: close\r\n\r\n"+name)
		})
		return url
	}
	one, two := named("one", &sick), named("two", new(atomic.Bool))
	address, logged := front(t, "/", proxy.Options{Targets: []string{one, two}, Health: "/healthz?a=b"})
	ask := func() string {
		body, err := io.ReadAll(send(t, address, "GET", "").Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	ask()
	waittest.Eventually(t, "the failure is in the log", func() bool {
		return strings.Contains(logged(), "proxy "+one+": the health check /healthz?a=b failed: status 503; it gets "+
			"no requests until a check succeeds")
	})
	for range 10 {
		if got := ask(); got != "two" {
			t.Errorf("%q responds", got)
		}
	}
	sick.Store(false)
	waittest.Eventually(t, "the other upstream responds", func() bool { return ask() == "one" })
	if !strings.Contains(logged(), "proxy "+one+": responds again") || strings.Contains(logged(), "proxy "+two) {
		t.Error(logged())
	}
}

func TestOnlyUpstreamThatFailsItsHealthCheckGetsNoRequests(t *testing.T) {
	t.Parallel()
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		if r.URL.Path != "/healthz" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Health: "/healthz"})
	waittest.Eventually(t, "503 with Retry-After", func() bool {
		response := send(t, address, "POST", "body")
		return response.StatusCode == 503 && response.Header.Get("Retry-After") == "10"
	})
}
