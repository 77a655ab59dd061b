package live_test

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

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestSubscribersGetEachEventOnceThroughReloadsAndUpgrade(t *testing.T) {
	t.Parallel()
	const subscribers, reloads = 20, 2
	program := fapwstest.CopyOfProgram(t)
	s := fapwstest.Command{Program: program, Script: "channels.py"}.Serve(t, fapwstest.Workers)
	all := fapwstest.Repeat(subscribers, func(int) *subscriber { return listen(s, "/listen/news") })
	counts(s, "news", subscribers)

	var published atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				sends(s, "news", strconv.FormatInt(published.Load(), 10))
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
		s.Control("reload")
		time.Sleep(100 * time.Millisecond)
	}
	old := s.Workers()
	fapwstest.ReplaceProgram(t, program, fapwstest.Binary(t))
	s.Signal(syscall.SIGUSR2)
	fapwstest.Eventually(t, "the new program runs", func() bool { return s.Maps(program) })
	s.HasWorkers(2, old...)
	fapwstest.Eventually(t, "a hundred events", func() bool { return published.Load() >= 100 })
	close(stop)
	<-stopped
	sends(s, "news", fmt.Sprint("end of ", published.Load()))
	readers.Wait()
	counts(s, "news", subscribers)
	t.Logf("%d events", published.Load())
}

// orders checks that all subscribers receive the events in the same order. first contains the ids that the first
// subscriber has received.
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
	fapwstest.Equalf(t, ids, o.first, "events of two subscribers")
}

// allOf reads n events and the event "end of n". Each event must arrive once, and the numbers of each publisher must
// increase. "end of n" may arrive before events that other workers publish.
func (l *subscriber) allOf(order *orders) {
	seen, last, published := map[string]bool{}, uint64(0), -1
	var ids strings.Builder
	for published != len(seen) {
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
			published, err = strconv.Atoi(n)
			if err != nil {
				l.t.Errorf("%q", e)
				return
			}
			continue
		}
		if seen[e.data] {
			l.t.Errorf("%q comes twice", e)
			return
		}
		seen[e.data] = true
	}
	order.add(l.t, ids.String())
}

// A client that reconnects gets at most --channel-history past events. After a reload, the new worker has more past
// events in memory. Only clients of the old worker that move to the new worker get the additional events.
func TestReplayIsLimitedToTheHistory(t *testing.T) {
	t.Parallel()
	const published, kept = 50, 10
	s := fapwstest.Serve(t, fapwstest.Workers, "channels.py", "--channel-history", strconv.Itoa(kept))
	first := listen(s, "/listen/news")
	counts(s, "news", 1)
	// A connection stays with one worker, which sets the order of its events.
	w := s.Dial()
	for n := range published {
		w.Fetch("/send?name=news&data="+strconv.Itoa(n)).Want(t, 200)
	}
	first.gets("0")
	for range 8 {
		// Repeat the request, because the worker may not have received the last event yet.
		fapwstest.Eventually(t, "the last events come again", func() bool {
			l := listen(s, "/listen/news", "Last-Event-ID: "+first.last)
			from := fapwstest.Try(l.next()).Must(t)
			n := fapwstest.Try(strconv.Atoi(from.data)).Must(t)
			for n++; n < published; n++ {
				l.gets(strconv.Itoa(n))
			}
			return from.data == strconv.Itoa(published-kept)
		})
	}
}

func TestSubscribersOfAKilledWorkerMissNoEvent(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "channels.py", "--channel-subscribers-per-address", "1000000")
	var all []*subscriber
	of := map[string]int{}
	fapwstest.Eventually(t, "both workers have subscribers", func() bool {
		w := s.DialGet("/pid")
		of[w.Answer().Text]++
		l := &subscriber{t: t, conn: w.Conn, in: w.In}
		fapwstest.Must(t, l.subscribe("/listen/news"))
		all = append(all, l)
		return len(all) >= 20 && len(of) == 2
	})
	counts(s, "news", len(all))
	sends(s, "news", "0")
	for _, l := range all {
		l.gets("0")
	}
	old := s.Workers()
	syscall.Kill(old[0], syscall.SIGKILL)
	s.Says("was killed by SIGKILL")
	for i := range 20 {
		sends(s, "news", strconv.Itoa(i+1))
	}
	back := 0
	for i, l := range all {
		left := map[string]bool{}
		for i := range 20 {
			left[strconv.Itoa(i+1)] = true
		}
		for len(left) > 0 {
			e, err := l.next()
			if err != nil {
				again, err := tryListen(s, "/listen/news", "Last-Event-ID: "+l.last)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				l, back = again, back+1
				continue
			}
			fapwstest.Needf(t, left[e.data], "subscriber %d: %q comes twice", i, e)
			delete(left, e.data)
		}
	}
	fapwstest.Equalf(t, back, of[strconv.Itoa(old[0])], "subscribers that came back and those of the worker that died")
	s.HasWorkers(2, old[0])
	last := all[len(all)-1].last
	s.Control("reload")
	s.HasWorkers(2, old...)
	sends(s, "news", "after")
	for range 10 {
		l := listen(s, "/listen/news", "Last-Event-ID: "+last)
		for e, err := (event{}), error(nil); e.data != "after"; {
			e, err = l.next()
			fapwstest.Must(t, err)
		}
	}
}

