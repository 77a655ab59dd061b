package process_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// TestIdleStop: the process with the application ends when no request needs it, and comes back for the next request, also if that has to
// wait; files and subscribers stay with the server.
func TestIdleStop(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, {Name: fapwstest.Workers.Name, Flags: []string{"--workers", "1"}}}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		file := folder + "/loads"
		fapwstest.Write(t, folder+"/a.txt", "a file")
		fapwstest.Write(t, file+".go", "")
		s := fapwstest.Command{Script: "sleeps.py", Args: []string{file}, Complains: true, Flags: []string{
			"--fork", "--idle-stop", "50ms", "--start-wait", "1h", "--static", "/files=" + folder,
		}}.Serve(t, m)
		asleep := func() {
			t.Helper()
			fapwstest.Eventually(t, "the application has ended", func() bool {
				_, said, _ := s.Ctl("status")
				return strings.Contains(said, "asleep") && len(forkServers(s)) == 0
			})
		}
		goes := func(why string) {
			t.Helper()
			if err := os.Rename(fapwstest.Write(t, file+".why", why), file+".go"); err != nil {
				t.Fatal(err)
			}
		}
		news := s.Dial()
		news.Get("/news")
		if r := news.Head("GET"); r.StatusCode != 200 {
			t.Fatalf("status %d", r.StatusCode)
		}
		asleep()
		s.Get("/files/a.txt", 200).Is(t, "a file")
		asleep()

		large := strings.Repeat("x", 1<<20)
		s.Ask(fapwstest.Request("POST", "/publish", large)).Is(t, "1048576")
		for line := ""; line != "data: from POST\n"; {
			var err error
			if line, err = news.In.ReadString('\n'); err != nil {
				t.Fatalf("the subscriber: %v", err)
			}
		}
		asleep()

		if err := os.Remove(file + ".go"); err != nil {
			t.Fatal(err)
		}
		w := s.Dial()
		w.Get("/")
		s.Get("/", 503, page).Field(t, "Retry-After", "1").Want(t, 503, refresh)
		goes("")
		w.Answer().Is(t, "hello")
		asleep()

		goes("no database")
		s.Get("/", 503).Want(t, 503, "the application failed to load")
		s.Says("RuntimeError: no database")
		goes("")
		fapwstest.Eventually(t, "it has loaded again", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	})
}

// TestIdleStopOfEveryHandler: handlers of all kinds, on threads and inline, are in a process that ends when nothing needs it and comes back.
// Subscribers stay, a WebSocket keeps it awake, and a process that dies is started again.
func TestIdleStopOfEveryHandler(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, {Name: fapwstest.Workers.Name, Flags: []string{"--workers", "1"}}}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "handlers.py", Complains: true, Flags: []string{"--idle-stop", "50ms", "--start-wait", "1h"}}.Serve(t, m)
		asleep := func() {
			t.Helper()
			fapwstest.Eventually(t, "the application has ended", func() bool {
				_, said, _ := s.Ctl("status")
				return strings.Contains(said, "asleep") && len(s.Children()) == 0
			})
		}
		event := func(of *fapwstest.Client, data string) {
			t.Helper()
			for line := ""; line != "data: "+data+"\n"; {
				var err error
				if line, err = of.In.ReadString('\n'); err != nil {
					t.Fatalf("the subscriber: %v", err)
				}
			}
		}
		asleep()
		news, hall := s.Dial(), s.Dial()
		for target, of := range map[string]*fapwstest.Client{"/news": news, "/hall": hall} {
			of.Get(target)
			if r := of.Head("GET"); r.StatusCode != 200 {
				t.Fatalf("%s: status %d", target, r.StatusCode)
			}
		}
		event(hall, "somebody has joined")
		asleep()

		large := strings.Repeat("x", 1<<20)
		s.Ask(fapwstest.Request("POST", "/publish", large)).Is(t, "1048576")
		event(news, "from POST")
		asleep()
		text := strings.Fields(s.Get("/", 200, "X-Field: a", "X-Forwarded-For: 192.0.2.1", "Remote-Addr: 192.0.2.1").Text)
		if len(text) != 4 || text[1] != "127.0.0.1" || text[2] != "a" || text[3] != "1" {
			t.Errorf("the application sees %q", text)
		}
		var want strings.Builder
		for n := range 64 {
			want.WriteString(strings.Repeat(fmt.Sprint(n%10), 64<<10))
		}
		if got := s.Get("/pieces", 200).Text; got != want.String() {
			t.Errorf("a response of %d bytes, want %d", len(got), want.Len())
		}
		asleep()
		s.Ask(fapwstest.Chunked("POST", "/echo", large, 10_000)).Is(t, large)
		asleep()
		for range 2 {
			s.Ask(fapwstest.Request("PUT", "/upload", large)).Is(t, fmt.Sprintf("%x", sha256.Sum256([]byte(large))))
			asleep()
		}

		socket := dialSocket(t, s, "/echo")
		says := func(c *wstest.Client, message string) string {
			t.Helper()
			if err := c.SendText(message); err != nil {
				t.Fatal(err)
			}
			_, answer, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			return string(answer)
		}
		first := says(socket, "hello")
		for range 3 { // each status comes from a process of its own, so this takes longer than the application may be idle
			if _, said, _ := s.Ctl("status"); strings.Contains(said, "asleep") {
				t.Fatalf("asleep beside a WebSocket: %s", said)
			}
		}
		if again := says(socket, "hello"); again != first {
			t.Errorf("%q, and then %q", first, again)
		}
		if _, err := socket.CloseWith(1000, ""); err != nil {
			t.Error(err)
		}
		asleep()
		room := dialSocket(t, s, "/room")
		if got := says(room, "to all"); got != "to all" {
			t.Errorf("the group gets %q", got)
		}
		if code, out, _ := s.Ctl("stack"); code != 0 || !strings.Contains(out, "GET /room") {
			t.Errorf("ctl stack: code %d, %q", code, out)
		}
		if _, err := room.CloseWith(1000, ""); err != nil {
			t.Error(err)
		}

		s.Get("/dies", 502)
		s.Says(`the application was killed by signal 9 \(killed.*\) and lost 1 request; the next one starts it again`)
		w := s.Dial()
		w.Get("/dies?late")
		begin := make([]byte, len("begin"))
		if _, err := io.ReadFull(w.Head("GET").Body, begin); err != nil || string(begin) != "begin" {
			t.Errorf("got %q, %v", begin, err)
		}
		for pid := range s.Children() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		w.Closed()
		s.Get("/", 200, "X-Field: a")
		asleep()
	})
}

func dialSocket(t *testing.T, s *fapwstest.Server, path string) *wstest.Client {
	t.Helper()
	c, err := wstest.Dial(s.Address, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
