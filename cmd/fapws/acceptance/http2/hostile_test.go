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
	w := s.DialFrom("127.0.0.2")
	w.Fetch("/").Is(t, "hello")
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
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"},
			{":path", "/"}} {
			f.coder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		f.coder.WriteField(large)
		known := f.block.Len()
		f.coder.WriteField(large)
		number := bytes.Clone(f.block.Bytes()[known:])
		f.block.Write(bytes.Repeat(number, 11_000))
		fapwstest.Must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(),
			EndHeaders: true, EndStream: true}))
		status, code := f.outcome(id)
		fapwstest.Needf(t, status == "431", "%s %v", status, code)
	}
	s.GrownAtMost(before, 30<<20)
	f.head(101, true, ":method GET", ":scheme http", ":authority h", ":path /")
	fapwstest.Equal(t, f.body(101), "hello")
}
