package http1conn_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1conn"
)

// A new connection is handed over with the protocol with which it must begin.
func TestNewConnectionsAreHandedOver(t *testing.T) {
	for _, c := range []struct {
		name         string
		h2c, proxied bool
	}{
		{"HTTP/1", false, false},
		{"HTTP/1 or HTTP/2", true, false},
		{"PROXY header", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := new(later)
			l.Run(t, l, exchange.Config{H2C: c.h2c, ProxyUnix: true, ProxyProtocol: true})
			fd, _ := exchangetest.Sockets(t)
			var idle []http1conn.IdleClient
			l.Do(func() {
				made, _ := l.HTTP1.NewClient(fd, &net.UnixAddr{}, &net.UnixAddr{}, c.proxied)
				checktest.Equal(t, made.Open(made.Speaks()), nil)
				made.Schedule()
				idle = l.HTTP1.TakeIdle()
			})
			checktest.Needf(t, len(idle) == 1, "%d connections", len(idle))
			defer unix.Close(idle[0].FD)
			got := idle[0].State
			checktest.Truef(t, got.Unannounced == c.proxied && !got.Used, "%+v", got)
		})
	}
}

// The client has begun to send another request.
func TestConnectionIsHandedOverWithTheRequestThatWaits(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost:\r\n\r\n"
	l := new(later)
	l.Run(t, l, exchange.Config{})
	fd, client := exchangetest.Sockets(t)
	checktest.Try(client.Write([]byte(request + "GET /n"))).Must(t)
	l.Do(func() {
		c := l.NewClient(fd)
		checktest.Equal(t, c.Open(c.Speaks()), nil)
	})
	checktest.Eventually(t, "the request", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 1 })
		return ok
	})
	l.Do(func() {
		one, ok := l.HTTP1.TakeWaiting(l.Held[0], []byte(request))
		checktest.Truef(t, ok && one.FD == fd && one.State.Used && string(one.State.Input) == request+"GET /n",
			"%v, %d, %+v", ok, one.FD, one.State)
	})
	unix.Close(fd)
}

// The client must not take the end of the connection for the end of the response.
func TestResponseThatIsGivenUpEndsWithAReset(t *testing.T) {
	fd, client := exchangetest.TCPSockets(t)
	l := new(later)
	l.Run(t, l, exchange.Config{})
	checktest.Try(client.Write([]byte("GET / HTTP/1.0\r\n\r\n"))).Must(t)
	l.Do(func() {
		c := l.NewClient(fd)
		checktest.Equal(t, c.Open(c.Speaks()), nil)
	})
	checktest.Eventually(t, "the request", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 1 })
		return ok
	})
	l.Do(func() {
		x := l.Held[0]
		x.Sink.Send(&exchange.Part{First: true, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte("half")})
	})
	l.Do(func() {
		x := l.Held[0]
		x.Stream.Replace(x, nil, true)
	})
	var buf [1024]byte
	var err error
	for err == nil {
		_, err = client.Read(buf[:])
	}
	checktest.Truef(t, errors.Is(err, unix.ECONNRESET), "%v", err)
}

func TestConnectionWithUnknownAddressesIsClosed(t *testing.T) {
	l := new(later)
	l.Run(t, l, exchange.Config{ProxyUnix: true})
	fd, client := exchangetest.Sockets(t)
	l.Do(func() { l.HTTP1.Arrive(&http1conn.ClientState{Local: "here", Remote: "there"}, fd) })
	_, err := client.Read(make([]byte, 1))
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "EOF"), "%v", err)
}
