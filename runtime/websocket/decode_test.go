package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"unicode/utf8"

	"fapws/runtime/checktest"
	"fapws/runtime/system"
	"fapws/runtime/websocket/wstest"
)

func frame(first byte, payload string) []byte {
	client := wstest.Client{Mask: 0x37fa213d}
	return client.AppendFrame(nil, first, []byte(payload))
}

func decode(d *Decoder, data []byte, size int) string {
	var out strings.Builder
	data = bytes.Clone(data)
	if size == 0 {
		size = max(1, len(data))
	}
	for len(data) > 0 {
		piece := data[:min(size, len(data))]
		data = data[len(piece):]
		for len(piece) > 0 {
			next := piece
			if tail := d.Tail(); len(tail) > 0 {
				next = tail[:copy(tail, piece)]
			}
			m, n, err := d.Next(next)
			if n > len(next) || n < 0 {
				return fmt.Sprintf("%d of %d bytes taken", n, len(next))
			}
			piece = piece[n:]
			if err == ErrNeedMore {
				if n < len(next) {
					return "incomplete, and not all was taken"
				}
				continue
			}
			var e *Error
			if errors.As(err, &e) {
				fmt.Fprintf(&out, "error %d %s;", e.Code, e.Text)
				return out.String()
			} else if err != nil {
				return err.Error()
			}
			fmt.Fprintf(&out, "%x", byte(m.Op))
			if m.Op == Close {
				fmt.Fprintf(&out, " %d", m.Code)
			}
			out.WriteByte(' ')
			tell(&out, string(m.Data))
			d.Release()
			if m.Op == Close {
				return out.String()
			}
		}
	}
	return out.String()
}

