package http2

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

// A host answers each request with a copy of the request. There are three exceptions: it does not answer requests whose
// path begins with /later; for the path /delayed, it does not answer either, and its turn begins when the client has read
// earlier output; and a stream whose path begins with /bytes becomes a connection with the protocol echo.
type host struct {
	exchangetest.Host
	http2  Server
	echoes []*echo
}

func (h *host) Start(x *exchange.Exchange) {
	r := x.Req
	if x.By == "delayed" { // the turn of the response has come
		h.Held = append(h.Held, x)
		return
	}
	text := exchangetest.Path(r) + ":" + string(r.Body)
	if r.Spool >= 0 {
		unix.Close(r.Spool)
		text += fmt.Sprint("a file with ", r.Size)
	}
	if strings.HasPrefix(text, "/later") {
		h.Held = append(h.Held, x)
		return
	}
	if strings.HasPrefix(text, "/delayed") {
		x.SetSource(h, "delayed")
		x.AwaitTurn(true)
		return
	}
	if strings.HasPrefix(text, "/bytes") {
		h.echo(x)
		return
	}
	exchangetest.Answer(x, text)
}

func (h *host) Input(*exchange.Exchange, exchange.Input) {}

type client struct {
	*Conn
	on *conn.Conn
}

var usual = Config{MaxStreams: 128, MaxWindow: 4 << 20, ConnectionWindow: 8 << 20}

func newHost(t testing.TB) *host {
	t.Helper()
	h := new(host)
	h.Run(t, h, exchange.Config{MaxSpools: 100})
	h.Do(func() {
		h.http2.Init(&h.Server)
		h.http2.Configure(usual)
	})
	return h
}

type peer struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	coder  *hpack.Encoder
}

func (h *host) open(t testing.TB, settings ...http2.Setting) (*client, *peer) {
	t.Helper()
	fd, remote := exchangetest.Sockets(t)
	c := new(client)
	h.Do(func() {
		below := h.NewClient(fd)
		checktest.Equal(t, below.Open(below), nil)
		h.http2.Begin(&below.Client)
		c.Conn, c.on = below.Protocol().(*Conn), &below.Client.Conn
	})
	p := &peer{t: t, conn: remote, framer: http2.NewFramer(remote, remote)}
	p.framer.ReadMetaHeaders = hpack.NewDecoder(tableSize, nil)
	p.coder = hpack.NewEncoder(&p.block)
	p.framer.WriteSettings(settings...)
	for acked := false; !acked; {
		if set, ok := p.next().(*http2.SettingsFrame); ok {
			acked = set.IsAck()
		}
	}
	return c, p
}

func (p *peer) next() http2.Frame {
	p.t.Helper()
	return checktest.Try(p.framer.ReadFrame()).Must(p.t)
}

// waitHeld waits until n requests with a path below /later have arrived.
func (h *host) waitHeld(n int) {
	for held := 0; held < n; {
		h.Do(func() { held = len(h.Held) })
	}
}

// ping waits until the server has processed all earlier frames.
func (p *peer) ping() {
	p.t.Helper()
	p.framer.WritePing(false, [8]byte{})
	for pong := false; !pong; {
		f, ok := p.next().(*http2.PingFrame)
		pong = ok && f.IsAck()
	}
}

func (p *peer) request(id uint32, path string, ends bool, fields ...string) {
	p.block.Reset()
	method := "POST"
	if ends {
		method = "GET"
	}
	for _, field := range append([]string{":method " + method, ":scheme http", ":authority h", ":path " + path},
		fields...) {
		name, value, _ := strings.Cut(field, " ")
		p.coder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true,
		EndStream: ends})
}

func (p *peer) response(id uint32) (text string) {
	p.t.Helper()
	for {
		switch f := p.next().(type) {
		case *http2.MetaHeadersFrame:
			checktest.Needf(p.t, f.StreamID == id, "%v, want stream %d", f, id)
			text += f.PseudoValue("status") + " "
			if f.StreamEnded() {
				return text
			}
		case *http2.DataFrame:
			text += string(f.Data())
			if f.StreamEnded() {
				return text
			}
		case *http2.RSTStreamFrame:
			return text + "!" + f.ErrCode.String()
		case *http2.GoAwayFrame:
			return text + "!!" + f.ErrCode.String()
		}
	}
}

func (p *peer) is(id uint32, want string) {
	p.t.Helper()
	checktest.Equalf(p.t, p.response(id), want, "stream %d", id)
}
