package http1

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// readChunked decodes the chunked body at the start of src. It passes src to a ChunkedReader in pieces, whose lengths
// cycle through steps, or as a whole if steps is nil.
func readChunked(src []byte, steps []byte) (body []byte, n int, err error) {
	var d ChunkedReader
	for i := 0; ; i++ {
		end := len(src)
		if len(steps) > 0 {
			end = min(end, n+max(1, int(steps[i%len(steps)])))
		}
		piece := src[n:end:end]
		for {
			data, k, err := d.Next(piece)
			body = append(body, data...)
			n += k
			piece = piece[k:]
			if d.Done() {
				return body, n, err
			}
			if err == ErrNeedMore {
				if len(piece) > 0 || len(data) > 0 {
					panic("ErrNeedMore with bytes left or given")
				}
				break
			}
			if err != nil {
				return body, n, err
			}
		}
		if n == len(src) {
			return body, n, io.ErrUnexpectedEOF
		}
	}
}

var chunkedSeeds = []string{
	"0\r\n\r\n",
	"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
	"5\r\nhello\r\n6;a=b;c=\"d e\"\r\n world\r\n0\r\nX: y\r\nZ:\r\n\r\n",
	"A \t;x\r\n0123456789\r\n000\r\n\r\n",
	"7fffffffffffffff\r\nx", "8000000000000000\r\n", "5\nhello\n0\n\n", "5\r\nhelloX", "-1\r\n", "0x5\r\n", "\r\n",
}

func TestValidChunkedBodiesAreDecoded(t *testing.T) {
	const next = "GET / HTTP/1.1\r\n"
	for _, c := range []struct{ name, in, want string }{
		{"empty", "0\r\n\r\n", ""},
		{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
		{"hexadecimal in any case", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"},
		{"leading zeros", "0000000000000005\r\nhello\r\n0000\r\n\r\n", "hello"},
		{"data with CRLF", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"},
		{"extensions, 9112 7.1.1", "5;a\r\nhello\r\n1;b=c;d=\"e;f\"\r\n!\r\n0;z\r\n\r\n", "hello!"},
		{"space before extension", "5 \t;a=b\r\nhello\r\n0 ;z\r\n\r\n", "hello"},
		{"trailers, 9112 7.1.2", "1\r\nx\r\n0\r\nA: b\r\nContent-Length: 7\r\nC:\r\n\r\n", "x"},
		{"most overhead", "0;" + strings.Repeat("x", maxChunkOverhead-1) + "\r\n\r\n", ""},
		{"most trailers", "0\r\n" + strings.Repeat("A: b\r\n", MaxTrailers) + "\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, steps := range [][]byte{nil, {1}, {2}, {3, 1}} {
				body, n, err := readChunked([]byte(c.in+next), steps)
				checktest.Truef(t, err == nil && string(body) == c.want && n == len(c.in),
					"in steps of %v: %q, %d bytes of %d, %v", steps, body, n, len(c.in), err)
			}
		})
	}
}

func TestInvalidChunkedBodiesAreRejected(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"no size", "\r\nhello\r\n0\r\n\r\n"},
		{"extension without size", ";a\r\n"},
		{"space before size", " 5\r\nhello\r\n"},
		{"space after size", "5 \r\nhello\r\n"},
		{"sign", "+5\r\nhello\r\n"},
		{"negative", "-1\r\n"},
		{"0x", "0x5\r\nhello\r\n"},
		{"underscore", "1_0\r\n"},
		{"not hexadecimal", "g\r\n"},
		{"2^63", "8000000000000000\r\n"},
		{"2^64", "10000000000000000\r\n"},
		{"2^64 and 5", "10000000000000005\r\nhello\r\n"},
		{"more digits than needed", "00000000000000005\r\nhello\r\n"},
		{"LF after size", "5\nhello\r\n"},
		{"CR CR LF after size", "5\r\r\nhello\r\n"},
		{"CR without LF after size", "5\rhello\r\n"},
		{"NUL after size", "5\x00\r\n"},
		{"LF in extension", "5;a\nhello\r\n"},
		{"CR in extension", "5;a\rb\r\nhello\r\n"},
		{"NUL in extension", "5;\x00\r\nhello\r\n"},
		{"data longer than said", "5\r\nhello!\r\n0\r\n\r\n"},
		{"data shorter than said", "6\r\nhello\r\n0\r\n\r\n"},
		{"LF after data", "5\r\nhello\n0\r\n\r\n"},
		{"CR after data", "5\r\nhello\r0\r\n\r\n"},
		{"CR CR LF after data", "5\r\nhello\r\r\n0\r\n\r\n"},
		{"LF after last chunk", "0\n\r\n"},
		{"LF ends body", "0\r\n\n"},
		{"CR ends body", "0\r\n\rX"},
		{"trailer without name", "0\r\n: x\r\n\r\n"},
		{"trailer without colon", "0\r\nabc\r\n\r\n"},
		{"trailer with space before colon", "0\r\nA : b\r\n\r\n"},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
		{"trailer with NUL", "0\r\nA: \x00\r\n\r\n"},
		{"trailer with LF", "0\r\nA: b\nC: d\r\n\r\n"},
		{"trailer with CR", "0\r\nA: b\rC: d\r\n\r\n"},
		{"next request without an empty line", "0\r\nGET / HTTP/1.1\r\n\r\n"},
		{"long extension", "0;" + strings.Repeat("x", maxChunkOverhead) + "\r\n\r\n"},
		{"long space", "0" + strings.Repeat(" ", maxChunkOverhead+1) + ";\r\n\r\n"},
		{"many extensions", strings.Repeat("1;abcdefg\r\nx\r\n", maxChunkOverhead/8+1)},
		{"long trailer", "0\r\nA: " + strings.Repeat("x", maxChunkOverhead) + "\r\n\r\n"},
		{"long trailer name", "0\r\n" + strings.Repeat("x", maxChunkOverhead+1)},
		{"many trailers", "0\r\n" + strings.Repeat("A: b\r\n", MaxTrailers+1)},
		{"extension and trailer together", "0;" + strings.Repeat("x", maxChunkOverhead/2) + "\r\nA: " +
			strings.Repeat("x", maxChunkOverhead/2) + "\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, steps := range [][]byte{nil, {1}} {
				_, _, err := readChunked([]byte(c.in), steps)
				se, ok := err.(*StatusError)
				checktest.Truef(t, ok && se.Status == 400, "in steps of %v: %v", steps, err)
			}
		})
	}
}

