package http_test

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

func TestLoadRaisesTheSoftLimitOfOpenFilesInAllProcesses(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "crowd.py", Shell: "ulimit -S -n 100",
		Flags: []string{"--head-timeout", "120"}}.Serve(t, fapwstest.Workers)
	for _, pid := range append(s.Handlers(), s.Cmd.Process.Pid) {
		// Go raises the soft limit of open files to one less than the hard limit. Child processes get the original
		// limit.
		soft, hard := openFiles(t, pid)
		fapwstest.Truef(t, soft >= hard-1 && soft > 100, "process %d may open %d files, of %d", pid, soft, hard)
	}
	crowd := s.DialMany(300)
	for _, w := range crowd {
		w.Get("/hello")
	}
	for _, w := range crowd {
		w.Answer().Is(t, "hello\n")
	}
}

func TestLoadLeavesProgramsTheOriginalLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.WriteProgram(t, folder+"/cgi-bin/limit",
		"#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nulimit -S -n\n")
	config := fapwstest.Write(t, folder+"/fapws.toml",
		"[[host]]\n[[host.route]]\nprefix = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n")
	s := fapwstest.Command{Shell: "ulimit -S -n 100", Flags: []string{"-c", config}}.Serve(t, fapwstest.Workers)
	s.Get("/cgi-bin/limit", 200).Is(t, "100\n")
}

func TestLoadWithoutDescriptorsIsAnswered503WithoutSpinning(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "crowd.py", Shell: "ulimit -n 64",
		Flags: []string{"--max-clients", "1000", "--head-timeout", "60"}}.Serve(t, fapwstest.Threads)
	idle := s.DialMany(160)
	s.Says("cannot accept connections for now: too many open files")
	fapwstest.Eventually(t, "at the limit it takes little CPU in two seconds", func() bool {
		before := s.ProcessorTime()
		time.Sleep(2 * time.Second)
		return s.ProcessorTime()-before <= 400*time.Millisecond
	})
	fapwstest.Eventually(t, "a client gets 503", func() bool {
		w := s.Dial()
		defer w.Close()
		a := w.Fetch("/hello")
		fapwstest.Truef(t, a.StatusCode != 503 || (a.Header.Get("Retry-After") == "1" && a.Close &&
			strings.Contains(a.Text, "Too many clients are connected")), "%v %q", a.Header, a.Text)
		return a.StatusCode == 503
	})
	for _, w := range idle {
		w.Close()
	}
	fapwstest.Eventually(t, "all is well again", func() bool {
		w := s.Dial()
		defer w.Close()
		return w.Fetch("/hello").StatusCode == 200
	})
	said := s.Stderr.String()
	fapwstest.Truef(t, strings.Count(said, "\n") <= 40, "it says so again and again:\n%s", said)
}

func TestLoadOfSlowClientsNeitherDelaysOthersNorFillsMemory(t *testing.T) {
	t.Parallel()
	const clients = 500
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--head-timeout", "1h", "--body-timeout", "1h",
		"--body-min-rate", "0")
	s.Get("/hello", 200)
	if soft, _ := openFiles(t, s.Cmd.Process.Pid); soft < 1000 {
		t.Fatalf("at most %d open files are allowed here; a server of a crowd needs more (ulimit -n)", soft)
	}
	memory := s.RSS()
	for i := range clients {
		slow(s, i)
	}
	for range 50 {
		s.Get("/hello", 200).Is(t, "hello\n")
	}
	n := connections(s)
	fapwstest.Truef(t, n >= clients, "%d of %d connections", n, clients)
	fapwstest.Eventually(t, "slow clients take little memory", func() bool { return s.RSS()-memory <= clients*24<<10 })
}

func slow(s *fapwstest.Server, i int) {
	w := s.Dial()
	if i%2 == 0 {
		w.Send("GET /hello HTTP/1.1\r\nHo")
	} else {
		w.Send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nb")
	}
}

func openFiles(t *testing.T, pid int) (soft, hard uint64) {
	t.Helper()
	var limit unix.Rlimit
	fapwstest.Must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
	return limit.Cur, limit.Max
}

// The environment variable FAPWS_AB="CLIENTS REQUESTS" contains the numbers for `ab` (see `build.sh load`).
func TestLoadOfAbCompletesWithoutFailures(t *testing.T) {
	ab, err := exec.LookPath("ab")
	fapwstest.Needf(t, err == nil, "%v (./build.sh test installs it)", err)
	clients, requests, _ := strings.Cut(cmp.Or(os.Getenv("FAPWS_AB"), "200 4000"), " ")
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "crowd.py")
		for _, flags := range []string{"", "-k"} {
			before, memory := s.ProcessorTime(), s.RSS()
			line := fmt.Sprintf("ulimit -n $(ulimit -H -n) && exec %s -q -s 60 -r %s -c %s -n %s %s/hello", ab, flags,
				clients, requests, s.URL)
			out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
			said := string(out)
			fapwstest.Needf(t, err == nil && regexp.MustCompile(`(?m)^Failed requests: +0$`).MatchString(said) &&
				regexp.MustCompile(`(?m)^Complete requests: +`+requests+`$`).MatchString(said) &&
				!strings.Contains(said, "Non-2xx"), "%v\n%s", err, said)
			t.Logf("ab %s -c %s -n %s: %s; %v of CPU, %+d KB, %d descriptors after it", flags, clients, requests,
				regexp.MustCompile(`Requests per second: +\S+`).FindString(said), s.ProcessorTime()-before,
				(s.RSS()-memory)>>10, len(s.Descriptors()))
		}
		fapwstest.Eventually(t, "no connection is left", func() bool { return connections(s) == 0 })
	})
}

