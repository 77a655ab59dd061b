package pybridge

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// asgi sends a request to the ASGI application of testdata/asgi.py.
func asgi(t testing.TB, line, body string, fields ...string) *response {
	t.Helper()
	r := submitASGI(t, &response{}, line, body, fields...)
	<-r.done
	return r
}

func submitASGI(t testing.TB, r *response, line, body string, fields ...string) *response {
	t.Helper()
	mount := loop.app.Mounts(asgiApp)[0].Index
	return loop.submitAs(t, r, func(string) (int, int) { return mount, 0 }, line, []byte(body), -1, fields...)
}

// handler sends a request to the entry of PATHS of testdata/asgi.py that line names.
func handler(t testing.TB, line, body string) *response {
	t.Helper()
	r := submitHandler(t, &response{}, line, body)
	<-r.done
	return r
}

func submitHandler(t testing.TB, r *response, line, body string) *response {
	t.Helper()
	return loop.submitAs(t, r, func(path string) (int, int) {
		for _, m := range loop.app.Mounts(asyncPaths) {
			if path == m.Prefix || strings.HasPrefix(path, m.Prefix+"/") {
				return m.Index, len(m.Prefix)
			}
		}
		t.Fatal("no mount for ", path)
		return 0, 0
	}, line, []byte(body), -1)
}

// events returns what the applications have noted since the last call, when there
// are as many as that.
func events(t testing.TB, n int) (list []string) {
	t.Helper()
	for until := time.Now().Add(generous); ; time.Sleep(time.Millisecond) {
		var more []string
		if err := json.Unmarshal(handler(t, "GET /events", "").body.Bytes(), &more); err != nil {
			t.Fatal(err)
		}
		if list = append(list, more...); len(list) >= n || time.Now().After(until) {
			return list
		}
	}
}

