package pybridge

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// TestBackPressure: an iterator is not driven further than the window while
// its client does not read, goes on when parts are released, and always on
// the thread it began on.
func TestBackPressure(t *testing.T) {
	const whole = 100 + 200*20000
	r := loop.submit(t, "GET /thread_of", nil, -1, true)
	size := func() (n int) {
		loop.do(func() { n = r.body.Len() })
		return n
	}
	for last := -1; last != size(); { // settled: nothing more comes
		last = size()
		loop.get(t, "/slow")
	}
	if n := size(); n > 600<<10 || n < 100<<10 {
		t.Errorf("%d bytes were made for a client that reads none", n)
	}
	for ended := false; !ended; {
		loop.do(func() {
			for i := range r.held {
				loop.h.Release(&r.held[i])
			}
			r.held = nil
			loop.h.Flush()
			loop.drain()
		})
		select {
		case <-r.done:
			ended = true
		default:
		}
	}
	loop.do(func() {
		for i := range r.held {
			loop.h.Release(&r.held[i])
		}
		loop.spare = append(loop.spare, r.ticket)
	})
	if r.body.Len() != whole || strings.Contains(r.body.String(), "moved") {
		t.Errorf("%d bytes, want %d, all from one thread", r.body.Len(), whole)
	}
}

// TestWriterWakesItsReplacement: the drainer, when it has to wait in write() for its client, passes the queue on to a thread that
// runs at once, and counts as one of the threads later.
func TestWriterWakesItsReplacement(t *testing.T) {
	if loop.inline() {
		return // write() does not wait
	}
	const threads = 4
	g := newGate(t)
	blocked := func() (all []*response) {
		for range threads {
			all = append(all, <-loop.begin(t, g.target()))
		}
		shows(t, "(?s)(in blocked.*){4}")
		return all
	}
	done := func(all []*response) {
		g.open(threads)
		for _, r := range all {
			<-r.done
		}
	}
	done(blocked()) // there are four threads now
	for range 50 {  // quick ones are run by the drainer
		loop.get(t, "/writes")
	}
	writer, behind := &response{done: make(chan struct{}), hold: true}, &response{done: make(chan struct{})}
	loop.do(func() {
		loop.submitRaw(t, writer, "/writes/300000")
		loop.submitRaw(t, behind, "/text")
		loop.h.Flush()
	})
	<-behind.done
	done(blocked())
	loop.do(func() { loop.h.Cancel(writer.ticket, 0) })
	<-writer.done
	loop.do(func() {
		for i := range writer.held {
			loop.h.Release(&writer.held[i])
		}
	})
}

func TestForkedChildNeverServes(t *testing.T) {
	for _, c := range []struct{ how, status string }{{"exit", "7"}, {"return", "0"}} {
		if got := loop.get(t, "/forks?"+c.how).body.String(); got != c.status {
			t.Errorf("%s: the parent saw %q, want %s", c.how, got, c.status)
		}
	}
}

// A request that the server has rewritten, or whose client has logged in, looks
// like it to the application, whatever the cache of environs remembers of the
// same head.
func TestEnvironOfRoutedRequests(t *testing.T) {
	defer func() { loop.change = nil }()
	ask := func(path, user string) (env map[string]any) {
		loop.change = func(r *exchange.Request) {
			peer := *testPeer
			peer.User = user
			r.Peer = &peer
			if path != "" {
				r.Path, r.Routed = []byte(path), true
			}
		}
		r := loop.send(t, "GET /dumped/old?q", "", "X-Test: routed")
		<-r.done
		if err := json.Unmarshal(r.body.Bytes(), &env); err != nil {
			t.Fatalf("%v in %q", err, &r.body)
		}
		return env
	}
	for range 3 { // the third time from the cache
		for _, c := range []struct{ path, user, info string }{
			{"", "", "/old"}, {"/dumped/new", "", "/new"}, {"/dumped/longer", "", "/longer"}, {"", "ann", "/old"}, {"/dumped/new", "bob", "/new"},
		} {
			env := ask(c.path, c.user)
			if env["PATH_INFO"] != c.info || env["SCRIPT_NAME"] != "/dumped" || env["REQUEST_URI"] != "/dumped/old?q" || env["QUERY_STRING"] != "q" {
				t.Errorf("%+v: %v", c, env)
			}
			user, there := env["REMOTE_USER"]
			kind := env["AUTH_TYPE"]
			if there != (c.user != "") || there && (user != c.user || kind != "Basic") || !there && kind != nil {
				t.Errorf("%+v: REMOTE_USER %v, AUTH_TYPE %v", c, user, kind)
			}
		}
	}
}

