package sites_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/sites/sitestest"
)

// host answers with the request. It holds the exchanges back whose path begins with /later, until release.
type host struct{ sitestest.Host }

func (h *host) Start(x *exchange.Exchange) {
	text := sitestest.Path(x.Req) + ":" + string(x.Req.Body)
	if strings.HasPrefix(text, "/later") {
		x.Fields = []byte("Path: " + text + "\r\n")
		h.Held = append(h.Held, x)
		return
	}
	sitestest.Answer(x, text)
}

func newHost(t *testing.T, cfg sites.Config) *host {
	t.Helper()
	h := new(host)
	h.Run(t, h, cfg)
	return h
}

// open returns a connection, and the socket of its client.
func (h *host) open(t *testing.T) (*sites.Conn, net.Conn) {
	t.Helper()
	fd, remote := sitestest.Sockets(t)
	c := h.NewClient(fd, &net.UnixAddr{}, &net.UnixAddr{}, false)
	h.Do(func() {
		if err := c.Open(c); err != nil {
			t.Error(err)
		}
		c.Stamp = h.Set.Now
		c.Schedule()
	})
	return c, remote
}

// read returns status and body of the next response.
func read(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	res, err := nethttp.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// Input that is cut anywhere gives the same responses, in the order of the requests.
func TestCutAnywhere(t *testing.T) {
	const input = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" +
		"GET /c HTTP/1.1\r\nHost: x\r\n\r\nPOST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nch\r\n3\r\nunk\r\n0\r\n\r\n" +
		"GET /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const want = "200 /a: 200 /b:body 200 /c: 200 /d:chunk 200 /e: "
	h := newHost(t, sites.Config{})
	for cut := 1; cut < len(input); cut++ {
		c, remote := h.open(t)
		for _, piece := range []string{input[:cut], input[cut:]} {
			h.Do(func() { c.Input([]byte(piece)) })
		}
		got, r := "", bufio.NewReader(remote)
		for range 5 {
			got += read(t, r) + " "
		}
		if got != want {
			t.Errorf("cut at %d: %q", cut, got)
		}
		if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("cut at %d: not closed: %d, %v", cut, n, err)
		}
	}
	h.Do(func() {
		if n := h.Active(); n != 0 {
			t.Errorf("%d exchanges have not ended", n)
		}
	})
}

// Requests that were sent ahead are answered side by side, and their responses leave in order.
func TestResponsesLeaveInOrder(t *testing.T) {
	h := newHost(t, sites.Config{})
	c, remote := h.open(t)
	h.Do(func() {
		c.Input([]byte("GET /later/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later/2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"))
		if len(h.Held) != 2 || c.State() != sites.StateReady || !c.Busy() {
			t.Fatalf("%d are held, the connection is %s", len(h.Held), c.State())
		}
		sitestest.Answer(h.Held[1], "two")
		sitestest.Answer(h.Held[0], "one")
	})
	r := bufio.NewReader(remote)
	for _, want := range []string{"200 one", "200 two", "200 /3:"} {
		if got := read(t, r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The source learns of a client that disconnects, and its later data is discarded.
func TestClientLeaves(t *testing.T) {
	h := newHost(t, sites.Config{})
	c, _ := h.open(t)
	h.Do(func() {
		c.Input([]byte("GET /later/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"))
		if n := h.Active(); n != 2 {
			t.Errorf("%d exchanges", n)
		}
		c.Close("the client has disconnected")
		if n := h.Active(); n != 0 || h.Gone != 1 || c.State() != sites.StateClosed {
			t.Errorf("%d exchanges, %d gone, %s", n, h.Gone, c.State())
		}
	})
}

// Draining closes idle connections at once and others behind their responses; retiring leaves them their next request.
func TestDrain(t *testing.T) {
	const request = " HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, retire := range []bool{false, true} {
		h := newHost(t, sites.Config{})
		idle, _ := h.open(t)
		busy, remote := h.open(t)
		h.Do(func() {
			busy.Input([]byte("GET /later" + request))
			if retire {
				h.Retire(time.Hour)
			} else {
				h.Server.Drain()
			}
			h.Set.Drain(retire)
			if closed := idle.State() == sites.StateClosed; closed == retire {
				t.Errorf("retire %v: the idle connection is %s", retire, idle.State())
			}
			sitestest.Answer(h.Held[0], "end")
		})
		r := bufio.NewReader(remote)
		if got := read(t, r); got != "200 end" {
			t.Errorf("%q", got)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("retire %v: %v", retire, err)
		}
	}
}
