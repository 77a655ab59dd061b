package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fapws/runtime/exchange"
)

// MaxWord bounds the type and the id of an event, in bytes. The id comes back in
// a header field of a request.
const MaxWord = 1024

// Message is an event without a number, as it is published.
type Message struct {
	Name  string // of the channel
	Data  string // UTF-8
	Event string // its type; empty: none, which is "message" for browsers
	ID    string // empty: one is made of its number
}

// Check returns an error of one line if m cannot be published.
func (m *Message) Check() error {
	if !utf8.ValidString(m.Data) {
		return errors.New("the data of an event is not UTF-8")
	}
	return cmp.Or(CheckChannelName(m.Name), checkWord("type", m.Event), checkWord("id", m.ID))
}

// checkWord checks a text that is a line of an event. The specification of HTML (§9.2.6) lets clients ignore an id
// with NUL.
func checkWord(what, word string) error {
	switch {
	case len(word) > MaxWord:
		return fmt.Errorf("the %s of an event has %d bytes; the maximum is %d", what, len(word), MaxWord)
	case strings.ContainsAny(word, "\r\n\x00"):
		return fmt.Errorf("the %s of an event may not have CR, LF or NUL: %.60q", what, word)
	case !utf8.ValidString(word):
		return fmt.Errorf("the %s of an event is not UTF-8: %.60q", what, word)
	case strings.Trim(word, " \t") != word:
		// A header field loses them, and clients take a blank after the colon off.
		return fmt.Errorf("the %s of an event may not begin or end with a blank: %.60q", what, word)
	}
	return nil
}

// Event is a numbered Message as it is written to subscribers. It does not change, except
// for Variant; any goroutine may use it.
type Event struct {
	Seq  uint64 // numbers grow over all channels
	Name string
	ID   string
	Op   exchange.Op // of NewFrame: OpText or OpBinary

	wire       []byte           // with the framing of a chunk, or of a WebSocket's message
	start, end int              // of the text in it
	variants   map[uint8][]byte // by their keys

	at int64 // when it was kept, nanoseconds
	in *ring // that keeps it, or nil
}

// NewEvent writes m as an event (HTML, §9.2) with the number seq. m has been
// checked.
func NewEvent(m *Message, seq uint64, epoch string) *Event {
	e := &Event{Seq: seq, Name: m.Name, ID: m.ID}
	if e.ID == "" {
		e.ID = MakeID(epoch, seq)
	}
	text := []byte("id: " + e.ID + "\n")
	if m.Event != "" {
		text = append(text, "event: "+m.Event+"\n"...)
	}
	e.frame(append(appendData(text, m.Data), '\n'))
	return e
}

// appendData appends a line for each line of data, which may end with CR, LF or
// CRLF: clients take all of them for the end of a line, and join lines with LF.
func appendData(text []byte, data string) []byte {
	for {
		text = append(text, "data: "...)
		i := strings.IndexAny(data, "\r\n")
		if i < 0 {
			return append(append(text, data...), '\n')
		}
		text = append(append(text, data[:i]...), '\n')
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// NewText returns something between events: a comment, or the hint how long
// clients wait before they come back. It has no number and is not kept.
func NewText(text string) *Event {
	e := &Event{}
	e.frame([]byte(text))
	return e
}

// NewFrame returns a message for WebSockets: wire is its frame, of which the first header bytes are not the message.
func NewFrame(name string, seq uint64, wire []byte, header int, op exchange.Op) *Event {
	return &Event{Seq: seq, Name: name, Op: op, wire: wire, start: header, end: len(wire)}
}

// Variant returns the event in the form of that key, which compress makes once for all subscribers. It must be called on the loop.
func (e *Event) Variant(key uint8, compress func(text []byte) []byte) []byte {
	wire, made := e.variants[key]
	if !made {
		if e.variants == nil {
			e.variants = map[uint8][]byte{}
		}
		wire = compress(e.Text())
		e.variants[key] = wire
	}
	return wire
}

// size is the number of bytes that an event counts for in a batch.
func (e *Event) size() int { return e.end - e.start }

// frame makes text a chunk (RFC 9112 §7.1), which is the text too.
func (e *Event) frame(text []byte) {
	e.wire = make([]byte, 0, len(text)+12)
	e.wire = strconv.AppendInt(e.wire, int64(len(text)), 16)
	e.wire = append(e.wire, '\r', '\n')
	e.start = len(e.wire)
	e.wire = append(e.wire, text...)
	e.end = len(e.wire)
	e.wire = append(e.wire, '\r', '\n')
}

// Text returns the event as an event stream has it, not to be changed.
func (e *Event) Text() []byte { return e.wire[e.start:e.end] }

// Wire returns the bytes for a client of HTTP/1.minor, which must not be changed.
func (e *Event) Wire(minor uint8) []byte {
	if minor == 0 {
		return e.Text()
	}
	return e.wire
}

// MakeID returns the id of an event that was given none.
func MakeID(epoch string, seq uint64) string {
	return epoch + "-" + strconv.FormatUint(seq, 10)
}

// ParseID returns the number in an id that MakeID made of the same epoch.
func ParseID(epoch, id string) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(id, epoch+"-"), 10, 64)
	if err != nil || MakeID(epoch, seq) != id {
		return 0, false
	}
	return seq, true
}