func TestIncompleteChunkedBodyNeedsMoreInput(t *testing.T) {
	const in = "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
	for n := range in {
		_, _, err := readChunked([]byte(in[:n]), nil)
		checktest.Equalf(t, err, io.ErrUnexpectedEOF, "after %q", in[:n])
	}
}

func TestLargestChunkIsAccepted(t *testing.T) {
	var d ChunkedReader
	data, n, err := d.Next([]byte("7fffffffffffffff\r\nx"))
	checktest.Truef(t, err == nil && n == 19 && string(data) == "x", "%q, %d, %v", data, n, err)
}

// A caller that appends to the returned data cannot overwrite the following bytes of the source.
func TestChunkDataIsAPartOfTheSource(t *testing.T) {
	src := []byte("5\r\nhello\r\n0\r\n\r\n")
	var d ChunkedReader
	data, n, err := d.Next(src)
	checktest.Truef(t, err == nil && n == 8 && &data[0] == &src[3] && cap(data) == 5,
		"%q with capacity %d, %d, %v", data, cap(data), n, err)
}

const lastChunk = "0\r\n\r\n"

func appendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	return append(append(AppendChunkHeader(dst, int64(len(data))), data...), "\r\n"...)
}

func TestAppendedChunkHeadersAreReadBack(t *testing.T) {
	var wire, want []byte
	for _, size := range []int{1, 15, 16, 255, 4096, 0, 70000} {
		data := bytes.Repeat([]byte{'x', '\r', '\n'}, size)[:size]
		wire = appendChunk(wire, data)
		want = append(want, data...)
	}
	wire = append(wire, lastChunk...)
	got, n, err := readChunked(wire, nil)
	checktest.Truef(t, err == nil && n == len(wire) && bytes.Equal(got, want),
		"%d bytes of %d, took %d of %d, %v", len(got), len(want), n, len(wire), err)
	checktest.Equalf(t, string(AppendChunkHeader(nil, 1<<63-1)), "7fffffffffffffff\r\n", "longest header")
}

func TestChunkedDoesNotAllocate(t *testing.T) {
	src := []byte("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")
	checktest.Equalf(t, testing.AllocsPerRun(100, func() {
		var d ChunkedReader
		for in := src; !d.Done(); {
			_, n, _ := d.Next(in)
			in = in[n:]
		}
	}), 0, "allocations")
}

func FuzzChunkedSplit(f *testing.F) {
	for _, in := range chunkedSeeds {
		f.Add([]byte(in), []byte{1})
		f.Add([]byte(in), []byte{2, 1, 5})
	}
	f.Fuzz(func(t *testing.T, in, steps []byte) {
		body, n, err := readChunked(in, nil)
		body2, n2, err2 := readChunked(in, steps)
		want, got := fmt.Sprintf("%q %d %v", body, n, err), fmt.Sprintf("%q %d %v", body2, n2, err2)
		checktest.Equalf(t, got, want, "%q in steps of %v", in, steps)
	})
}

func TestTrailersThatHTTPForbidsAreInvalid(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Sum": true, "Content-Digest": true, "ETag": true, "Server-Timing": true, "Iff": true,
		"Authentication-Info": true,
		"":                    false, "a b": false, ":status": false, "a:": false, "Content-Length": false,
		"TRANSFER-ENCODING": false,
		"Content-Type":      false,
		"If-Match":          false, "Set-Cookie": false, "Cache-Control": false, "Proxy-Status": false,
		"Trailer": false,
		"Host":    false,
	} {
		checktest.Equalf(t, ValidTrailer(name), want, "%q", name)
	}
}
