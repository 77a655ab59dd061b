package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/source/proxy"
)

func TestPiecesOfAStreamedBodyAreForwardedAtOnce(t *testing.T) {
	received := make(chan bool)
	works, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		first := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Error(err)
		}
		received <- true
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s%s, %v", first, rest, err)
	})
	refuses := "http://" + backendtest.Unused(t)
	for range 3 { // repeat the test, because the proxy chooses the first upstream at random
		address, _ := front(t, "/", proxy.Options{Targets: []string{refuses, works}, Streams: true})
		for _, parts := range [][3]string{
			{"Content-Length: 10", "01234", "56789"},
			{"Transfer-Encoding: chunked", "5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r\n"},
		} {
			c, r := client(t, address, "POST / HTTP/1.1\r\nHost: x\r\n"+parts[0]+"\r\n\r\n"+parts[1])
			<-received
			if _, err := io.WriteString(c, parts[2]); err != nil {
				t.Fatal(err)
			}
			reads(t, status(t, r, 200).Body, "0123456789, <nil>")
		}
	}
}

// The client sends the rest of the body only after it has received the response.
func TestUpstreamMayRejectAStreamedBodyEarly(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		if _, err := io.ReadFull(r.Body, make([]byte, 5)); err != nil {
			t.Error(err)
		}
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Streams: true})
	_, r := client(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	reads(t, status(t, r, 413).Body, "big")
}

// Each upstream closes the connection after it has received the request head.
func TestStreamedBodyIsSentOnce(t *testing.T) {
	closes := func(*net.TCPConn, *bufio.Reader, *http.Request) {}
	one, first := server(t, closes)
	two, second := server(t, closes)
	address, _ := front(t, "/", proxy.Options{Targets: []string{one, two}, Streams: true})
	_, r := client(t, address, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	status(t, r, 502)
	if n := first.Load() + second.Load(); n != 1 {
		t.Errorf("%d upstreams have received it", n)
	}
}

// Both upstreams wait for the rest of the body.
func TestClientThatPausesInAStreamedBodyDisablesNoUpstream(t *testing.T) {
	waits := func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) { io.Copy(io.Discard, r.Body) }
	one, _ := server(t, waits)
	two, _ := server(t, waits)
	address, logged := front(t, "/", proxy.Options{Targets: []string{one, two}, Streams: true,
		Timeout: time.Second / 10})
	_, r := client(t, address, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	status(t, r, 504)
	if lines := logged(); !strings.Contains(lines, "i/o timeout") || strings.Contains(lines, "it gets no requests") {
		t.Error(lines)
	}
}

func TestStreamedBodyArrivesWhole(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d, %v", n, err)
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Streams: true})
	const size = 20 << 20
	response := send(t, address, "POST", strings.Repeat("x", size))
	if got, err := io.ReadAll(response.Body); string(got) != fmt.Sprintf("%d, <nil>", size) || err != nil {
		t.Errorf("%s %q, %v", response.Status, got, err)
	}
}
