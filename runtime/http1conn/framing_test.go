package http1conn

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
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
			b := new(framedBody)
			b.Begin(nil, &http1.Request{Body: http1.Chunked}, 100, 0)
			at := 0
			for _, cut := range append(cuts, len(data)) {
				cut = min(max(cut, at), len(data))
				buf := append([]byte(nil), data[at:cut]...)
				piece, left, done, err := b.Decode(buf)
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
	b := new(framedBody)
	b.Begin(nil, &http1.Request{Body: http1.Chunked}, 5, 0)
	_, _, _, err := b.Decode([]byte("6\r\n"))
	checktest.Truef(t, err != nil && b.Refused(new(exchange.Server), err).Status == 413, "%v", err)
}
