package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

func send(t *testing.T, address, method, body string) *http.Response {
	t.Helper()
	text := fmt.Sprintf("%s / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method,
		len(body), body)
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(talk(t, address, text))), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestRequestThatMayHaveBeenProcessedIsRepeatedIfItsMethodIsIdempotent(t *testing.T) {
	for method, want := range map[string]int64{"GET": 2, "PUT": 2, "DELETE": 2, "POST": 1, "PATCH": 1} {
		closes := func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) { io.Copy(io.Discard, r.Body) }
		one, first := server(t, closes)
		two, second := server(t, closes)
		address, _ := front(t, "/", proxy.Options{Targets: []string{one, two}})
		response := send(t, address, method, "body")
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
			response := send(t, address, "PUT", want)
			if got, err := io.ReadAll(response.Body); string(got) != want || err != nil {
				t.Errorf("%s, %d bytes of %d, %v", response.Status, len(got), size, err)
			}
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
	waittest.Eventually(t, "the upstream is chosen", func() bool {
		if response := send(t, address, "POST", "body"); response.StatusCode != 200 {
			t.Error(response.Status)
		}
		return strings.Contains(logged(), "proxy "+refuses+": cannot connect: connection refused; it gets no requests "+
			"for 10s")
	})
}

func TestAllUpstreamsHaveFailed(t *testing.T) {
	address, _ := front(t, "/", proxy.Options{Targets: []string{"http://" + backendtest.Unused(t),
		"unix:/no/such/socket", "unix:/no/other/socket"}})
	for _, method := range []string{"POST", "GET"} {
		response := send(t, address, method, "body")
		if after := response.Header.Get("Retry-After"); response.StatusCode != 503 || after == "" || after == "1" {
			t.Errorf("%s: %s, Retry-After: %s", method, response.Status, after)
		}
	}
}
