package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/eventloop/looptest"
	"fapws/runtime/logfile"
)

const patience = checktest.Patience

type set struct {
	Set
	t *testing.T
}

func newSet(t *testing.T, readSize int) *set {
	t.Helper()
	loop := looptest.New(t)
	s := &set{t: t}
	s.Init()
	s.SetReadSize(readSize)
	s.Events, s.WriteTimeout = loop, time.Hour
	s.Log = func(level logfile.Level, format string, args ...any) { t.Logf(format, args...) }
	looptest.Run(t, loop, func() {
		for _, c := range s.All() {
			c.Close("the test has ended")
			c.Abort()
		}
	})
	return s
}

func (s *set) do(run func()) { looptest.Do(s.Events, run) }

func (s *set) until(what string, holds func() bool) {
	s.t.Helper()
	looptest.Until(s.t, s.Events, what, holds)
}

type recorder struct {
	Conn
	got                                 []byte
	ends, flushed, closed, gone, inputs int
	sent                                []error
}

func (r *recorder) Input(b []byte) { r.got, r.inputs = append(r.got, b...), r.inputs+1 }
func (r *recorder) EOF() bool      { r.ends++; return false }
func (r *recorder) Drained(ended bool) {
	if !ended {
		r.flushed++
	}
}
func (r *recorder) Due() (next int64) { return r.set.Now + int64(time.Hour) }
func (r *recorder) Drain(bool)        {}
func (r *recorder) Closed()           { r.closed++ }
func (r *recorder) Gone()             { r.gone++ }
func (r *recorder) Sent(err error)    { r.sent = append(r.sent, err) }

func tcp(t *testing.T) (fd int, local, remote net.Addr, client *net.TCPConn) {
	t.Helper()
	ln := checktest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	defer ln.Close()
	client = backendtest.Dial(t, ln.Addr().String())
	accepted := checktest.Try(ln.Accept()).Must(t)
	fd = checktest.Try(descriptorOf(accepted)).Must(t)
	return fd, accepted.LocalAddr(), accepted.RemoteAddr(), client
}

func (s *set) open() (*recorder, *net.TCPConn) {
	s.t.Helper()
	fd, local, remote, client := tcp(s.t)
	r := &recorder{}
	r.Holder = r
	r.Init(fd, local, remote)
	s.do(func() {
		checktest.Equal(s.t, r.Open(&s.Set, r), nil)
		r.Schedule()
	})
	return r, client
}

func awaitsRoom(c *Conn) bool {
	t := c.transfer
	return t != nil && !t.loading && !t.again
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// The kernel reports only once that the client has shut down its sending side. The report arrives while the server has
// paused reading.
func TestDataBeforeAHalfCloseIsReadAfterAPause(t *testing.T) {
	for _, pauseMode := range []PauseMode{PauseForReset, PauseForHandover} {
		s := newSet(t, 1000)
		r, client := s.open()
		s.do(func() { r.Pause(pauseMode) })
		sent := pattern(2345)
		client.Write(sent)
		client.CloseWrite()
		s.until("its end has been reported", func() bool { return r.untilEmpty })
		s.do(func() {
			checktest.Truef(t, len(r.got) == 0 && r.ends <= 0, "it was read from")
			r.Unpause()
		})
		s.until("it is closed", func() bool { return r.gone == 1 })
		checktest.Truef(t, bytes.Equal(r.got, sent) && r.ends == 1 && r.closed == 1,
			"%d bytes, %d ends, closed %d times", len(r.got), r.ends, r.closed)
	}
}

func TestResetOfAPausedConnectionClosesIt(t *testing.T) {
	s := newSet(t, 1000)
	breaks, reset := s.open()
	s.do(func() { breaks.Pause(PauseForReset) })
	reset.SetLinger(0)
	reset.Close()
	s.until("it is closed", func() bool { return breaks.gone == 1 })
}

func TestClosedConnectionDoesNotChangeAnotherSocket(t *testing.T) {
	s := newSet(t, 1000)
	r, _ := s.open()
	fd := r.Fd()
	s.do(func() { r.Close("test") })
	s.until("it is closed", func() bool { return r.gone == 1 })
	other := checktest.Try(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)).Must(t)
	if other != fd {
		checktest.Must(t, unix.Dup3(other, fd, 0))
		defer unix.Close(other)
	}
	defer unix.Close(fd)
	s.do(func() { r.AwaitInput(1000) })
	checktest.Equal(t, checktest.Try(unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT)).Must(t), 1)
}

