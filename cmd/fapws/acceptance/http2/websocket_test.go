package http2_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/websocket/wstest"
)

func TestWebSocketStreamsPassTheAutobahnCases(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serve(t, m, "sockets.py", "--lifespan", "off")
		path := "/callbacks"
		if m.Inline() {
			path = "/asgi"
		} else {
			s = fapwstest.ServeProxy(t, s.URL, "", "--h2c")
		}
		fapwstest.WebSocketCases(t, bridge(t, s), path)
	})
}

func TestApplicationsAcceptAndRejectWebSocketStreams(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "sockets.py", Flags: []string{"--h2c", "--lifespan", "off"},
			Complains: true}.Serve(t, m)
		address := bridge(t, s)
		c := fapwstest.OpenSocket(t, address, "/asgi?scope", "Sec-WebSocket-Protocol: chat, other")
		fapwstest.Hears(t, c, "2 ws /asgi")
		var closed *wstest.Closed
		_, _, err := c.Receive()
		fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == 3000 && closed.Reason == "all said", "%v", err)
		h := c.Response.Header
		fapwstest.Truef(t, h.Get("Sec-Websocket-Protocol") == "chat" && h.Get("X-A") == "b", "%v", h)
		statuses := map[string]int{"/asgi?deny": 403, "/own?refuse": 403, "/own?garbage": 502, "/none": 404,
			"/page": 501, "/pieces": 501, "/news": 501, "/files/main_test.go": 501, "/files/none": 404}
		if m.Inline() {
			delete(statuses, "/own?refuse")
			delete(statuses, "/own?garbage")
		} else {
			speaksItself(t, address)
		}
		for path, status := range statuses {
			fapwstest.DeniesSocket(t, address, status, "", path)
		}
		ask(t, client(t), "GET", s.URL+"/files/main_test.go", nil)
		fapwstest.Lacks(t, s.Stderr.String(), "bug:")
		var members []*wstest.Client
		for range 5 {
			c := fapwstest.OpenSocket(t, address, "/asgi?group", wstest.Deflate)
			fapwstest.Hears(t, c, "joined")
			members = append(members, c)
		}
		members = append(members, fapwstest.OpenSocket(t, s.Address, "/asgi?group"))
		fapwstest.Hears(t, members[5], "joined")
		for i, c := range members {
			text := fmt.Sprintf("from %d, with some text that is worth compressing, compressing, compressing", i)
			c.SendText(text)
			for _, c := range members {
				fapwstest.Hears(t, c, text)
			}
		}
	})
}

func speaksItself(t *testing.T, address string) {
	c := fapwstest.OpenSocket(t, address, "/own")
	fapwstest.Hears(t, c, "hi")
	c.SendText("mine")
	fapwstest.Hears(t, c, "mine")
	fapwstest.Equalf(t, c.Response.Header.Get("X-Own"), "yes", "%v", c.Response.Header)
	closed, err := c.CloseWith(1000, "")
	fapwstest.Truef(t, err == nil && closed.Code == 1000, "%v %v", closed, err)
}

func closesWith(t *testing.T, c *wstest.Client, code int) {
	t.Helper()
	var closed *wstest.Closed
	_, _, err := c.Receive()
	fapwstest.Truef(t, errors.As(err, &closed) && closed.Code == code, "%v, want %d", err, code)
	c.Conn.Close()
}

func TestReloadClosesWebSocketStreamsWith1012(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	s := serve(t, fapwstest.Mode{Flags: []string{"--workers", "1"}}, "sockets.py", "--lifespan", "off", "--access-log",
		log, "--log-flush", "1ms", "--ws-reload-grace", "0")
	old := s.Workers()
	sockets := []*wstest.Client{fapwstest.OpenSocket(t, bridge(t, s), "/callbacks"),
		fapwstest.OpenSocket(t, bridge(t, s), "/asgi?a")}
	for _, c := range sockets {
		c.SendText("hello")
		fapwstest.Hears(t, c, "hello")
	}
	s.Control("reload")
	for _, c := range sockets {
		closesWith(t, c, 1012)
	}
	s.HasWorkers(1, old...)
	c := fapwstest.OpenSocket(t, bridge(t, s), "/callbacks")
	c.SendText("hello")
	fapwstest.Hears(t, c, "hello")
	s.Signal(15)
	closesWith(t, c, 1001)
	s.EndsWith(0)
	fapwstest.Equalf(t, strings.Count(fapwstest.Read(t, log), ` HTTP/2.0" 101 `), 3, "lines in the access log")
}

// bridge starts an HTTP/1 server and returns its address. The server forwards WebSockets to s, as streams of one HTTP/2
// connection (RFC 8441), so that clients of package wstest can use them.
func bridge(t *testing.T, s *fapwstest.Server) string {
	t.Helper()
	c := client(t)
	ask(t, c, "GET", s.URL+"/page", nil)
	return backendtest.Serve(t, func(_ int, near *net.TCPConn) { bridgeOne(c, s.URL, near) })
}

func bridgeOne(c *http.Client, url string, near *net.TCPConn) {
	in := bufio.NewReader(near)
	asked, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	from, to := io.Pipe()
	r, _ := http.NewRequestWithContext(ctx, "CONNECT", url+asked.URL.RequestURI(), from)
	r.Header = asked.Header
	key := r.Header.Get("Sec-Websocket-Key")
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Key"} {
		r.Header.Del(name)
	}
	r.Header[":protocol"] = []string{"websocket"}
	far, err := c.Transport.RoundTrip(r)
	if err != nil {
		return
	}
	defer far.Body.Close()
	if far.StatusCode != 200 {
		far.ProtoMajor, far.ProtoMinor = 1, 1
		far.Write(near)
		return
	}
	if key == wstest.Key {
		key = wstest.Accept
	}
	fmt.Fprintf(near, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "+
		"Upgrade\r\nSec-WebSocket-Accept: %s\r\n", key)
	far.Header.Write(near)
	io.WriteString(near, "\r\n")
	done := make(chan bool)
	go func() {
		defer close(done)
		_, err := io.Copy(to, in)
		if broken := new(net.OpError); errors.As(err, &broken) {
			cancel()
		}
		to.Close()
		// If the socket were closed with unread bytes, the kernel would reset the connection, and the client would lose
		// the last bytes from the server.
		io.Copy(io.Discard, in)
	}()
	if _, err := io.Copy(near, far.Body); err != nil {
		near.SetLinger(0)
		return
	}
	near.CloseWrite()
	<-done
}

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
		if i := slices.IndexFunc(fields, func(field hpack.HeaderField) bool { return field.Name == other.Name }); i >= 0 {
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
