package http_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"

	"golang.org/x/sys/unix"
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
	var crowd []*fapwstest.Client
	for range 300 {
		crowd = append(crowd, s.Dial())
	}
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
	var idle []*fapwstest.Client
	for range 160 {
		idle = append(idle, s.Dial())
	}
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
