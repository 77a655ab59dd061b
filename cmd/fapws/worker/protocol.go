package worker

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// Settled are the settings of a worker, with those of the script.
type Settled struct {
	settings.Config
	BindFrom settings.Source
	Python   string // version, or "" without an interpreter
	Served   string // the application or site, human-readable
}

// Questions of a supervisor to its workers, see pool.Pool.Ask.
const (
	AskAlive    = "alive"    // Alive, if the event loop runs
	AskStack    = "stack"    // the Python stacks of the active requests
	AskCounters = "counters" // ctl.Counters in JSON
	AskPurge    = "purge"    // followed by a space and a pattern in JSON: how many pages were removed
	AskCache    = "cache"    // ctl.Cache in JSON
	AskMetrics  = "metrics"  // []metrics.Family in JSON
	AskActive   = "active"   // []ctl.Active in JSON

	Alive = "yes"
)

// AnswerWithin is the time that a supervisor waits for the answers of its workers.
const AnswerWithin = stackWait + time.Second

// On its way a broadcast is an event of a channel that cannot be, placeMark and the place
// of the WebSocket; its id is the group.
const (
	textType   = "text"
	binaryType = "binary"
	placeMark  = "#"
)

// appendEvent writes an event for cutEvent.
func appendEvent(raw []byte, e *pybridge.Event) []byte {
	name, id, kind := e.Name, e.ID, e.Type
	if e.Place != "" {
		name, id, kind = placeMark+e.Place, e.Name, textType
		if e.Binary {
			kind = binaryType
		}
	}
	for _, text := range [...]string{name, id, kind, e.Data} {
		raw = append(binary.AppendUvarint(raw, uint64(len(text))), text...)
	}
	return raw
}

var errEvents = errors.New("cannot read events from the supervisor")

// eachEvent calls f with the events of a message and their numbers. Another worker has written it: events beyond the number of events that
// it told the supervisor would have the numbers of others.
func eachEvent(m *pool.Message, f func(seq uint64, e *pybridge.Event)) error {
	raw := m.Raw
	for i := 0; i < m.N && len(raw) > 0; i++ {
		e, rest, err := cutEvent(raw)
		if err != nil {
			return err
		}
		raw = rest
		f(m.Seq+uint64(i), &e)
	}
	if len(raw) > 0 {
		return errEvents
	}
	return nil
}

// cutEvent takes the first event off raw.
func cutEvent(raw []byte) (e pybridge.Event, rest []byte, err error) {
	for _, text := range [...]*string{&e.Name, &e.ID, &e.Type, &e.Data} {
		n, k := binary.Uvarint(raw)
		if k <= 0 || n > uint64(len(raw)-k) {
			return e, nil, errEvents
		}
		*text, raw = string(raw[k:k+int(n)]), raw[k+int(n):]
	}
	if place, is := strings.CutPrefix(e.Name, placeMark); is {
		if place == "" {
			return e, nil, errEvents // appendEvent marks no event without a place
		}
		e = pybridge.Event{Place: place, Binary: e.Type == binaryType, Name: e.ID, Data: e.Data}
	}
	return e, raw, nil
}
