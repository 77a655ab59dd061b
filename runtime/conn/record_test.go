package conn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

// half is one direction of a TLS 1.3 connection with known keys (RFC 8446 §5.2, §7.3).
type half struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func newHalf(secret []byte) *half {
	h := &half{secret: secret}
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	if h.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	h.iv = expand(secret, "iv", 12)
	return h
}

func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	key, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		panic(err)
	}
	return key
}

func (h *half) update() { *h = *newHalf(expand(h.secret, "traffic upd", 32)) }

func (h *half) nonce() []byte {
	nonce := bytes.Clone(h.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^h.seq)
	h.seq++
	return nonce
}

func (h *half) seal(kind byte, data []byte) []byte {
	n := len(data) + 1 + h.aead.Overhead()
	header := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	return h.aead.Seal(header, h.nonce(), append(bytes.Clone(data), kind), header)
}

func (h *half) open(r io.Reader) (kind byte, data []byte, err error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, nil, err
	}
	sealed := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(r, sealed); err != nil {
		return 0, nil, err
	}
	data, err = h.aead.Open(nil, h.nonce(), sealed, header)
	if err != nil {
		return 0, nil, err
	}
	return data[len(data)-1], data[:len(data)-1], nil
}

const (
	alertRecord     = 21
	handshakeRecord = 22
	dataRecord      = 23
)

// updateRequested is a KeyUpdate that requests a KeyUpdate from the server. updateAlone is a KeyUpdate that does not
// request an answer.
var (
	updateRequested = []byte{24, 0, 0, 1, 1}
	updateAlone     = []byte{24, 0, 0, 1, 0}
)

func (s *server) raw() (c *net.TCPConn, out, in *half) {
	s.t.Helper()
	var log bytes.Buffer
	config := clientConfig()
	config.KeyLogWriter, config.MinVersion = &log, tls.VersionTLS13
	conn := s.dial(config, nil)
	suite := conn.ConnectionState().CipherSuite
	checktest.Needf(s.t, suite == tls.TLS_AES_128_GCM_SHA256, "this test knows no %s", tls.CipherSuiteName(suite))
	keys := map[string]*half{}
	for line := range strings.Lines(log.String()) {
		var name, random, secret string
		fmt.Sscan(line, &name, &random, &secret)
		if b, err := hex.DecodeString(secret); err == nil {
			keys[name] = newHalf(b)
		}
	}
	return conn.NetConn().(*net.TCPConn), keys["CLIENT_TRAFFIC_SECRET_0"], keys["SERVER_TRAFFIC_SECRET_0"]
}

func (h *half) next(t *testing.T, r io.Reader) (kind byte, data []byte) {
	t.Helper()
	for {
		kind, data, err := h.open(r)
		checktest.Must(t, err)
		if kind != handshakeRecord || data[0] != 4 {
			return kind, data
		}
	}
}

func TestKeyUpdateIsAnsweredHoweverItsRecordsAreSplit(t *testing.T) {
	for cut := range len(updateRequested) {
		c, out, in := newServer(t, nil).raw()
		var sent []byte
		if cut > 0 {
			sent = out.seal(handshakeRecord, updateRequested[:cut])
		}
		sent = append(sent, out.seal(handshakeRecord, updateRequested[cut:])...)
		out.update()
		sent = append(sent, out.seal(dataRecord, []byte("with other keys"))...)
		for piece := range slices.Chunk(sent, 3) {
			c.Write(piece)
		}
		kind, data := in.next(t, c)
		checktest.Needf(t, kind == handshakeRecord && bytes.Equal(data, updateAlone), "record %d: %x", kind, data)
		in.update()
		kind, data = in.next(t, c)
		checktest.Needf(t, kind == dataRecord && string(data) == "with other keys", "record %d: %q", kind, data)
	}
}

// The client keeps sending KeyUpdate requests without reading, and at last receives every answer.
func TestKeyUpdateFloodNeedsBoundedMemory(t *testing.T) {
	s := newServer(t, func() *peer { return &peer{} })
	c, out, in := s.raw()
	c.SetReadBuffer(16 << 10) // otherwise the kernel may enlarge the buffer until all answers fit
	p := s.only()
	s.do(func() { unix.SetsockoptInt(p.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10) })
	const updates = 12_000
	done := make(chan error, 1)
	go func() {
		for range updates {
			record := out.seal(handshakeRecord, updateRequested)
			out.update()
			if _, err := c.Write(append(record, out.seal(dataRecord, []byte("x"))...)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	most, got, still := 0, 0, 0
	s.until("nothing is read any more", func() bool {
		if p.transport == nil {
			return false
		}
		waiting := p.transport.wire.waiting()
		most = max(most, waiting)
		if still++; len(p.got) != got {
			got, still = len(p.got), 0
		}
		return still == 100 || got == updates
	})
	checktest.Truef(t, most <= 2*pieceSize && got != updates,
		"%d of %d updates were read, and up to %d bytes of answers waited", got, updates, most)
	for range updates {
		kind, data := in.next(t, c)
		checktest.Needf(t, kind == handshakeRecord && bytes.Equal(data, updateAlone), "record %d: %x", kind, data)
		in.update()
	}
	checktest.Must(t, <-done)
	s.until("all of its bytes", func() bool { return len(p.got) == updates })
}

func TestFewKeyUpdatesAreReadInOneTurn(t *testing.T) {
	const updates = 2000
	longest := 0
	s := newServer(t, func() *peer { return &peer{answer: func(_ *peer, b []byte) { longest = max(longest, len(b)) }} })
	c, out, _ := s.raw()
	c.SetWriteBuffer(1 << 20)
	p := s.only()
	var flood []byte
	for range updates {
		flood = append(flood, out.seal(handshakeRecord, updateAlone)...)
		out.update()
		flood = append(flood, out.seal(dataRecord, []byte("x"))...)
	}
	s.do(func() { c.Write(flood) })
	s.until("all of its bytes", func() bool { return len(p.got) == updates })
	checktest.Truef(t, longest <= turnRecords, "%d records in a turn", 2*longest)
}

// The record is another ClientHello (renegotiation) or was modified.
func TestInvalidRecordEndsTheConnectionWithAnAlert(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(out *half) []byte
		alert byte
	}{
		{"ClientHello", func(out *half) []byte { return out.seal(handshakeRecord, hello(t)[recordHeader:]) }, 10},
		{"changed", func(out *half) []byte {
			b := out.seal(dataRecord, []byte("x"))
			b[len(b)-1]++
			return b
		}, 20},
		{"too long", func(*half) []byte { return []byte{23, 3, 3, 0xff, 0xff} }, 22},
	} {
		s := newServer(t, nil)
		conn, out, in := s.raw()
		conn.Write(c.spoil(out))
		if kind, data := in.next(t, conn); kind != alertRecord || len(data) != 2 || data[1] != c.alert {
			t.Errorf("%s: record %d: %d", c.name, kind, data)
		}
		p := s.only()
		s.until("the connection is closed", func() bool { return p.gone })
		checktest.Truef(t, len(p.got) == 0, "%s: %q was let through", c.name, p.got)
	}
}
