package http1conn

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// FuzzDecode checks that a chunked body that is split at any byte gives the same content, or the same error, as the
// whole body.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n5\r\n, wor\r\n2\r\nld\r\n0\r\n\r\n"), uint16(3), uint16(9))
	f.Add([]byte("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET"), uint16(1), uint16(1))
	f.Add([]byte("5\r\nhelloX"), uint16(4), uint16(2))
	f.Add([]byte("fffffffff\r\nhello"), uint16(9), uint16(9))
	f.Add([]byte("ffffffffffffffff1\r\n"), uint16(2), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, first, second uint16) {
		decode := func(cuts ...int) (content, rest string, whole bool, err error) {
			b := &framedBody{BodyReader: http1.BodyReader{IsChunked: true}}
			at := 0
			for _, cut := range append(cuts, len(data)) {
				cut = min(max(cut, at), len(data))
				piece, left, done, err := b.Decode(append([]byte(nil), data[at:cut]...))
				at = cut
				if err != nil {
					return "", "", false, err
				}
				content += string(piece)
				if done {
					return content, string(left) + string(data[at:]), true, nil
				}
				checktest.Needf(t, len(left) == 0, "%q is left of a body that goes on", left)
			}
			return content, "", false, nil
		}
		content, rest, whole, err := decode()
		content2, rest2, whole2, err2 := decode(int(first), int(first)+int(second))
		checktest.Truef(t, err == err2 && whole == whole2 && content == content2 && rest == rest2,
			"at once: %q, %q, %v, %v; cut: %q, %q, %v, %v", content, rest, whole, err, content2, rest2, whole2, err2)
		var want []byte
		var d http1.ChunkedReader
		for left := data; err == nil; {
			piece, n, e := d.Next(left)
			want, left = append(want, piece...), left[n:]
			if d.Done() || e != nil {
				break
			}
		}
		checktest.Truef(t, err != nil || string(want) == content, "%q, want %q", content, want)
	})
}

func TestChunkThatIsTooLargeIsRejectedBeforeItsBytes(t *testing.T) {
	x := newExchange(exchange.Config{})
	x.MaxBody, x.Choice = 5, &exchange.Mount{Streams: true}
	b := &framedBody{BodyReader: http1.BodyReader{IsChunked: true}}
	b.Begin(x, -1, false, 0)
	piece, _, whole, err := b.Decode([]byte("6\r\n"))
	checktest.Equal(t, err, nil)
	checktest.Equal(t, b.Arrive(piece, b.Chunks.Left(), whole), exchange.Refuse)
	checktest.Equal(t, b.Refusal().Status, 413)
}

func newServer(cfg exchange.Config) *Server {
	s := new(Server)
	s.Init(new(exchange.Server), nil, nil, nil)
	s.Server.Init(nil, new(conn.Set), nil, nil, "test")
	s.Configure(cfg)
	return s
}

func exchangeFrom(s *Server, addr string) *exchange.Exchange {
	c, _ := s.NewClient(-1, new(net.TCPAddr), &net.TCPAddr{IP: net.ParseIP(addr)}, false)
	return s.New(&c.Client, c)
}

func newExchange(cfg exchange.Config) *exchange.Exchange {
	return exchangeFrom(newServer(cfg), "192.0.2.1")
}

func TestResponseIsFramedAsItsHeadSays(t *testing.T) {
	for _, c := range []struct {
		framing http1.Framing
		length  int64
		// pieces of the body, separated by spaces; a number is a piece with this number of bytes from a file; trailers
		// follow after "|"
		pieces string
		want   string // the sent bytes, with a dot for each byte of a file
		cuts   int
		short  int64
	}{
		{http1.Chunked, -1, "", "0\r\n\r\n", 0, 0},
		{http1.Chunked, -1, "abc", "3\r\nabc\r\n0\r\n\r\n", 0, 0},
		{http1.Chunked, -1, "abc de", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 0, 0},
		{http1.Chunked, -1, "abc 12", "3\r\nabc\r\nc\r\n............\r\n0\r\n\r\n", 0, 0},
		{http1.Chunked, -1, "abc|A: b\r\n", "3\r\nabc\r\n0\r\nA: b\r\n\r\n", 0, 0},
		{http1.Chunked, -1, "abc 4 |A: b\r\nC:\r\n", "3\r\nabc\r\n4\r\n....\r\n0\r\nA: b\r\nC:\r\n\r\n", 0, 0},
		{http1.Sized, 3, "abc|A: b\r\n", "abc", 0, 0},
		{http1.UntilClose, -1, "abc|A: b\r\n", "abc", 0, 0},
		{http1.Sized, 5, "abc de", "abcde", 0, 0},
		{http1.Sized, 5, "abc 2", "abc..", 0, 0},
		{http1.Sized, 5, "abc def ghi", "abcde", 1, 0},
		{http1.Sized, 5, "abc 9", "abc..", 1, 0},
		{http1.Sized, 5, "abcdefg", "abcde", 1, 0},
		{http1.Sized, 5, "abc", "abc", 0, 2},
		{http1.UntilClose, -1, "abc 3 de", "abc...de", 0, 0},
		{http1.NoBody, 0, "abc 3", "", 0, 0},
	} {
		const head = 100
		got, size, cuts := "", int64(0), 0
		x := newExchange(exchange.Config{LogClient: func(logfile.Level, string, string) { cuts++ }})
		r := &x.Out
		*r = exchange.Response{Begun: true, Status: 200, Framing: c.framing, Framed: head, Left: max(c.length, 0)}
		body, trailers, _ := strings.Cut(c.pieces, "|")
		pieces := strings.Split(body, " ")
		for i, piece := range pieces {
			count := int64(0)
			if n, err := fmt.Sscan(piece, &count); n == 1 && err == nil {
				piece = ""
			}
			body, file, _ := x.Take(&exchange.Part{Body: []byte(piece), File: &exchange.File{Count: count}})
			n := int64(len(body)) + file
			size += n
			sent := string(body) + strings.Repeat(".", int(file))
			if r.Framing == http1.Chunked {
				sent = string(appendChunk(nil, n)) + sent + string(chunkTail(n, i == len(pieces)-1, []byte(trailers)))
			}
			got += sent
		}
		checktest.Truef(t, got == c.want && cuts == c.cuts && r.Left == c.short,
			"%v %q: %q, %d cuts, %d bytes short", c.framing, c.pieces, got, cuts, r.Left)
		checktest.Truef(t, r.Sent == size && r.Framed == head, "%v %q: %+v", c.framing, c.pieces, r)
	}
}
