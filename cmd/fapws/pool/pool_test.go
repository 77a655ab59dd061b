package pool

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// However many reloads are asked for, one is under way and one waits.
func TestReloadsCoalesce(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	h.serving(2)
	h.behave("hang")
	h.post(func() { h.begin(request{why: "first"}) })
	var waiting []chan error
	for range 10 {
		done := make(chan error, 1)
		waiting = append(waiting, done)
		h.post(func() { h.begin(request{why: "more", asked: []chan<- error{done}}) })
	}
	h.behave("")
	for _, done := range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(h.said(), "info reloading"); n != 2 {
		t.Errorf("%d reloads, want 2", n)
	}
	if n := h.Status().Reloads; n != 2 {
		t.Errorf("%d reloads succeeded, want 2", n)
	}
}

func TestBackoff(t *testing.T) {
	p := &slot{}
	var waits []time.Duration
	for range 9 {
		p.grow()
		waits = append(waits, p.backoff)
	}
	const ms = time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms}
	if !slices.Equal(waits, want) {
		t.Errorf("%v, want %v", waits, want)
	}
}

// TestReloadChanged: a generation that hangs while it loads gives way to a newer one, and
// a caller that waited for it gets the outcome of that.
func TestReloadChanged(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	before := h.serving(2)
	h.behave("hang")
	outcome := make(chan error, 1)
	go func() { outcome <- h.ReloadAndWait("one") }()
	h.says("reloading: one")
	h.ReloadChanged("two")
	h.says("reloading: two")
	h.behave("")
	h.says("reloaded: 2 workers")
	if err := <-outcome; err != nil {
		t.Error(err)
	}
	for _, pid := range h.serving(2) {
		if slices.Contains(before, pid) {
			t.Errorf("worker %d is an old one", pid)
		}
	}
}
