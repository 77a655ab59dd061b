package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestStreamsOfAClientHoldOnlyAShareOfTheDescriptors(t *testing.T) {
	t.Parallel()
	const limit, streams = 256, 100
	upstream := serve(t, fapwstest.Threads, "sockets.py", "--lifespan", "off")
	dir := t.TempDir()
	large := strings.Repeat("f", 100<<10)
	for i := range 3 * streams {
		fapwstest.Write(t, fmt.Sprintf("%s/files/%d.bin", dir, i), large)
	}
	fapwstest.Write(t, dir+"/sends.py", `
import os
FILES = os.path.dirname(os.path.abspath(__file__)) + "/files/"

def sendfile(environ, start_response):
    start_response("200 OK", [("X-Sendfile", FILES + os.path.basename(environ["PATH_INFO"]))])
    return []

def wrapped(environ, start_response):
    start_response("200 OK", [("Content-Length", "102400")])
    return environ["wsgi.file_wrapper"](open(FILES + os.path.basename(environ["PATH_INFO"]), "rb"))

PATHS = [("/sendfile/", sendfile), ("/wrapped/", wrapped)]
`)
	site := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(`
[[host]]
route = [
  { prefix = "/files/", files = "files" },
  { prefix = "/python/", app = "sends.py" },
  { prefix = "/", proxy = %q },
]
`, upstream.URL))
	s := fapwstest.Command{Dir: dir, Shell: fmt.Sprint("ulimit -n ", limit),
		Flags: []string{"--h2c", "-c", site, "--x-sendfile", dir + "/files"}, Complains: true}.Serve(t, fapwstest.Mode{})
	s.Get("/page", 200)
	s.Get("/files/0.bin", 200)
	before := len(s.Descriptors())
	for _, c := range []struct{ name, path string }{
		{"tunnels", ""},
		{"X-Sendfile", "/python/sendfile/%d.bin"},
		{"files of handlers", "/python/wrapped/%d.bin"},
		{"files", "/files/%d.bin"},
	} {
		var all []*frames
		for k := range 3 {
			f := dialFrames(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			for i := range streams {
				if id := uint32(2*i + 1); c.path == "" {
					f.connect(id, "/asgi", false)
				} else {
					f.request(id, fmt.Sprintf(c.path, k*streams+i))
				}
			}
			all = append(all, f)
		}
		fapwstest.Eventually(t, c.name+" hold descriptors", func() bool { return len(s.Descriptors()) > before+40 })
		for range 5 {
			w := s.DialFrom("127.0.0.2")
			w.Fetch("/page").Want(t, 200, "page")
			w.Fetch("/files/299.bin").Is(t, large)
			w.Close()
		}
		n := len(s.Descriptors()) - before
		fapwstest.Truef(t, n <= limit/2, "%s: %d descriptors", c.name, n)
		for _, f := range all {
			f.Close()
		}
	}
	fapwstest.Eventually(t, "all give their descriptors back", func() bool { return len(s.Descriptors()) < before+10 })
	ask(t, client(t), "GET", s.URL+"/page", nil).Is(t, "page")
}

func TestProxiedWebSocketOnAStreamCountsTowardsMaxClients(t *testing.T) {
	t.Parallel()
	upstream := serve(t, fapwstest.Threads, "sockets.py", "--lifespan", "off")
	s := fapwstest.ServeProxy(t, upstream.URL, "", "--h2c", "--max-clients", "5", "--max-clients-action", "503")
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for i, want := range []string{"200", "200", "200", "200", "503"} {
		id := uint32(2*i + 1)
		f.connect(id, "/asgi", false)
		status, _ := f.outcome(id)
		fapwstest.Equalf(t, status, want, "%d", i)
	}
	fapwstest.Eventually(t, "there is no place", func() bool { return s.Ask(fapwstest.Get("/page")).StatusCode == 503 })
	f.Close()
	fapwstest.Eventually(t, "there is a place again", func() bool {
		return s.Ask(fapwstest.Get("/page")).StatusCode == 200
	})
}

// unfinished opens n streams, with fields in their heads, and ends none of them. On each stream, unfinished sends size
// bytes of a body, or less if the flow-control windows are smaller.
func (f *frames) unfinished(n int, path string, size int, fields ...string) (sent int) {
	f.t.Helper()
	const window = 64<<10 - 1
	all, windows, left := window, map[uint32]int{}, map[uint32]int{}
	for i := range n {
		id := uint32(2*i + 1)
		f.head(id, false, append([]string{":method POST", ":scheme http", ":authority h", ":path " + path}, fields...)...)
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
		f.unfinished(20, "/", 300<<10, fmt.Sprint("content-length ", 9<<20)) // too large for the memory
		all = append(all, f)
	}
	n := len(s.Descriptors()) - before
	fapwstest.Truef(t, n <= 50, "%d descriptors", n)
	s.GrownAtMost(memory, 100<<20)
	s.DialFrom("127.0.0.2").Ask(fapwstest.Request("POST", "/", large)).Is(t, "hello")
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
	s.DialFrom("127.0.0.2").Fetch("/").Is(t, "hello")
	s.Get("/", 200)
	s.GrownAtMost(before, 110<<20)
}

