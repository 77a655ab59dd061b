package conn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fapws/runtime/checktest"
)

func TestRandomSplitsOfRecordsMakeNoDifference(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			next := generator(seed)
			s := newServer(t, nil)
			size := []int{1, 7, 100, 5000, 64 << 10}[next(5)]
			s.do(func() { s.conns.SetReadSize(size) })
			gathered := &gatherer{next: next}
			config := clientConfig()
			config.MaxVersion = tls.VersionTLS12 + uint16(seed%2)
			c := s.dial(config, func(c net.Conn) net.Conn {
				gathered.Conn = c
				return gathered
			})
			gathered.gathers = true
			for range 4 {
				sent := pattern(1 + next(1+next(min(60_000, 2000*size)))) // small reads of large records take long
				for rest := sent; len(rest) > 0; {
					n := 1 + next(len(rest))
					checktest.Try(c.Write(rest[:n])).Must(t)
					rest = rest[n:]
				}
				done := make(chan error, 1)
				go func() { done <- gathered.send() }()
				got := make([]byte, len(sent))
				_, err := io.ReadFull(c, got)
				checktest.Needf(t, err == nil && bytes.Equal(got, sent), "%v", err)
				checktest.Must(t, <-done)
			}
		})
	}
}

func generator(seed uint64) func(n int) int {
	state := seed*2862933555777941757 + 3037000493
	return func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
}

type gatherer struct {
	net.Conn
	next    func(n int) int
	gathers bool
	kept    []byte
}

func (g *gatherer) Write(b []byte) (int, error) {
	if !g.gathers {
		return g.Conn.Write(b)
	}
	g.kept = append(g.kept, b...)
	return len(b), nil
}

func (g *gatherer) send() error {
	for len(g.kept) > 0 {
		n := 1 + g.next(1+g.next(len(g.kept)))
		if _, err := g.Conn.Write(g.kept[:n]); err != nil {
			return err
		}
		g.kept = g.kept[n:]
	}
	return nil
}

func TestCloseNotifyEndsTheInputOfAClient(t *testing.T) {
	s := newServer(t, func() *peer { return &peer{stays: true} })
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	c.CloseWrite()
	p := s.only()
	s.until("its end", func() bool { return p.ends == 1 })
	checktest.Equal(t, string(p.got), "question")
	s.do(func() {
		p.send([]byte("answer"))
		p.Finish()
	})
	got, err := io.ReadAll(c)
	checktest.Truef(t, err == nil && string(got) == "answer", "%q, %v", got, err)
}

// If the input ends in the middle of a record, the server closes the connection.
func TestEndWithoutCloseNotifyEndsTheInput(t *testing.T) {
	for _, rest := range []string{"", "\x17\x03\x03\x00\x50half"} {
		s := newServer(t, func() *peer { return &peer{stays: true} })
		c := s.dial(nil, nil)
		c.Write([]byte("question"))
		below := c.NetConn().(*net.TCPConn)
		below.Write([]byte(rest))
		below.CloseWrite()
		p := s.only()
		s.until("its end", func() bool { return p.ends == 1 || p.closed })
		checktest.Truef(t, string(p.got) == "question" && p.closed == (rest != ""),
			"%q: %q, closed: %v", rest, p.got, p.closed)
	}
}

func TestFinishSendsCloseNotifyWhileTheClientSends(t *testing.T) {
	for _, linger := range []bool{false, true} {
		s := newServer(t, func() *peer {
			return &peer{answer: func(p *peer, _ []byte) {
				if len(p.got) >= 8 {
					p.send([]byte("answer"))
					p.Linger = linger
					p.Finish()
				}
			}}
		})
		c := s.dial(nil, nil)
		c.Write([]byte("question"))
		if linger {
			c.Write(pattern(100_000))
		}
		got, err := io.ReadAll(c)
		checktest.Truef(t, err == nil && string(got) == "answer", "%q, %v", got, err)
		c.Close()
		p := s.only()
		s.until("the connection is closed", func() bool { return p.gone })
	}
}

