package eventloop

const Tick = int64(500e6) // in nanoseconds

// slots is the range of a wheel, in ticks. An entry with a later time comes up early, and its owner must add it again.
const slots = 256

// Wheel stores things by time, in nanoseconds since it was made. The zero value of Wheel is empty. Wheel is not safe
// for concurrent use.
type Wheel[T any] struct {
	slots [slots]*Entry[T]
	tick  int64 // the last swept tick
}

// Entry is a field of a thing that a wheel can store. The zero value of Entry is in no wheel.
type Entry[T any] struct {
	thing *T
	next  *Entry[T]
	// nil if the entry is in no wheel; otherwise the slot, or next of the previous entry
	at **Entry[T]
}

// Add stores thing, whose entry is e, at the time at, or at the latest time in range. e must not be in a wheel.
func (w *Wheel[T]) Add(e *Entry[T], thing *T, at int64) {
	t := (at + Tick - 1) / Tick
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

// Next removes and returns a thing whose time has passed, or returns nil.
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
