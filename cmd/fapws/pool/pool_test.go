package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFirstStartFails(t *testing.T) {
	for _, c := range []struct {
		name, behaviour string
		change          func(*Options)
		code            int
		line            string
	}{
		{"the worker ends, and has said why", "exit 2", nil, 2, ""},
		{"code of the user ends it", "exit 7", nil, 3, "exited with status 7"},
		{"it ends well", "exit 0", nil, 3, "exited with status 0"},
		{"timed out", "hang", func(o *Options) { o.LoadTimeout = time.Millisecond }, 3, "did not load within 1ms and was killed"},
		{"it is of another age", "protocol 99", nil, 3, "speaks protocol 99"},
		{"it cannot be started", "", func(o *Options) { o.Dir = "/nowhere" }, 3, "a worker cannot be started: "},
		{"nothing can be bound", "", func(o *Options) {
			o.Open = func(*Settled) ([]Address, error) { return nil, &StartError{5, "in use"} }
		}, 5, "in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := start(t, c.behaviour, c.change).startError()
			if err.Code != c.code || !strings.Contains(err.Line, c.line) || c.line == "" && err.Line != "" {
				t.Errorf("got %d %q, want %d %q", err.Code, err.Line, c.code, c.line)
			}
		})
	}
}

// A supervisor that stays when the first start fails tries again on a signal.
func TestStay(t *testing.T) {
	t.Parallel()
	h := start(t, "exit 1", func(o *Options) { o.Stay = true })
	h.says("error worker .* exited with status 1; waiting for a change")
	h.behave("")
	if err := h.ReloadAndWait("app.py has changed"); err != nil {
		t.Error(err)
	}
	h.serving(2)
	h.ask()
}

func TestReload(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	old := h.serving(2)
	if err := h.ReloadAndWait("because"); err != nil {
		t.Error(err)
	}
	h.says("info reloading: because\n(?s:.*)info reloaded: 2 workers")
	for range 20 {
		if pid := h.ask(); slices.Contains(old, pid) {
			t.Errorf("%d answers, of %v", pid, old)
		}
	}
	now := h.serving(2)
	h.behave("exit 4")
	if err := h.ReloadAndWait("again"); err == nil || !strings.HasSuffix(err.Error(), "exited with status 4") {
		t.Error(err)
	}
	h.says("status 4; reload failed; the old workers keep serving")
	if st := h.Status(); st.Failure == "" || st.Reloads != 1 {
		t.Errorf("%+v", st)
	}
	if still := h.serving(2); !slices.Equal(now, still) {
		t.Errorf("workers %v, were %v", still, now)
	}
}

// However many reloads are asked for, one is under way and one waits.
func TestReloadsCoalesce(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	h.serving(2)
	h.behave("hang")
	h.Reload("first")
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

// A worker that dies is replaced. Until then others accept on its socket.
func TestReplace(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	old := h.serving(2)
	h.behave("hang")
	h.kill(old[0], syscall.SIGKILL)
	h.says("warning worker .* was killed by SIGKILL; starting a new one")
	for range 20 {
		if pid := h.ask(); pid != old[1] {
			t.Errorf("%d answers", pid)
		}
	}
	eventually(t, "one is being loaded", func() bool { return len(h.Status().Workers) == 2 })
	for _, w := range h.Status().Workers {
		if w.State == Starting {
			h.kill(w.Pid, syscall.SIGTERM)
		}
	}
	h.says("error worker .* was killed by SIGTERM before it could serve; starting a new one in [12]00ms")
	h.behave("")
	now := h.serving(2)
	eventually(t, "both answer", func() bool { return h.ask() == now[0] })
	eventually(t, "both answer", func() bool { return h.ask() == now[1] })
}

// When no worker serves, one that loads gets the sockets, until another one serves. It keeps the clients that it has got through a
// reload.
func TestNoneServes(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	old := h.serving(2)
	h.behave("hang")
	for _, pid := range old {
		h.kill(pid, syscall.SIGKILL)
	}
	early := h.ask()
	if slices.Contains(old, early) {
		t.Fatalf("worker %d answers", early)
	}
	eventually(t, "both are replaced", func() bool { return len(h.Status().Workers) == 2 })
	if again := h.ask(); again != early {
		t.Errorf("worker %d answers, and then %d", early, again)
	}

	h.stop(early)
	h.behave("")
	eventually(t, "the other one serves", func() bool {
		return slices.ContainsFunc(h.Status().Workers, func(w WorkerStatus) bool { return w.Pid != early && w.State == Serving })
	})
	if err := h.ReloadAndWait("because"); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(h.Status().Workers, func(w WorkerStatus) bool { return w.Pid == early && w.State == Starting }) {
		t.Errorf("%+v: worker %d has clients, and cannot answer them", h.Status().Workers, early)
	}
	h.kill(early, syscall.SIGCONT)
	now := h.serving(2)
	if pid := h.ask(); !slices.Contains(now, pid) {
		t.Errorf("worker %d answers, not one of %d", pid, now)
	}
}

// A worker that the kernel has killed for want of memory is distinguished from one that a user has killed.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(root+"/"+name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/meminfo", "MemTotal: 1048576 kB\n")
	put("proc/self/cgroup", "0::/fapws.service\n")
	put("sys/fs/cgroup/fapws.service/memory.max", "67108864\n")
	put("sys/fs/cgroup/fapws.service/memory.events", "max 9\noom_kill 5\n")
	h := start(t, "", func(o *Options) { o.Root = os.DirFS(root) })
	pids := h.serving(2)
	h.kill(pids[0], syscall.SIGKILL)
	h.says(fmt.Sprintf("warning worker %d was killed by SIGKILL; starting a new one", pids[0]))
	put("sys/fs/cgroup/fapws.service/memory.events", "max 9\noom_kill 6\n")
	h.kill(pids[1], syscall.SIGKILL)
	h.says(fmt.Sprintf("warning worker %d was killed by SIGKILL: the memory limit of 64 MiB was reached; starting a new one", pids[1]))
	h.serving(2)
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

// A worn worker goes on until another has loaded.
func TestWorn(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Workers = 1 })
	old := h.serving(1)
	h.behave("hang")
	h.Ask(t.Context(), "wear")
	h.says("info replacing worker .*: is tired")
	if pid := h.ask(); pid != old[0] {
		t.Errorf("%d answers", pid)
	}
	h.behave("")
	eventually(t, "another one serves", func() bool { return !slices.Contains(h.serving(1), old[0]) })
}

