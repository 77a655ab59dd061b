package acceptance

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestSubscribersStay: through reloads and an upgrade each subscriber gets every event
// once and in one order, while events are published all the time.
func TestSubscribersStay(t *testing.T) {
	t.Parallel()
	const subscribers, reloads = 200, 4
	program := copyOfProgram(t)
	s := command{program: program, script: "channels.py"}.serve(t, modes[2])
	var all []*subscriber
	for range subscribers {
		all = append(all, s.listen("/listen/news"))
	}
	s.counts("news", subscribers)

	var published atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				s.sends("news", strconv.FormatInt(published.Load(), 10))
				published.Add(1)
			}
		}
	}()
	var readers sync.WaitGroup
	var order orders
	for _, l := range all {
		readers.Go(func() { l.allOf(&order) })
	}
	time.Sleep(100 * time.Millisecond)
	for range reloads {
		if code, stdout, stderr := s.ctl("reload"); code != 0 {
			t.Errorf("reload: code %d, %s%s", code, stdout, stderr)
		}
		time.Sleep(100 * time.Millisecond)
	}
	old := s.workers()
	replaceProgram(t, program, binary(t))
	s.signal(syscall.SIGUSR2)
	eventually(t, "the new program runs", func() bool {
		now, _ := os.Readlink(s.proc("exe"))
		return now == program
	})
	s.hasWorkers(2, old...)
	eventually(t, "a hundred events", func() bool { return published.Load() >= 100 })
	close(stop)
	<-stopped
	s.sends("news", fmt.Sprint("end of ", published.Load()))
	readers.Wait()
	s.counts("news", subscribers)
	t.Logf("%d events", published.Load())
}

// orders are the ids that subscribers have got, one after the other: for all the same.
type orders struct {
	mu    sync.Mutex
	first string
}

func (o *orders) add(t *testing.T, ids string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == "" {
		o.first = ids
	}
	if ids != o.first {
		t.Errorf("one has got %s, another one %s", o.first, ids)
	}
}

// allOf reads up to "end of n": n events, each once, with numbers that grow.
func (l *subscriber) allOf(order *orders) {
	seen, last := map[string]bool{}, uint64(0)
	var ids strings.Builder
	for {
		e, err := l.next()
		if err != nil {
			l.t.Errorf("after %d events: %v", len(seen), err)
			return
		}
		_, digits, _ := strings.Cut(e.id, "-")
		seq, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || seq <= last {
			l.t.Errorf("after event %d comes %q", last, e)
			return
		}
		last = seq
		ids.WriteString(e.id + " ")
		if n, ok := strings.CutPrefix(e.data, "end of "); ok {
			if n != strconv.Itoa(len(seen)) {
				l.t.Errorf("%d events of %s", len(seen), n)
			}
			order.add(l.t, ids.String())
			return
		}
		if seen[e.data] {
			l.t.Errorf("%q comes twice", e)
			return
		}
		seen[e.data] = true
	}
}

// TestReplayIsBounded: a client that comes back gets --channel-history events, also from a worker that
// was started a moment ago, which keeps all of them for clients that may be handed over to it.
func TestReplayIsBounded(t *testing.T) {
	t.Parallel()
	const published, kept = 50, 10
	s := serve(t, modes[2], "channels.py", "--channel-history", strconv.Itoa(kept))
	first := s.listen("/listen/news")
	s.counts("news", 1)
	for n := range published {
		s.sends("news", strconv.Itoa(n))
	}
	first.gets("0")
	for range 8 { // from both workers
		eventually(t, "the last events come again", func() bool { // a worker may not have heard of the very last one yet
			l := s.listen("/listen/news", "Last-Event-ID: "+first.last)
			from, err := l.next()
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(from.data)
			if err != nil {
				t.Fatal(err)
			}
			for n++; n < published; n++ {
				l.gets(strconv.Itoa(n))
			}
			return from.data == strconv.Itoa(published-kept)
		})
	}
}