type frames struct {
	t *testing.T
	net.Conn
	*http2.Framer
	block bytes.Buffer
	coder *hpack.Encoder
}

func dialFrames(t *testing.T, s *fapwstest.Server, settings ...http2.Setting) *frames {
	t.Helper()
	c := fapwstest.Try(net.Dial("tcp", s.Address)).Must(t)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(fapwstest.Patience))
	f := &frames{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	f.coder = hpack.NewEncoder(&f.block)
	io.WriteString(c, http2.ClientPreface)
	f.WriteSettings(settings...)
	f.WriteSettingsAck()
	return f
}

func serveHostile(t *testing.T, flags ...string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "hostile.py", Args: []string{folder}, Flags: append(flags, "--h2c")}.Serve(t,
		fapwstest.Mode{}), folder
}

func isAck(frame http2.Frame) bool {
	p, ok := frame.(*http2.PingFrame)
	return ok && p.IsAck()
}

func (f *frames) request(id uint32, path string) error {
	return f.head(id, true, ":method GET", ":scheme http", ":authority h", ":path "+path)
}

// The method until reads frames and passes each frame to wanted. The result is true when wanted returns true, and false
// when the connection ends.
func (f *frames) until(wanted func(http2.Frame) bool) bool {
	for {
		frame, err := f.ReadFrame()
		var stream http2.StreamError
		if err != nil && !errors.As(err, &stream) {
			return false
		}
		if wanted(frame) {
			return true
		}
	}
}

// The attack is CVE-2023-44487: a client opens streams and resets them at once.
func TestClientThatResetsEachRequestIsDisconnected(t *testing.T) {
	t.Parallel()
	const most = 10
	s, folder := serveHostile(t, "--http2-max-streams", fmt.Sprint(most), "--threads", "100", "--max-queue", "5000")
	f := dialFrames(t, s)
	ended := make(chan bool)
	go func() {
		ended <- f.until(func(frame http2.Frame) bool {
			g, ok := frame.(*http2.GoAwayFrame)
			return ok && g.ErrCode == http2.ErrCodeEnhanceYourCalm
		})
	}()
	for id := uint32(1); id < 200_000; id += 2 {
		if f.request(id, "/slow") != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	fapwstest.Truef(t, <-ended, "the client was not told to calm down")
	s.Get("/", 200).Is(t, "hello")
	fapwstest.Write(t, folder+"/go", "")
	n := s.Get("/report", 200).Number(t)
	fapwstest.Truef(t, n <= most, "%d handlers ran at the same time", n)
}

// All unsent responses for one client address share one memory limit.
func TestClientThatOpensNoWindowNeedsBoundedMemory(t *testing.T) {
	t.Parallel()
	s, _ := serveHostile(t, "--write-timeout", "1s")
	s.Get("/large", 200)
	before := s.RSS()
	var all []*frames
	for range 2 {
		f := dialFrames(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for id := uint32(1); id < 200; id += 2 {
			fapwstest.Must(t, f.request(id, "/large"))
		}
		f.WritePing(false, [8]byte{1})
		all = append(all, f)
	}
	for _, f := range all {
		fapwstest.Truef(t, f.until(isAck), "no answer to a ping")
	}
	s.DialFrom("127.0.0.2").Fetch("/").Is(t, "hello")
	s.GrownAtMost(before, 300<<20)
	for _, f := range all {
		if !f.until(func(frame http2.Frame) bool {
			r, ok := frame.(*http2.RSTStreamFrame)
			return ok && r.ErrCode == http2.ErrCodeCancel
		}) {
			t.Error("no stream has ended")
		}
		f.Close()
	}
	s.Get("/", 200)
}

// The compressed head has 15 KB and expands to 59 MB.
func TestHPACKBombIsRejectedWithoutMemory(t *testing.T) {
	t.Parallel()
	s, _ := serveHostile(t)
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	before := s.RSS()
	large := hpack.HeaderField{Name: "x-b", Value: strings.Repeat("b", 3900)}
	for id := uint32(1); id < 100; id += 2 {
		f.block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}} {
			f.coder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		f.coder.WriteField(large)
		known := f.block.Len()
		f.coder.WriteField(large)
		f.block.Write(bytes.Repeat(bytes.Clone(f.block.Bytes()[known:]), 11_000))
		fapwstest.Must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(),
			EndHeaders: true, EndStream: true}))
		status, code := f.outcome(id)
		fapwstest.Needf(t, status == "431", "%s %v", status, code)
	}
	s.GrownAtMost(before, 30<<20)
	f.head(101, true, ":method GET", ":scheme http", ":authority h", ":path /")
	fapwstest.Equal(t, f.body(101), "hello")
}