// MakeEpoch returns a word that is another one each time a server begins to
// number events: of the time in milliseconds since 1970.
func MakeEpoch(millis int64) string { return strconv.FormatInt(millis, 36) }

// ChannelLimits bound the past events that are kept.
type ChannelLimits struct {
	Events int   // of a channel, most
	Bytes  int   // of a channel, most
	Total  int   // bytes of all channels, most
	Age    int64 // nanoseconds, most
}

// overhead is the memory of an event in addition to its bytes, with a share of its ring.
const overhead = 400

// ring is the kept events of one channel.
type ring struct {
	name   string
	events []*Event // by Seq
	bytes  int
}

// history is the kept events of all channels.
type history struct {
	limits ChannelLimits
	rings  map[string]*ring
	all    []*Event // by Seq
	bytes  int
	hold   int64  // nothing is forgotten before, but for limits.Total
	lost   uint64 // the number of the last event that was forgotten
}

// find returns the place of the event with a number in events, which have that order, or where it belongs.
func find(events []*Event, seq uint64) (at int, there bool) {
	return slices.BinarySearchFunc(events, seq, func(e *Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
}

// without takes e out of events. It does not move the others if e is the first one, as it is mostly.
func without(events []*Event, e *Event) []*Event {
	if events[0] == e {
		events[0] = nil
		return events[1:]
	}
	at, _ := find(events, e.Seq)
	at += slices.Index(events[at:], e) // an event of another channel that was restored may have the same number
	return slices.Delete(events, at, at+1)
}

// cost is the memory that an event counts for while it waits or is kept.
func (e *Event) cost() int { return len(e.wire) + len(e.ID) + overhead }

// keep puts e where its number belongs, unless it is there.
func (h *history) keep(e *Event, now int64) {
	if h.limits.Events == 0 && now >= h.hold {
		h.lost = max(h.lost, e.Seq)
		return
	}
	r := h.rings[e.Name]
	if r == nil {
		r = &ring{name: e.Name}
	}
	at, there := find(r.events, e.Seq)
	if there {
		return
	}
	r.events = slices.Insert(r.events, at, e)
	at, _ = find(h.all, e.Seq)
	h.all = slices.Insert(h.all, at, e)
	e.in, e.at, h.rings[e.Name] = r, now, r
	r.bytes += e.cost()
	h.bytes += e.cost()
	if now >= h.hold {
		h.trim(r, h.forget)
	}
	for len(h.all) > 0 && h.bytes > h.limits.Total {
		h.forget(h.all[0])
	}
}

// trim calls forget with the oldest events of r until the limits of a channel hold.
func (h *history) trim(r *ring, forget func(*Event)) {
	for n := len(r.events); n > h.limits.Events || n > 0 && r.bytes > h.limits.Bytes+n*overhead; n-- {
		forget(r.events[0])
	}
}

// within returns the place of the first event of r that the limits of a channel include.
func (h *history) within(r *ring, now int64) int {
	bytes := 0
	for i, e := range slices.Backward(r.events) {
		events := len(r.events) - i
		bytes += e.cost()
		if events > h.limits.Events || bytes > h.limits.Bytes+events*overhead || now-e.at > h.limits.Age {
			return i + 1
		}
	}
	return 0
}

// forget takes e out, the first one of its ring.
func (h *history) forget(e *Event) {
	h.all = without(h.all, e)
	h.drop(e)
}

// drop takes e out of everything but h.all.
func (h *history) drop(e *Event) {
	r := e.in
	h.lost = max(h.lost, e.Seq)
	r.events = without(r.events, e)
	r.bytes -= e.cost()
	h.bytes -= e.cost()
	if len(r.events) == 0 {
		delete(h.rings, r.name)
	}
	e.in = nil
}

// Expire forgets events that are too old, and those above the limits that were held. It is to be called now and then.
func (h *history) Expire(now int64) {
	if now < h.hold {
		return
	}
	for len(h.all) > 0 && now-h.all[0].at > h.limits.Age {
		h.forget(h.all[0])
	}
	if h.hold != 0 {
		h.hold = 0
		for _, r := range h.rings {
			h.trim(r, h.drop)
		}
		h.all = slices.DeleteFunc(h.all, func(e *Event) bool { return e.in == nil }) // at once: there may be very many
	}
}
