package remote

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/system"
)

func requestOf(t *testing.T, head string) *exchange.Request {
	t.Helper()
	parsed := new(http1.Request)
	if err := parsed.ParseWhole([]byte(head), &http1.Limits{}); err != nil {
		t.Fatal(err)
	}
	return &exchange.Request{Head: []byte(head), Parsed: parsed, Spool: -1}
}

// A request is in the other process what it was in the server, but for what is the server's business.
func TestRequestsCross(t *testing.T) {
	r := requestOf(t, "POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-A: b\r\n\r\n")
	r.Ticket, r.Mount, r.Path, r.Root, r.Prefix, r.Script = 7, 3, []byte("/root/a b"), 5, 6, 7
	r.Body, r.Size, r.Traced, r.Routed, r.More, r.WebSocket, r.Depth, r.ErrorLog = []byte("abc"), 1<<40, true, true, true, true, 2, 4
	r.Peer = &exchange.Peer{Addr: "::1", Port: "1", ServerName: "s", ServerPort: "2", Scheme: "https", Host: "h", User: "ü", Login: exchange.Form,
		TLS: &exchange.TLS{Version: 0x304, CipherSuite: 0x1301, Server: "PEM", Variables: "A=B\x00"}}
	r.Resumed = &exchange.Resumed{Subprotocol: "chat", Data: []byte{0, 1}}
	for range 2 {
		f := encodeRequest(r)
		got, err := decodeRequest(&f, new(http1.Request), &http1.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v\nof  %+v", got, r)
		}
		for n := range f.data { // whatever is missing is an error, or a request whose body ends early
			cut := frame{kind: f.kind, data: f.data[:n]}
			_, _ = decodeRequest(&cut, new(http1.Request), &http1.Limits{})
		}
		*r = *requestOf(t, "GET / HTTP/1.0\r\n\r\n")
		r.Peer, r.Path = &exchange.Peer{}, []byte("/")
	}
}

// Parts cross with all that a handler may say, and large bodies in pieces.
func TestPartsCross(t *testing.T) {
	head := exchange.Head{Status: 299, Reason: []byte("R"), Fields: []byte("A: b\r\n"), Length: -1, Type: exchange.TypeByName, Name: []byte("n.txt"),
		Static: []byte("{}"), StaticPath: []byte("/s"), SendFile: []byte("f"), Accel: true, Program: true, StaticScript: 2, Refusal: true, Failure: true,
		WebSocket: true, Subprotocol: []byte("p"), Channel: []byte("c"), ContentType: "t", HasDate: true, HasServer: true, Close: true, Request: []byte("GET")}
	trailers := exchange.Trailers("A: b\r\n")
	large := []byte(strings.Repeat("0123456789", piece/5))
	for _, p := range []exchange.Part{
		{Ticket: 5, First: true, Last: true, Head: head, Body: []byte("body"), File: -1},
		{Ticket: 5, First: true, Head: head, File: -1, Body: large},
		{Last: true, Failed: true, Taken: true, File: -1},
		{Last: true, Trailers: &trailers, File: -1, Body: large},
		{Interim: true, Head: exchange.Head{Status: 103, Fields: []byte("Link: a\r\n")}, File: -1},
		{Op: exchange.OpText, Body: large, File: -1},
		{Op: exchange.OpClose, Code: 1001, File: -1},
		{Op: exchange.OpCredit, Credit: 1 << 33, File: -1},
		{Op: exchange.OpHandOver, Last: true, Head: exchange.Head{Request: []byte("GET")}, Body: []byte("state"), File: -1},
	} {
		want, got := p, exchange.Part{}
		want.Body = nil
		var body []byte
		for off, rest := 0, true; rest; off += piece {
			var f frame
			f, _, rest = encodePart(&p, off)
			one, err := decodePart(&f)
			if err != nil {
				t.Fatalf("%+v: %v", p, err)
			}
			if off == 0 {
				got = one
			} else if one.First || got.Last {
				t.Errorf("a piece begins or ends the response: %+v", one)
			}
			got.Last, got.Failed, got.Trailers = one.Last, one.Failed, one.Trailers
			body = append(body, one.Body...)
			for n := range f.data[:min(len(f.data), 300)] {
				cut := frame{kind: f.kind, data: f.data[:n]}
				_, _ = decodePart(&cut)
			}
		}
		got.Body = nil
		if !reflect.DeepEqual(got, want) || string(body) != string(p.Body) {
			t.Errorf("got %+v\nof  %+v, %d bytes of %d", got, want, len(body), len(p.Body))
		}
	}
}

// Frames arrive in order with their descriptors, however they are cut, and descriptors of frames that are not sent are closed.
func TestLink(t *testing.T) {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	from, err := newLink(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	to, err := newLink(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	const n = 300 // more descriptors than one message may have
	var ends []*os.File
	for i := range n {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, r)
		fd, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		from.send(frame{kind: kindInput, ticket: exchange.Ticket(i), data: make([]byte, i*300), files: []int{fd}})
	}
	from.finish()
	next := 0
	err = to.read(func(f frame) error {
		if f.kind != kindInput || int(f.ticket) != next || len(f.data) != next*300 || len(f.files) != 1 {
			t.Fatalf("frame %d: %d, %d, %d bytes, files %v", next, f.kind, f.ticket, len(f.data), f.files)
		}
		if _, err := unix.Write(f.files[0], []byte{byte(next)}); err != nil {
			t.Error(err)
		}
		closeFiles(f.files)
		next++
		return nil
	})
	if err != io.EOF || next != n {
		t.Errorf("%d frames, %v", next, err)
	}
	for i, r := range ends {
		if text, err := io.ReadAll(r); err != nil || string(text) != string([]byte{byte(i)}) { // the end: nothing else has it open
			t.Errorf("descriptor %d: %q, %v", i, text, err)
		}
		r.Close()
	}
	to.close()
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	to.send(frame{kind: kindInput, files: []int{fd}})
	if err := unix.Close(fd); err != unix.EBADF {
		t.Errorf("a frame that is not sent keeps its descriptor: %v", err)
	}
}
