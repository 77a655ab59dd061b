package confine

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// The heap is larger only while collections follow each other fast.
func TestPacer(t *testing.T) {
	var set []int
	p := pacer{set: func(percent int) { set = append(set, percent) }, last: -slow}
	at := time.Duration(0)
	for _, c := range []struct {
		since time.Duration
		want  []int
	}{
		{0, nil},
		{tooFast, nil},
		{tooFast - 1, []int{busyPercent}},
		{1, []int{busyPercent}},
		{slow, []int{busyPercent}},
		{slow + 1, []int{busyPercent, littlePercent}},
		{tooFast, []int{busyPercent, littlePercent}},
		{0, []int{busyPercent, littlePercent, busyPercent}},
	} {
		at += c.since
		if p.collected(at); !slices.Equal(set, c.want) {
			t.Fatalf("after %v: %v, want %v", c.since, set, c.want)
		}
	}
}

// Each collection is noticed.
func TestAfterCollection(t *testing.T) {
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
