package acceptance

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ticks returns the CPU time of the processes that run handlers, in hundredths of
// a second.
func (s *server) ticks() (n int) {
	s.t.Helper()
	for _, pid := range s.handlers() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			s.t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		for _, at := range []int{11, 12} { // utime and stime of proc_pid_stat(5)
			used, _ := strconv.Atoi(strings.Fields(rest)[at])
			n += used
		}
	}
	return n
}

// TestLoadOpenFiles: the soft limit of open files becomes the hard one, in all
// processes, and so more clients than it allowed are served.
func TestLoadOpenFiles(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "crowd.py", shell: "ulimit -S -n 100", flags: []string{"--head-timeout", "120"}}.serve(t, m)
		for _, pid := range append(s.handlers(), s.cmd.Process.Pid) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
			if err != nil {
				t.Fatal(err)
			}
			limits := regexp.MustCompile(`(?m)^Max open files +(\d+) +(\d+)`).FindStringSubmatch(string(text))
			if limits == nil {
				t.Fatalf("process %d has no limit:\n%s", pid, text)
			}
			// Go takes one less than there is, by which it knows that it did so, and
			// gives the processes that it starts the old limit back.
			soft, _ := strconv.Atoi(limits[1])
			hard, _ := strconv.Atoi(limits[2])
			if soft < hard-1 || soft <= 100 {
				t.Errorf("process %d may open %d files, of %d", pid, soft, hard)
			}
		}
		var crowd []*wire
		for range 300 {
			crowd = append(crowd, s.dial())
		}
		for _, w := range crowd {
			w.get("/hello")
		}
		for _, w := range crowd {
			w.answer().is(t, "hello\n")
		}
	})
}

// TestLoadPrograms: programs for CGI get the limit with which fapws was started: many
// of them are not made for descriptors beyond 1024 (select(2)).
func TestLoadPrograms(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		write(t, folder+"/cgi-bin/limit", "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nulimit -S -n\n")
		if err := os.Chmod(folder+"/cgi-bin/limit", 0o755); err != nil {
			t.Fatal(err)
		}
		config := write(t, folder+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n")
		s := command{shell: "ulimit -S -n 100", flags: []string{"-c", config}}.serve(t, m)
		s.get("/cgi-bin/limit", 200).is(t, "100\n")
	})
}

// TestLoadNoDescriptors: without descriptors for more connections, the server waits
// without spinning, tells those who come that they shall come back, and is itself again
// when there are some.
func TestLoadNoDescriptors(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "crowd.py", shell: "ulimit -n 64", flags: []string{"--max-clients", "1000", "--head-timeout", "60"}}.serve(t, m)
		var idle []*wire
		for range 160 {
			idle = append(idle, s.dial())
		}
		s.says("cannot accept connections for now: too many open files")
		before := s.ticks()
		time.Sleep(2 * time.Second)
		if used := s.ticks() - before; used > 40 {
			t.Errorf("%d hundredths of a second of CPU in two seconds at the limit", used)
		}
		eventually(t, "somebody gets 503", func() bool {
			w := s.dial()
			defer w.Close()
			w.get("/hello")
			a := w.answer()
			if a.StatusCode == 503 && (a.Header.Get("Retry-After") != "1" || !a.Close || a.body != "Service Unavailable\n") {
				t.Errorf("%v %q", a.Header, a.body)
			}
			return a.StatusCode == 503
		})
		for _, w := range idle {
			w.Close()
		}
		for range 4 { // of all workers
			eventually(t, "all is well again", func() bool {
				w := s.dial()
				defer w.Close()
				w.get("/hello")
				return w.answer().StatusCode == 200
			})
		}
		if said := s.stderr.String(); strings.Count(said, "\n") > 40 {
			t.Errorf("it says so again and again:\n%s", said)
		}
	})
}

