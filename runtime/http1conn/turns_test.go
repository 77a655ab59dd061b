package http1conn_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1conn"
)

type order struct {
	exchangetest.Host
	paths []string
}

func (o *order) Start(x *exchange.Exchange) {
	o.paths = append(o.paths, exchangetest.Path(x.Req))
	exchangetest.Answer(x, "")
}

// The client sends all requests at once, and gets all responses, even if it has shut down its sending side.
func TestManyRequestsOfAClientDoNotDelayOthers(t *testing.T) {
	const many = 2000
	o := new(order)
	o.Run(t, o, exchange.Config{})
	var fds [2]int
	var clients [2]net.Conn
	for i := range fds {
		fds[i], clients[i] = exchangetest.Sockets(t)
	}
	request := func(path string) string { return "GET /" + path + " HTTP/1.1\r\nHost:\r\n\r\n" }
	for i, all := range []string{strings.Repeat(request("many"), many), request("one")} {
		checktest.Try(io.WriteString(clients[i], all)).Must(t)
	}
	o.Do(func() {
		for _, fd := range fds {
			c := o.NewClient(fd)
			checktest.Equal(t, c.Open(c.Speaks()), nil)
		}
	})
	checktest.Must(t, clients[0].(interface{ CloseWrite() error }).CloseWrite())
	if got, err := io.ReadAll(clients[0]); bytes.Count(got, []byte("HTTP/1.1 200 ")) != many || err != nil {
		t.Errorf("%d responses, %v", bytes.Count(got, []byte("HTTP/1.1 200 ")), err)
	}
	o.Do(func() {
		for i, path := range o.paths {
			checktest.Truef(t, path != "/one" || i <= many/2, "%d requests of another client went before", i)
		}
		checktest.Equal(t, len(o.paths), many+1)
	})
}

type hints struct {
	exchangetest.Host
	fields []byte
}

const manyHints = 100

func (h *hints) Start(x *exchange.Exchange) {
	for range manyHints {
		x.Sink.Send(&exchange.Part{Interim: true, Head: exchange.Head{Status: 103, Fields: h.fields}})
	}
	exchangetest.Answer(x, "")
}

func TestUnreadInterimResponsesCountAsUnsent(t *testing.T) {
	h := &hints{fields: []byte("Link: " + strings.Repeat("x", 16<<10) + "\r\n")}
	h.Run(t, h, exchange.Config{})
	client := h.Connect(t, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
	waits := func() (n int64) {
		h.Do(func() { n = h.Set.Unsent.Total() })
		return n
	}
	n := waits()
	checktest.Truef(t, n >= manyHints/2*int64(len(h.fields)), "%d bytes wait", n)
	got, err := io.ReadAll(client)
	if n := bytes.Count(got, []byte("HTTP/1.1 103 ")); n != manyHints ||
		bytes.Count(got, []byte("HTTP/1.1 200 ")) != 1 || err != nil {
		t.Errorf("%d interim responses, %v", n, err)
	}
	checktest.Equalf(t, waits(), 0, "bytes still count")
}

type later struct{ exchangetest.Host }

func (l *later) Start(x *exchange.Exchange) { l.Held = append(l.Held, x) }

// The response takes longer than the timeout of an idle connection.
func TestTimeoutOfAnIdleConnectionBeginsAfterTheResponse(t *testing.T) {
	l := new(later)
	l.Run(t, l, exchange.Config{})
	client := l.Connect(t, "GET / HTTP/1.1\r\nHost:\r\n\r\n")
	l.Do(func() {
		l.Set.Now += 2 * int64(l.Config.KeepAlive)
		l.Set.Tick()
		exchangetest.Answer(l.Held[0], "")
	})
	l.Do(l.Set.Tick)
	checktest.Try(io.WriteString(client, "GET / HTTP/1.1\r\nHost:\r\n\r\n")).Must(t)
	checktest.Eventually(t, "the next request arrives", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 2 })
		return ok
	})
	l.Do(func() { exchangetest.Answer(l.Held[1], "") })
	l.Do(func() {
		l.Set.Now += 2 * int64(l.Config.KeepAlive)
		l.Set.Tick()
	})
	got, err := io.ReadAll(client)
	checktest.Truef(t, bytes.Count(got, []byte("HTTP/1.1 200 ")) == 2 && err == nil, "%q, %v", got, err)
}

// While the server stops, a connection stays for an incomplete head no longer than for the next request.
func TestTimeoutOfAHeadIsShorterWhileTheServerStops(t *testing.T) {
	const keepAlive, head = time.Minute, time.Hour
	for _, c := range []struct {
		name string
		end  exchange.Ending
		text string
		want time.Duration
	}{
		{"new, serving", exchange.Serving, "", head},
		{"new, leaving", exchange.Leaving, "", keepAlive},
		{"new, draining", exchange.Draining, "", keepAlive},
		{"head, serving", exchange.Serving, "GET", head},
		{"head, leaving", exchange.Leaving, "GET", head},
		{"head, draining", exchange.Draining, "GET", keepAlive},
	} {
		l := new(later)
		l.Run(t, l, exchange.Config{})
		fd, client := exchangetest.Sockets(t)
		checktest.Try(io.WriteString(client, c.text)).Must(t)
		var made *http1conn.Conn
		l.Do(func() {
			l.Config.KeepAlive, l.Config.HeadTimeout, l.End = keepAlive, head, c.end
			made = l.NewClient(fd)
			checktest.Equal(t, made.Open(made.Speaks()), nil)
			made.ReadAgain()
		})
		l.Do(func() {
			checktest.Equalf(t, time.Duration(made.Due()-l.Set.Now-eventloop.Tick), c.want, "%s", c.name)
		})
	}
}

// The request has arrived while the loop was busy. Closing its connection to make room would lose it.
func TestConnectionWhoseRequestHasArrivedIsNotClosedAsIdle(t *testing.T) {
	l := new(later)
	l.Run(t, l, exchange.Config{})
	connect := func() (client net.Conn) {
		fd, client := exchangetest.Sockets(t)
		l.Do(func() {
			l.Set.Now++
			c := l.NewClient(fd)
			c.Counts = conn.Take
			checktest.Equal(t, c.Open(c.Speaks()), nil)
			c.Schedule()
		})
		return client
	}
	asking, idle := connect(), connect()
	l.Do(func() {
		l.Set.Now += int64(2 * time.Second)
		checktest.Try(io.WriteString(asking, "GET / HTTP/1.1\r\nHost:\r\n\r\n")).Must(t)
		l.Set.CloseIdlest()
	})
	_, err := idle.Read(make([]byte, 1))
	checktest.Equal(t, err, io.EOF)
	checktest.Eventually(t, "the request arrives", func() (ok bool) {
		l.Do(func() { ok = len(l.Held) == 1 })
		return ok
	})
	l.Do(func() { exchangetest.Answer(l.Held[0], "") })
}
