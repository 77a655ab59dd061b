package websocket

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"golang.org/x/net/http/httpguts"
)

const MaxWindow = 15 // maximum window size, in bits

// Compression contains the negotiated parameters of permessage-deflate (RFC 7692). Context takeover is not negotiated,
// so an idle connection needs no window.
type Compression struct {
	On   bool
	Bits uint8 // window size for the server's messages: 8 to MaxWindow
	// the client's offer limited the window to Bits, so the response must confirm the limit
	Limits bool
}

// String returns the value of Sec-WebSocket-Extensions in the response.
func (c Compression) String() string {
	text := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	if c.Limits {
		text += "; server_max_window_bits=" + strconv.Itoa(int(c.Bits))
	}
	return text
}

// negotiate accepts the first valid offer of permessage-deflate in the value of Sec-WebSocket-Extensions. negotiate
// declines other extensions, and offers with parameters that RFC 7692 §7.1 does not permit. valid reports whether the
// value has the syntax of RFC 6455 §9.1, in which quoted strings do not contain commas or semicolons.
func negotiate(value []byte) (c Compression, valid bool) {
	for member := range strings.SplitSeq(string(value), ",") {
		if strings.Trim(member, " \t") == "" {
			continue // empty members are allowed (RFC 9110 §5.6.1.2)
		}
		offer, seen := Compression{On: true, Bits: MaxWindow}, map[string]bool{}
		for i, part := range strings.Split(member, ";") {
			word := parameter().FindStringSubmatch(part)
			if word == nil || i == 0 && word[2] != "" {
				return Compression{}, false
			}
			name, value := strings.ToLower(word[1]), strings.ReplaceAll(word[3]+word[4], `\`, "")
			if i == 0 {
				offer.On = name == "permessage-deflate"
			} else if seen[name] || !offer.set(name, value) {
				offer.On = false
			}
			seen[name] = true
		}
		if !c.On && offer.On {
			c = offer
		}
	}
	return c, true
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]" // matches a character of a token (RFC 9110 §5.6.2)

// parameter matches a parameter of an extension. The value must be a token, with or without quotes; between quotes,
// backslashes can escape characters.
var parameter = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[ \t]*(` + token + `+)[ \t]*(=[ \t]*(?:(` + token + `+)|"((?:\\?` + token +
		`)+)")[ \t]*)?$`)
})

// set applies a parameter of an offer. set returns false if the offer must be declined.
func (c *Compression) set(name, value string) bool {
	switch name {
	case "server_no_context_takeover", "client_no_context_takeover":
		return value == ""
	case "server_max_window_bits":
		c.Bits, c.Limits = windowBits(value), true
		return c.Bits > 0
	// the server accepts every window size in messages from the client
	case "client_max_window_bits":
		return value == "" || windowBits(value) > 0
	}
	return false
}

// windowBits parses a number from 8 to 15 without leading zeros. windowBits returns 0 if text is invalid.
func windowBits(text string) uint8 {
	n, _ := strconv.Atoi(text)
	if n < 8 || n > MaxWindow || text[0] == '0' {
		return 0
	}
	return uint8(n)
}

// IsToken reports whether b is a token (RFC 9110 §5.6.2).
func IsToken(b []byte) bool { return httpguts.ValidHeaderFieldName(string(b)) }

// tail must be appended to a received message before decompression. It consists of the four bytes that a sender removes
// from each message (RFC 7692 §7.2.1), and of an empty final block, which ends the decompression.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

const keepScratch = 64 << 10 // larger buffers are released after use, in bytes

// Inflater decompresses messages (RFC 7692 §7.2.2). A message must not refer to data of earlier messages
// (client_no_context_takeover). The zero value is ready for use. After its first use, an Inflater occupies about 50
// KiB.
type Inflater struct {
	packed  []byte
	in      bytes.Reader
	r       io.ReadCloser
	limited io.LimitedReader
	out     bytes.Buffer
}

// inflate returns the decompressed message, valid until the next call, or an *Error.
func (f *Inflater) inflate(b []byte, max int) ([]byte, error) {
	// RFC 7692 §7.2.3.6 requires at least one byte, but zlib also accepts an empty message
	if len(b) == 0 {
		return nil, nil
	}
	if cap(f.packed) > keepScratch {
		f.packed = nil
	}
	f.packed = append(append(f.packed[:0], b...), tail...)
	f.in.Reset(f.packed)
	if f.r == nil {
		f.r = flate.NewReader(&f.in)
	} else if err := f.r.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return nil, errNotCompressed
	}
	if f.out.Cap() > keepScratch {
		f.out = bytes.Buffer{}
	}
	f.out.Reset()
	f.limited = io.LimitedReader{R: f.r, N: int64(max) + 1}
	_, err := f.out.ReadFrom(&f.limited)
	// If the client's data itself contains a final block (RFC 7692 §7.2.3.5), only the beginning of an empty block may
	// follow this block.
	switch {
	case f.out.Len() > max:
		return nil, errTooBig
	case err != nil || f.in.Len() > len(tail)+1:
		return nil, errNotCompressed
	}
	return f.out.Bytes(), nil
}

// Deflater compresses messages. A compressed message does not refer to data of earlier messages
// (server_no_context_takeover). The zero value is ready for use. A Deflater needs about 1 MiB for each window size that
// it has used.
type Deflater struct {
	writers [16]*flate.Writer
	out     bytes.Buffer
}

// DeflateFrom and DeflateUpTo are the minimum and maximum size of messages that are compressed, in bytes. Compression
// would not make smaller messages shorter, and compressing larger messages would block the event loop.
const (
	DeflateFrom = 256
	DeflateUpTo = 1 << 20
)

// Deflate compresses b for a client whose window has 1<<bits bytes. dst is valid until the next call. ok reports
// whether dst is shorter than b.
func (f *Deflater) Deflate(b []byte, bits uint8) (dst []byte, ok bool) {
	w := f.writers[bits]
	if f.out.Cap() > keepScratch {
		f.out = bytes.Buffer{}
	}
	f.out.Reset()
	// the errors are always nil, because both functions support all window sizes of a Compression
	switch {
	case w != nil:
		w.Reset(&f.out)
	case bits == MaxWindow:
		w, _ = flate.NewWriter(&f.out, flate.BestSpeed)
	default:
		w, _ = flate.NewWriterWindow(&f.out, 1<<bits)
	}
	f.writers[bits] = w
	_, _ = w.Write(b) // a Buffer does not return errors
	_ = w.Flush()
	dst = bytes.TrimSuffix(f.out.Bytes(), []byte(tail[:4]))
	return dst, len(dst) < len(b)
}
