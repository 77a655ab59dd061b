package loadgen

import "time"

// schedule says when requests are due, as times since the start.
type schedule struct {
	left     int64         // requests that may still be started; -1: any number
	until    time.Duration // when the last one may be due; 0: any time
	interval float64       // nanoseconds between two; 0: whenever there is room
	first    float64       // when the first one is due, in nanoseconds
	started  int64
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// due returns when the next request is due. With no interval that is now.
func (s *schedule) due(now time.Duration) time.Duration {
	if s.interval == 0 {
		return now
	}
	return time.Duration(s.first + float64(s.started)*s.interval)
}

// next returns when the next request is due, never if none may be started any more.
func (s *schedule) next(now time.Duration) time.Duration {
	due := s.due(now)
	if s.left == 0 || s.until > 0 && max(due, now) >= s.until {
		return never
	}
	return due
}

// start counts a request that has been started.
func (s *schedule) start() {
	s.started++
	if s.left > 0 {
		s.left--
	}
}

// over reports whether no request may be started any more.
func (s *schedule) over(now time.Duration) bool { return s.next(now) == never }

// missed calls f with the time of each request that was due before end and was not started.
func (s *schedule) missed(end time.Duration, f func(due time.Duration)) {
	for s.left != 0 && s.due(end) < end {
		f(s.due(end))
		s.start()
	}
}
