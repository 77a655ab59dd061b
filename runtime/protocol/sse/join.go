package sse

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/descriptors"
	"fapws/runtime/filter/header"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
	"fapws/runtime/pubsub"

	"golang.org/x/sys/unix"
)

// Request is what Join needs to know of a request.
type Request struct {
	Names         []string // of channels: see pubsub.ParseNames
	Head          []byte   // of the request, with its fields
	Minor         uint8    // HTTP/1.minor
	Address, Port string   // as REMOTE_ADDR and REMOTE_PORT
	User          string   // the user who has logged in, or ""
	Client        func() string
}

var (
	errPerAddress = errors.New("more subscribers of one address than there may be")
	errRoom       = errors.New("subscribers have all but a few of the connections that may be open")

	lastEventID = []byte("Last-Event-ID")
)

// Join makes the client of a request a subscriber. Events wait until Start. The error says, in one line, which limit does not allow it.
func (s *Subscribers) Join(r *Request) (*Subscriber, error) {
	addr, _ := netip.ParseAddr(r.Address)
	if err := s.full(r.Names, addr); err != nil {
		s.report(loglevel.Warning, r.Client(), err.Error()+": answered 503")
		return nil, err
	}
	p := s.make(addr, portOf(r.Port), r.Minor)
	p.number, p.started = s.next, uint32(time.Now().Unix())
	p.position.Seq = s.fanout.Tip()
	s.next++
	id, resumes := fieldOf(r.Head, lastEventID)
	if len(id) > pubsub.MaxWord {
		id = "" // no event has it
	}
	p.know(r.User, id)
	if resumes {
		now := s.now()
		s.fanout.Expire(now)
		seq := s.fanout.Position(r.Names, id, s.format.Load().epoch)
		s.replay(p, seq, s.fanout.Replay(r.Names, seq, now))
	}
	s.join(p, r.Names)
	return p, nil
}

// make returns a subscriber that has joined nothing yet.
func (s *Subscribers) make(addr netip.Addr, port uint16, minor uint8) *Subscriber {
	return &Subscriber{s: s, minor: minor, addr: addr, port: port, active: ticks(s.host.Now())}
}

// know notes the user, and the last event of a client that has come back.
func (p *Subscriber) know(user, lastID string) {
	if user != "" || lastID != "" {
		p.extra = &extra{user: user, lastID: lastID}
	}
}

// portOf reads a REMOTE_PORT; 0: it is not known.
func portOf(text string) uint16 {
	port, _ := strconv.ParseUint(text, 10, 16)
	return uint16(port)
}

// fieldOf returns a field of a request, and reports whether it is there.
func fieldOf(head, name []byte) (value string, there bool) {
	_, fields, _ := bytes.Cut(head, crlf)
	for line := range bytes.Lines(fields) {
		if found := header.Name(line); len(found) < len(line) && bytes.EqualFold(found, name) {
			return string(bytes.Trim(line[len(found)+1:], " \t\r\n")), true
		}
	}
	return "", false
}

// full returns why there may be no subscriber of that address, or nil.
func (s *Subscribers) full(names []string, addr netip.Addr) error {
	for _, name := range names {
		if s.fanout.Count(name) >= s.cfg.Subscribers {
			return errors.New("channel " + name + " has all the subscribers it may have")
		}
	}
	if addr.IsValid() && int(s.addresses[addressKey(addr)]) >= s.cfg.PerAddress {
		return errPerAddress
	}
	// They stay for long: if all connections were theirs, other clients would never be served.
	if most := s.limits.Clients; most > 1 && s.joined >= most-max(most/16, 1) {
		return errRoom
	}
	return nil
}

// replay lets p, which has got all events up to number seq, begin with events.
func (s *Subscribers) replay(p *Subscriber, seq uint64, events []*pubsub.Event) {
	p.position.Seq = max(p.position.Seq, seq)
	if len(events) > 0 {
		p.queue = &queue{events: events, free: len(events), stamp: s.host.Now()}
		p.position.Seq = max(p.position.Seq, events[len(events)-1].Seq)
	}
}

// join makes p, which has no descriptor yet, a subscriber.
func (s *Subscribers) join(p *Subscriber, names []string) {
	s.fanout.Join(p, names)
	s.joined++
	if p.addr.IsValid() {
		s.addresses[addressKey(p.addr)]++
	}
	s.counted(names)
}

// Responded notes that the handler's response has ended: sent is the number of bytes of its body, framed of the rest. log is the
// record for the access log, whose line is written when the subscriber ends, or nil.
func (p *Subscriber) Responded(sent, framed int64, log *accesslog.Record) {
	p.sent, p.framed, p.log = sent, uint32(framed), log
}

// Dropped reports whether a subscriber had more events to wait for it than it may before it was started. Its connection is to be reset.
func (p *Subscriber) Dropped() bool { return p.state == gone }

// Abandon ends a subscriber whose connection has ended before Start.
func (s *Subscribers) Abandon(p *Subscriber) {
	s.abandon(p)
	s.account(p)
}

func (s *Subscribers) abandon(p *Subscriber) {
	if p.state == gone {
		return
	}
	p.state, p.queue = gone, nil
	s.leave(p, false)
}

// Attach gives a subscriber the descriptor of its connection, which was written everything and is not watched any more, and
// has it watched. The descriptor stays the caller's if there is an error, and until Start.
func (s *Subscribers) Attach(p *Subscriber, fd int) error {
	if err := s.loop.Add(&p.watch, fd, p); err != nil {
		return err
	}
	descriptors.Hold(fd)
	// What the kernel keeps for a subscriber is bounded, too. The options fail for unix
	// sockets or are of no use there.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, s.cfg.Buffer)
	listen.GiveUpAfter(fd, min(2*s.cfg.Heartbeat, mostSilence))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return nil
}

// mostSilence is below what the kernel takes, in milliseconds.
const mostSilence = 24 * time.Hour

// Start begins to serve a subscriber that was attached.
func (s *Subscribers) Start(p *Subscriber) {
	if s.cfg.Joined != nil {
		client := p.client()
		for _, name := range p.position.Names() {
			s.cfg.Joined(name, client)
		}
	}
	s.begin(p)
}

// begin starts to serve p, which has joined and has a descriptor.
func (s *Subscribers) begin(p *Subscriber) {
	s.live++
	s.heartbeats.add(p)
	p.state = idle
	if p.queue != nil { // what came meanwhile, or before
		p.state = behind
		p.queue.stamp = s.host.Now()
		s.lag(p)
		s.room(p)
	}
	if p.state != gone && s.ending {
		s.finish(p)
	}
}
