package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
	c, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(fapwstest.Patience))
	f := &frames{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	f.coder = hpack.NewEncoder(&f.block)
	io.WriteString(c, http2.ClientPreface)
	f.WriteSettings(settings...)
	f.WriteSettingsAck()
	return f
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
	folder := t.TempDir()
	s := fapwstest.Command{Script: "hostile.py", Args: []string{folder}, Flags: []string{"--h2c", "--http2-max-streams",
		fmt.Sprint(most), "--threads", "100", "--max-queue", "5000"}}.Serve(t, fapwstest.Mode{})
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
	if !<-ended {
		t.Error("the client was not told to calm down")
	}
	if a := s.Get("/", 200); a.Text != "hello" {
		t.Error(a.Text)
	}
	fapwstest.Must(t, os.WriteFile(folder+"/go", nil, 0o600))
	var n int
	if fmt.Sscan(s.Get("/report", 200).Text, &n); n > most {
		t.Errorf("%d handlers ran at the same time", n)
	}
}

// All unsent responses for one client address share one memory limit.
func TestClientThatOpensNoWindowNeedsBoundedMemory(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hostile.py", Args: []string{t.TempDir()},
		Flags: []string{"--h2c", "--write-timeout", "1s"}}.Serve(t, fapwstest.Mode{})
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
		if !f.until(func(frame http2.Frame) bool { p, ok := frame.(*http2.PingFrame); return ok && p.IsAck() }) {
			t.Error("no answer to a ping")
		}
	}
	w := second(s)
	w.Fetch("/").Is(t, "hello")
	if grown := s.RSS() - before; grown > 300<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
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

func TestFloodOfFramesDisconnectsItsClient(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hostile.py", Args: []string{t.TempDir()}, Flags: []string{"--h2c"}}.Serve(t,
		fapwstest.Mode{})
	for name, flood := range map[string]func(f *frames) error{
		"pings":      func(f *frames) error { return f.WritePing(false, [8]byte{}) },
		"settings":   func(f *frames) error { return f.WriteSettings() },
		"priorities": func(f *frames) error { return f.WritePriority(3, http2.PriorityParam{}) },
		"updates":    func(f *frames) error { return f.WriteWindowUpdate(0, 1) },
		"continuations": func() func(f *frames) error {
			begun := false
			return func(f *frames) error {
				if !begun {
					begun = true
					return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
				}
				return f.WriteContinuation(1, false, bytes.Repeat([]byte{0x82}, 1000))
			}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			f := dialFrames(t, s)
			told := make(chan bool)
			go func() {
				told <- f.until(func(frame http2.Frame) bool { _, ok := frame.(*http2.GoAwayFrame); return ok })
			}()
			for {
				select {
				case goAway := <-told:
					if !goAway {
						t.Error("the connection has ended without a word")
					}
					return
				default:
					_ = flood(f)
				}
			}
		})
	}
	if a := s.Get("/", 200); a.Text != "hello" {
		t.Error(a.Text)
	}
}

// The compressed head has 15 KB and expands to 59 MB.
func TestHPACKBombIsRejectedWithoutMemory(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hostile.py", Args: []string{t.TempDir()}, Flags: []string{"--h2c"}}.Serve(t,
		fapwstest.Mode{})
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
		if status, code := f.outcome(id); status != "431" {
			t.Fatalf("%s %v", status, code)
		}
	}
	if grown := s.RSS() - before; grown > 30<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
	f.head(101, true, ":method GET", ":scheme http", ":authority h", ":path /")
	if text := f.body(101); text != "hello" {
		t.Error(text)
	}
}