func cat(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func TestFramesAreDecoded(t *testing.T) {
	const fin = 0x80
	long := strings.Repeat("long ", 20001)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"text", frame(fin|1, "Hello"), `1 "Hello";`},
		{"empty", frame(fin|1, ""), `1 "";`},
		{"two", cat(frame(fin|1, "a"), frame(fin|2, "\xff")), `1 "a";2 "\xff";`},
		{"125", frame(fin|2, long[:125]), `2 125 bytes;`},
		{"126", frame(fin|2, long[:126]), `2 126 bytes;`},
		{"65535", frame(fin|2, long[:65535]), `2 65535 bytes;`},
		{"65536", frame(fin|2, long[:65536]), `2 65536 bytes;`},
		{"fragments", cat(frame(1, "Hel"), frame(0, ""), frame(fin, "lo")), `1 "Hello";`},
		{"an empty first fragment", cat(frame(1, ""), frame(fin, "x")), `1 "x";`},
		{"empty fragments", cat(frame(1, ""), frame(0, ""), frame(fin, "")), `1 "";`},
		{"an empty last fragment", cat(frame(2, "x"), frame(fin, "")), `2 "x";`},
		{"a ping between", cat(frame(1, "Hel"), frame(fin|9, "p"), frame(fin, "lo")), `9 "p";1 "Hello";`},
		{"a close between", cat(frame(1, "Hel"), frame(fin|8, "\x03\xe8")), `8 1000 "";`},
		{"a character in two fragments", cat(frame(1, "\xe2\x82"), frame(fin|9, ""), frame(fin, "\xac")), `9 "";1 "€";`},
		{"ping of 125", frame(fin|9, long[:125]), `9 125 bytes;`},
		{"pong", frame(fin|10, "x"), `a "x";`},
		{"close", frame(fin|8, ""), `8 1005 "";`},
		{"close with a reason", frame(fin|8, "\x0f\xa0bye"), `8 4000 "bye";`},
		{"close with the code 1014", frame(fin|8, "\x03\xf6"), `8 1014 "";`},
		{"close with the code 1004", frame(fin|8, "\x03\xec"), "error 1002 a close frame with an invalid code;"},
		{"close with the code 1006", frame(fin|8, "\x03\xee"), "error 1002 a close frame with an invalid code;"},
		{"close with the code 1015", frame(fin|8, "\x03\xf7"), "error 1002 a close frame with an invalid code;"},
		{"close with a byte", frame(fin|8, "x"), "error 1002 a close frame with one byte;"},
		{"close with a bad reason", frame(fin|8, "\x03\xe8\xff"), "error 1007 the reason of a close frame is not UTF-8;"},
		{"close with half a character", frame(fin|8, "\x03\xe8\xe2\x82"),
			"error 1007 the reason of a close frame is not UTF-8;"},
		{"bit 1", frame(fin|0x40|1, ""), "error 1002 a reserved bit is set;"},
		{"bit 2", frame(fin|0x20|1, ""), "error 1002 a reserved bit is set;"},
		{"bit 3", frame(fin|0x10|9, ""), "error 1002 a reserved bit is set;"},
		{"opcode 3", frame(fin|3, ""), "error 1002 a reserved opcode;"},
		{"opcode 11", frame(fin|11, ""), "error 1002 a reserved opcode;"},
		{"unmasked", []byte{fin | 1, 1, 'x'}, "error 1002 a frame is not masked;"},
		{"a fragmented ping", frame(9, ""), "error 1002 a control frame is fragmented;"},
		{"a long ping", frame(fin|9, long[:126]), "error 1002 a control frame is longer than 125 bytes;"},
		{"a continuation alone", frame(fin, "x"), "error 1002 a continuation without a message;"},
		{"a continuation behind a message", cat(frame(fin|1, "x"), frame(0, "y")),
			`1 "x";error 1002 a continuation without a message;`},
		{"a message in another", cat(frame(1, "x"), frame(fin|1, "y")), "error 1002 a message within another one;"},
		{"a length of 125 in 16 bits", []byte{fin | 2, 0xfe, 0, 125}, "error 1002 a length is not in its shortest form;"},
		{"a length of 65535 in 64 bits", []byte{fin | 2, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
			"error 1002 a length is not in its shortest form;"},
		{"a length below zero", []byte{fin | 2, 0xff, 0x80}, "error 1002 a length has its highest bit set;"},
		{"the greatest length", []byte{fin | 2, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			"error 1009 a message is too big;"},
		{"too big", frame(fin|2, long[:100001])[:10], "error 1009 a message is too big;"},
		{"too big in fragments", cat(frame(2, long[:60000]), frame(0, long[:40000]), frame(fin, "x")),
			"error 1009 a message is too big;"},
		{"as big as may be", cat(frame(2, long[:60000]), frame(fin, long[:40000])), "2 100000 bytes;"},
		{"no UTF-8", frame(fin|1, "ab\xff"), "error 1007 a text message is not UTF-8;"},
		{"half a character", frame(fin|1, "ab\xe2\x82"), "error 1007 a text message is not UTF-8;"},
		{"a surrogate", frame(fin|1, "\xed\xa0\x80"), "error 1007 a text message is not UTF-8;"},
		{"half a character in fragments", cat(frame(1, "ab\xe2"), frame(fin, "")), "error 1007 a text message is not UTF-8;"},
		{"no UTF-8 in fragments", cat(frame(1, "ab\xe2"), frame(0, "x")), "error 1007 a text message is not UTF-8;"},
	} {
		for _, size := range []int{0, 1, 2, 3, 7, 1000, 4096, 40000} {
			d := Decoder{Regions: new(system.Regions), Max: 100000}
			checktest.Equalf(t, decode(&d, test.data, size), test.want, "%s, in pieces of %d", test.name, size)
			checktest.Truef(t, d.buf == nil || strings.HasPrefix(test.want, "error") || strings.HasPrefix(test.want, "8"),
				"%s: keeps %d bytes", test.name, cap(d.buf))
		}
	}
}

// The decoder does not wait for the end of the frame.
func TestInvalidTextIsRejectedAtItsFirstInvalidByte(t *testing.T) {
	const good = "κόσμε"
	data := frame(0x81, good+"\xf4\x90\x80\x80edited")
	for n := range data {
		d := Decoder{Regions: new(system.Regions), Max: 1000}
		got := decode(&d, data[:n], 0)
		checktest.Equalf(t, got != "", n > 6+len(good)+1, "%d bytes: %q", n, got)
	}
}

func TestCloseFramesAreEncoded(t *testing.T) {
	for _, test := range []struct {
		code         uint16
		reason, want string
	}{
		{1000, "", "\x88\x02\x03\xe8"},
		{1001, "bye", "\x88\x05\x03\xe9bye"},
		{0, "bye", "\x88\x00"},
		{1005, "", "\x88\x00"},
		{1006, "x", "\x88\x03\x03\xf3x"},
		{1000, "\xff", "\x88\x02\x03\xe8"},
		{4999, strings.Repeat("x", 200), "\x88\x7d\x13\x87" + strings.Repeat("x", 123)},
		{1000, strings.Repeat("x", 122) + "€", "\x88\x7c\x03\xe8" + strings.Repeat("x", 122)},
		{1000, strings.Repeat("x", 121) + "€", "\x88\x7b\x03\xe8" + strings.Repeat("x", 121)},
		{1000, strings.Repeat("x", 120) + "€", "\x88\x7d\x03\xe8" + strings.Repeat("x", 120) + "€"},
	} {
		checktest.Equalf(t, string(AppendClose(nil, test.code, []byte(test.reason))), test.want,
			"%d %q", test.code, test.reason)
	}
}

func TestTextInPiecesIsCheckedLikeTheWholeText(t *testing.T) {
	pieces := []string{"", "a", "é", "€", "𐍈", "\xc3", "\x80", "\xe2", "\x82", "\xf0", "\x90", "\xf4", "\xed", "\xa0",
		"\xff", "\xc0", "\xe0"}
	n := len(pieces)
	for i := range n * n * n * n {
		d, text, ok := Decoder{Regions: new(system.Regions), Max: 100, message: Text, payload: true}, "", true
		for _, piece := range []string{pieces[i%n], pieces[i/n%n], pieces[i/n/n%n], pieces[i/n/n/n]} {
			_, err := d.dataFrame([]byte(piece))
			text, ok = text+piece, ok && err == ErrNeedMore
		}
		checktest.Equalf(t, ok, hopeful(text), "%q in pieces", text)
		d.fin, d.payload = true, false
		_, err := d.dataFrame(nil)
		checktest.Truef(t, !ok || (err == nil) == utf8.ValidString(text), "%q: whole", text)
	}
}

func hopeful(s string) bool {
	for {
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			return true
		}
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRuneInString(s)
		}
		s = s[n:]
	}
}

