package programs_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
)

func shell(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

const plain = `printf 'Content-Type: text/plain\n\n'`

func TestProgramResponsesAreForwarded(t *testing.T) {
	scripts := map[string]string{
		"status.cgi": shell(
			`printf 'Status: 404 Gone Fishing\r\nContent-Type: text/x\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n` +
				`Connection: upgrade\r\n\r\nno'`),
		"full.cgi":     shell(`printf 'Location: http://other.example/x\n\n'`),
		"cookie.cgi":   shell(`printf 'Location: /there\nSet-Cookie: a=b\n\n'`),
		"local.cgi":    shell(`printf 'Location: /there?q=1\n\n'; echo ignored`),
		"around.cgi":   shell(`printf 'Location: /cgi/around.cgi\n\n'`),
		"not.cgi":      shell(`printf 'Status: 304\n\n'`),
		"empty.cgi":    shell(`printf 'Status: 201\n\n'`),
		"nph-raw.cgi":  shell(`printf 'HTTP/1.0 203 Mine\r\nServer: me\r\nContent-Type: text/raw\r\n\r\nraw'`),
		"long.cgi":     shell(`printf 'Content-Type: text/x\nContent-Length: 3\n\nabcdef'`),
		"lacking.cgi":  shell(`printf 'Content-Type: text/x\nContent-Length: 30\n\nabcdef'`),
		"silent.cgi":   shell(``),
		"notype.cgi":   shell(`printf 'X-A: b\n\nbody'`),
		"rubbish.cgi":  shell(`echo rubbish`),
		"cut.cgi":      shell(`printf 'Content-Type: text/x\n'`),
		"status1.cgi":  shell(`printf 'Status: 100\n\n'`),
		"folded.cgi":   shell(`printf 'Content-Type: text/x\n folded\n\n'`),
		"nph-bad.cgi":  shell(`printf 'Content-Type: text/x\n\n'`),
		"endless.cgi":  shell(`printf 'X: '; exec tr '\0' x </dev/zero`),
		"fields.cgi":   shell(`yes 'X-A: b'`),
		"noshebang":    "nothing to run",
		"missing.cgi":  "#!/no/such/interpreter\n",
		"windows.cgi":  "#!/bin/sh\r\nexit\r\n",
		"twostati.cgi": shell(`printf 'Status: 200\nStatus: 201\n\n'`),
	}
	s := newSite(t, scripts, nil)
	a := s.get("/cgi/status.cgi", 404)
	checktest.Truef(t, a.Status == "404 Gone Fishing" && a.Text == "no" && a.Header.Get("X-A") == "b" &&
		a.Header.Get("Connection") == "" && a.ContentLength == 2, "%s %v %q", a.Status, a.Header, a.Text)
	checktest.Equal(t, s.get("/cgi/full.cgi", 302).Header.Get("Location"), "http://other.example/x")
	checktest.Equal(t, s.get("/cgi/cookie.cgi", 302).Header.Get("Set-Cookie"), "a=b")
	checktest.Equal(t, s.get("/cgi/local.cgi", 200).Text, "there: q=1")
	s.get("/cgi/around.cgi", 502)
	s.get("/cgi/not.cgi", 304)
	checktest.Equalf(t, s.get("/cgi/empty.cgi", 201).ContentLength, 0, "Content-Length")
	a = s.get("/cgi/nph-raw.cgi", 203)
	checktest.Truef(t, a.Text == "raw" && a.Header.Get("Server") == "me" && a.Header.Get("Date") != "" &&
		a.ProtoMinor == 1, "%v %q", a.Header, a.Text)
	checktest.Equal(t, s.get("/cgi/long.cgi", 200).Text, "abc")
	a = s.get("/cgi/lacking.cgi", 200)
	checktest.Truef(t, a.Err != nil, "a body that is short of its length looks whole")
	for name, why := range map[string]string{
		"silent.cgi": "no response", "notype.cgi": "Content-Type", "rubbish.cgi": "invalid header line",
		"cut.cgi": "within its header", "status1.cgi": "status",
		"folded.cgi": "invalid header line", "nph-bad.cgi": "invalid status line", "endless.cgi": "exceeds",
		"fields.cgi":  "fields",
		"noshebang":   "exec format error; the first line of a script names its interpreter",
		"missing.cgi": "its interpreter /no/such/interpreter does not exist",
		"windows.cgi": "its lines end as on Windows; type sed -i", "twostati.cgi": "more than one status",
	} {
		s.get("/cgi/"+name, 502)
		s.log.Says(t, filepath.Join(s.directory, name)+": ")
		s.log.Says(t, why)
	}
	if a := s.ask("HEAD", "/cgi/status.cgi", ""); a.StatusCode != 404 || a.Text != "" || a.Header.Get("X-A") != "b" {
		t.Errorf("HEAD: %d %v %q", a.StatusCode, a.Header, a.Text)
	}
}

func TestProgramWhoseOutputIsDiscardedNeedNotEnd(t *testing.T) {
	s := newSite(t, map[string]string{
		"fast":  shell(plain, "exec yes"),
		"slow":  shell(plain, "while sleep 0.1; do echo x; done"),
		"local": shell(`printf 'Location: /there\n\n'`, "exec yes"),
	}, func(o *programs.CGIOptions) { o.Places = programs.NewPlaces(1, 1) })
	c := backendtest.Dial(t, s.addr)
	in := bufio.NewReader(c)
	for _, request := range []string{"HEAD /cgi/fast", "HEAD /cgi/slow", "GET /cgi/local", "GET /there"} {
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: a\r\n\r\n", request)
		method, _, _ := strings.Cut(request, " ")
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		checktest.Mustf(t, err, "%s", request)
		_, err = io.Copy(io.Discard, response.Body)
		checktest.Truef(t, err == nil && response.StatusCode == 200, "%s: %s, %v", request, response.Status, err)
	}
}

// After a local redirect, the client gets the response of the path in Location (RFC 3875 §6.2.2).
func TestLocalRedirectIsForwardedAsItArrives(t *testing.T) {
	s := newSite(t, map[string]string{
		"local":  shell(`printf 'Location: /cgi/stream\n\n'`),
		"stream": shell(plain, "printf first", "while [ ! -e go ]; do sleep 0.02; done", "printf second"),
	}, nil)
	c := backendtest.Dial(t, s.addr)
	io.WriteString(c, "GET /cgi/local HTTP/1.1\r\nHost: a\r\n\r\n")
	response := checktest.Try(http.ReadResponse(bufio.NewReader(c), nil)).Must(t)
	first := make([]byte, len("first"))
	_, err := io.ReadFull(response.Body, first)
	checktest.Needf(t, err == nil && string(first) == "first", "%q, %v", first, err)
	s.write("go", "", 0o644)
	rest, err := io.ReadAll(response.Body)
	checktest.Truef(t, err == nil && string(rest) == "second", "%q, %v", rest, err)
}

func TestOnlyProgramsInTheDirectoryAreRun(t *testing.T) {
	s := newSite(t, map[string]string{"a.cgi": shell(plain, "echo a"), "sub/b": shell(plain, "echo b$PATH_INFO")}, nil)
	s.write("data.txt", "secret", 0o644)
	s.write(".hidden", shell(plain, "echo hidden"), 0o755)
	outside := t.TempDir() + "/out.cgi"
	checktest.Must(t, os.WriteFile(outside, []byte(shell(plain, "echo out")), 0o755))
	for from, to := range map[string]string{"out.cgi": outside, "in.cgi": "a.cgi", "up": "..",
		"absolute.cgi": s.directory + "/a.cgi"} {
		checktest.Must(t, os.Symlink(to, filepath.Join(s.directory, from)))
	}
	checktest.Must(t, syscall.Mkfifo(filepath.Join(s.directory, "pipe.cgi"), 0o755))
	for target, status := range map[string]int{
		"a.cgi": 200, "in.cgi": 200, "absolute.cgi": 200, "sub/b/x/../y": 200, "sub/b/": 200, "./a.cgi": 200,
		"sub/../a.cgi": 200, "/a.cgi": 200,
		"": 403, "sub": 403, "sub/": 403, "data.txt": 403, "data.txt/x.cgi": 403, "pipe.cgi": 403,
		"out.cgi": 404, "up/a.cgi": 404, ".hidden": 404, "%2e%2e/a.cgi": 404, "no": 404,
	} {
		checktest.Truef(t, !strings.Contains(s.get("/cgi/"+target, status).Text, "secret"), "%s gives the text away", target)
	}
	none := newSite(t, map[string]string{"a.cgi": shell(plain, "echo a")}, func(o *programs.CGIOptions) {
		o.Links = static.LinksNo
	})
	checktest.Must(t, os.Symlink("a.cgi", none.directory+"/in.cgi"))
	none.get("/cgi/in.cgi", 404)
	none.get("/cgi/a.cgi", 200)
	owner := newSite(t, map[string]string{"real/a.cgi": shell(plain, "echo a")}, func(o *programs.CGIOptions) {
		o.Links = static.LinksOwner
	})
	checktest.Must(t, errors.Join(os.Symlink("real", owner.directory+"/middle"),
		os.Symlink("middle/a.cgi", owner.directory+"/in.cgi")))
	owner.get("/cgi/in.cgi", 200)
	if os.Lchown(owner.directory+"/middle", 65534, -1) == nil {
		owner.get("/cgi/in.cgi", 404)
	}
}

func TestProgramsAboveTheLimitGet503(t *testing.T) {
	s := newSite(t, map[string]string{"wait.cgi": shell("touch begun", "while [ ! -e go ]; do sleep 0.05; done",
		plain)}, func(o *programs.CGIOptions) { o.Places = programs.NewPlaces(1, 1) })
	answers := make(chan backendtest.Answer)
	ask := func() { answers <- s.ask("GET", "/cgi/wait.cgi", "") }
	go ask()
	checktest.Eventually(t, "the first runs", func() bool {
		_, err := os.Stat(s.directory + "/begun")
		return err == nil
	})
	for range 4 {
		go ask()
	}
	for range 3 {
		a := <-answers
		checktest.Truef(t, a.StatusCode == 503 && a.Header.Get("Retry-After") != "", "%d %v", a.StatusCode, a.Header)
	}
	s.write("go", "", 0o644)
	for range 2 {
		checktest.Equal(t, (<-answers).StatusCode, 200)
	}
}

// FuzzParseHead checks that each parsed head can be sent, and that parsing does not depend on how the input was split.
func FuzzParseHead(f *testing.F) {
	for _, seed := range []string{
		"Content-Type: text/html\n\nbody", "Status: 404 Not Found\r\nX: y\r\n\r\n", "Location: /a\n\n",
		"Location: http://a/\nStatus: 301\n\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\nraw", "\n", "a", ": x\n\n", "Content-Length: 12\n\n", "Status: 99\n\n",
		" folded\n\n", "A: b\rc\n\n",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		given := slices.Clone(data)
		h, n, err := programs.ParseHead(data, raw)
		checktest.Needf(t, bytes.Equal(given, data), "it changes its input")
		if err != nil {
			return
		}
		checktest.Needf(t, n > 0 && n <= len(data) && n <= programs.MaxHead+1, "n = %d of %d", n, len(data))
		checktest.Needf(t, h.Status >= 200 && h.Status <= 999 && h.Length >= -1 &&
			(!h.Local || h.Location != "" && h.Location[0] == '/'), "%+v", h)
		for line := range bytes.Lines(h.Fields) {
			text, ended := bytes.CutSuffix(line, []byte("\r\n"))
			name, _, ok := bytes.Cut(text, []byte(": "))
			checktest.Needf(t, ended && ok && len(name) > 0 && !bytes.ContainsAny(text, "\r\n\x00"), "field %q", line)
		}
		checktest.Needf(t, !bytes.ContainsAny(h.Reason, "\r\n\x00"), "reason %q", h.Reason)
		for _, cut := range []int{0, 1, n / 2, n - 1} {
			_, _, err := programs.ParseHead(data[:cut], raw)
			checktest.Needf(t, errors.Is(err, programs.ErrNeedMore), "%d of %d bytes: %v", cut, n, err)
		}
	})
}