func TestTruncatedFileClosesTheConnection(t *testing.T) {
	f := checktest.Try(os.CreateTemp(t.TempDir(), "")).Must(t)
	defer f.Close()
	f.WriteString("short")
	s := newSet(t, 1000)
	short, _ := s.open()
	s.do(func() {
		short.Queue(Output{Items: []Item{{File: File{FD: int(f.Fd()), Count: 10}}}, Owner: short}, false)
	})
	s.until("the file has ended", func() bool { return short.gone == 1 })
	aborted, _ := s.open()
	s.do(func() {
		aborted.Queue(Output{Items: []Item{{Data: make([]byte, 64<<20)}}, Owner: aborted}, false)
		aborted.Close("test")
		checktest.Truef(t, aborted.closed == 1 && aborted.gone <= 0, "closing has ended the transfer")
		aborted.Abort()
		checktest.Truef(t, aborted.gone == 1 && len(aborted.sent) == 1 && aborted.sent[0] != nil, "the transfer goes on")
		checktest.Truef(t, len(short.sent) == 1 && errors.Is(short.sent[0], ErrShortFile), "%v", short.sent)
	})
}

func TestClientDoesNotTimeOutWhileTheLoopCouldNotWrite(t *testing.T) {
	s := newSet(t, 1000)
	r, client := s.open()
	s.do(func() { r.Queue(Output{Items: []Item{{Data: make([]byte, 32<<20)}}, Owner: r}, false) })
	s.until("it waits for room", func() bool { return awaitsRoom(&r.Conn) })
	s.do(func() {
		for room := []unix.PollFd{{Fd: r.fd, Events: unix.POLLOUT}}; room[0].Revents == 0; unix.Poll(room, 0) {
			if _, err := io.ReadFull(client, make([]byte, 32<<10)); err != nil {
				t.Error(err)
				return
			}
		}
		r.transfer.progress -= int64(2 * time.Hour)
		checktest.Truef(t, r.transfer.expired() && r.Writing() && r.transfer.progress == s.Now, "the room was not used")
		for r.Writing() {
			r.transfer.progress -= int64(2 * time.Hour)
			r.transfer.expired()
		}
		checktest.Truef(t, len(r.sent) == 1 && errors.Is(r.sent[0], os.ErrDeadlineExceeded) && r.gone == 1,
			"the client has more time %v", r.sent)
	})
}

func TestSendingClientReceivesTheLastBytesAndTheEnd(t *testing.T) {
	s := newSet(t, 1000)
	r, client := s.open()
	s.do(func() {
		r.Write([]byte("goodbye"), nil, nil)
		r.Linger = true
		r.Finish()
		r.Finish()
	})
	for range 100 {
		checktest.Try(client.Write(make([]byte, 1000))).Must(t)
	}
	got, err := io.ReadAll(client)
	checktest.Truef(t, string(got) == "goodbye" && err == nil, "%q, %v", got, err)
	client.Close()
	s.until("it is closed", func() bool { return r.gone == 1 })
	checktest.Truef(t, len(r.got) == 0 && r.ends <= 0, "the protocol was given input that is thrown away")
	late, _ := s.open()
	s.do(func() {
		late.Linger = true
		late.Finish()
		s.Now += maxLinger + tick
		s.Tick()
		checktest.Equalf(t, late.gone, 1, "a client that does nothing is waited for")
	})
}

// Again causes one call of Input, even if SetProtocol has replaced the protocol, and no call after a close.
func TestAgainCallsInputOnce(t *testing.T) {
	s := newSet(t, 1000)
	first, _ := s.open()
	closed, _ := s.open()
	second := &recorder{}
	s.do(func() {
		for _, c := range []*recorder{first, first, closed} {
			c.Again()
		}
		checktest.Truef(t, first.WaitsForAgain(), "it is not waited for")
		first.SetProtocol(second)
		closed.Close("the test")
		checktest.Truef(t, s.Resume(), "there was nothing to do")
		checktest.Truef(t, first.inputs == 0 && second.inputs == 1 && closed.inputs == 0,
			"called %d, %d and %d times", first.inputs, second.inputs, closed.inputs)
		checktest.Truef(t, !first.WaitsForAgain() && !s.Resume(), "it is still waited for")
		first.SetProtocol(first)
	})
}