func pack(s string) []byte { return new(wstest.Client).Pack([]byte(s)) }

func TestMessagesAreCompressedAndRestored(t *testing.T) {
	var d Deflater
	var f Inflater
	noise := make([]byte, 5000)
	rand.New(rand.NewSource(1)).Read(noise)
	for bits := uint8(8); bits <= MaxWindow; bits++ {
		for _, text := range []string{"a", strings.Repeat("Hello, world! ", 10), strings.Repeat("x", 1<<20),
			string(noise), strings.Repeat(string(noise[:300]), 100), strings.Repeat(string(noise), 10)} {
			packed, ok := d.Deflate([]byte(text), bits)
			checktest.Equalf(t, ok, len(packed) < len(text), "%d bytes became %d", len(text), len(packed))
			if got, err := wstest.Unpack(packed); err != nil || string(got) != text {
				t.Errorf("%d bits: %d bytes became %d: %v", bits, len(text), len(got), err)
			}
			if got, err := f.inflate(packed, 2<<20); err != nil || string(got) != text {
				t.Errorf("%d bits: %d bytes became %d: %v", bits, len(text), len(got), err)
			}
			// A repetition whose distance exceeds the window is not compressed.
			repeats := strings.Repeat(string(noise[:300]), 100)
			checktest.Truef(t, text != repeats || (len(packed) < 2000) == (bits >= 9),
				"%d bits: %d bytes became %d", bits, len(text), len(packed))
		}
	}
	checktest.Truef(t, cap(d.out.Bytes()) <= 2<<20, "a large buffer is kept")
}

