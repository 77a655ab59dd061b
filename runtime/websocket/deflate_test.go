package websocket

import (
	"errors"
	"math/rand"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/websocket/wstest"
)

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
	d := Decoder{Max: 1 << 20, Inflater: new(Inflater)}
	checktest.Equal(t, decode(&d, frame(0xc2, string(bomb)), 0), "error 1009 a message is too big;")
	n := d.Inflater.out.Cap()
	checktest.Truef(t, n <= 3<<20, "%d bytes were used", n)
}

// Invalid data in discarded messages is not an error.
func TestDiscardedMessagesAreNeitherDecompressedNorStored(t *testing.T) {
	d := Decoder{Max: 1 << 20, Inflater: new(Inflater), Discard: true}
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
			d := Decoder{Max: 1000, Inflater: new(Inflater)}
			checktest.Equalf(t, decode(&d, test.data, size), test.want, "%s, in pieces of %d", test.name, size)
		}
	}
}