// TestLoadSlowClients: 500 clients that send heads and bodies byte by byte hold up
// no others, cost little memory, and get 408.
func TestLoadSlowClients(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		const clients = 500
		crowd := func(s *server) []*wire {
			if openFiles(s.t, s) < 1000 {
				s.t.Fatalf("at most %d open files are allowed here; a server of a crowd needs more (ulimit -n)", openFiles(s.t, s))
			}
			all := make([]*wire, clients)
			for i := range all {
				all[i] = slow(s, i)
			}
			return all
		}
		t.Run("wait", func(t *testing.T) {
			s := serve(t, m, "crowd.py", "--head-timeout", "1h", "--body-timeout", "1h", "--body-min-rate", "0")
			s.get("/hello", 200)
			memory := s.rss()
			crowd(s)
			for range 50 {
				s.get("/hello", 200).is(t, "hello\n")
			}
			if n := s.connections(); n < clients {
				t.Errorf("%d of %d connections", n, clients)
			}
			if grown := s.rss() - memory; grown > clients*24<<10 {
				t.Errorf("%d slow clients have taken %d bytes", clients, grown)
			}
		})
		t.Run("end", func(t *testing.T) {
			s := serve(t, m, "crowd.py", "--head-timeout", "2", "--body-timeout", "2", "--body-min-rate", "500")
			var all sync.WaitGroup
			for i, w := range crowd(s) {
				all.Go(func() {
					a, err := w.tries("")
					// On a busy machine, the time may be up before the first byte is sent: then there is no answer.
					for late := time.Now().Add(patience); err != nil && time.Now().Before(late); {
						a, err = slow(s, i).tries("")
					}
					if err != nil || a.StatusCode != 408 {
						t.Errorf("client %d got %v, %v", i, a, err)
					}
				})
			}
			all.Wait()
			eventually(t, "others are served", func() bool {
				a, err := s.dial().tries(get("/hello"))
				return err == nil && a.body == "hello\n"
			})
			eventually(t, "their descriptors are free", func() bool { return len(s.descriptors()) < 100 })
		})
	})
}

// slow connects a client that does not send all of its head or of its body.
func slow(s *server, i int) *wire {
	w := s.dial()
	if i%2 == 0 {
		io.WriteString(w.Conn, "GET /hello HTTP/1.1\r\nHo")
	} else {
		io.WriteString(w.Conn, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nb")
	}
	return w
}

func openFiles(t *testing.T, s *server) (n int) {
	t.Helper()
	text, err := os.ReadFile(s.proc("limits"))
	if err != nil {
		t.Fatal(err)
	}
	if limit := regexp.MustCompile(`(?m)^Max open files +(\d+)`).FindStringSubmatch(string(text)); limit != nil {
		n, _ = strconv.Atoi(limit[1])
	}
	return n
}

// TestLoadAb is `ab`, by which people measure servers, with many clients and
// nothing failed. FAPWS_AB="CLIENTS REQUESTS" is for longer (./build.sh load).
func TestLoadAb(t *testing.T) {
	ab, err := exec.LookPath("ab")
	if err != nil {
		t.Fatalf("%v (./build.sh test installs it)", err)
	}
	clients, requests, _ := strings.Cut(cmp.Or(os.Getenv("FAPWS_AB"), "200 4000"), " ")
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "crowd.py")
		for _, flags := range []string{"", "-k"} {
			before, memory := s.ticks(), s.rss()
			line := fmt.Sprintf("ulimit -n $(ulimit -H -n) && exec %s -q -s 60 -r %s -c %s -n %s %s/hello", ab, flags, clients, requests, s.url)
			out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
			said := string(out)
			if err != nil || !regexp.MustCompile(`(?m)^Failed requests: +0$`).MatchString(said) ||
				!regexp.MustCompile(`(?m)^Complete requests: +`+requests+`$`).MatchString(said) || strings.Contains(said, "Non-2xx") {
				t.Fatalf("%v\n%s", err, said)
			}
			t.Logf("ab %s -c %s -n %s: %s; %d.%02d s of CPU, %+d KB, %d descriptors after it", flags, clients, requests,
				regexp.MustCompile(`Requests per second: +\S+`).FindString(said), (s.ticks()-before)/100, (s.ticks()-before)%100,
				(s.rss()-memory)>>10, len(s.descriptors()))
		}
		eventually(t, "no connection is left", func() bool { return s.connections() == 0 })
	})
}
