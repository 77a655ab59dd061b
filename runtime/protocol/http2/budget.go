package http2

// The costs of frames that bring nothing on, in points of a budget.
const (
	costReset    = 10 // a stream is given up by its client or reset because of it, or its request is malformed
	costSettings = 10
	costPing     = 5
	costEmpty    = 5 // a frame without content, one for a stream that has ended, and an acknowledgment
	costUpdate   = 1 // of a window, of a priority; a frame that is not known

	budgetFrame = 2 // points for each frame of data that is sent: clients answer it with updates
)

// budget bounds the work that a client makes without bringing its requests on. Its zero value is empty.
type budget struct {
	points  int64
	full    int64
	since   int64 // time up to which time has filled it
	updates int64 // of windows that cost nothing: clients may answer much data at once, and late
}

// begin makes b a full budget at the time now, for so many resets. Time fills it by 3 % a second.
func (b *budget) begin(resets int, now int64) {
	b.full = int64(resets) * costReset
	b.points, b.since = b.full, now
}

// earn adds points.
func (b *budget) earn(points int64) { b.points = min(b.full, b.points+points) }

// sent notes that a frame of data was sent.
func (b *budget) sent() {
	b.earn(budgetFrame)
	b.updates += budgetFrame
}

// updated is spend for an update of a window.
func (b *budget) updated(now int64) bool {
	if b.updates > 0 {
		b.updates--
		return true
	}
	return b.spend(costUpdate, now)
}

// spend takes points at the time now, in nanoseconds, and reports whether there were as many.
func (b *budget) spend(points, now int64) bool {
	b.points -= points
	if b.points >= 0 {
		return true
	}
	if earned := (now - b.since) / 1e6 * b.full * 3 / 100_000; earned > 0 {
		b.earn(earned)
		b.since = now
	}
	return b.points >= 0
}
