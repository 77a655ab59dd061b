package pubsub

import (
	"bytes"
	"encoding/json"
	"errors"
)

// passed is an Event as it goes from one process to another.
type passed struct {
	Seq  uint64
	Name string
	ID   string
	Text string
}

// Encode writes events for a Decoder.
func Encode(events []*Event) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		encoder.Encode(passed{e.Seq, e.Name, e.ID, string(e.Text())}) // a Buffer takes everything
	}
	return out.Bytes()
}

// maxPassed is the maximum that a Decoder keeps of an event that has not ended, in bytes.
const maxPassed = 64 << 20

// Decoder reads what Encode wrote, cut anywhere. The zero value is ready.
type Decoder struct{ rest []byte }

var errPassed = errors.New("not a list of events")

// Decode takes the next piece and returns the events that have ended in it.
func (d *Decoder) Decode(piece []byte) (events []*Event, err error) {
	d.rest = append(d.rest, piece...)
	for {
		line, rest, ended := bytes.Cut(d.rest, []byte("\n"))
		if !ended {
			if len(d.rest) > maxPassed {
				d.rest = nil
				return events, errPassed
			}
			d.rest = bytes.Clone(d.rest)
			return events, nil
		}
		d.rest = rest
		var p passed
		if json.Unmarshal(line, &p) != nil || CheckName(p.Name) != nil || p.Seq == 0 {
			return events, errPassed
		}
		e := &Event{Seq: p.Seq, Name: p.Name, ID: p.ID}
		e.frame([]byte(p.Text))
		events = append(events, e)
	}
}
