package http1conn_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

func (l *later) Input(*exchange.Exchange, exchange.Input) {}

// stream returns a later source that streams bodies, with a client whose request has arrived.
func stream(t *testing.T, request string) (*later, net.Conn) {
	l := new(later)
	l.Run(t, l, exchange.Config{})
	l.Stream(t)
	client := l.Connect(t, request)
	checktest.Eventually(t, "the request", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 1 })
		return ok
	})
	return l, client
}

func TestPiecesOfAResponseAreChunks(t *testing.T) {
	l, client := stream(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	l.Do(func() {
		to := l.Held[0].Sink
		to.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte("first, ")})
		to.Send(&exchange.Part{End: exchange.Complete, Body: []byte("last")})
	})
	r := checktest.Try(http.ReadResponse(bufio.NewReader(client), nil)).Must(t)
	got := string(checktest.Try(io.ReadAll(r.Body)).Must(t))
	checktest.Equal(t, got, "first, last")
}

// The server cannot know where the next request begins without parsing the rest of the body.
func TestConnectionClosesAfterAResponseBeforeTheEndOfAChunkedBody(t *testing.T) {
	l, client := stream(t, "POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
	l.Do(func() { exchangetest.Answer(l.Held[0], "text") })
	client.(interface{ CloseWrite() error }).CloseWrite()
	got := string(checktest.Try(io.ReadAll(client)).Must(t))
	checktest.Truef(t, strings.HasSuffix(got, "text") && strings.Contains(got, "\r\nConnection: close\r\n"), "%q", got)
}

func TestInputAfterTheBodyOfTheLastRequestIsDiscarded(t *testing.T) {
	l, client := stream(t, "POST / HTTP/1.1\r\nHost:\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntext")
	for range 2 {
		checktest.Try(io.WriteString(client, " moreGET / HTTP/1.1\r\nHost:\r\n\r\n")).Must(t)
		l.Do(func() {})
	}
	l.Do(func() {
		checktest.Equalf(t, len(l.Held), 1, "requests")
		exchangetest.Answer(l.Held[0], "text")
	})
	client.(interface{ CloseWrite() error }).CloseWrite()
	got := string(checktest.Try(io.ReadAll(client)).Must(t))
	checktest.Truef(t, strings.HasSuffix(got, "text") && strings.Count(got, "HTTP/1.1 ") == 1, "%q", got)
}

// The first bytes of the connection could have selected HTTP/2.
func TestBodyArrivesOnAConnectionThatMayUseHTTP2(t *testing.T) {
	l := new(later)
	l.Run(t, l, exchange.Config{H2C: true})
	client := l.Connect(t, "POST / HTTP/1.1\r\nHost:\r\nContent-Length: 9\r\n\r\ntext")
	l.Do(func() {})
	checktest.Try(io.WriteString(client, " more")).Must(t)
	checktest.Eventually(t, "the request", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 1 })
		return ok
	})
	l.Do(func() { exchangetest.Answer(l.Held[0], "") })
}

func TestRestOfASkippedBodyMayArriveAfterTheLastResponse(t *testing.T) {
	l, client := stream(t, "POST / HTTP/1.1\r\nHost:\r\nContent-Length: 9\r\n\r\ntext")
	l.Do(func() {
		l.End = exchange.Discouraged
		exchangetest.Answer(l.Held[0], "text")
	})
	got := string(checktest.Try(io.ReadAll(client)).Must(t))
	checktest.Truef(t, strings.Contains(got, "\r\nConnection: close\r\n"), "%q", got)
	checktest.Try(io.WriteString(client, " more")).Must(t)
}

// While a body arrives fast, the kernel reports only large pieces. Its last piece may be small, and may arrive late.
func TestFewBytesOfABodyAreReadWithinASecond(t *testing.T) {
	const size = 160 << 10
	l := new(later)
	l.Run(t, l, exchange.Config{MaxBodyMemory: 1 << 20})
	fd, client := exchangetest.TCPSockets(t)
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost:\r\nContent-Length: %d\r\n\r\n%s", size+2, make([]byte, size))
	checktest.Try(io.WriteString(client, request)).Must(t)
	l.Do(func() {
		c, err := l.HTTP1.NewClient(fd, &net.TCPAddr{}, &net.TCPAddr{}, false)
		checktest.Must(t, err)
		checktest.Equal(t, c.Open(c.Speaks()), nil)
	})
	arrives := func(n int64) {
		t.Helper()
		checktest.Eventually(t, "the body arrives", func() (ok bool) {
			l.Do(func() { ok = l.InputMemory.Used() == n })
			return ok
		})
	}
	arrives(size)
	checktest.Equal(t, checktest.Try(unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT)).Must(t), 2)
	checktest.Try(io.WriteString(client, "x")).Must(t)
	l.Do(func() {
		l.Set.Now += int64(time.Second)
		l.Set.Tick()
	})
	arrives(size + 1)
}
