package pool

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tell asks all workers and returns their answers.
func (h *house) tell(what string) (texts []string) {
	h.t.Helper()
	for _, text := range h.tellEach(what) {
		texts = append(texts, text)
	}
	return texts
}

// tellEach is tell, with the process number of each worker.
func (h *house) tellEach(what string) map[int]string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	texts := make(map[int]string)
	for _, reply := range h.Ask(ctx, what) {
		texts[reply.Pid] = reply.Text
	}
	return texts
}

func numbered(text string) (events []string) {
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, ":") {
			events = append(events, word)
		}
	}
	return events
}

// A worker that takes nothing does not hold up the others, whatever is published. It
// is replaced when much waits for it.
func TestRelayStuck(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	pids := h.serving(2)
	h.stop(pids[0])
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	h.Ask(ctx, "publish 1000")
	cancel()
	within := 200 * time.Millisecond // the other never replies
	eventually(t, "the other one hears", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		within = min(2*within, patience/4)
		for _, reply := range h.Ask(ctx, "heard") {
			if reply.Pid == pids[1] && len(numbered(reply.Text)) >= 1000 {
				return true
			}
		}
		return false
	})
	ctx, cancel = context.WithTimeout(context.Background(), time.Second)
	h.Ask(ctx, "flood 200")
	cancel()
	h.says(fmt.Sprintf("worker %d does not read (events|messages).* and was killed", pids[0]))
	eventually(t, "another one", func() bool { return !slices.Contains(h.serving(2), pids[0]) })
}

// A worker that starts does not wait for the past events of one that is stopped.
func TestRelayWithoutGiver(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	pids := h.serving(2)
	h.stop(pids[0])
	h.kill(pids[1], syscall.SIGKILL)
	h.says(`worker \d+ starts without past events: worker ` + strconv.Itoa(pids[0]) + ` is stopped`)
	if now := h.serving(2); slices.Contains(now, pids[1]) || !slices.Contains(now, pids[0]) {
		t.Errorf("%v serve, before %v", now, pids)
	}
	h.kill(pids[0], syscall.SIGCONT)
}