// tlsPeer is a client that uses TLS, with variables as mod_ssl has them.
func tlsPeer(variables string) *exchange.Peer {
	peer := *testPeer
	peer.Scheme = "https"
	peer.TLS = &conn.TLSState{Version: 0x304, CipherSuite: 0x1301, Server: "own", Variables: variables}
	return &peer
}

// The variables of a client with TLS are in its environ, and in none of another client with the same head. A long certificate is no
// exception.
func TestEnvironOfTLS(t *testing.T) {
	defer func() { loop.change = nil }()
	long := "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("x", 100_000)
	for range 3 {
		for _, c := range []struct {
			peer *exchange.Peer
			want map[string]any
		}{
			{testPeer, map[string]any{}},
			{tlsPeer("SSL_PROTOCOL=TLSv1.3\x00SSL_CLIENT_S_DN=CN=Ann=1,O=\xc3\xa4\x00EMPTY=\x00"), map[string]any{"SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_S_DN": "CN=Ann=1,O=\u00c3\u00a4", "EMPTY": ""}},
			{tlsPeer("SSL_CLIENT_CERT=" + long + "\x00"), map[string]any{"SSL_CLIENT_CERT": long}},
			{tlsPeer(""), map[string]any{}},
		} {
			loop.change = func(r *exchange.Request) { r.Peer = c.peer }
			r := loop.send(t, "GET /dumped/tls", "", "X-Test: tls")
			<-r.done
			var env map[string]any
			if err := json.Unmarshal(r.body.Bytes(), &env); err != nil {
				t.Fatalf("%v in %q", err, &r.body)
			}
			for _, name := range []string{"SSL_PROTOCOL", "SSL_CLIENT_S_DN", "EMPTY", "SSL_CLIENT_CERT"} {
				if env[name] != c.want[name] {
					t.Errorf("%s: %.50q, not %.50q", name, env[name], c.want[name])
				}
			}
			if on := env["HTTPS"] == "on"; on != (c.peer != testPeer) {
				t.Errorf("HTTPS: %v", on)
			}
		}
	}
}

// TestNothingLeaks runs every kind of result many times and looks at what
// Python has allocated, and at descriptors.
func TestNothingLeaks(t *testing.T) {
	rounds := 150
	if n, err := strconv.Atoi(os.Getenv("FAPWS_LEAK_ROUNDS")); err == nil {
		rounds = n
	}
	// From Python 3.13 on, the traceback of recursion takes 0.1 s; otherwise it is as raises.
	skip := map[string]bool{"/recursion": true, "/slow": true, "/forks": true, "/stats": true, "/closed_names": true, "/blocked": true, "/keeps_gil": true, "/meets": true, "/shares": true, "/spins": true,
		"/stubborn": true, "/waits_lock": true, "/waits_read": true, "/waits_sleep": true, "/spins_and_catches": true, "/spins_later": true, "/watches": true,
		"/shares_and_returns": true, "/writes_elsewhere": true, "/joins_writer": true}
	round := func() {
		for _, m := range loop.app.Mounts(0) {
			if skip[m.Prefix] {
				continue
			}
			r := loop.send(t, "POST "+m.Prefix+"?all", "some body")
			<-r.done
		}
		loop.get(t, "/closed_names")
	}
	measure := func() (blocks, refs float64, fds int) {
		loop.get(t, "/stats")
		var n []float64
		if err := json.Unmarshal(loop.get(t, "/stats").body.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir("/proc/self/fd")
		return n[0], n[1], len(entries)
	}
	// Free lists, caches and cyclic garbage make the counts wander at first;
	// what leaks grows in every window.
	const windows = 12
	captured(t, func() {
		var grown [windows]float64
		blocks, refs, fds := measure()
		for w := range windows {
			for range rounds {
				round()
			}
			moreBlocks, moreRefs, moreFds := measure()
			if moreFds > fds {
				t.Errorf("%d descriptors, %d before", moreFds, fds)
			}
			grown[w] = max(moreBlocks-blocks, moreRefs-refs) / float64(rounds)
			if grown[w] < 0.3 {
				return
			}
			blocks, refs = moreBlocks, moreRefs
			rounds += rounds / 2 // caches of each thread, without the GIL, take thousands of requests to fill
		}
		t.Errorf("blocks or references that stay, per round: %.2f", grown)
	})
}

// submitRaw submits GET target as the loop; false if it was refused.
func (d *driver) submitRaw(t *testing.T, r *response, target string) bool {
	r.ticket = d.next
	d.next++
	d.waiting[r.ticket] = r
	head, parsed := parseHead(t, "GET "+target, 0)
	mount, script := d.route(t, target)
	return d.h.Submit(&exchange.Request{Ticket: r.ticket, Mount: mount, Head: head, Parsed: parsed, Path: []byte(target),
		Script: script, Spool: -1, Peer: testPeer})
}
