package eventloop

const Tick = int64(500e6) // in nanoseconds

// slots is the range of a wheel, in ticks. An entry with a time beyond the range is returned early, and must be added
// again.
const slots = 256

// Wheel stores objects by time, in nanoseconds since the wheel was made. The zero value is an empty wheel. A Wheel is
// not safe for concurrent use.
type Wheel[T any] struct {
	slots [slots]*Entry[T]
	tick  int64 // the last tick whose slot was emptied
}

// An Entry is the field of an object with which a wheel stores the object. The zero value is in no wheel.
type Entry[T any] struct {
	thing *T
	next  *Entry[T]
	// the slot, or the field next of the previous entry, that points to this entry; nil if the entry is not in a wheel
	at **Entry[T]
}

// Add stores thing, an object with the entry e, at the time tick or, if this is beyond the range of the wheel, at the
// latest time in the range. e must not be in a wheel.
func (w *Wheel[T]) Add(e *Entry[T], thing *T, tick int64) {
	t := (tick + Tick - 1) / Tick
	t = min(max(t, w.tick+1), w.tick+slots-1)
	slot := &w.slots[t%slots]
	*e = Entry[T]{thing: thing, next: *slot, at: slot}
	if e.next != nil {
		e.next.at = &e.next
	}
	*slot = e
}

func (w *Wheel[T]) Remove(e *Entry[T]) {
	if e.at == nil {
		return
	}
	*e.at = e.next
	if e.next != nil {
		e.next.at = e.at
	}
	*e = Entry[T]{}
}

// Next removes and returns an object whose time has passed, or returns nil if there is none.
func (w *Wheel[T]) Next(now int64) *T {
	for {
		if e := w.slots[w.tick%slots]; e != nil {
			thing := e.thing
			w.Remove(e)
			return thing
		}
		if w.tick >= now/Tick {
			return nil
		}
		w.tick++
	}
}

func (w *Wheel[T]) All() (list []*T) {
	for _, e := range w.slots {
		for ; e != nil; e = e.next {
			list = append(list, e.thing)
		}
	}
	return list
}
