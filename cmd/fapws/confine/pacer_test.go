package confine

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestHeapIsLargerOnlyWhileCollectionsFollowFast(t *testing.T) {
	var (
		set   []int
		idle  int
		check func()
		due   time.Duration
		now   time.Duration
	)
	p := pacer{
		last: -slow,
		set:  func(percent int) { set = append(set, percent) },
		idle: func() { idle++ },
		wait: func(d time.Duration, f func()) { check, due = f, now+d },
	}
	for _, c := range []struct {
		since time.Duration
		want  []int
		idle  int
	}{
		{0, nil, 0},
		{tooFast, nil, 0},
		{tooFast - 1, []int{busyPercent}, 0},
		{1, []int{busyPercent}, 0},
		{slow - 1, []int{busyPercent}, 0},
		{slow + 1, []int{busyPercent, littlePercent}, 1},
		{tooFast, []int{busyPercent, littlePercent}, 1},
		{0, []int{busyPercent, littlePercent, busyPercent}, 1},
	} {
		for next := now + c.since; ; {
			if check == nil || due > next {
				now = next
				break
			}
			now = due
			f := check
			check = nil
			f()
		}
		if p.collected(now); !slices.Equal(set, c.want) || idle != c.idle {
			t.Fatalf("after %v: %v and %d times idle, want %v and %d", c.since, set, idle, c.want, c.idle)
		}
	}
}

func TestEachCollectionIsNoticed(t *testing.T) {
	collected := make(chan bool)
	end := make(chan bool)
	afterCollection(func() {
		select {
		case collected <- true:
		case <-end:
		}
	})
	for range 3 {
		runtime.GC()
		<-collected
	}
	close(end)
}
