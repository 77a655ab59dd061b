package http2_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// unfinished opens n streams and ends none of them. On each stream, unfinished sends size bytes of a body, or
// less if the flow-control windows are smaller.
func (f *frames) unfinished(n int, path string, size int) (sent int) {
	f.t.Helper()
	const window = 64<<10 - 1
	all, windows, left := window, map[uint32]int{}, map[uint32]int{}
	for i := range n {
		id := uint32(2*i + 1)
		f.head(id, false, ":method POST", ":scheme http", ":authority h", ":path "+path)
		windows[id], left[id] = window, size
	}
	for {
		before := sent
		for id := range left {
			for k := 1; k > 0; {
				k = min(16<<10, left[id], windows[id], all)
				if k > 0 && f.WriteData(id, false, make([]byte, k)) != nil {
					return sent
				}
				left[id] -= k
				windows[id] -= k
				all -= k
				sent += k
			}
		}
		f.WritePing(false, [8]byte{1})
		if !f.until(func(frame http2.Frame) bool {
			switch frame := frame.(type) {
			case *http2.WindowUpdateFrame:
				if frame.StreamID == 0 {
					all += int(frame.Increment)
				} else {
					windows[frame.StreamID] += int(frame.Increment)
				}
			case *http2.RSTStreamFrame:
				delete(left, frame.StreamID)
			case *http2.PingFrame:
				return frame.IsAck()
			}
			return false
		}) {
			f.t.Fatal("the connection has ended")
		}
		if sent == before {
			return sent
		}
	}
}

func TestUnfinishedBodiesLeaveDescriptorsToOtherRequests(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hostile.py", Args: []string{t.TempDir()}, Shell: "ulimit -n 256",
		Flags: []string{"--h2c", "--body-timeout", "2s"}}.Serve(t, fapwstest.Mode{})
	large := strings.Repeat("b", 1<<20)
	before, memory := len(s.Descriptors()), s.RSS()
	var all []*frames
	for range 10 {
		f := dialFrames(t, s)
		f.unfinished(100, "/", 16<<10)
		all = append(all, f)
	}
	n := len(s.Descriptors()) - before
	fapwstest.Truef(t, n <= 50, "%d descriptors", n)
	s.GrownAtMost(memory, 60<<20)
	w := s.DialFrom("127.0.0.2")
	w.Ask(fapwstest.Request("POST", "/", large)).Is(t, "hello")
	s.Ask(fapwstest.Request("POST", "/", "small")).Is(t, "hello")
	s.Ask(fapwstest.Request("POST", "/", large)).Is(t, "hello")
	s.Says(`warning client 127\.0\.0\.1:\d+: sent 503: too many request bodies wait in files \(at most 32 of all clients`)
	for _, f := range all {
		f.Close()
	}
}

func TestUnreadBodiesNeedBoundedMemoryPerClient(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "asgi.py:app", "--max-queue", "10000")
	s.Get("/", 200)
	before := s.RSS()
	for i := range 60 {
		f := dialFrames(t, s)
		f.unfinished(120, "/unread", 60<<10)
		if i < 20 {
			f.Close()
		}
	}
	s.GrownAtMost(before, 120<<20)
	data := bytes.Repeat([]byte("b"), 1<<20)
	ask(t, client(t), "POST", s.URL+"/digest", bytes.NewReader(data)).Is(t, digest(data))
	s.Get("/enough", 200)
}

func TestUploadContinuesWhileLargeResponsesAreUnread(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "asgi.py:app")
	f := dialFrames(t, s)
	const large, upload = 11, 15
	// The unsent responses on the first streams have no limit in size.
	for id := uint32(1); id < large; id += 2 {
		f.request(id, "/unread")
	}
	for id := uint32(large); id < upload; id += 2 {
		f.request(id, "/large")
		f.until(func(frame http2.Frame) bool {
			_, begun := frame.(*http2.HeadersFrame)
			return begun && frame.Header().StreamID == id
		})
	}
	f.head(upload, false, ":method POST", ":scheme http", ":authority h", ":path /digest")
	data := bytes.Repeat([]byte("upload "), 1000)
	for i := range 5 {
		f.settle()
		f.WriteData(upload, i == 4, data)
	}
	f.WriteWindowUpdate(0, 1<<30)
	f.WriteWindowUpdate(large, 1<<30)
	f.WriteWindowUpdate(large+2, 1<<30)
	fapwstest.Equal(t, f.body(upload), digest(bytes.Repeat(data, 5)))
	s.Get("/enough", 200)
}

func (f *frames) settle() {
	f.t.Helper()
	f.WritePing(false, [8]byte{1})
	fapwstest.Needf(f.t, f.until(isAck), "the connection has ended")
}

func TestUnfinishedHeaderBlocksNeedBoundedMemory(t *testing.T) {
	t.Parallel()
	s, _ := serveHostile(t)
	s.Get("/", 200)
	before := s.RSS()
	fragment := bytes.Repeat([]byte("b"), 16<<10)
	for range 500 {
		f := dialFrames(t, s)
		// A literal field with the name "x" and a value of 240,000 bytes (RFC 7541 §6.2.2).
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0, 1, 'x', 0x7f, 0x81, 0xd2, 0x0e}})
		for range 14 {
			if f.WriteContinuation(1, false, fragment) != nil {
				break
			}
		}
	}
	w := s.DialFrom("127.0.0.2")
	w.Fetch("/").Is(t, "hello")
	s.Get("/", 200)
	s.GrownAtMost(before, 110<<20)
}
