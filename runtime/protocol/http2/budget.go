package http2

// What frames cost that bring nothing on, in points of a budget.
const (
	costReset    = 10 // a stream is given up by its client
	costSettings = 10
	costPing     = 5
	costEmpty    = 5 // a frame without content, and one for a stream that has ended
	costUpdate   = 1 // of a window, of a priority; a frame that is not known

	budgetFull  = 10_000 // points: 1,000 resets at once
	budgetEarns = 300    // points a second: 30 resets
	budgetFrame = 2      // points for each frame of data that is sent: clients answer it with an update
)

// budget bounds the work that a client makes without bringing its requests on. Its zero value is empty.
type budget struct {
	points int64
	since  int64 // time up to which time has filled it
}

func (b *budget) begin(now int64) { b.points, b.since = budgetFull, now }

// earn adds points.
func (b *budget) earn(points int64) { b.points = min(budgetFull, b.points+points) }

// spend takes points at the time now, in nanoseconds, and reports whether there were as many.
func (b *budget) spend(points, now int64) bool {
	b.points -= points
	if b.points >= 0 {
		return true
	}
	if earned := (now - b.since) * budgetEarns / 1e9; earned > 0 {
		b.earn(earned)
		b.since = now
	}
	return b.points >= 0
}
