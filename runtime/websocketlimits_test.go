package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

func isClosed(err error, code int, reason string) bool {
	var closed *wstest.Closed
	return errors.As(err, &closed) && closed.Code == code && closed.Reason == reason
}

// TestWebSocketFlood: a client that sends and never reads is held up, and costs a bounded amount
// of memory, with messages as well as with pings.
func TestWebSocketFlood(t *testing.T) {
	for _, op := range []byte{wstest.Ping, wstest.Binary} {
		a := newTalkApp()
		// Like a handler that stops to take messages when it cannot send.
		a.hold = true
		s := serveTalks(t, Config{}, a)
		c := s.socket(t)
		var chunk []byte
		for range 500 {
			chunk = c.AppendFrame(chunk, wstest.Fin|op, bytes.Repeat([]byte("x"), 100))
		}
		before := memory()
		c.Conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		total := 0
		for total < 64<<20 {
			n, err := c.Conn.Write(chunk)
			if total += n; err != nil {
				break
			}
		}
		if op == wstest.Binary {
			if total > 32<<20 {
				t.Errorf("%d bytes of messages went through", total)
			}
			a.mu.Lock()
			if a.queued > 2*exchange.InputWindow {
				t.Errorf("%d bytes wait", a.queued)
			}
			a.mu.Unlock()
		}
		// Until the loop has read the rest of the socket's buffer, each reading has garbage of its frames in it.
		eventually(t, fmt.Sprintf("less than 8 MiB of memory for %d bytes that were sent", total), func() bool {
			return memory()-before < 8<<20
		})
		c.Conn.Close()
		eventually(t, "the end", a.idle)
	}
}

// TestWebSocketSlowHandler: a client's close frame is answered soon, also when its handler takes
// its time.
func TestWebSocketSlowHandler(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	var kept *talk
	a.ends = func(one *talk, _ uint16, _ string) { kept = one }
	s := serveTalks(t, Config{}, a)
	for _, half := range []bool{false, true} {
		c := s.socket(t)
		closes(t, c, half)
		s.do(func() {
			kept.send(exchange.OpText, []byte("too late"))
			kept.end(false)
		})
		eventually(t, "the end", a.idle)
	}
}

// A client gets all that was sent before its close frame, also one that has shut down its side behind the frame.
func TestWebSocketClosesBehindOutput(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	a.message = func(one *talk, _ exchange.Op, _ []byte) { one.send(exchange.OpBinary, make([]byte, 10<<20)) }
	s := serveTalks(t, Config{}, a)
	for _, half := range []bool{false, true} {
		c := s.socket(t)
		c.SendText("more")
		if got := closes(t, c, half); got != 10<<20 {
			t.Errorf("%d bytes, half: %t", got, half)
		}
		eventually(t, "the end", a.idle)
	}
}

// closes sends a close frame, behind which it shuts down its side if half is set, and waits for that of the server. It returns how many bytes of
// messages came before it.
func closes(t *testing.T, c *wstest.Client, half bool) (got int) {
	t.Helper()
	c.WriteFrame(wstest.Fin|wstest.Close, []byte{3000 >> 8, 3000 & 0xff})
	if half {
		c.Conn.(*net.TCPConn).CloseWrite()
	}
	for {
		_, message, err := c.Receive()
		got += len(message)
		var closed *wstest.Closed
		if errors.As(err, &closed) && closed.Code == 3000 {
			return got
		}
		if err != nil {
			t.Fatalf("%v, half: %t", err, half)
		}
	}
}

// An idle WebSocket has at most 1,500 bytes more than an idle connection, which has between 500 and 620 here.
func TestIdleWebSocketsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n = 1000
	path := filepath.Join(t.TempDir(), "log")
	each := func(what, request string, also []byte, most int64) int64 {
		log, _ := openLog(t, path, "combined")
		s, err := New(settled(Config{Sites: sites.Config{AccessLog: log}, WebSockets: live.SocketConfig{Ping: time.Hour}})) // these clients answer none
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ts := &testServer{Server: s}
		h := &silent{}
		ts.listen(t, h, sites.Mount{Prefix: "/", WebSocket: true})
		buf := make([]byte, 4096)
		var clients []rawClient
		open := func() {
			c := dialRaw(t, ts.addr)
			unix.Write(c.fd, []byte(request))
			c.read(buf)
			if also != nil { // a message was there
				unix.Write(c.fd, also[:7])
				unix.Write(c.fd, also[7:])
			}
			clients = append(clients, c)
		}
		open()
		before := memory()
		for range n {
			open()
		}
		ts.do(func() {})
		cost := eachCosts(t, what, before, n, most)
		for _, c := range clients {
			unix.Close(c.fd)
		}
		return cost
	}
	const fields = "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
	connection := each("an idle connection", "GET / HTTP/1.1\r\n"+fields+"\r\n", nil, 4096)
	message := (&wstest.Client{}).AppendFrame(nil, wstest.Fin|wstest.Ping, make([]byte, 100))
	handshake := wstest.Handshake("/", strings.TrimSpace(fields[strings.Index(fields, "User"):]), wstest.Deflate)
	each("an idle WebSocket", handshake, message, connection+1500)
}

// TestWebSocketAccessLog: one line, when it has ended.
func TestWebSocketAccessLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	log, closeLog := openLog(t, path, `%s %B %I %X "%r"`)
	a := newTalkApp()
	s := serveTalks(t, Config{Sites: sites.Config{AccessLog: log}}, a)
	ends := []func(c *wstest.Client){
		func(c *wstest.Client) { c.CloseWith(1000, "") },
		func(c *wstest.Client) { c.Conn.Close() },
	}
	for _, end := range ends {
		c := s.socket(t)
		c.SendText("12345")
		c.Receive()
		end(c)
		eventually(t, "the end", a.idle)
	}
	s.do(func() {})
	closeLog()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := len(wstest.Handshake("/"))
	want := "101 11 " + strconv.Itoa(head+11+8) + ` + "GET / HTTP/1.1"` + "\n" + "101 7 " + strconv.Itoa(head+11) + ` X "GET / HTTP/1.1"` + "\n"
	if string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

// silent is an application that accepts WebSockets, and takes all that comes.
type silent struct {
	instant
	parts []exchange.Part
}

func (h *silent) Submit(r *exchange.Request) bool {
	if !r.WebSocket {
		return h.instant.Submit(r)
	}
	h.parts = append(h.parts, exchange.Part{Ticket: r.Ticket, First: true, File: -1, Head: exchange.Head{WebSocket: true}})
	return true
}

func (h *silent) Deliver(in exchange.Input) {
	p := exchange.Part{Ticket: in.Ticket, File: -1, Op: exchange.OpCredit, Credit: int64(len(in.Data)) + exchange.InputCost}
	if in.Op == exchange.OpClose {
		p = exchange.Part{Ticket: in.Ticket, File: -1, Last: true}
	}
	h.parts = append(h.parts, p)
}

func (h *silent) Cancel(t exchange.Ticket) {
	h.parts = append(h.parts, exchange.Part{Ticket: t, File: -1, Last: true})
}

func (h *silent) Next(p *exchange.Part) bool {
	if len(h.parts) == 0 {
		return h.instant.Next(p)
	}
	*p = h.parts[0]
	h.parts = h.parts[:copy(h.parts, h.parts[1:])]
	return true
}
