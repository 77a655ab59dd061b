package pybridge

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

type gate struct{ in, out *os.File }

func newGate(t *testing.T) gate {
	in, out, err := os.Pipe()
	checktest.Must(t, err)
	t.Cleanup(func() { in.Close(); out.Close() })
	return gate{in, out}
}

func (g gate) target() string { return fmt.Sprintf("/blocked?%d", g.in.Fd()) }
func (g gate) open(n int)     { g.out.Write(make([]byte, n)) }

func (d *driver) begin(t *testing.T, target string) chan *response {
	sent := make(chan *response, 1)
	go func() { sent <- d.send(t, "GET "+target, "") }()
	return sent
}

func stack(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	checktest.Must(t, loop.h.Stack(&b, generous))
	return b.String()
}

func shows(t *testing.T, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	var got string
	for end := time.Now().Add(generous); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = stack(t); want.MatchString(got) {
			return
		}
	}
	t.Fatalf("%s\ndoes not look like %s", got, pattern)
}

func TestStackOfARecursionIsShortened(t *testing.T) {
	f, g, h := frame{"none.py", 1, "f"}, frame{"none.py", 2, "g"}, frame{"none.py", 3, "h"}
	for want, s := range map[string]callStack{
		"":                            {},
		"f":                           {f},
		"fgh":                         {h, g, f},
		"f[the same 3 times more]gf":  {f, g, f, f, f, f},
		"fg[the same 1 times more]":   {g, g, f},
		"f[the same 1 times more]ghg": {g, h, g, f, f},
	} {
		got := regexp.MustCompile(`  File "none\.py", line \d, in (\w)\n|  (\[.*\])\n`).ReplaceAllString(s.text(), "$1$2")
		checktest.Equal(t, got, want)
	}
}

func TestFramesOfLibrariesThatCallTheUserAreFolded(t *testing.T) {
	view, inside := frame{"none.py", 1, "view"}, frame{"none.py", 2, "query"}
	django, wsgi := frame{"/v/lib/python3.11/site-packages/django/core/base.py", 3, "inner"},
		frame{"/v/lib/python3.11/site-packages/asgiref.py", 4, "call"}
	lock := frame{"/usr/lib/python3.11/none.py", 5, "wait"}
	for want, s := range map[string]callStack{
		"[4 frames of django, asgiref]\nview\nquery\n": {inside, view, wsgi, django, django, django},
		"inner\ncall\nview\nquery\n":                   {inside, view, wsgi, django},
		"view\nwait\nwait\nwait\n":                     {lock, lock, lock, view},
		"view\n[4 frames of Python, django]\nquery\n":  {inside, django, lock, django, lock, view},
		"wait\ninner\nwait\ninner\n":                   {django, lock, django, lock},
	} {
		got := regexp.MustCompile(`(?m)^  (File .*, in )?(.*)$`).ReplaceAllString(s.text(), "$2")
		got = strings.ReplaceAll(got, "wait\n[the same 2 times more]\n", "wait\nwait\nwait\n")
		checktest.Equal(t, got, want)
	}
}

func TestStackWithoutTheGILIsReportedAsIncomplete(t *testing.T) {
	g := newGate(t)
	sent := loop.begin(t, strings.Replace(g.target(), "blocked", "keeps_gil", 1))
	want := regexp.MustCompile(`(?s)^request \d+, GET /keeps_gil\?.* handler keeps_gil, running on thread \d
a handler holds the GIL in C code, .*
thread 0x[0-9a-f]+:
  File ".*/testdata/app.py", line \d+, in keeps_gil`)
	var b strings.Builder
	for end := time.Now().Add(generous); !want.MatchString(b.String()); {
		if time.Now().After(end) {
			t.Errorf("%s\ndoes not look like %s", &b, want)
			break
		}
		b.Reset()
		loop.h.Stack(&b, 10*time.Millisecond)
	}
	g.open(1)
	<-(<-sent).done
}

func TestDumpShowsHandlersFirstAndNoIdleThread(t *testing.T) {
	threads := parseDump(`Thread 0x00007f0000000003 (most recent call first):
  <no Python frame>

Thread 0x00007f0000000002 [worker] (most recent call first):
  File "/usr/lib/python3.13/threading.py", line 359 in wait
  File "/srv/app.py", line 3 in works
  File "/usr/lib/python3.13/threading.py", line 1012 in _bootstrap

Current thread 0x00007f0000000001 (most recent call first):
  File "/srv/a b.py", line 9 in <lambda>
  File "<fapws>._pep3333", line 40 in served

`)
	checktest.Equal(t, fmt.Sprint(threads), "[{0x00007f0000000001 [{/srv/a b.py 9 <lambda>}]} {0x00007f0000000002 "+
		"[{/usr/lib/python3.13/threading.py 359 wait} {/srv/app.py 3 works} "+
		"{/usr/lib/python3.13/threading.py 1012 _bootstrap}]}]")
}

func TestStackBeginsWithTheApplication(t *testing.T) {
	user, library := frame{"/srv/fapws/app.py", 1, "f"}, frame{"/usr/lib/python3.11/time.py", 2, "g"}
	checks, task := frame{"<fapws>._pep3333", 3, "served"}, frame{"/src/contrib/fapws/_async.py", 4, "call"}
	runs := frame{"/usr/lib/python3.11/asyncio/events.py", 5, "_run"}
	for _, c := range []struct{ whole, want callStack }{
		{callStack{library, user, checks}, callStack{library, user}},
		{callStack{user, checks, user, checks}, callStack{user, checks, user}},
		{callStack{user, task, runs, task}, callStack{user}},
		{callStack{checks}, callStack{checks}},
		{nil, nil},
	} {
		checktest.Equal(t, fmt.Sprint(c.whole.applications()), fmt.Sprint(c.want))
	}
	checktest.Equal(t, callStack{library, user, checks}.own().place(), "app.py:1 in f")
}

// CheckGIL replaces a worker after ten checks, so a wrong result of endsWithin could replace a healthy worker.
func TestCallThatHasEndedIsNeverLate(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	for range 100 {
		checktest.Needf(t, endsWithin(ended, 0), "an ended call was late")
	}
}

func TestStackEscapesTextOfAClient(t *testing.T) {
	checktest.Equal(t, printable([]byte("/a\x1b[31m\xff\"\\ é")), `/a\x1b[31m\xff"\\ \u00e9`)
}

func TestStackShowsStreamsThatWaitForTheirClient(t *testing.T) {
	r := loop.submit(t, &response{hold: true}, "GET /watches", "")
	shows(t, `request \d+, GET /watches .*, handler watches, streaming, waits for the client\n$`)
	loop.do(func() { loop.h.Cancel(r.ticket, 0) })
	<-r.done
	loop.release(r)
	checktest.Equalf(t, loop.get(t, "/was_gone").body.String(), "[True]", "at the end")
	if got := r.body.String(); !strings.HasPrefix(got, "False ") || strings.Contains(got, "True") {
		t.Errorf("disconnected() before: %.20q", got)
	}
}

func (d *driver) release(r *response) {
	d.do(func() {
		for i := range r.held {
			d.h.Release(&r.held[i])
		}
		r.held = nil
		d.spare = append(d.spare, r.ticket)
	})
}

func TestDisconnectedWorksOnOtherThreads(t *testing.T) {
	checktest.Equal(t, loop.get(t, "/disconnected_elsewhere").body.String(), "False")
}