// TestSubscribersOfTheKilled: a worker that dies takes its subscribers along; they come
// back and miss nothing. So does who comes back after a reload.
func TestSubscribersOfTheKilled(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[2], "channels.py")
	const n = 20
	var all []*subscriber
	for range n {
		all = append(all, s.listen("/listen/news"))
	}
	s.counts("news", n)
	s.sends("news", "0")
	for _, l := range all {
		l.gets("0")
	}
	old := s.workers()
	syscall.Kill(old[0], syscall.SIGKILL)
	s.says("was killed by SIGKILL")
	for i := range 20 {
		s.sends("news", strconv.Itoa(i+1))
	}
	back := 0
	for i, l := range all {
		left := map[string]bool{}
		for i := range 20 {
			left[strconv.Itoa(i+1)] = true
		}
		for len(left) > 0 {
			e, err := l.next()
			if err != nil { // as browsers do
				again, err := s.tryListen("/listen/news", "Last-Event-ID: "+l.last)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				l, back = again, back+1
				continue
			}
			if !left[e.data] {
				t.Fatalf("subscriber %d: %q comes twice", i, e)
			}
			delete(left, e.data)
		}
	}
	if back == 0 || back == n {
		t.Errorf("%d of %d subscribers were of the one who died", back, n)
	}
	s.hasWorkers(2, old[0])
	last := all[len(all)-1].last
	if code, _, stderr := s.ctl("reload"); code != 0 {
		t.Error(stderr)
	}
	s.hasWorkers(2, old...)
	s.sends("news", "after")
	for range 10 { // of both workers
		l := s.listen("/listen/news", "Last-Event-ID: "+last)
		for e, err := (event{}), error(nil); e.data != "after"; {
			if e, err = l.next(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSubscribersOfAReloadThatFails: they stay where they are.
func TestSubscribersOfAReloadThatFails(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(testdata(t, "channels.py"))
	if err != nil {
		t.Fatal(err)
	}
	script := write(t, t.TempDir()+"/channels.py", string(text))
	s := command{script: script, complains: true}.serve(t, modes[2])
	l := s.listen("/listen/news")
	s.counts("news", 1)
	write(t, script, "from fapws import publish\npublish('news', 'of what fails')\n1/0\n")
	if code, _, _ := s.ctl("reload"); code != 1 {
		t.Errorf("code %d", code)
	}
	s.sends("news", "still here")
	l.gets("still here")
	// Fewer workers: those of the one who goes are given to the other.
	var more []*subscriber
	for range 20 {
		more = append(more, s.listen("/listen/news"))
	}
	s.counts("news", 21)
	s.signal(syscall.SIGTTOU)
	s.hasWorkers(1)
	s.sends("news", "to all")
	for _, l := range append(more, l) {
		l.gets("to all")
	}
	s.counts("news", 21)
	// One that is worn: to its successor.
	write(t, script, string(text))
	old := s.workers()
	syscall.Kill(old[0], syscall.SIGTERM)
	s.hasWorkers(1, old...)
	s.sends("news", "to all once more")
	for _, l := range append(more, l) {
		l.gets("to all once more")
	}
	// At the end streams end.
	s.signal(syscall.SIGTERM)
	if e, err := l.next(); err == nil {
		t.Errorf("got %q", e)
	} else if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	if code := s.ended(); code != 0 {
		t.Errorf("code %d", code)
	}
}

// TestPublishersOfAllWorkers: thousands of events from all workers at once; everybody
// sees the same, once, in one order.
func TestPublishersOfAllWorkers(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[2], "channels.py", "--channel-history", "6000", "--channel-buffer", "8M")
	var all []*subscriber
	for range 10 {
		all = append(all, s.listen("/listen/news"))
	}
	s.counts("news", 10)
	const requests, each = 10, 500
	var asks, readers sync.WaitGroup
	var order orders
	began := time.Now()
	for i := range requests {
		asks.Go(func() { s.get(fmt.Sprintf("/many?name=news&from=%d&n=%d", i*each, each), 200) })
	}
	for _, l := range all {
		readers.Go(func() { l.allOf(&order) })
	}
	asks.Wait()
	eventually(t, "all have a number", func() bool {
		l := s.listen("/listen/news", "Last-Event-ID: x")
		defer l.conn.Close()
		l.conn.SetDeadline(time.Now().Add(patience))
		for range requests * each {
			if _, err := l.next(); err != nil {
				return false
			}
		}
		return true
	})
	s.sends("news", "end of "+strconv.Itoa(requests*each))
	readers.Wait()
	t.Logf("%d events to %d subscribers in %v", requests*each, len(all), time.Since(began))
}
