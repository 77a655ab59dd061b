package logfile

import "time"

// Schedule says when files are rotated by time: at the beginning of each hour,
// day or week (Monday) in local time, or at the multiples of a duration since
// 1970. The zero value: never. A file is rotated when the first line after that is
// written.
type Schedule struct {
	hours int           // 1, 24 or 168, as the calendar has them
	each  time.Duration // else this; 0: never
}

// The schedules of the calendar.
var (
	Hourly = Schedule{hours: 1}
	Daily  = Schedule{hours: 24}
	Weekly = Schedule{hours: 168}
)

// Each returns the Schedule of the multiples of d.
func Each(d time.Duration) Schedule { return Schedule{each: d} }

// begin returns when the period that has t began.
func (s Schedule) begin(t time.Time) time.Time {
	switch s.hours {
	case 0:
		if s.each <= 0 {
			return time.Time{}
		}
		n := t.UnixNano()
		return time.Unix(0, n-n%int64(s.each))
	case 1:
		// Not by time.Date: an hour that comes twice in autumn is two.
		return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	}
	day := t.Day()
	if s.hours == 168 {
		day -= (int(t.Weekday()) + 6) % 7
	}
	return time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, t.Location())
}

// Next returns the beginning of the period after that of t; the zero time: there is
// none.
func (s Schedule) Next(t time.Time) time.Time {
	begin := s.begin(t)
	switch s.hours {
	case 0:
		if s.each <= 0 {
			return time.Time{}
		}
		return begin.Add(s.each)
	case 1:
		return begin.Add(time.Hour)
	}
	return time.Date(begin.Year(), begin.Month(), begin.Day()+s.hours/24, 0, 0, 0, 0, t.Location())
}

// between says whether a period began after last and not after now.
func (s Schedule) between(last, now time.Time) bool { return last.Before(s.begin(now)) }
