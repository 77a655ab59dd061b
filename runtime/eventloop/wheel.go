package eventloop

// Tick is how exact a wheel is, in nanoseconds.
const Tick = int64(500e6)

// slots is how many ticks a wheel can look ahead. What is due later comes up earlier, and is put back.
const slots = 256

// Wheel has things by the time at which they come up, in nanoseconds since it was made. Its zero value is empty. It is not safe
// for concurrent use.
type Wheel[T any] struct {
	slots [slots]*Entry[T]
	tick  int64 // the tick whose slot was swept last
}

// Entry is the place of a thing, which has it for a field. Its zero value is in no wheel.
type Entry[T any] struct {
	thing *T
	next  *Entry[T]
	at    **Entry[T] // the slot, or next of the entry before; nil: it is in no wheel
}

// Add puts thing, whose entry is e, where it comes up at the given time, or as late as the wheel can look ahead. It must not
// be in a wheel.
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

// Remove takes e out, if it is in.
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

// Next takes out one thing whose time has come, or returns nil.
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

// All returns everything in the wheel, in no particular order.
func (w *Wheel[T]) All() (list []*T) {
	for _, e := range w.slots {
		for ; e != nil; e = e.next {
			list = append(list, e.thing)
		}
	}
	return list
}
