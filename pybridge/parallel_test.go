package pybridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// freeThreaded reports whether handlers run at the same time.
func freeThreaded() bool { return strings.HasSuffix(Version(), "t") && loop.h.Warning() == "" }

// TestParallel: two handlers that compute run at the same time, if Python has no GIL.
func TestParallel(t *testing.T) {
	if !freeThreaded() || loop.inline() {
		return // they take turns, by definition
	}
	target := fmt.Sprintf("/meets?%v", generous.Seconds())
	first, second := loop.begin(t, target), loop.begin(t, target)
	for _, sent := range []chan *response{first, second} {
		r := <-sent
		<-r.done
		if got := r.body.String(); got != "met" {
			t.Errorf("%q, want %q", got, "met")
		}
	}
}

// TestSharedObjects: threads of the application use the objects of a request, while the thread of the request does and after
// it has ended.
func TestSharedObjects(t *testing.T) {
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 50 {
				r := loop.send(t, fmt.Sprintf("POST /shares?%d", i), strings.Repeat("line\n", 1000))
				<-r.done
			}
		})
	}
	all.Wait()
	if got := loop.get(t, "/shared_wrong").body.String(); got != "[]" {
		t.Errorf("threads failed: %s", got)
	}
}