func TestSubscribersStayInTheirWorkersIfAReloadFails(t *testing.T) {
	t.Parallel()
	text := fapwstest.Source(t, "channels.py")
	script := fapwstest.Write(t, t.TempDir()+"/channels.py", text)
	s := fapwstest.Command{Script: script, Complains: true}.Serve(t, fapwstest.Workers)
	l := listen(s, "/listen/news")
	counts(s, "news", 1)
	fapwstest.Write(t, script, "from fapws import publish\npublish('news', 'of what fails')\n1/0\n")
	code, _, _ := s.Ctl("reload")
	fapwstest.Equalf(t, code, 1, "code")
	sends(s, "news", "still here")
	l.gets("still here")
	more := fapwstest.Repeat(20, func(int) *subscriber { return listen(s, "/listen/news") })
	counts(s, "news", 21)
	s.Signal(syscall.SIGTTOU)
	s.HasWorkers(1)
	sends(s, "news", "to all")
	for _, l := range append(more, l) {
		l.gets("to all")
	}
	counts(s, "news", 21)
	fapwstest.Write(t, script, text)
	old := s.Workers()
	syscall.Kill(old[0], syscall.SIGTERM)
	s.HasWorkers(1, old...)
	sends(s, "news", "to all once more")
	for _, l := range append(more, l) {
		l.gets("to all once more")
	}
	s.Signal(syscall.SIGTERM)
	if e, err := l.next(); err == nil {
		t.Errorf("got %q", e)
	} else if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	s.EndsWith(0)
}

func TestPublishersOfAllWorkersReachSubscribersInOneOrder(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "channels.py", "--channel-history", "6000", "--channel-max-event", "8M")
	all := fapwstest.Repeat(10, func(int) *subscriber { return listen(s, "/listen/news") })
	counts(s, "news", 10)
	const requests, each = 10, 500
	var asks, readers sync.WaitGroup
	var order orders
	began := time.Now()
	for i := range requests {
		asks.Go(func() { s.Get(fmt.Sprintf("/many?name=news&from=%d&n=%d", i*each, each), 200) })
	}
	for _, l := range all {
		readers.Go(func() { l.allOf(&order) })
	}
	asks.Wait()
	fapwstest.Eventually(t, "all have a number", func() bool {
		l := listen(s, "/listen/news", "Last-Event-ID: x")
		defer l.conn.Close()
		l.conn.SetDeadline(time.Now().Add(fapwstest.Patience))
		for range requests * each {
			if _, err := l.next(); err != nil {
				return false
			}
		}
		return true
	})
	sends(s, "news", "end of "+strconv.Itoa(requests*each))
	readers.Wait()
	t.Logf("%d events to %d subscribers in %v", requests*each, len(all), time.Since(began))
}

func TestEventsOfOneClientArriveInItsOrder(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "order.py")
	events := listen(s, "/news")
	w := s.Dial()
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	const each = 50
	for n := range each * len(kinds) {
		w.Fetch(fmt.Sprintf("%s?%d", kinds[n%len(kinds)], n)).Want(t, 200)
	}
	for n := range each * len(kinds) {
		events.gets(fmt.Sprint(n))
	}
}

func TestStoppedSupervisorDelaysEventsButNotResponses(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "order.py")
	events := listen(s, "/news")
	s.Get("/sync?before", 200)
	s.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	for _, kind := range kinds {
		s.Get(kind+"?"+kind, 200)
	}
	s.Signal(syscall.SIGCONT)
	events.gets2(append(kinds, "before")...)
}
