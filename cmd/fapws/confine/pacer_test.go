package confine

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestHeapIsLargerOnlyWhileCollectionsFollowFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set []int
		idle := 0
		p := pacer{set: func(percent int) { set = append(set, percent) }, idle: func() { idle++ }}
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
			time.Sleep(c.since)
			synctest.Wait()
			if p.collected(); !slices.Equal(set, c.want) || idle != c.idle {
				t.Fatalf("after %v: %v and %d times idle, want %v and %d", c.since, set, idle, c.want, c.idle)
			}
		}
	})
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
