package acceptance

import (
	"fmt"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

func TestScriptsProcess(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "process.py")

		t.Run("print", func(t *testing.T) { // stdout is a pipe
			for i := range 3 {
				s.get(fmt.Sprint("/print?", i), 200)
				s.stdout.await(t, regexp.MustCompile(fmt.Sprint("printed ", i, "\n")))
			}
		})
		t.Run("threads run while idle", func(t *testing.T) {
			ticks := func() int {
				n, err := strconv.Atoi(s.get("/ticks", 200).body)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			first := ticks()
			eventually(t, "a thread of the script has gone on", func() bool { return ticks() > first+3 })
		})
		t.Run("signals", func(t *testing.T) {
			s.signal(syscall.SIGUSR1)
			eventually(t, "SIGUSR1 was taken", func() bool { return s.get("/taken", 200).body == "[10]" })
			s.get("/alarm", 200)
			eventually(t, "SIGALRM was taken", func() bool { return s.get("/taken", 200).body == "[10, 14]" })
			s.signal(syscall.SIGHUP)
			s.signal(syscall.SIGPIPE)
			s.get("/taken", 200).is(t, "[10, 14]")
		})
		t.Run("children", func(t *testing.T) {
			w := s.dial()
			for range 3 {
				w.get("/fork?exits")
				w.answer().is(t, "7")
				w.get("/fork?raises")
				w.answer().want(t, 200)
				w.get("/fork?returns")
				if w.answer().want(t, 200).body == "from the child" {
					t.Error("a forked child answers")
				}
				w.get("/subprocess")
				w.answer().is(t, "42\nthrough a pipe")
			}
			w.get("/pid")
			w.answer().is(t, strconv.Itoa(s.cmd.Process.Pid))
		})
		s.complains = true // the child's SystemExit may be reported
	})
}

// What the script makes at import belongs to the thread that handlers run on,
// with one thread and inline.
func TestMainThread(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		flags := []string{"--threads", "1"}
		if m.inline() {
			flags = nil
		}
		s := serve(t, m, "process.py", flags...)
		for i := range 5 {
			s.get("/database", 200).is(t, strconv.Itoa(i+1))
			s.get("/main-thread", 200).is(t, "True")
		}
	})
}
