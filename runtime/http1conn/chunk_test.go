package http1conn

import (
	"fmt"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

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
				sent = string(appendChunk(nil, r, n)) + sent +
					string(chunkTail(r, n, i == len(pieces)-1, []byte(trailers)))
			}
			got += sent
		}
		checktest.Truef(t, got == c.want && cuts == c.cuts && r.Left == c.short,
			"%v %q: %q, %d cuts, %d bytes short", c.framing, c.pieces, got, cuts, r.Left)
		checktest.Truef(t, r.Sent == size && r.Framed == head+int64(len(got))-size, "%v %q: %+v", c.framing, c.pieces, r)
	}
}
