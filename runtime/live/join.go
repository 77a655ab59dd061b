package live

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// admit makes the client of r a subscriber of the channels in names. Events for the subscriber wait until begin is
// called. The error is one line that names the exceeded limit.
func (s *Subscribers) admit(names []string, r *exchange.Request) (*StreamSubscriber, error) {
	addr, _ := netip.ParseAddr(r.Peer.Addr)
	port, _ := strconv.ParseUint(r.Peer.Port, 10, 16)
	p := &StreamSubscriber{s: s, peer: netip.AddrPortFrom(addr, uint16(port)), number: s.next}
	if r.Parsed.Version == http1.HTTP11 { // only HTTP/1.1 uses chunks
		p.minor = 1
	}
	if err := s.full(names, p); err != nil {
		return nil, err
	}
	s.Take() // p must not get events that were published before it joins
	p.position.Seq = s.Tip()
	s.next++
	value, resumes := http1.First(r.Head, r.Parsed.Fields, "last-event-id")
	if len(value) > MaxWord {
		value = nil
	}
	id := string(value)
	p.know(r.Peer.User, id)
	if resumes {
		s.Expire()
		seq := s.Position(names, id, s.format.Load().epoch)
		s.replay(p, seq, s.Replay(names, seq, s.now()))
	}
	s.join(p, names)
	return p, nil
}

func (p *StreamSubscriber) know(user, lastID string) {
	if user != "" || lastID != "" {
		p.extra = &extra{user: user, lastID: lastID}
	}
}

func (s *Subscribers) full(names []string, p *StreamSubscriber) error {
	for _, name := range names {
		if c := s.Channel(name); c != nil && len(c.Subscribers) >= s.cfg.Subscribers {
			return errors.New("channel " + name + " has the maximum number of subscribers")
		}
	}
	if p.peer.IsValid() && int(s.addresses[p.network()]) >= s.cfg.PerAddress {
		return errors.New("too many subscribers from one address")
	}
	// Subscribers must not use all connections, because they stay connected for a long time.
	if s.most > 1 && s.joined >= s.most-max(s.most/16, 1) {
		return errors.New("too few connections are left for other clients")
	}
	return nil
}

func (s *Subscribers) replay(p *StreamSubscriber, seq uint64, events []*Event) {
	p.position.Seq = max(p.position.Seq, seq)
	if len(events) > 0 {
		p.queue = &queue{events: events, free: len(events)}
		p.position.Seq = max(p.position.Seq, events[len(events)-1].Seq)
	}
}

func (s *Subscribers) join(p *StreamSubscriber, names []string) {
	s.Join(p, names)
	s.joined++
	if p.peer.IsValid() {
		s.addresses[p.network()]++
	}
}

// limit sets how many unsent bytes the kernel keeps for a subscriber, and after how long the kernel gives up. The time
// limit has no effect on unix sockets.
func (s *Subscribers) limit(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, s.cfg.Buffer)
	conn.GiveUpAfter(fd, min(2*s.cfg.Heartbeat, mostSilence))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

const mostSilence = 24 * time.Hour // less than the kernel's maximum of TCP_USER_TIMEOUT

func (s *Subscribers) begin(p *StreamSubscriber) {
	if fd := p.conn.Fd(); fd >= 0 {
		s.limit(fd)
	}
	p.conn.Stamp = s.conns.Now
	p.conn.Schedule()
	p.state = idle
	if p.queue != nil {
		s.flush(p)
	}
	if p.state != gone && s.retiring && !(s.stay && p.conn.Movable()) {
		s.finish(p)
	}
}

// History returns the stored events, to be passed to Encode, and must not be called on the loop.
func (s *Subscribers) History() (events []*Event) {
	s.loop.Do(func() {
		s.Take()
		events = s.Kept()
	})
	return events
}

// ImportHistory stores past events, which Encode wrote to text, for clients that reconnect. ImportHistory ignores
// events with numbers above last, because clients would miss future events after a number that is too large.
// ImportHistory must not be called on the loop.
func (s *Subscribers) ImportHistory(text []byte, last uint64) error {
	events, err := Decode(text)
	s.loop.Do(func() {
		for _, e := range events {
			if e.Seq <= last {
				s.Restore(e, s.now())
			}
		}
	})
	return err
}

// Subscribe is an exchange.Continuation that makes the client of x a subscriber of the channels in a comma-separated
// list. p is the first part of the handler's response. Subscribe itself sends the head of the stream, and sets p.First
// to false. The stream consists of the body of the response, followed by events.
//
// A client that cannot read a stream (a HEAD request or a subrequest) gets only the response.
func (s *Subscribers) Subscribe(x *exchange.Exchange, p *exchange.Part, r *exchange.Request,
	channels []byte) exchange.ThenOutcome {
	names, err := ParseNames(string(channels))
	if err != nil {
		line, _, _ := bytes.Cut(r.Head, []byte("\r\n"))
		x.Log(logfile.Error, fmt.Sprintf("a handler answered %.200q with an invalid channel: %v", line, err))
		x.Answer(exchange.Reply{Status: 500})
		return exchange.Taken
	}
	sink := x.Sink
	if !r.Parsed.Head && r.Depth() == 0 {
		subscriber, err := s.admit(names, r)
		if err != nil {
			if s.mayReport() {
				x.Log(logfile.Warning, err.Error()+"; sent 503")
			}
			x.Answer(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
			return exchange.Taken
		}
		begin := &response{Source: x.Source, sink: sink, p: subscriber}
		x.SetSource(begin, "")
		x.SetSink(begin)
	}
	s.part = exchange.Part{First: true, Head: streamHead(&p.Head), Body: s.retry.Text()}
	sink.Send(&s.part)
	p.First = false
	return exchange.Goes
}

func streamHead(h *exchange.Head) exchange.Head {
	own := http1.WithoutField(http1.WithoutField(h.Fields, []byte("Content-Type")), []byte("Content-Encoding"))
	fields := append([]byte("Content-Type: text/event-stream\r\n"), own...)
	if !http1.HasField(own, []byte("Cache-Control")) {
		fields = append(fields, "Cache-Control: no-store\r\n"...)
	}
	if !http1.HasField(own, []byte("X-Accel-Buffering")) { // without this field, nginx would buffer events
		fields = append(fields, "X-Accel-Buffering: no\r\n"...)
	}
	return exchange.Head{
		Status: 200, Fields: fields, Length: -1, Close: true,
		Then: h.Then, HasDate: h.HasDate, HasServer: h.HasServer,
	}
}
