package proxy_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/source/proxy"
)

// More streams are open at once than the former limit of 768. They are silent for longer than the timeout, which is for
// heads only.
func TestThousandStreamsMayBeSilent(t *testing.T) {
	const streams = 1000
	speak, open := make(chan struct{}), atomic.Int64{}
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		open.Add(1)
		<-speak
		fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(r.URL.Path), r.URL.Path)
	})
	address, logged := front(t, "/", proxy.Options{Targets: []string{url}, Timeout: time.Second})
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			path := fmt.Sprintf("/%d", i)
			a := backendtest.Ask(t, address, "GET", path, "")
			checktest.Truef(t, a.Text == path && a.Err == nil && a.StatusCode == 200, "%s: %s %q, %v", path, a.Status, a.Text, a.Err)
		})
	}
	checktest.Eventually(t, "all streams are open", func() bool { return open.Load() == streams })
	time.Sleep(2500 * time.Millisecond) // for longer than the timeout and two ticks
	close(speak)
	wg.Wait()
	checktest.Equal(t, logged.String(), "")
}

// An upstream cannot extend the timeout for the head by sending it slowly.
func TestHeadThatDripsIsLate(t *testing.T) {
	ended := make(chan error, 1)
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		err := error(nil)
		for text := "HTTP/1.1 200 OK\r\nX: "; err == nil; text = "x" {
			_, err = io.WriteString(c, text)
			time.Sleep(50 * time.Millisecond)
		}
		ended <- err
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Timeout: 500 * time.Millisecond})
	got := talk(t, address, "GET / HTTP/1.0\r\n\r\n")
	checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 504 "), "%q", got)
	<-ended
}

// The client reads only when the upstream has sent the whole response and has closed its connection.
func TestSlowClientDoesNotHoldUpTheUpstream(t *testing.T) {
	for _, framing := range []string{"Content-Length: %d\r\n\r\n", "Connection: close\r\n\r\n"} {
		body, sent := make([]byte, 40<<20), make(chan error, 1)
		for i := range body {
			body[i] = byte(i >> 8)
		}
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			head := "HTTP/1.1 200 OK\r\n" + framing
			if strings.Contains(head, "%d") {
				head = fmt.Sprintf(head, len(body))
			}
			_, err := c.Write(append([]byte(head), body...))
			sent <- err
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		before := openFiles(t)
		_, r := client(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		checktest.Equalf(t, <-sent, nil, "the upstream waits for the client")
		response := checktest.Try(http.ReadResponse(r, nil)).Must(t)
		sum := sha256.New()
		n, err := io.Copy(sum, response.Body)
		want := sha256.Sum256(body)
		checktest.Truef(t, err == nil && n == int64(len(body)) && string(sum.Sum(nil)) == string(want[:]), "%d bytes, %v", n, err)
		checktest.Equal(t, logged.String(), "")
		checktest.Eventually(t, "the files are closed", func() bool { return openFiles(t) <= before+1 })
	}
}

// An upstream that does not read the body of a request stops the client, and its connection ends when the client leaves.
func TestUpstreamThatReadsNothingIsBounded(t *testing.T) {
	for _, streams := range []bool{false, true} {
		begun, left, got := make(chan bool), make(chan bool), make(chan int64)
		url, _ := server(t, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
			close(begun)
			<-left
			n, _ := io.Copy(io.Discard, in) // what the kernel holds, and then the end
			got <- n
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Streams: streams})
		c, _ := client(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
		written := make(chan int64, 1)
		go func() {
			n, _ := io.CopyN(c, zeros{}, 90_000_000)
			written <- n
		}()
		<-begun
		time.Sleep(200 * time.Millisecond)
		c.SetLinger(0)
		c.Close()
		n := <-written
		checktest.Truef(t, !streams || n < 40<<20, "the client has sent %d bytes", n)
		time.Sleep(100 * time.Millisecond)
		close(left)
		n = <-got
		checktest.Truef(t, n < 40<<20, "the upstream got %d bytes", n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