func TestIncompleteOutputEndsWithoutCloseNotify(t *testing.T) {
	s := newServer(t, func() *peer {
		return &peer{answer: func(p *peer, _ []byte) {
			p.send([]byte("half an answer"))
			p.Reset = true
			p.Finish()
		}}
	})
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	_, err := io.ReadAll(c)
	checktest.Truef(t, err != nil, "the client has seen a proper end")
}

func TestTLSClientThatDoesNotReadNeedsBoundedMemory(t *testing.T) {
	body := pattern(20 << 20)
	s := newServer(t, func() *peer {
		return &peer{finish: true, answer: func(p *peer, _ []byte) {
			rest, err := p.Write([]byte("head"), body, []byte("tail"))
			if rest == nil || err != nil {
				p.s.t.Errorf("the socket has taken all of it: %v", err)
				return
			}
			p.Queue(Output{Items: rest, Owner: p}, true)
		}}
	})
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	p := s.only()
	s.until("records wait", func() bool { return awaitsRoom(&p.Conn) && p.transport.wire.waiting() > 0 })
	s.do(func() {
		n := p.transport.wire.waiting()
		checktest.Truef(t, n <= 2*pieceSize+4<<10, "%d bytes of records wait", n)
	})
	got, err := io.ReadAll(c)
	want := "head" + string(body) + "tail"
	checktest.Needf(t, err == nil && string(got) == want, "%d of %d bytes, %v", len(got), len(want), err)
	s.do(func() { checktest.Truef(t, len(p.sent) == 1 && p.sent[0] == nil, "%v", p.sent) })
}

// The files are in memory, on disk, or partly in memory; other bytes precede and follow each file.
func TestFilesArriveIntactOverTLS(t *testing.T) {
	content := pattern(5_000_000)
	path := filepath.Join(t.TempDir(), "file")
	checktest.Must(t, os.WriteFile(path, content, 0o600))
	file := checktest.Try(os.Open(path)).Must(t)
	defer file.Close()
	for _, c := range []struct {
		name string
		// every coldEvery-th read finds that the file is not in memory; 0 means that all reads find the file in memory
		coldEvery           int
		offset, count, warm int64
		err                 error
	}{
		{"warm", 0, 0, 5_000_000, 0, nil},
		{"cold", 1, 0, 5_000_000, 0, nil},
		{"both", 3, 0, 5_000_000, 0, nil},
		{"range", 2, 1_234_567, 1_000_001, 0, nil},
		{"looked at", 1, 7, 50_000, 60_000, nil},
		{"short and warm", 0, 4_000_000, 1_000_001, 0, ErrShortFile},
		{"short and cold", 1, 4_000_000, 1_000_001, 0, ErrShortFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func() *peer {
				return &peer{finish: true, answer: func(p *peer, _ []byte) {
					items := []Item{
						{Data: []byte("head"), More: true}, {File: File{FD: int(file.Fd()), Offset: c.offset,
							Count: c.count, Warm: c.warm}, More: true}, {Data: []byte("tail")},
					}
					left, full, err := p.WriteItems(items)
					switch {
					case err != nil:
						p.Sent(err)
						p.Reset = true
						p.Close(err.Error())
					case len(left) == 0:
						p.Sent(nil)
						p.Finish()
					default:
						p.Queue(Output{Items: slices.Clone(left), Owner: p}, full)
					}
				}}
			})
			asked := 0
			s.do(func() {
				s.conns.Cached = func(int, int64) bool { asked++; return c.coldEvery == 0 || asked%c.coldEvery != 0 }
			})
			client := s.dial(nil, nil)
			client.Write([]byte("question"))
			got, err := io.ReadAll(client)
			want := slices.Concat([]byte("head"), content[c.offset:min(c.offset+c.count, int64(len(content)))], []byte("tail"))
			p := s.only()
			s.until("the file is sent", func() bool { return len(p.sent) == 1 })
			checktest.Truef(t, errors.Is(p.sent[0], c.err), "%v", p.sent[0])
			checktest.Truef(t, c.err != nil || err == nil && bytes.Equal(got, want),
				"%d bytes of %d, %v", len(got), len(want), err)
		})
	}
}
