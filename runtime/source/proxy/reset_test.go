package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/source/proxy"
)

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// Each text is a part of a response, after which the upstream resets the connection. The client must get 502 or
// an incomplete response, the request must not be sent again, and no descriptor or goroutine may remain.
func TestResponseThatAResetEndsIsIncomplete(t *testing.T) {
	const sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	states := map[string]string{
		"before the head":      "",
		"after 103":            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		"in the head":          "HTTP/1.1 200 OK\r\nX-A: ",
		"before the body":      sized,
		"in the body":          sized + "hel",
		"until it closes":      "HTTP/1.1 200 OK\r\n\r\nhel",
		"in the size":          chunked + "5\r\nhello\r\n1",
		"in a chunk":           chunked + "5\r\nhel",
		"between chunks":       chunked + "5\r\nhello\r\n",
		"in the trailers":      chunked + "5\r\nhello\r\n0\r\nX-A: ",
		"before the last line": chunked + "5\r\nhello\r\n0\r\nX-A: b\r\n",
	}
	names := make(chan string, 1)
	url, connections := server(t, func(c *net.TCPConn, in *bufio.Reader, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		io.WriteString(c, states[<-names])
		c.SetLinger(0)
	})
	address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for name, text := range states {
		names <- name
		opened := connections.Load()
		raw := talk(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTE: trailers\r\n"+
			"Connection: close\r\n\r\nb")
		response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
		checktest.Mustf(t, err, "%s: %q", name, raw)
		_, err = io.ReadAll(response.Body)
		if strings.Contains(text, " 200 OK\r\n") && strings.Contains(text, "\r\n\r\n") {
			checktest.Truef(t, response.StatusCode == 200 && err != nil, "%s: %q", name, raw)
		} else {
			checktest.Truef(t, response.StatusCode == 502, "%s: %q", name, raw)
		}
		checktest.Equalf(t, connections.Load()-opened, 1, "%s: connections", name)
	}
	checktest.Lacks(t, logged.String(), "bug")
	checktest.Eventually(t, "nothing remains", func() bool {
		return openFiles(t) <= files && runtime.NumGoroutine() <= goroutines
	})
}

// The upstream resets the idle connection when it has read the next request.
func TestRequestOnAConnectionThatIsResetIsSentAgainOnlyIfItIsSafe(t *testing.T) {
	for method, want := range map[string]int{"GET": 200, "POST": 502} {
		url, connections := server(t, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if next, err := http.ReadRequest(in); err == nil {
				io.Copy(io.Discard, next.Body)
				c.SetLinger(0)
			}
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
		for i, want := range []int{200, want} {
			got, body := get(t, address, method+" /")
			checktest.Truef(t, got.StatusCode == want, "%s %d: %s %q", method, i, got.Status, body)
		}
		checktest.Equalf(t, connections.Load(), map[string]int64{"GET": 2, "POST": 1}[method], "%s: connections", method)
	}
}

// A client that has disconnected ends the response, whichever part of it the upstream is sending.
func TestUpstreamThatGoesOnSendingIsDisconnectedWithItsClient(t *testing.T) {
	for name, text := range map[string][2]string{
		"interim responses": {"", "HTTP/1.1 102 Processing\r\n\r\n"},
		"fields":            {"HTTP/1.1 200 OK\r\n", "X-A: b\r\n"},
		"body":              {"HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 64<<10)},
		"chunks":            {chunked, "1;" + strings.Repeat("e", 100) + "\r\nx\r\n"},
	} {
		begun, ended := make(chan struct{}), make(chan error, 1)
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			_, err := io.WriteString(c, text[0])
			close(begun)
			for err == nil {
				_, err = io.WriteString(c, text[1])
			}
			ended <- err
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		c, _ := client(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-begun
		c.SetLinger(0)
		c.Close()
		err := <-ended
		late, ok := err.(net.Error)
		checktest.Truef(t, !ok || !late.Timeout(), "%s: %v", name, err)
		checktest.Lacks(t, fmt.Sprint(logged), "bug")
	}
}