func TestPanicInATurnDoesNotSkipOtherConnections(t *testing.T) {
	s := newSet(t, 1000)
	r, _ := s.open()
	s.do(func() {
		runs := 0
		r.Again()
		s.Soon(nil, func() { panic("a bug") })
		s.Soon(nil, func() { runs++ })
		func() {
			defer func() { _ = recover() }()
			s.Resume()
		}()
		s.Resume()
		more := s.Resume()
		checktest.Truef(t, runs == 1 && r.inputs == 1 && !more, "%d runs, %d inputs, more: %v", runs, r.inputs, more)
	})
}

func TestReadsFromDiskAreLimited(t *testing.T) {
	s := newSet(t, 1<<10)
	file := checktest.Try(os.Open(os.Args[0])).Must(t)
	defer file.Close()
	for range maxReading {
		reading <- struct{}{}
	}
	read := make(chan error, 1)
	s.do(func() {
		s.Load(nil, &Item{File: File{FD: int(file.Fd()), Count: 1}}, nil, func(err error) { read <- err })
	})
	select {
	case <-read:
		t.Fatal("it has not waited")
	case <-time.After(100 * time.Millisecond):
	}
	for range maxReading {
		<-reading
	}
	checktest.Equal(t, <-read, nil)
}

type carried struct{ by *recorder }

func (c carried) Read([]byte) (int, error) { return 0, io.EOF }
func (c carried) Flush() error             { return nil }
func (c carried) CloseWrite() error        { return nil }
func (c carried) AwaitRoom()               {}
func (c carried) TLS() *TLSState           { return nil }
func (c carried) Ends() bool               { return false }
func (c carried) Close()                   {}
func (c carried) Write(b []byte) (int, error) {
	out := c.by.Use()
	*out = append(append(*out, '|'), b...)
	return len(b), nil
}

// Virtual connections write alternately into the gathered output of their carrier. Closing one of them discards only
// its own output.
func TestOutputOfVirtualConnectionsIsWrittenTogetherInOrder(t *testing.T) {
	s := newSet(t, 1000)
	carrier, client := s.open()
	other, second := s.open()
	s.do(func() {
		virtual := make([]*recorder, 3)
		for i := range virtual {
			virtual[i] = new(recorder)
			virtual[i].OpenVirtual(&s.Set, carried{carrier}, virtual[i], nil, nil)
		}
		say := func(r *recorder, text string) {
			out := r.Use()
			*out = append(*out, text...)
		}
		say(carrier, "head")
		say(virtual[0], "a")
		say(virtual[1], "b")
		checktest.Truef(t, carrier.Gathers() && virtual[1].Gathers() && !virtual[0].Gathers() && carrier.flushed == 0,
			"it was written %d times", carrier.flushed)
		say(virtual[0], "c")
		virtual[0].Close("drops what it gathers")
		say(virtual[1], "d")
		say(carrier, "tail")
		say(virtual[2], "e")
		say(virtual[2], "f")
		s.Flush()
		checktest.Truef(t, carrier.flushed == 1 && s.out == nil && !carrier.Gathers(),
			"it was written %d times", carrier.flushed)
		say(other, "for another")
		say(virtual[1], "g")
		checktest.Equalf(t, other.flushed, 0, "it need not be written yet")
		b := other.TakeGathered()
		checktest.Truef(t, string(b) == "for another" && !other.Gathers() && virtual[1].Gathers(), "%q", b)
		say(other, "once more")
		say(virtual[1], "h")
		say(carrier, "last")
		carrier.Close("drops all of its own")
		virtual[1].Close("")
		virtual[2].Close("")
		s.Flush()
		other.Finish()
	})
	for c, want := range map[io.Reader]string{client: "head|a|btail|d|ef", second: "once more"} {
		got, err := io.ReadAll(c)
		checktest.Truef(t, string(got) == want && err == nil, "%q, %v, want %q", got, err, want)
	}
}