func connections(s *fapwstest.Server) (n int) {
	s.T.Helper()
	text := fapwstest.Read(s.T, "/proc/net/tcp")
	_, port, _ := strings.Cut(s.Address, ":")
	number, _ := strconv.Atoi(port)
	local := fmt.Sprintf("0100007F:%04X", number)
	const established = "01"
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == established {
			n++
		}
	}
	return n
}

func TestHandlersRunInParallelOnThreadsOfOneProcess(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--threads", "8")
	pid := strconv.Itoa(s.Cmd.Process.Pid)
	for _, path := range []string{"/together", "/wait"} {
		began := time.Now()
		var all sync.WaitGroup
		for range 8 {
			w := s.Dial()
			all.Go(func() { w.Fetch(path, "Connection: close").Is(t, pid) })
		}
		all.Wait()
		took := time.Since(began)
		fapwstest.Truef(t, path != "/wait" || took >= time.Second, "8 requests of a second took %v", took)
	}
	fapwstest.Equalf(t, len(s.Family()), 1, "processes")
}

func TestIdleWorkerAcceptsANewConnection(t *testing.T) {
	t.Parallel()
	const workers = 3
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--threads", "1", "--workers", strconv.Itoa(workers))
	late := func(path string) (late bool) {
		folder := t.TempDir()
		var crowd []*fapwstest.Client
		for i := range workers {
			crowd = append(crowd, s.DialSend(fapwstest.Get(path+"?"+folder, "Connection: close")))
			fapwstest.Eventually(t, "a worker has the request, or none has in time", func() bool {
				inside, _ := os.ReadDir(folder)
				late = late || slices.ContainsFunc(inside, func(e os.DirEntry) bool { return e.Name() == "late" })
				return len(inside) > i || late
			})
		}
		for _, w := range crowd {
			w.Answer().Want(t, 200)
		}
		return late
	}
	for _, path := range []string{"/whole", "/everywhere"} {
		fapwstest.Eventually(t, "all workers serve", func() bool { return !late(path) })
		rounds := 0
		for range 12 {
			if late(path) {
				rounds++
			}
		}
		// A round is late if a request had to wait for a busy worker. If busy workers accepted connections, nine of
		// twelve rounds would be late. On a busy machine, a few rounds are late for other reasons.
		fapwstest.Truef(t, rounds <= 4, "%s: in %d of 12 rounds a request waited for a worker that was busy", path, rounds)
	}
}

func TestLoadBeyondMaxClientsWaitsInOrderOfArrival(t *testing.T) {
	t.Parallel()
	for _, most := range []int{4, 1} {
		s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--max-clients", strconv.Itoa(most))
		const clients = 20
		var crowd []*fapwstest.Client
		var want []string
		for i := range clients {
			w := s.DialSend(fapwstest.Get(fmt.Sprint("/enter?", i), "Connection: close"))
			crowd, want = append(crowd, w), append(want, strconv.Itoa(i))
		}
		for _, w := range crowd {
			w.Answer().Is(t, "entered")
		}
		at, order, _ := strings.Cut(s.Get("/seen", 200).Text, " ")
		n, _ := strconv.Atoi(at)
		fapwstest.Truef(t, n >= 1 && n <= most, "%s handlers ran at the same time, with --max-clients %d", at, most)
		came := strings.Split(order, ",")
		fapwstest.Truef(t, len(came) == clients && (most != 1 || slices.Equal(came, want)),
			"with --max-clients %d they were served in the order %s", most, order)
	}
}

func TestLoadBeyondMaxClientsGets503IfConfigured(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "crowd.py", "--max-clients", "3", "--max-clients-action", "503",
		"--keep-alive", "1h")
	var inside []*fapwstest.Client
	for range 3 {
		w := s.Dial()
		w.Fetch("/hello").Is(t, "hello\n")
		// Leave the request incomplete, because the server closes idle connections when other clients connect.
		w.Send("POST /hello HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
		inside = append(inside, w)
	}
	for range 20 {
		w := s.Dial()
		a := w.Fetch("/hello")
		a.Want(t, 503)
		fapwstest.Truef(t, a.Header.Get("Retry-After") == "1" && a.Close, "header %v", a.Header)
		fapwstest.Equal(t, a.Text, "Too many clients are connected to this server. Please try again in a moment.\n")
		w.Closed()
	}
	for _, w := range inside {
		w.Send("x")
		w.Answer().Is(t, "hello\n")
	}
	fapwstest.Eventually(t, "an idle connection closes, and the next client has its place", func() bool {
		w := s.Dial()
		defer w.Close()
		a, err := w.Tries(fapwstest.Get("/hello"))
		return err == nil && a.StatusCode == 200
	})
}

