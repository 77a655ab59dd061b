package pybridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/checktest"
)

func freeThreaded() bool { return strings.HasSuffix(Version(), "t") && loop.h.Warning() == "" }

func TestHandlersComputeInParallelWithoutTheGIL(t *testing.T) {
	if !freeThreaded() || loop.inline() {
		return
	}
	target := fmt.Sprintf("/meets?%v", generous.Seconds())
	first, second := loop.begin(t, target), loop.begin(t, target)
	for _, sent := range []chan *response{first, second} {
		r := <-sent
		<-r.done
		checktest.Equal(t, r.body.String(), "met")
	}
}

func TestSharedObjectsOfARequestMayBeUsedOnOtherThreads(t *testing.T) {
	var all sync.WaitGroup
	rounds := 10
	if freeThreaded() {
		rounds = 50
	}
	for i := range 4 {
		all.Go(func() {
			for range rounds {
				for _, path := range []string{"/shares", "/shares_and_returns"} {
					r := loop.send(t, fmt.Sprintf("POST %s?%d", path, i), strings.Repeat("line\n", 1000))
					<-r.done
				}
			}
		})
	}
	all.Wait()
	checktest.Equalf(t, loop.get(t, "/shared_wrong").body.String(), "[]", "threads failed")
}

// The thread waits in write() for the client. After the request has ended, the thread must not use the record of the
// request.
func TestWriteOnAnotherThreadEndsWithItsHandler(t *testing.T) {
	if loop.inline() {
		return
	}
	r := loop.submit(t, &response{hold: true}, "GET /writes_elsewhere", "")
	for begun := false; !begun; loop.get(t, "/text") {
		loop.do(func() { begun = r.body.Len() > 0 })
	}
	loop.get(t, "/lets_return")
	<-r.done
	checktest.Equalf(t, loop.get(t, "/joins_writer").body.String(), "ended", "the thread")
	loop.release(r)
}
