package backendtest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

// Unused returns an address "host:port" for a server that cannot choose a free port itself. The host is a random
// loopback address, which other tests are unlikely to use. The port is below the range of ports from which the kernel
// chooses ports for clients.
func Unused(t testing.TB) string {
	t.Helper()
	address := fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.N(254), rand.N(256), 1+rand.N(254), 20000+rand.N(10000))
	checktest.Try(net.Listen("tcp", address)).Must(t).Close()
	return address
}

// Serve accepts connections until the end of the test and returns the address. For each connection, Serve calls the
// function serve on a separate goroutine with the connection's number, and closes the connection when serve returns.
func Serve(t testing.TB, serve func(n int, c *net.TCPConn)) (address string) {
	t.Helper()
	ln := checktest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(n, c.(*net.TCPConn))
			}()
		}
	}()
	return ln.Addr().String()
}

// Dial connects to addr. The connection has a deadline after checktest.Patience, and is closed at the end of the test.
func Dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c := checktest.Try(net.Dial("tcp", addr)).Must(t)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(checktest.Patience))
	return c.(*net.TCPConn)
}

type Answer struct {
	*http.Response
	Text string
	Err  error
}

// Ask sends a request with fields, "Name: value", on a new connection and reads the response.
func Ask(t testing.TB, addr, method, target, body string, fields ...string) Answer {
	t.Helper()
	c := Dial(t, addr)
	defer c.Close()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: site.example:8080\r\n", method, target)
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	for _, field := range fields {
		head += field + "\r\n"
	}
	checktest.Try(io.WriteString(c, head+"\r\n"+body)).Must(t)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	checktest.Mustf(t, err, "%s %s", method, target)
	text, err := io.ReadAll(resp.Body)
	return Answer{resp, string(text), err}
}
