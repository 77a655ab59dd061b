package live

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fapws/runtime/exchange"
)

// MaxWord is the maximum size of the type and of the id of an event, in bytes. The id must be short, because a client
// that reconnects sends it in a header field.
const MaxWord = 1024

type Message struct {
	Name string
	Data string // UTF-8
	// type of the event; "" means "message" in browsers
	Event string
	// ID from the application; if it is empty, MakeID makes one from Event.Seq.
	ID string
}

func (m *Message) Check() error {
	if !utf8.ValidString(m.Data) {
		return errors.New("the data of an event is not UTF-8")
	}
	return cmp.Or(CheckChannelName(m.Name), checkWord("type", m.Event), checkWord("id", m.ID))
}

// checkWord returns an error if a word is not permitted as the type or id of an event. For example, clients ignore an
// id that contains NUL (HTML §9.2.6).
func checkWord(subject, word string) error {
	switch {
	case len(word) > MaxWord:
		return fmt.Errorf("the %s of an event has %d bytes; the maximum is %d", subject, len(word), MaxWord)
	case strings.ContainsAny(word, "\r\n\x00"):
		return fmt.Errorf("the %s of an event may not have CR, LF or NUL: %.60q", subject, word)
	case !utf8.ValidString(word):
		return fmt.Errorf("the %s of an event is not UTF-8: %.60q", subject, word)
	case strings.Trim(word, " \t") != word:
		// Clients remove a blank after "id:". In Last-Event-ID, blanks at both ends are not part of the value.
		return fmt.Errorf("the %s of an event may not begin or end with a blank: %.60q", subject, word)
	}
	return nil
}

// An Event is immutable, except for the field compressed, and may be used by any goroutine.
type Event struct {
	Seq  uint64 // number of the event; numbers increase across all channels
	Name string
	ID   string
	Op   exchange.Op // OpText or OpBinary if NewFrame made the event

	wire       []byte // the bytes to send: a chunk of HTTP/1.1, or a WebSocket frame
	start, end int
	compressed map[uint8][]byte // compressed frames by window size; used only on the loop (codec.frameOf)

	// time when the event was stored in the history, in nanoseconds
	at    int64
	place *list.Element // in history.all
}

func NewEvent(m *Message, seq uint64, epoch string) *Event {
	e := &Event{Seq: seq, Name: m.Name, ID: cmp.Or(m.ID, MakeID(epoch, seq))}
	text := []byte("id: " + e.ID + "\n")
	if m.Event != "" {
		text = append(text, "event: "+m.Event+"\n"...)
	}
	e.frame(append(appendData(text, m.Data), '\n'))
	return e
}

// appendData appends a line for each line of data, which may end with CR, LF or CRLF.
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

// NewText returns an event that is a comment or a retry time, has no number, and is not stored in the history.
func NewText(text string) *Event {
	e := &Event{}
	e.frame([]byte(text))
	return e
}

// wire is a whole frame, and header is the size of its header in bytes.
func NewFrame(name string, seq uint64, wire []byte, header int, op exchange.Op) *Event {
	return &Event{Seq: seq, Name: name, Op: op, wire: wire, start: header, end: len(wire)}
}

func (e *Event) size() int { return e.end - e.start }

// frame sets Event.wire to a chunk (RFC 9112 §7.1) that contains text, and Event.start and Event.end to the position of
// text.
func (e *Event) frame(text []byte) {
	e.wire = make([]byte, 0, len(text)+12)
	e.wire = strconv.AppendInt(e.wire, int64(len(text)), 16)
	e.wire = append(e.wire, '\r', '\n')
	e.start = len(e.wire)
	e.wire = append(e.wire, text...)
	e.end = len(e.wire)
	e.wire = append(e.wire, '\r', '\n')
}

// Text returns the event as it appears in an event stream. The caller must not change the bytes.
func (e *Event) Text() []byte { return e.wire[e.start:e.end] }

// Wire returns the bytes to send to a client of HTTP/1.0 (minor 0) or HTTP/1.1 (minor 1). The caller must not change
// the bytes.
func (e *Event) Wire(minor uint8) []byte {
	if minor == 0 {
		return e.Text()
	}
	return e.wire
}

