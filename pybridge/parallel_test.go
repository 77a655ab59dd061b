package pybridge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// freeThreaded reports whether handlers run at the same time.
func freeThreaded() bool { return strings.HasSuffix(Version(), "t") && loop.h.Warning() == "" }

// TestParallel: two handlers that compute run at the same time, if Python has no GIL.
func TestParallel(t *testing.T) {
	limit, want := 0.05, "alone met"
	if freeThreaded() && !loop.inline() {
		limit, want = generous.Seconds(), "met met"
	}
	target := fmt.Sprintf("/meets?%v", limit)
	first, second := loop.begin(t, target), loop.begin(t, target)
	got := make([]string, 2)
	for i, sent := range []chan *response{first, second} {
		r := <-sent
		<-r.done
		got[i] = r.body.String()
	}
	slices.Sort(got)
	if got := strings.Join(got, " "); got != want {
		t.Errorf("%q, want %q", got, want)
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
