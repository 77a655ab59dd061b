package http2_test

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// connect sends an extended CONNECT with the fields of a WebSocket. Each field in others is added, or replaces the
// field with the same name.
func (f *frames) connect(id uint32, path string, end bool, others ...hpack.HeaderField) {
	f.block.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "h"},
		{Name: ":path", Value: path}, {Name: "sec-websocket-version", Value: "13"},
		{Name: "sec-websocket-key", Value: "not used"},
	}
	for _, other := range others {
		if i := slices.IndexFunc(fields,
			func(field hpack.HeaderField) bool { return field.Name == other.Name }); i >= 0 {
			fields[i] = other
		} else {
			fields = append(fields, other)
		}
	}
	for _, field := range fields {
		f.coder.WriteField(field)
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(), EndHeaders: true, EndStream: end})
}

// outcome waits until a response on a stream begins, or until the stream is reset. The status is "" if the stream was
// reset.
func (f *frames) outcome(id uint32) (status string, code http2.ErrCode) {
	f.t.Helper()
	if !f.until(func(frame http2.Frame) bool {
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status = frame.PseudoValue("status")
			return frame.StreamID == id
		case *http2.RSTStreamFrame:
			code = frame.ErrCode
			return frame.StreamID == id
		}
		return false
	}) {
		f.t.Errorf("stream %d has no answer", id)
	}
	return status, code
}

func TestInvalidExtendedCONNECTIsRejected(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "sockets.py", Flags: []string{"--h2c", "--lifespan", "off"},
		Complains: true}.Serve(t, fapwstest.Mode{})
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	offered := false
	f.until(func(frame http2.Frame) bool {
		settings, ok := frame.(*http2.SettingsFrame)
		if ok && !settings.IsAck() {
			value, _ := settings.Value(http2.SettingEnableConnectProtocol)
			offered = value == 1
		}
		return ok && !settings.IsAck()
	})
	fapwstest.Truef(t, offered, "no SETTINGS_ENABLE_CONNECT_PROTOCOL")
	id := uint32(1)
	for _, c := range []struct {
		name, value string
		end         bool
		status      string
	}{
		{":method", "GET", false, "400"},
		{":path", "", false, "400"},
		{":scheme", "", false, "400"},
		{":authority", "", false, "400"},
		{":protocol", "connect-udp", false, "501"},
		{":protocol", "", false, "501"},
		{":protocol", "web socket", false, "400"},
		{"sec-websocket-version", "12", false, "426"},
		{"content-length", "5", false, "400"},
		{"x-nothing", "", true, "400"},
		{"x-nothing", "", false, "200"},
	} {
		f.connect(id, "/callbacks", c.end, hpack.HeaderField{Name: c.name, Value: c.value})
		status, _ := f.outcome(id)
		fapwstest.Equalf(t, status, c.status, "%s: %q", c.name, c.value)
		id += 2
	}
	id -= 2
	var b bytes.Buffer
	frame := (&wstest.Client{Mask: 1}).AppendFrame(nil, wstest.Fin|wstest.Text, []byte("hello"))
	for _, c := range frame {
		f.WriteDataPadded(id, false, []byte{c}, make([]byte, 3))
	}
	f.until(func(frame http2.Frame) bool {
		if d, ok := frame.(*http2.DataFrame); ok && d.StreamID == id {
			b.Write(d.Data())
		}
		return b.Len() == 7
	})
	fapwstest.Equal(t, b.String(), "\x81\x05hello")
	f.WriteData(id, true, nil)
	f.WriteData(id, false, []byte("behind the end"))
	_, code := f.outcome(id)
	fapwstest.Equal(t, code, http2.ErrCodeStreamClosed)
	f.connect(id+2, "/callbacks", false)
	status, _ := f.outcome(id + 2)
	fapwstest.Equal(t, status, "200")
	f.WriteData(id+2, true, nil)
	if !f.until(func(frame http2.Frame) bool {
		d, ok := frame.(*http2.DataFrame)
		return ok && d.StreamID == id+2 && d.StreamEnded()
	}) {
		t.Error("the stream does not end")
	}
	f.connect(id+4, "/callbacks", false)
	status, _ = f.outcome(id + 4)
	fapwstest.Equal(t, status, "200")
	// The frame with the close message has END_STREAM, as when Chromium closes a WebSocket.
	f.WriteData(id+4, true, (&wstest.Client{Mask: 1}).AppendFrame(nil, wstest.Fin|wstest.Close, []byte("\x03\xe8bye")))
	b.Reset()
	f.until(func(frame http2.Frame) bool {
		d, ok := frame.(*http2.DataFrame)
		if ok && d.StreamID == id+4 {
			b.Write(d.Data())
		}
		return ok && d.StreamID == id+4 && d.StreamEnded()
	})
	fapwstest.Equal(t, b.String(), "\x88\x02\x03\xe8")
}

// The server ends a WebSocket after --write-timeout if the client opens no window, and after --ws-ping-timeout if
// the client answers no ping.
func TestWebSocketOfAClientThatOpensNoWindowTimesOut(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "sockets.py", Flags: []string{"--h2c", "--lifespan", "off", "--write-timeout", "1s",
		"--ws-ping-interval", "1s", "--ws-ping-timeout", "1s"}}.Serve(t, fapwstest.Mode{})
	before := s.RSS()
	f := dialFrames(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	for id := uint32(1); id < 40; id += 2 {
		f.connect(id, "/asgi?pour", false)
	}
	silent := fapwstest.OpenSocket(t, bridge(t, s), "/callbacks")
	for _, op := range []byte{wstest.Ping, wstest.Close} {
		frame, err := silent.ReadFrame()
		fapwstest.Truef(t, err == nil && frame.Op() == op, "%v %v", frame, err)
	}
	for id := uint32(1); id < 40; id += 2 {
		ended := false
		f.until(func(frame http2.Frame) bool {
			_, ended = frame.(*http2.RSTStreamFrame)
			return ended
		})
		fapwstest.Needf(t, ended, "a stream goes on")
	}
	s.GrownAtMost(before, 100<<20)
	f = dialFrames(t, s)
	f.connect(1, "/asgi?never", false)
	for range 6 {
		f.WriteData(1, false, make([]byte, 16000))
	}
	// The data exceeds the window of the stream. The data may also exceed the window of the connection, so the server
	// sends RST_STREAM or GOAWAY.
	if !f.until(func(frame http2.Frame) bool {
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			return frame.ErrCode == http2.ErrCodeFlowControl
		case *http2.GoAwayFrame:
			return frame.ErrCode == http2.ErrCodeFlowControl
		}
		return false
	}) {
		t.Error("more data than the window has room for was taken")
	}
}

func TestUnansweredWebSocketClosesDoNotDelayTheStop(t *testing.T) {
	t.Parallel()
	s := serve(t, fapwstest.Threads, "sockets.py", "--lifespan", "off", "--graceful-timeout", "1h", "--write-timeout",
		"1h")
	for _, window := range []uint32{0, 64 << 10} {
		f := dialFrames(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.connect(1, "/callbacks", false)
		status, code := f.outcome(1)
		fapwstest.Needf(t, status == "200", "%q %v", status, code)
		f.WriteData(1, false, []byte{0x81, 0x81, 0, 0, 0, 0, 'a'})
	}
	s.Stop()
}