func TestManyIdleClientsNeedAlmostNoCPUTime(t *testing.T) {
	t.Parallel()
	var lim unix.Rlimit
	fapwstest.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	// The clients are in the test's process, so its limit of descriptors limits their number. The keep-alive timeout is
	// long, so that no connection closes while other clients connect.
	s := fapwstest.Command{Script: "ancestors.py", Flags: []string{"--keep-alive", "1h"}}.Serve(t, fapwstest.Inline)
	idle := make([]*fapwstest.Client, min(2_000, int(lim.Cur/4*3)-200))
	for i := range idle {
		idle[i] = s.Dial()
		idle[i].Get("/")
		idle[i].Answer().Is(t, "hello")
	}
	used := func() float64 { return fapwstest.Try(strconv.ParseFloat(s.Get("/cpu", 200).Text, 64)).Must(t) }
	// Repeat the check, because the server also uses the CPU while it releases memory.
	fapwstest.Eventually(t, fmt.Sprintf("%d idle clients take little of three seconds", len(idle)), func() bool {
		before := used()
		time.Sleep(3 * time.Second)
		return used()-before <= 0.06
	})
	last := idle[len(idle)-1]
	last.SetDeadline(time.Now().Add(fapwstest.Patience))
	last.Fetch("/").Is(t, "hello")
}

func TestSlowSocketGetsEveryByte(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ancestors.py")
		want := s.Get("/digest", 200).Text
		for _, target := range []string{"/large", "/pieces"} {
			c, err := (&net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
				return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
			}}).Dial("tcp", s.Address)
			fapwstest.Must(t, err)
			w := fapwstest.NewClient(t, c)
			w.Send("GET ", target, " HTTP/1.0\r\n\r\n")
			sum := md5.New()
			n, err := io.CopyBuffer(sum, struct{ io.Reader }{w.Head("GET").Body}, make([]byte, 777))
			got := hex.EncodeToString(sum.Sum(nil))
			fapwstest.Truef(t, err == nil && got == want, "%s: %d bytes, %v, md5 %s, want %s", target, n, err, got, want)
			c.Close()
			gone := s.DialGet(target)
			gone.Head("GET")
			gone.Reset()
		}
		s.Get("/", 200).Is(t, "hello")
	})
}

func TestClientThatKeepsSendingRequestsIsNotDisconnected(t *testing.T) {
	t.Parallel()
	checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ancestors.py", "--keep-alive", timeout.String(), "--head-timeout",
			timeout.String())
		active := s.Dial()
		for range 24 {
			time.Sleep(timeout / 12)
			if a, err := active.Tries(fapwstest.Get("/")); err != nil || a.Text != "hello" {
				return fmt.Sprintf("a client that asks again and again gets %v, %v", a, err)
			}
		}
		return ""
	})
}

func TestLongestIdleConnectionClosesWhenAnotherClientWaits(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py", "--max-clients", "4", "--keep-alive", "1h", "--head-timeout",
		"1h", "--h2c")
	working := s.DialSend("POST /begins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	response := working.Head("POST")
	var clients []*fapwstest.Client
	for _, begins := range []func(w *fapwstest.Client){
		func(w *fapwstest.Client) { w.Fetch("/say?kept").Is(t, "GET kept") },
		func(w *fapwstest.Client) { w.Send("G") },
		func(*fapwstest.Client) {},
		func(w *fapwstest.Client) {
			w.Send(http2.ClientPreface)
			framer := http2.NewFramer(w.Conn, w.In)
			fapwstest.Must(t, framer.WriteSettings())
			_, err := framer.ReadFrame()
			fapwstest.Equal(t, err, nil)
		},
		func(w *fapwstest.Client) {
			w.Ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n").Want(t, 400)
		},
		func(w *fapwstest.Client) { w.Fetch("/say?6").Is(t, "GET 6") },
		func(w *fapwstest.Client) { w.Fetch("/say?7").Is(t, "GET 7") },
		func(w *fapwstest.Client) { w.Fetch("/say?8").Is(t, "GET 8") },
		func(w *fapwstest.Client) { w.Fetch("/say?9").Is(t, "GET 9") },
	} {
		w := s.Dial()
		begins(w)
		clients = append(clients, w)
	}
	for i, w := range clients[:6] {
		_, err := io.Copy(io.Discard, w.In)
		fapwstest.Truef(t, err == nil, "client %d: %v", i+1, err)
	}
	clients[8].Fetch("/say?again").Is(t, "GET again")
	working.Send("1\r\na\r\n0\r\n\r\n")
	if text, err := io.ReadAll(response.Body); err != nil || string(text) != "begunended" {
		t.Errorf("the response of the oldest connection: %q, %v", text, err)
	}
}
