package live

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/websocket"
)

// peer is connection and handler of a session. It notes what happens to it.
type peer struct {
	s       *session
	notes   []string
	clock   int64
	heard   int64
	ping    time.Duration
	writing bool
	stopped bool
	over    bool // the connection carries the WebSocket no more
	active  bool
	ending  bool
}

func (p *peer) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *peer) Write(frame []byte) {
	d := websocket.Decoder{Max: 1 << 20}
	masked := slices.Clone(frame[:2])
	masked[1] |= 0x80 // as a client's, with a mask of zeros
	m, _, err := d.Next(append(append(masked, 0, 0, 0, 0), frame[2:]...))
	switch {
	case err != nil:
		p.note("malformed: %v", err)
	case m.Op == websocket.Close:
		p.note("close %d %s", m.Code, m.Data)
	case m.Op == websocket.Ping:
		p.note("ping")
	default:
		p.note("pong %s", m.Data)
	}
}

func (p *peer) Writing() bool                { return p.writing }
func (p *peer) Stopped() bool                { return p.stopped }
func (p *peer) Continue()                    { p.stopped = false; p.note("reads on") }
func (p *peer) Here() bool                   { return !p.over }
func (p *peer) Linger()                      { p.over = true; p.note("linger") }
func (p *peer) Close(why string)             { p.over = true; p.note("closed: %s", why) }
func (p *peer) Now() int64                   { return p.clock }
func (p *peer) Clock() int64                 { return p.clock }
func (p *peer) Heard() int64                 { return p.heard }
func (p *peer) SetHeard()                    { p.heard = p.clock }
func (p *peer) Schedule()                    {}
func (p *peer) Report(line string)           { p.note("%s", line) }
func (p *peer) Limits() (ping, pong int64)   { return int64(p.ping), int64(p.ping) }
func (p *peer) Active() bool                 { return p.active }
func (p *peer) Ending() bool                 { return p.ending }
func (p *peer) Closed(code uint16, r []byte) { p.note("told %d %s", code, r) }
func (p *peer) EndsWell()                    { p.note("ends well") }
func (p *peer) Detach()                      { p.active = false; p.note("detached") }
func (p *peer) Cancel()                      { p.note("cancel") }

func (p *peer) Message(op websocket.Opcode, data []byte) {
	p.note("message %s", data)
	p.stopped = string(data) == "enough"
}

// says has the client send frames: "ping x", "close 1000", "broken" or a message.
func (p *peer) says(all ...string) (used int) {
	var data []byte
	for _, text := range all {
		frame := websocket.AppendFrame(nil, websocket.Text, []byte(text))
		what, rest, _ := strings.Cut(text, " ")
		switch what {
		case "ping":
			frame = websocket.AppendFrame(nil, websocket.Ping, []byte(rest))
		case "close":
			var code uint16
			fmt.Sscan(rest, &code)
			frame = websocket.AppendClose(nil, code, nil)
		case "broken":
			data = append(data, 0xff, 0xff)
			continue
		}
		data = append(append(append(data, frame[0], frame[1]|0x80), 0, 0, 0, 0), frame[2:]...)
	}
	return p.s.Input(data)
}

// due calls Expired at its time.
func (p *peer) due() {
	p.clock = max(p.clock, p.s.Deadline())
	p.s.Expired()
}

// TestSession: the order in which messages are sent, delivered and reported.
func TestSession(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(p *peer)
		want string
	}{
		{"messages and a ping", func(p *peer) { p.says("a", "ping x", "b") },
			"message a; pong x; message b"},
		{"the handler has enough", func(p *peer) {
			if n := p.says("enough", "more"); n != len("enough")+6 {
				p.note("used %d", n)
			}
		}, "message enough"},
		{"the client closes", func(p *peer) { p.says("a", "close 3000", "late"); p.due() },
			"message a; ends well; told 3000 ; close 3000 ; cancel; linger"},
		{"the handler answers the close frame", func(p *peer) {
			p.says("close 3000")
			p.Write(p.s.Close(1000, "bye"))
			p.s.Answered()
		}, "ends well; told 3000 ; close 3000 ; linger"},
		{"the handler closes", func(p *peer) {
			p.Write(p.s.Close(1000, "bye"))
			p.active = false
			p.says("crossing", "ping x", "close 1000")
		}, "close 1000 bye; cancel; linger"},
		{"a close frame is not answered", func(p *peer) { p.Write(p.s.Close(1000, "")); p.due() },
			"close 1000 ; closed: the close frame was not answered"},
		{"the client breaks the protocol", func(p *peer) { p.says("a", "broken"); p.notes = p.notes[:1]; p.due() },
			"message a; close 1002 ; cancel; linger"},
		{"the server goes away", func(p *peer) { p.s.GoAway(1012); p.says("crossing", "close 1012", "late") },
			"close 1012 ; message crossing; told 1012 ; detached; cancel; linger"},
		{"the server goes away, the handler has enough", func(p *peer) { p.s.GoAway(1012); p.says("enough", "close 1012"); p.due() },
			"close 1012 ; message enough; told 1012 ; detached; reads on; linger"},
		{"pongs wait for a transfer", func(p *peer) {
			p.writing = true
			p.says("ping a", "ping b")
			p.writing = false
			p.s.Free()
		}, "pong b"},
		{"a ping is answered", func(p *peer) { p.ping = time.Second; p.due(); p.says("x"); p.due() },
			"ping; message x; ping"},
		{"a ping is not answered", func(p *peer) { p.ping = time.Second; p.due(); p.due() },
			"ping; WebSocket: no response to a ping within 1s; close 1011 no response to a ping; cancel; linger"},
	} {
		p := &peer{active: true}
		p.s = &session{link: p, decoder: websocket.Decoder{Max: 1 << 20}}
		test.do(p)
		got := strings.Join(p.notes, "; ")
		if strings.HasPrefix(test.name, "the client breaks") { // the texts of errors are the decoder's
			got = strings.Replace(got, strings.TrimPrefix(p.notes[1], "close 1002 "), "", 1)
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}