func MakeID(epoch string, seq uint64) string {
	return epoch + "-" + strconv.FormatUint(seq, 10)
}

// ParseID returns the number in an id that MakeID made. The result ok is false if the id is invalid or has another
// epoch.
func ParseID(epoch, id string) (seq uint64, ok bool) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(id, epoch+"-"), 10, 64)
	if err != nil || MakeID(epoch, seq) != id {
		return 0, false
	}
	return seq, true
}

// MakeEpoch makes an epoch from the time in milliseconds since 1970. The epoch distinguishes events of this server from
// events that were numbered before a restart.
func MakeEpoch(millis int64) string { return strconv.FormatInt(millis, 36) }

type ChannelLimits struct {
	Events int
	Bytes  int
	Total  int
	Age    int64 // maximum age in nanoseconds
}

// overhead is the memory that an event needs in addition to its bytes, including its share of the ring.
const overhead = 400

// A ring contains the stored events of a channel, sorted by number.
type ring struct {
	events []*Event
	bytes  int
}

type history struct {
	limits ChannelLimits
	rings  map[string]*ring
	all    list.List // the events of all rings, sorted by number; an element is an *Event
	bytes  int
	// time set by Hold; before this time, limits.Total is the only limit
	hold int64
	lost uint64 // largest number of an event that is no longer stored
}

// find searches events, which are sorted by number, and returns the index of the event with the number seq. If the
// event is missing, the index is where it would be, and found is false.
func find(events []*Event, seq uint64) (index int, found bool) {
	return slices.BinarySearchFunc(events, seq, func(e *Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
}

// cost returns the number of bytes by which the event counts toward the memory limits, while it waits or is stored.
func (e *Event) cost() int { return len(e.wire) + len(e.ID) + overhead }

func (h *history) keep(e *Event, now int64) {
	if h.limits.Events == 0 && now >= h.hold {
		h.lost = max(h.lost, e.Seq)
		return
	}
	r := h.rings[e.Name]
	if r == nil {
		r = &ring{}
		h.rings[e.Name] = r
	}
	at, there := find(r.events, e.Seq)
	if there {
		return
	}
	r.events = slices.Insert(r.events, at, e)
	e.at, e.place = now, h.all.PushBack(e)
	// only Restore stores an event before others
	for later := e.place.Prev(); later != nil && later.Value.(*Event).Seq > e.Seq; later = e.place.Prev() {
		h.all.MoveBefore(e.place, later)
	}
	r.bytes += e.cost()
	h.bytes += e.cost()
	if now >= h.hold {
		h.trim(r)
	}
	for h.bytes > h.limits.Total {
		h.forget(h.oldest())
	}
}

// oldest returns the event with the smallest number, or nil if there are no events.
func (h *history) oldest() *Event {
	if first := h.all.Front(); first != nil {
		return first.Value.(*Event)
	}
	return nil
}

func (h *history) trim(r *ring) {
	for n := len(r.events); n > h.limits.Events || n > 0 && r.bytes > h.limits.Bytes+n*overhead; n-- {
		h.forget(r.events[0])
	}
}

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

// forget removes e, which must be the first event of its channel.
func (h *history) forget(e *Event) {
	r := h.rings[e.Name]
	h.lost = max(h.lost, e.Seq)
	h.all.Remove(e.place)
	r.events[0] = nil
	r.events = r.events[1:]
	r.bytes -= e.cost()
	h.bytes -= e.cost()
	if len(r.events) == 0 {
		delete(h.rings, e.Name)
	}
}

// Expire removes old events from the history. It does nothing during a Hold, and afterwards also removes events above
// the limits. Expire must be called regularly.
func (h *history) Expire(now int64) {
	if now < h.hold {
		return
	}
	for e := h.oldest(); e != nil && now-e.at > h.limits.Age; e = h.oldest() {
		h.forget(e)
	}
	if h.hold != 0 {
		h.hold = 0
		for _, r := range h.rings {
			h.trim(r)
		}
	}
}
