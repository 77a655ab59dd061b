package live

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket"
)

// socketLink is the connection and the handler of a Socket as its session needs them.
type socketLink struct{ *Socket }

func (s socketLink) Write(frame []byte) {
	s.out += int64(len(frame))
	s.conn.Use()
	s.all.conns.Buf = append(s.all.conns.Buf, frame...)
}

func (s socketLink) Writing() bool { return s.conn.Writing() }
func (s socketLink) Stopped() bool { return s.conn.Stopped() }
func (s socketLink) Continue()     { s.resumeReading() }
func (s socketLink) Here() bool    { return s.open && !s.ending && !s.over }

func (s socketLink) Linger() {
	s.conn.Linger, s.ending = true, true
	s.settle()
}

func (s socketLink) Close(why string) { s.conn.Close(why) }
func (s socketLink) Now() int64       { return s.all.conns.Now() }
func (s socketLink) Clock() int64     { return s.all.in(0) }
func (s socketLink) Heard() int64     { return s.conn.Stamp }
func (s socketLink) SetHeard()        { s.conn.Stamp = s.all.conns.Now() }
func (s socketLink) Schedule()        { s.conn.Schedule() }

func (s socketLink) Limits() (ping, pong int64) {
	return int64(s.all.cfg.Ping), int64(s.all.cfg.PingTimeout)
}

func (s socketLink) Report(line string) {
	if s.x != nil {
		s.x.Log(logfile.Info, line)
	}
}

// in returns the time of the loop after d. Unlike that of the connections, it is not late.
func (a *Sockets) in(d time.Duration) int64 { return int64(time.Since(a.conns.Start()) + d) }

func (s socketLink) Active() bool { return s.active }
func (s socketLink) Cancel()      { s.cancel() }
func (s socketLink) EndsWell()    { s.proper = true }

func (s socketLink) Ending() bool { return len(s.held) > 0 && s.held[len(s.held)-1].Last }

// Message gives a message to the handler, and stops reading if that has enough now.
func (s socketLink) Message(op websocket.Opcode, data []byte) {
	in := exchange.Input{Op: exchange.OpBinary, Data: data}
	if op == websocket.Text {
		in.Op = exchange.OpText
	}
	s.x.Deliver(in)
	if s.given.Add(data) {
		s.conn.Stop(conn.HeedReset)
	}
}

func (s socketLink) Closed(code uint16, reason []byte) {
	s.x.Deliver(exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
}

// Detach makes exchange and connection forget each other. Parts that still come are released unseen.
func (s socketLink) Detach() {
	s.leave()
	s.active, s.proper = false, true
	s.dropHeld()
}
