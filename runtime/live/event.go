package live

import (
	"container/list"
	"errors"
	"fmt"
	"iter"
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
	if err := CheckChannelName(m.Name); err != nil {
		return err
	}
	if err := checkWord("type", m.Event); err != nil {
		return err
	}
	if err := checkWord("id", m.ID); err != nil {
		return err
	}
	if !utf8.ValidString(m.Data) {
		return errors.New("the data of an event is not UTF-8")
	}
	return nil
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

	wire       []byte // with the framing of a chunk, or of a WebSocket's message
	start, end int    // of the text in it
	variants   []variant

	at    int64         // when it was kept, nanoseconds
	in    *ring         // that keeps it, or nil
	place *list.Element // in ring.events
	order *list.Element // in history.all
}

// NewEvent writes m as an event (HTML, §9.2) with the number seq. m has been
// checked.
func NewEvent(m *Message, seq uint64, epoch string) *Event {
	e := &Event{Seq: seq, Name: m.Name, ID: m.ID}
	if e.ID == "" {
		e.ID = MakeID(epoch, seq)
	}
	lines := strings.Count(m.Data, "\n") + strings.Count(m.Data, "\r") + 1
	text := make([]byte, 0, len("id: \nevent: \n\n")+len(e.ID)+len(m.Event)+len(m.Data)+lines*len("data: \n"))
	text = append(append(append(text, "id: "...), e.ID...), '\n')
	if m.Event != "" {
		text = append(append(append(text, "event: "...), m.Event...), '\n')
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

// variant is an event in another form.
type variant struct {
	key  uint8
	wire []byte
}

// Variant returns the event in the form of that key, which make makes once for all subscribers. It must be called on the loop.
func (e *Event) Variant(key uint8, make func(text []byte) []byte) []byte {
	for i := range e.variants {
		if e.variants[i].key == key {
			return e.variants[i].wire
		}
	}
	wire := make(e.Text())
	e.variants = append(e.variants, variant{key, wire})
	return wire
}

// size is the number of bytes that an event counts for while it waits.
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

// ring is the kept events of one channel, the oldest first.
type ring struct {
	name   string
	events list.List // of *Event
	bytes  int
}

// history is the kept events of all channels.
type history struct {
	limits ChannelLimits
	rings  map[string]*ring
	all    list.List // of *Event, by Seq
	bytes  int
	hold   int64  // nothing is forgotten before, but for limits.Total
	lost   uint64 // the number of the last event that was forgotten
}

// eventAt returns the event of an element of a list, nil for nil.
func eventAt(at *list.Element) *Event {
	if at == nil {
		return nil
	}
	return at.Value.(*Event)
}

// newest yields the events of a list, the last one first.
func newest(events *list.List) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for at := events.Back(); at != nil && yield(eventAt(at)); at = at.Prev() {
		}
	}
}

// insert puts e where its number belongs.
func insert(events *list.List, e *Event) *list.Element {
	for at := events.Back(); at != nil; at = at.Prev() {
		if eventAt(at).Seq <= e.Seq {
			return events.InsertAfter(e, at)
		}
	}
	return events.PushFront(e)
}

func (e *Event) cost() int { return len(e.wire) + len(e.ID) + overhead }

// keep puts e where its number belongs, unless it is there.
func (h *history) keep(e *Event, now int64) {
	if e.in != nil {
		return
	}
	if h.limits.Events == 0 && now >= h.hold {
		h.lost = max(h.lost, e.Seq)
		return
	}
	r := h.rings[e.Name]
	if r == nil {
		r = &ring{name: e.Name}
	}
	place := insert(&r.events, e)
	if before := eventAt(place.Prev()); before != nil && before.Seq == e.Seq {
		r.events.Remove(place)
		return
	}
	e.in, e.at, e.place, e.order = r, now, place, insert(&h.all, e)
	h.rings[e.Name] = r
	r.bytes += e.cost()
	h.bytes += e.cost()
	h.trim(r, now)
}

// trim forgets the oldest events of r, and of all channels, until the limits hold.
func (h *history) trim(r *ring, now int64) {
	if now >= h.hold {
		for n := r.events.Len(); n > h.limits.Events || n > 0 && r.bytes > h.limits.Bytes+n*overhead; n-- {
			h.forget(eventAt(r.events.Front()))
		}
	}
	for h.all.Len() > 0 && h.bytes > h.limits.Total {
		h.forget(eventAt(h.all.Front()))
	}
}

// beyond returns the newest event of r that the limits of a channel exclude; nil: none is.
func (h *history) beyond(r *ring, now int64) *Event {
	events, bytes := 0, 0
	for e := range newest(&r.events) {
		events++
		bytes += e.cost()
		if events > h.limits.Events || bytes > h.limits.Bytes+events*overhead || now-e.at > h.limits.Age {
			return e
		}
	}
	return nil
}

// forget takes e out.
func (h *history) forget(e *Event) {
	r := e.in
	h.lost = max(h.lost, e.Seq)
	r.events.Remove(e.place)
	h.all.Remove(e.order)
	r.bytes -= e.cost()
	h.bytes -= e.cost()
	if r.events.Len() == 0 {
		delete(h.rings, r.name)
	}
	e.in = nil
}

// Expire forgets events that are too old, and those above the limits that were held. It is to be called now and then.
func (h *history) Expire(now int64) {
	if now < h.hold {
		return
	}
	for first := eventAt(h.all.Front()); first != nil && now-first.at > h.limits.Age; first = eventAt(h.all.Front()) {
		h.forget(first)
	}
	if h.hold != 0 {
		h.hold = 0
		for _, r := range h.rings {
			h.trim(r, now)
		}
	}
}
