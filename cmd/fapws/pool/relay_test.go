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

// heard waits until all workers have heard n events, and returns them; they have to
// be the same.
func (h *house) heard(n int) (events []string) {
	h.t.Helper()
	var texts []string
	eventually(h.t, fmt.Sprint(n, " events"), func() bool {
		texts = h.tell("heard")
		return len(texts) > 0 && !slices.ContainsFunc(texts, func(text string) bool { return len(numbered(text)) < n })
	})
	for _, text := range texts[1:] {
		if got, want := numbered(text), numbered(texts[0]); !slices.Equal(got, want) {
			h.t.Fatalf("one has heard %q, another one %q", got, want)
		}
	}
	return numbered(texts[0])
}

func numbered(text string) (events []string) {
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, ":") {
			events = append(events, word)
		}
	}
	return events
}

// All workers receive all events that any of them publishes, in one order, without a gap; those
// that are started later have it from the others.
func TestRelay(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	old := h.serving(2)
	h.tell("publish 500")
	events := h.heard(1000)
	epoch, _, _ := strings.Cut(events[0], "-")
	next := map[string]int{}
	for i, event := range events {
		var pid string
		var n int
		if _, err := fmt.Sscanf(strings.NewReplacer(":", " ", "/", " ").Replace(event), fmt.Sprintf("%s-%d %%s %%d", epoch, i+1), &pid, &n); err != nil || next[pid] != n {
			t.Fatalf("event %d is %s", i+1, event)
		}
		next[pid]++
	}
	if err := h.ReloadAndWait("because"); err != nil {
		t.Fatal(err)
	}
	h.tell("publish 10")
	if got := h.heard(1020); !slices.Equal(got[:1000], events) {
		t.Error("past events are others now")
	}
	for i, text := range h.tell("heard") {
		if n := strings.Count(text, "subscribers of "); n != 1 {
			t.Errorf("worker %d has got the subscribers of %d", i, n)
		}
	}
	for _, pid := range old {
		if !strings.Contains(strings.Join(h.tell("heard"), ""), fmt.Sprintf("subscribers of %d ", pid)) {
			t.Errorf("no worker has got the subscribers of %d", pid)
		}
	}
	now := h.serving(2)
	h.kill(now[0], syscall.SIGKILL)
	eventually(t, "another one", func() bool { return !slices.Contains(h.serving(2), now[0]) })
	h.heard(1020)
}

// Counts are added up, also without a worker that has died.
func TestCounts(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	pids := h.serving(2)
	h.tell("count 3")
	h.counts(pids, 3)
	h.tell("count 5")
	h.counts(pids, 5)
	h.kill(pids[0], syscall.SIGKILL)
	eventually(t, "another one", func() bool { return !slices.Contains(h.serving(2), pids[0]) })
	dead, living := fmt.Sprintf("%d:1", pids[0]), fmt.Sprintf("%d:1", pids[1])
	eventually(t, "only the living are counted", func() bool {
		all := h.counted()
		right := len(all) == 2
		for pid, counts := range all {
			right = right && !slices.Contains(counts, dead)
			if pid == pids[1] {
				right = right && slices.Contains(counts, "news:0")
			} else {
				right = right && slices.Contains(counts, living) && slices.Contains(counts, "news:5")
			}
		}
		return right
	})
}

// counts waits until each of two workers has heard that the other one has n.
func (h *house) counts(pids []int, n int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprint(n, " in the other one"), func() bool {
		all := h.counted()
		for i, pid := range pids {
			if !slices.Contains(all[pid], fmt.Sprint("news:", n)) || !slices.Contains(all[pid], fmt.Sprintf("%d:1", pids[1-i])) {
				return false
			}
		}
		return len(all) == 2
	})
}

// counted returns the counts that each worker has received from the others, as "name:number".
func (h *house) counted() map[int][]string {
	h.t.Helper()
	all := make(map[int][]string)
	for pid, text := range h.tellEach("counts") {
		all[pid] = strings.Fields(strings.Trim(text, "map[]"))
	}
	return all
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
