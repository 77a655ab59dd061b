package acceptance

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// SIGTERM: no new connections, idle ones close, what is in flight is finished,
// whatever it is: a handler, a stream, a large body to a slow client.
func TestStop(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := waiting(t, m)
		large, busy := s.dial(), s.dial()
		var idle []*wire
		for range 16 { // each worker has some
			w := s.dial()
			w.get("/")
			w.answer().is(t, "quick")
			idle = append(idle, w)
		}
		large.get("/large")
		body := large.head("GET").Body
		busy.get("/wait")
		fileSays(t, folder+"/entered", "yes")
		s.signal(syscall.SIGTERM)
		s.says("info stopping")
		if !m.inline() { // where the loop itself is in the handler
			for _, w := range idle { // all workers have been told
				w.closed()
			}
		}
		write(t, folder+"/go", "")
		if a := busy.answer().is(t, "waited"); !a.Close && !m.inline() {
			t.Error("no Connection: close")
		}
		busy.closed()
		if n, err := io.Copy(io.Discard, body); n != 30_000_000 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if code := s.ended(); code != 0 {
			t.Errorf("code %d", code)
		}
		if c, err := net.Dial("tcp", s.address); err == nil {
			c.Close()
			t.Error("somebody still listens")
		}
	})
}

// A request that has begun to arrive is finished too.
func TestStopInABody(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "entered.py")
		w := s.dial()
		w.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		w.head("POST") // 100
		s.signal(syscall.SIGTERM)
		s.says("info stopping")
		w.send("body")
		w.answer().is(t, "4 bytes")
		w.closed()
		s.ended()
	})
}

// Everything works over a unix socket.
func TestUnixSocket(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder, err := os.MkdirTemp("", "fapws") // names of sockets are short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		socket := folder + "/s"
		s := command{script: "environ.py", flags: append(m.flags, "--bind", "unix:"+socket)}.start(t)
		s.says(`(?m)unix:` + socket)
		w := dial(t, "unix", socket)
		w.send(request("POST", "/show/x", strings.Repeat("b", 300_000)))
		got := w.answer().want(t, 200).object(t)
		for key, want := range map[string]string{"REMOTE_ADDR": "", "PATH_INFO": "/x", "CONTENT_LENGTH": "300000"} {
			if got[key] != want {
				t.Errorf("%s: %q, want %q", key, got[key], want)
			}
		}
		if got["SERVER_NAME"] == "" || got["SERVER_PORT"] == "" { // PEP 3333
			t.Errorf("SERVER_NAME %q, SERVER_PORT %q", got["SERVER_NAME"], got["SERVER_PORT"])
		}
		s.signal(syscall.SIGTERM)
		s.ended()
		if _, err := os.Stat(socket); err == nil {
			t.Error("the socket's file is left")
		}
	})
}

func TestPortInUse(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "entered.py")
		code, _, said := command{script: "entered.py", flags: append(m.flags, "--bind", s.address)}.run(t)
		oneLine(t, said, "cannot listen on "+s.address+": address already in use")
		if code != 3 {
			t.Errorf("code %d, want 3", code)
		}
		s.get("/count", 200).is(t, "0")
	})
}

// What a program says after its answer is in the log, though the server ends
// meanwhile.
func TestStopHearsPrograms(t *testing.T) {
	for _, workers := range []string{"", "workers = 2\n"} {
		t.Run(workers, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.Chmod(write(t, folder+"/cgi/x", "#!/bin/sh\necho Content-Type: text/plain\necho\necho x\nexec >&-\nread line <go\necho at last >&2\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(folder+"/cgi/go", 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, folder+"/fapws.toml", "bind = '127.0.0.1:0'\nerror-log = 'errors'\n"+workers+"[[host]]\n[[host.route]]\nprefix = '/'\ncgi = 'cgi'\n")
			s := command{flags: []string{"-c", folder + "/fapws.toml"}, dir: folder}.start(t)
			s.address = s.stderr.await(t, bannerURL)[1]
			s.get("/x", 200).is(t, "x\n")
			s.signal(syscall.SIGTERM)
			program, err := os.OpenFile(folder+"/cgi/go", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(program)
			program.Close()
			s.ended()
			if text, err := os.ReadFile(folder + "/errors"); err != nil || !strings.Contains(string(text), "/cgi/x: at last\n") {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}