func TestCompressedBlocksAreInflated(t *testing.T) {
	var f Inflater
	for _, test := range []struct{ name, data, want string }{
		// Examples of RFC 7692 §7.2.3.
		{"one block", "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"stored", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},
		{"last block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
		{"last block, no more", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
		{"empty", "\x00", ""},
		{"nothing", "", ""},
	} {
		got, err := f.inflate([]byte(test.data), 100)
		checktest.Truef(t, err == nil && string(got) == test.want, "%s: %q, %v", test.name, got, err)
	}
	for _, test := range []struct {
		name, data string
		code       uint16
	}{
		{"garbage", "\xff\xff\xff\xff", InvalidData},
		{"cut off", "\xf2\x48\xcd", InvalidData},
		{"behind the last block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x01\x02\x03\x04", InvalidData},
		{"another message's window", "\xf2\x00\x11\x00\x00", InvalidData},
		{"a byte too much", string(pack(strings.Repeat("x", 101))), TooBig},
		{"a bomb", string(pack(strings.Repeat("\x00", 10<<20))), TooBig},
	} {
		_, err := f.inflate([]byte(test.data), 100)
		var e *Error
		checktest.Truef(t, errors.As(err, &e) && e.Code == test.code, "%s: %v", test.name, err)
	}
	got, err := f.inflate(pack(strings.Repeat("x", 100)), 100)
	checktest.Truef(t, err == nil && len(got) == 100, "%v %v", len(got), err)
}

func TestDecompressionBombIsInflatedOnlyToTheLimit(t *testing.T) {
	bomb := pack(strings.Repeat("\x00", 20<<20)) // 20 MiB of zeros compress to less than 100 KB
	d := Decoder{Regions: new(system.Regions), Max: 1 << 20, Inflater: new(Inflater)}
	checktest.Equal(t, decode(&d, frame(0xc2, string(bomb)), 0), "error 1009 a message is too big;")
	n := d.Inflater.out.Cap()
	checktest.Truef(t, n <= 3<<20, "%d bytes were used", n)
}

// Invalid data in discarded messages is not an error.
func TestDiscardedMessagesAreNeitherDecompressedNorStored(t *testing.T) {
	d := Decoder{Regions: new(system.Regions), Max: 1 << 20, Inflater: new(Inflater), Discard: true}
	got := decode(&d, cat(frame(0xc1, "no deflate"), frame(0x01, "\xff"), frame(0x80, "\xff"), frame(0x89, "p")), 3)
	checktest.Truef(t, got == `1 "";1 "";9 "p";` && d.Inflater.r == nil && cap(d.buf) == 0,
		"got %s; it keeps %d bytes", got, cap(d.buf))
}

func TestCompressedMessagesAreDecoded(t *testing.T) {
	hello := string(pack("Hello"))
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"RFC 7692 §7.2.3.1", frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), `1 "Hello";`},
		{"in fragments", cat(frame(0x41, "\xf2\x48\xcd"), frame(0x89, "p"), frame(0x80, "\xc9\xc9\x07\x00")),
			`9 "p";1 "Hello";`},
		{"and plain ones", cat(frame(0xc2, hello), frame(0x81, "plain"), frame(0xc1, hello)),
			`2 "Hello";1 "plain";1 "Hello";`},
		{"the bit on a continuation", cat(frame(0x41, hello[:2]), frame(0xc0, hello[2:])),
			"error 1002 a reserved bit is set;"},
		{"the bit on a ping", frame(0xc9, ""), "error 1002 a reserved bit is set;"},
		{"another bit", frame(0xe1, hello), "error 1002 a reserved bit is set;"},
		{"no UTF-8", frame(0xc1, string(pack("\xff"))), "error 1007 a text message is not UTF-8;"},
		{"not compressed", frame(0xc1, "Hello"), "error 1007 a message cannot be decompressed;"},
	} {
		for _, size := range []int{0, 1, 3} {
			d := Decoder{Regions: new(system.Regions), Max: 1000, Inflater: new(Inflater)}
			checktest.Equalf(t, decode(&d, test.data, size), test.want, "%s, in pieces of %d", test.name, size)
		}
	}
}