func same(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The TLS extension has what was agreed on, and the client's certificates.
func TestASGITLS(t *testing.T) {
	defer func() { loop.change = nil }()
	for range 3 {
		for _, c := range []struct {
			peer *exchange.Peer
			want string
		}{
			{testPeer, `"none"`},
			{tlsPeer("SSL_PROTOCOL=TLSv1.3\x00"), `{"cipher_suite": 4865, "client_cert_chain": [], "client_cert_error": null, "client_cert_name": null, "server_cert": "own", "tls_version": 772}`},
			{tlsPeer("SSL_CLIENT_S_DN=CN=\u00e4\x00SSL_CLIENT_S_DN_CN=x\x00SSL_CLIENT_CERT=one\x00SSL_CLIENT_CERT_CHAIN_0=two\x00"), `{"cipher_suite": 4865, "client_cert_chain": ["one", "two"], "client_cert_error": null, "client_cert_name": "CN=\u00e4", "server_cert": "own", "tls_version": 772}`},
			{tlsPeer("SSL_CLIENT_VERIFY=SUCCESS\x00SSL_CLIENT_S_DN=CN=x\x00SSL_CLIENT_CERT=one\x00"), `{"cipher_suite": 4865, "client_cert_chain": ["one"], "client_cert_error": null, "client_cert_name": "CN=x", "server_cert": "own", "tls_version": 772}`},
			{tlsPeer("SSL_CLIENT_VERIFY=FAILED:expired\x00SSL_CLIENT_S_DN=CN=x\x00SSL_CLIENT_CERT=one\x00"), `{"cipher_suite": 4865, "client_cert_chain": ["one"], "client_cert_error": "expired", "client_cert_name": "CN=x", "server_cert": "own", "tls_version": 772}`},
		} {
			loop.change = func(r *exchange.Request) { r.Peer = c.peer }
			same(t, asgi(t, "GET /tls", "").body.String(), c.want)
		}
	}
}

// TestASGIBody: a body comes as it arrives, whole, in a file, or in pieces for which
// credit is given back.
func TestASGIBody(t *testing.T) {
	spool, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("0123456789abcdef", 20000)
	spool.WriteString(content)
	mount := loop.app.Mounts(asgiApp)[0].Index
	fd, _ := syscall.Dup(int(spool.Fd()))
	r := loop.submitAs(t, &response{}, func(string) (int, int) { return mount, 0 }, "POST /echo", nil, fd)
	<-r.done
	if r.body.String() != content || r.fields != "x-pieces: 5\r\n" {
		t.Error("a body in a file:", r.body.Len(), r.fields)
	}

	loop.change = func(q *exchange.Request) { q.More, q.Body, q.Size = true, []byte("begin,"), -1 }
	r = submitASGI(t, &response{}, "POST /echo", "")
	loop.change = nil
	given, credit := 0, 0
	for i := range 100 {
		loop.do(func() {
			data := []byte(strings.Repeat(strconv.Itoa(i%10), 1000))
			given += len(data) + exchange.InputCost
			loop.h.Deliver(exchange.Input{Ticket: r.ticket, Data: data, Last: i == 99})
			loop.h.Flush()
			loop.drain()
		})
	}
	<-r.done
	credit = int(r.credit)
	if r.body.Len() != 6+100000 || !strings.HasPrefix(r.body.String(), "begin,000") || r.fields != "x-pieces: 101\r\n" {
		t.Error("a body in pieces:", r.body.Len(), r.fields)
	}
	if given-credit > exchange.InputWindow/8 || credit > given {
		t.Error("credit for", credit, "of", given)
	}
}

func TestASGIFailures(t *testing.T) {
	for _, c := range []struct {
		path, said, body string
		status           int
		failed           bool
	}{
		{"/raise", "ValueError: boom\n", "Internal Server Error", 500, false},
		{"/raise_later", "ValueError: boom later\n", "begun", 200, true},
		{"/nothing", "GET /nothing HTTP/1.1 from 192.0.2.1: the application returned without a response\n", "Internal", 500, false},
		{"/head_only", "returned after 'http.response.start', without 'http.response.body'\n", "Internal", 500, false},
		{"/half", "returned before the end of its response ('more_body' was true)\n", "half", 200, true},
		{"/short", "body has 3 bytes, but its Content-Length is 10\n", "abc", 200, true},
		{"/long", "body exceeds its Content-Length of 3; truncated\n", "abc", 200, false},
		{"/no_file", "FileNotFoundError: [Errno 2] No such file or directory: ", "Internal", 500, false},
		{"/cancelled", "CancelledError", "Internal", 500, false},
	} {
		var r *response
		said := captured(t, func() { r = asgi(t, "GET "+c.path, "") })
		if !strings.Contains(said, c.said) || !strings.Contains(r.body.String(), c.body) || r.head.Status != c.status || r.failed != c.failed {
			t.Errorf("%s: %d, failed %v, %q, said %s", c.path, r.head.Status, r.failed, r.body.String(), said)
		}
		if strings.Contains(said, "never retrieved") || strings.Contains(said, "contrib/fapws") {
			t.Errorf("%s: said %s", c.path, said)
		}
	}
	events(t, 0)
	var noted []string
	said := captured(t, func() {
		same(t, asgi(t, "GET /raise_after", "").body.String(), "whole")
		noted = events(t, 2)
		asgi(t, "GET /hello", "") // behind what is said of the other
	})
	if !strings.Contains(said, " error in handler asgi:app, GET /raise_after from 192.0.2.1, after the end of its response\n") || !strings.Contains(said, "ValueError: boom after\n") {
		t.Error(said)
	}
	same(t, strings.Join(noted, ", "), "http.disconnect, send(): unexpected 'http.response.start': the response is complete")
}

// TestASGITrailers: those that http1 does not allow behind a body are errors, also in another case, and nothing of their message is sent.
func TestASGITrailers(t *testing.T) {
	var names []string
	for _, name := range append([]string{"X-Sum", "Content-Digest", "Server-Timing", "ETag", "Iff", "Aged"}, http1.NotTrailers...) {
		if strings.HasSuffix(name, "-") {
			name += "Type"
		}
		names = append(names, name, strings.ToUpper(name))
	}
	want := ""
	for _, name := range names {
		if http1.ValidTrailer(name) {
			want += name + ": 1\r\n"
		}
	}
	if len(want) == 0 || strings.Contains(want, "ookie") {
		t.Error(want)
	}
	r := asgi(t, "GET /trailers?"+strings.Join(names, ","), "", "TE: trailers")
	same(t, r.body.String()+"|"+r.behind, "hello|"+want)
	if r.head.Length != -1 || r.failed {
		t.Error("length", r.head.Length, "failed", r.failed)
	}
	most := strings.Repeat("X-A,", http1.MaxTrailers-1) + "X-A"
	same(t, asgi(t, "GET /trailers?"+most+",X-B", "", "TE: trailers").behind, strings.Repeat("X-A: 1\r\n", http1.MaxTrailers))
	name := strings.Repeat("x", http1.MaxTrailerBytes/2-len(": 1\r\n"))
	same(t, asgi(t, "GET /trailers?large", "", "TE: trailers").behind, strings.Repeat(name+": 1\r\n", 2))
	r = asgi(t, "GET /trailers?X-Sum", "") // nothing waits for trailers that are not sent
	same(t, r.body.String()+"|"+r.behind, "hello|")
	if r.head.Length != 5 {
		t.Error("length", r.head.Length)
	}
}

// TestASGIDisconnect: a client that disconnects is noticed at once, and data sent to it
// raises an OSError, of which the server says nothing.
func TestASGIDisconnect(t *testing.T) {
	events(t, 0)
	for _, half := range []bool{false, true} {
		var r *response
		said := captured(t, func() {
			r = submitASGI(t, &response{}, "GET /wait", "")
			same(t, strings.Join(events(t, 1), " "), "waits")
			loop.do(func() {
				if half {
					loop.h.Deliver(exchange.Input{Ticket: r.ticket, Op: exchange.OpClose})
				} else {
					loop.h.Cancel(r.ticket, 0)
				}
				loop.h.Flush()
				loop.drain()
			})
			<-r.done
		})
		want, body := "http.disconnect http.disconnect OSError", ""
		if half { // it may still read
			want, body = "http.disconnect http.disconnect", "late"
		}
		same(t, strings.Join(events(t, 2), " "), want)
		same(t, said+r.body.String(), body)
	}
}

// TestASGIBackPressure: an application is not further ahead of its client than the
// window, and goes on when that has read.
func TestASGIBackPressure(t *testing.T) {
	for _, submit := range []func() *response{
		func() *response { return submitASGI(t, &response{hold: true}, "GET /flood", "") },
		func() *response { return submitHandler(t, &response{hold: true}, "GET /endless", "") },
	} {
		r := submit()
		size := func() (n int) {
			loop.do(func() { n = r.body.Len() })
			return n
		}
		for last := -1; last != size(); {
			last = size()
			for range 20 {
				asgi(t, "GET /hello", "")
			}
		}
		if n := size(); n > 600<<10 || n < 100<<10 {
			t.Errorf("%d bytes were made for a client that reads none", n)
		}
		release := func() {
			loop.do(func() {
				for i := range r.held {
					loop.h.Release(&r.held[i])
				}
				r.held = nil
				loop.h.Flush()
				loop.drain()
			})
		}
		for size() < 3<<20 {
			release()
		}
		loop.do(func() { loop.h.Cancel(r.ticket, 0) })
		for ended := false; !ended; {
			release()
			select {
			case <-r.done:
				ended = true
			default:
			}
		}
		release()
		loop.do(func() { loop.spare = append(loop.spare, r.ticket) })
	}
	same(t, strings.Join(events(t, 1), " "), "endless closed")
}

func TestAsyncHandlers(t *testing.T) {
	source, _ := os.ReadFile("testdata/asgi.py")
	for line, want := range map[string]string{
		"GET /text/of": "text of /of", "GET /fields": "onetwo", "GET /json": `{"a":1}`, "GET /file": string(source),
		"GET /plain_generator": "0,1,2,3,4,", "GET /generator": "0,1,2,3,4,", "GET /verbs": "got", "POST /verbs": "posted",
		"GET /double": "double", "POST /body": "a body",
	} {
		body := ""
		if line == "POST /body" {
			body = "a body"
		}
		if r := handler(t, line, body); r.body.String() != want || r.failed {
			t.Errorf("%s: %q, failed %v", line, r.body.String(), r.failed)
		}
	}
	r := handler(t, "GET /fields", "")
	same(t, strconv.Itoa(r.head.Status)+r.fields, "201X-A: b\r\n")
	if r := handler(t, "GET /http_error", ""); r.head.Status != 418 || !strings.Contains(r.body.String(), "tea") {
		t.Error(r.head.Status, r.body.String())
	}
	if r := handler(t, "HEAD /generator", ""); r.body.Len() != 0 || r.failed {
		t.Error("HEAD of a generator:", r.body.Len(), r.failed)
	}
	if r := handler(t, "DELETE /verbs", ""); r.head.Status != 405 {
		t.Error(r.head.Status)
	}
	for len(events(t, 0)) > 0 {
	}
	said := captured(t, func() {
		if r := handler(t, "GET /fails", ""); r.head.Status != 500 {
			t.Error(r.head.Status)
		}
		if r := handler(t, "GET /bad_result", ""); r.head.Status != 500 {
			t.Error(r.head.Status)
		}
		if r := handler(t, "GET /bad_piece", ""); !r.failed || r.body.String() != "begun" {
			t.Error(r.failed, r.body.String())
		}
		same(t, strings.Join(events(t, 1), " "), "bad closed")
	})
	for _, want := range []string{"ValueError: boom in a handler\n", "handler asgi.bad_result returned 7; it must return", "a response must consist of str or bytes, not int: 7"} {
		if !strings.Contains(said, want) {
			t.Errorf("said %s, not %s", said, want)
		}
	}
}

// TestAsyncGeneratorOfNobody: a generator that waits for news is ended when its
// client leaves.
func TestAsyncGeneratorOfNobody(t *testing.T) {
	events(t, 0)
	said := captured(t, func() {
		r := submitHandler(t, &response{}, "GET /sleeper", "")
		for got := 0; got == 0; {
			loop.do(func() { got = r.body.Len() })
		}
		loop.do(func() {
			loop.h.Cancel(r.ticket, 0)
			loop.h.Flush()
			loop.drain()
		})
		<-r.done
		same(t, strings.Join(events(t, 1), " "), "sleeper closed")
	})
	same(t, said, "")
}

// TestAsyncThreadShown: the stack of a request that keeps the asyncio thread names that thread.
func TestAsyncThreadShown(t *testing.T) {
	g := newGate(t)
	r := submitASGI(t, &response{}, strings.Replace("GET "+g.target(), "blocked", "blocks", 1), "")
	shows(t, `GET /blocks\?\d+ HTTP/1.1 .*, running on the asyncio thread\n(.*\n)*.*in do_blocks\n +os\.read`)
	g.open(1)
	<-r.done
	same(t, r.body.String(), "released")
}

// TestAsyncThreadStuck: the asyncio thread is blocked by code that belongs to no active request.
func TestAsyncThreadStuck(t *testing.T) {
	stuck := impatient(t, generous)
	g := newGate(t)
	late := func() {
		r := submitASGI(t, &response{}, "GET /hello", "")
		loop.do(func() {
			loop.h.Cancel(r.ticket, time.Second)
		})
		<-r.done
	}
	said := captured(t, func() {
		same(t, asgi(t, strings.Replace("GET "+g.target(), "blocked", "blocks_afterwards", 1), "").body.String(), "answered")
		late()
		select {
		case why := <-stuck:
			same(t, why, "requests wait for the asyncio thread, which is stuck")
		case <-time.After(generous):
			t.Error("nobody has noticed")
		}
		g.open(1)
		same(t, asgi(t, "GET /hello", "").body.String(), "hello")
		loop.h.settled()
	})
	if !strings.Contains(said, "after waiting ") || !strings.Contains(said, "s for the asyncio thread; discarded") ||
		!strings.Contains(said, "; stack:\n") || !strings.Contains(said, "in do_blocks_afterwards\n    os.read(") {
		t.Error(said)
	}
}

// TestAsyncLeavesNothing runs every kind of exchange many times and looks at what
// Python has allocated.
func TestAsyncLeavesNothing(t *testing.T) {
	rounds := 50
	if n, err := strconv.Atoi(os.Getenv("FAPWS_LEAK_ROUNDS")); err == nil {
		rounds = n
	}
	paths := []string{"hello", "scope", "context", "stream", "echo", "large", "raise", "raise_later", "raise_after", "nothing", "half",
		"head_only", "empty", "short", "file", "no_file", "cancelled", "wrong"}
	entries := []string{"text", "fields", "json", "file", "plain_generator", "generator", "bad_piece", "fails", "bad_result", "body", "http_error", "verbs", "double"}
	leave := func(r *response, meanwhile ...string) {
		loop.do(func() {
			loop.h.Cancel(r.ticket, 0)
			loop.h.Flush()
			loop.drain()
		})
		for _, path := range meanwhile {
			asgi(t, "GET "+path, "")
		}
		<-r.done
	}
	round := func() {
		for _, path := range paths {
			asgi(t, "POST /"+path, "some body")
		}
		for _, entry := range entries {
			handler(t, "POST /"+entry, "some body")
		}
		leave(submitASGI(t, &response{}, "GET /wait", ""))
		leave(submitASGI(t, &response{}, "GET /gated", ""), "/open")
		leave(submitHandler(t, &response{}, "GET /sleeper", ""))
		handler(t, "GET /events", "")
	}
	measure := func() (blocks, refs float64) {
		loop.get(t, "/stats")
		var n []float64
		if err := json.Unmarshal(loop.get(t, "/stats").body.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		return n[0], n[1]
	}
	const windows = 12
	captured(t, func() {
		var grown [windows]float64
		blocks, refs := measure()
		for w := range windows {
			for range rounds {
				round()
			}
			moreBlocks, moreRefs := measure()
			grown[w] = max(moreBlocks-blocks, moreRefs-refs) / float64(rounds)
			if grown[w] < 0.9 { // what leaks is at least one in each round
				return
			}
			blocks, refs = moreBlocks, moreRefs
			rounds += rounds / 2 // so that what stays for a while, on a busy machine for longer, counts less
		}
		t.Errorf("blocks or references that stay, per round: %.2f", grown)
	})
}