func TestResize(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	h.serving(2)
	for _, c := range []struct {
		sig  syscall.Signal
		want int
	}{{syscall.SIGTTIN, 3}, {syscall.SIGTTIN, 4}, {syscall.SIGTTOU, 3}, {syscall.SIGTTOU, 2}, {syscall.SIGTTOU, 1}, {syscall.SIGTTOU, 1}} {
		h.caught.C <- c.sig
		eventually(t, "it was taken", func() bool { return len(h.caught.C) == 0 && h.Status().Want == c.want })
		pids := h.serving(c.want)
		for range 10 {
			if pid := h.ask(); !slices.Contains(pids, pid) {
				t.Errorf("%d answers, not of %v", pid, pids)
			}
		}
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	h := start(t, "", nil)
	pids := h.serving(2)
	replies := h.Ask(t.Context(), "0123<>&\n")
	for i, r := range replies {
		if r.Pid != pids[i] || r.Text != strings.Repeat("0123<>&\n", 50_000) {
			t.Errorf("%d answers %d bytes", r.Pid, len(r.Text))
		}
	}
	if len(replies) != 2 {
		t.Errorf("%d replies", len(replies))
	}
	if replies := h.Ask(t.Context(), "die"); len(replies) != 0 {
		t.Errorf("the dead answer: %v", replies)
	}
	h.serving(2)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	h.Ask(gone, "x") // returns
}

func TestStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			h := start(t, "", nil)
			h.serving(2)
			h.behave("hang")
			h.Reload("which does not come to its end")
			h.caught.C <- sig
			if err := h.result(); err != nil {
				t.Error(err)
			}
			if err := h.ReloadAndWait("too late"); !errors.Is(err, errEnding) {
				t.Error(err)
			}
			if st := h.Status(); st.Pid != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		for try := 0; ; try++ {
			h := start(t, "", nil)
			h.serving(2)
			h.behave("deaf")
			h.caught.C <- os.Interrupt
			h.caught.C <- os.Interrupt // the same once more
			begun, ended := time.Now(), make(chan struct{})
			go func() {
				for {
					select {
					case <-time.After(2 * Echo):
					case <-ended:
						return
					}
					select {
					case h.caught.C <- os.Interrupt:
					case <-ended:
						return
					}
				}
			}()
			err := h.startError()
			close(ended)
			if err.Code != 1 {
				t.Fatalf("%+v", err)
			}
			if took := time.Since(begun); took >= Echo {
				return
			} else if try == 20 { // once, this machine may not get from one to the other in time
				t.Fatalf("the same signal once more counts: it ended after %v", took)
			}
		}
	})
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

func TestEvents(t *testing.T) {
	t.Parallel()
	events := make(chan EventKind, 100)
	h := start(t, "", func(o *Options) { o.Event = func(e Event) { events <- e.Kind } })
	h.serving(2)
	_ = h.ReloadAndWait("")
	h.behave("exit 1")
	_ = h.ReloadAndWait("")
	h.Stop()
	_ = h.result()
	close(events)
	var got []EventKind
	for kind := range events {
		got = append(got, kind)
	}
	if want := []EventKind{Reloaded, Reloading, Reloaded, Reloading, Failed, Stopping}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
