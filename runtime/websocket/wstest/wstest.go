package wstest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

const (
	Fin  = 0x80
	RSV1 = 0x40
	RSV2 = 0x20
	RSV3 = 0x10
)

// Key is the Sec-WebSocket-Key that Dial sends (RFC 6455 §1.3). Accept is the Sec-WebSocket-Accept that the server must
// answer.
const (
	Key    = "dGhlIHNhbXBsZSBub25jZQ=="
	Accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// Client is the client's end of a WebSocket. One goroutine may read while a second goroutine writes.
type Client struct {
	net.Conn
	R        *bufio.Reader
	Response *http.Response
	Deflate  bool // permessage-deflate was negotiated, and Send uses it
	Mask     uint32
	out      []byte
	z        *flate.Writer
}

// Handshake returns the head of a request that asks for a WebSocket. Each of fields has the form "Name: value".
func Handshake(path string, fields ...string) string {
	head := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + Key + "\r\nSec-WebSocket-Version: 13\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	return head + "\r\n"
}

const Deflate = "Sec-WebSocket-Extensions: permessage-deflate"

// Dial opens a WebSocket on a server at addr (host:port). The error has type *Denied if the server rejects the
// handshake.
func Dial(addr, path string, fields ...string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		return nil, err
	}
	c, err := Open(conn, path, fields...)
	if err != nil {
		conn.Close()
	}
	return c, err
}

type Denied struct {
	Response *http.Response
	Body     string
}

func (d *Denied) Error() string { return "denied: " + d.Response.Status + ": " + d.Body }

// Patience limits the lifetime of a client, so that a hanging test ends. The limit is long enough even for very slow
// machines. Tests with an emulated server increase Patience before the first Dial.
var Patience = 2 * time.Minute

// Open opens a WebSocket on an existing connection. The deadline of the connection becomes the current time plus
// Patience.
func Open(conn net.Conn, path string, fields ...string) (*Client, error) {
	conn.SetDeadline(time.Now().Add(Patience))
	if _, err := io.WriteString(conn, Handshake(path, fields...)); err != nil {
		return nil, err
	}
	c := &Client{Conn: conn, R: bufio.NewReader(conn), Mask: 0x37fa213d}
	r, err := http.ReadResponse(c.R, &http.Request{Method: "GET"})
	if err != nil {
		return nil, err
	}
	c.Response = r
	if r.StatusCode != 101 {
		body, _ := io.ReadAll(r.Body)
		return nil, &Denied{r, string(body)}
	}
	sum := sha1.Sum([]byte(Key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got := r.Header.Get("Sec-WebSocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("Sec-WebSocket-Accept is %q", got)
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !strings.EqualFold(r.Header.Get("Connection"),
		"upgrade") {
		return nil, fmt.Errorf("the field Upgrade is %q, Connection %q", r.Header.Get("Upgrade"), r.Header.Get("Connection"))
	}
	c.Deflate = strings.HasPrefix(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return c, nil
}

func (c *Client) AppendFrame(dst []byte, first byte, payload []byte) []byte {
	h := ws.Header{Fin: first&Fin != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 15), Masked: true,
		Length: int64(len(payload))}
	binary.BigEndian.PutUint32(h.Mask[:], c.Mask)
	b := bytes.NewBuffer(dst)
	_ = ws.WriteHeader(b, h) // a Buffer does not return errors
	at := b.Len()
	b.Write(payload)
	ws.Cipher(b.Bytes()[at:], h.Mask, 0)
	return b.Bytes()
}

func (c *Client) WriteFrame(first byte, payload []byte) error {
	c.out = c.AppendFrame(c.out[:0], first, payload)
	_, err := c.Conn.Write(c.out)
	return err
}

func (c *Client) Send(op byte, message []byte) error {
	if c.Deflate {
		return c.WriteFrame(Fin|RSV1|op, c.Pack(message))
	}
	return c.WriteFrame(Fin|op, message)
}

func (c *Client) SendText(text string) error { return c.Send(Text, []byte(text)) }

func (c *Client) Pack(message []byte) []byte {
	var b bytes.Buffer
	if c.z == nil {
		c.z, _ = flate.NewWriter(&b, flate.BestSpeed)
	} else {
		c.z.Reset(&b)
	}
	c.z.Write(message)
	c.z.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

func Unpack(b []byte) ([]byte, error) {
	r := flate.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	return io.ReadAll(r)
}

type Frame struct {
	First   byte // first byte of the frame: flags and opcode
	Payload []byte
}

func (f Frame) Op() byte { return f.First & 0x0f }

// Code returns the code and the reason of a close frame. The code is 1005 if the frame has no code.
func (f Frame) Code() (code int, reason string) {
	if len(f.Payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(f.Payload)), string(f.Payload[2:])
}

// ReadFrame reads a frame and checks that the frame conforms to the protocol.
func (c *Client) ReadFrame() (f Frame, err error) {
	var h [10]byte
	if _, err = io.ReadFull(c.R, h[:2]); err != nil {
		return f, err
	}
	f.First = h[0]
	if h[1]&0x80 != 0 {
		return f, errors.New("a server must not mask (RFC 6455 §5.1)")
	}
	n := uint64(h[1])
	switch {
	case n == 126:
		_, err = io.ReadFull(c.R, h[2:4])
		n = uint64(binary.BigEndian.Uint16(h[2:]))
		if n <= 125 {
			return f, errors.New("a length that is not the shortest")
		}
	case n == 127:
		_, err = io.ReadFull(c.R, h[2:10])
		n = binary.BigEndian.Uint64(h[2:])
		if n <= 0xffff {
			return f, errors.New("a length that is not the shortest")
		}
	}
	if err != nil {
		return f, err
	}
	if n > 1<<30 {
		return f, fmt.Errorf("a frame of %d bytes", n)
	}
	f.Payload = make([]byte, n)
	_, err = io.ReadFull(c.R, f.Payload)
	return f, err
}

type Closed struct {
	Code   int
	Reason string
}

func (e *Closed) Error() string { return fmt.Sprintf("closed with %d %q", e.Code, e.Reason) }

// Receive reads the next message. Receive assembles fragments, decompresses messages, answers pings and ignores pongs.
// If the server sends a close frame, Receive answers it and returns an error of type *Closed.
func (c *Client) Receive() (op byte, message []byte, err error) {
	packed := false
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return 0, nil, err
		}
		switch f.Op() {
		case Ping:
			if err := c.WriteFrame(Fin|Pong, f.Payload); err != nil {
				return 0, nil, err
			}
			continue
		case Pong:
			continue
		case Close:
			e := &Closed{}
			e.Code, e.Reason = f.Code()
			c.WriteFrame(Fin|Close, f.Payload[:min(len(f.Payload), 2)])
			return 0, nil, e
		case Continuation:
		default:
			op, packed, message = f.Op(), f.First&RSV1 != 0, nil
		}
		message = append(message, f.Payload...)
		if f.First&Fin == 0 {
			continue
		}
		if packed {
			message, err = Unpack(message)
		}
		return op, message, err
	}
}

// CloseWith sends a close frame, and skips messages until the server's close frame arrives. It then closes the
// connection and returns the server's close frame.
func (c *Client) CloseWith(code int, reason string) (*Closed, error) {
	defer c.Conn.Close()
	payload := append([]byte{byte(code >> 8), byte(code)}, reason...)
	if code == 1005 {
		payload = nil
	}
	if err := c.WriteFrame(Fin|Close, payload); err != nil {
		return nil, err
	}
	for {
		_, _, err := c.Receive()
		var closed *Closed
		if errors.As(err, &closed) {
			return closed, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
