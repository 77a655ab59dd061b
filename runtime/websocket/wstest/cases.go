package wstest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Case is a case of the Autobahn test suite for echo servers: the frames that a client sends, and the response that RFC
// 6455 requires.
type Case struct {
	ID   string // number of the case in the Autobahn suite
	send []piece
	// how many bytes each write sends; 0 means all bytes, and -1 means one frame
	chop int
	// want lists the expected messages and control frames in the format of show. The last element is "close N" if the
	// server closes the WebSocket with code N.
	want []string
}

type piece struct {
	first   byte
	payload string
	// send this piece only after the server has read the previous frames
	pause bool
}

const protocolError, invalidData, normalClose = "close 1002", "close 1007", "close 1000"

func text(s string) piece          { return piece{first: Fin | Text, payload: s} }
func binaryOf(s string) piece      { return piece{first: Fin | Binary, payload: s} }
func ping(s string) piece          { return piece{first: Fin | Ping, payload: s} }
func frame(b byte, s string) piece { return piece{first: b, payload: s} }

func closing(code int, reason string) piece {
	return piece{first: Fin | Close, payload: string([]byte{byte(code >> 8), byte(code)}) + reason}
}

var pause = piece{pause: true}

func show(op byte, data string) string {
	if len(data) > 200 {
		sum := 0
		for i := range len(data) {
			sum = sum*31%1000003 + int(data[i])
		}
		data = fmt.Sprintf("%d bytes %d", len(data), sum)
	}
	return fmt.Sprintf("%x %q", op, data)
}

func fragments(op byte, message string, size int) (list []piece) {
	for first := op; ; first = Continuation {
		n := min(size, len(message))
		list = append(list, frame(first, message[:n]))
		if message = message[n:]; message == "" {
			list[len(list)-1].first |= Fin
			return list
		}
	}
}

func echoed(messages ...piece) (want []string) {
	for _, m := range messages {
		want = append(want, show(m.first&15, m.payload))
	}
	return want
}

// Cases returns all cases of the Autobahn suite that test connections, and some of the cases that test single frames.
// The tests of package websocket contain the remaining cases for frames, and the function Compression covers sections
// 12 and 13. The server's maximum message size must be exactly 1 MiB.
func Cases() []Case {
	return slices.Concat(framingCases(), pingCases(), reservedCases(), fragmentCases(), utf8Cases(), closeCases(),
		limitCases())
}

// Run runs the case against a server. The error describes a wrong response.
func (tc *Case) Run(addr, path string) error {
	c, err := Dial(addr, path)
	if err != nil {
		return err
	}
	defer c.Conn.Close()
	sent := make(chan error, 1)
	go func() { sent <- tc.write(c) }()
	var got []string
	for len(got) < len(tc.want) {
		f, err := c.ReadFrame()
		if err != nil {
			return fmt.Errorf("after %q: %w", got, err)
		}
		if f.Op() == Close {
			code, _ := f.Code()
			got = append(got, fmt.Sprintf("close %d", code))
			break
		}
		if f.First&0x70 != 0 || f.First&Fin == 0 {
			return fmt.Errorf("a frame with %02x", f.First)
		}
		got = append(got, show(f.Op(), string(f.Payload)))
	}
	if !slices.Equal(got, tc.want) {
		return fmt.Errorf("got %q, want %q", got, tc.want)
	}
	if err := <-sent; err != nil && !tc.closes() {
		return fmt.Errorf("writing: %w", err)
	}
	if !tc.closes() {
		if closed, err := c.CloseWith(1000, ""); err != nil || closed.Code != 1000 {
			return fmt.Errorf("closing: %v, %v", closed, err)
		}
		return nil
	}
	if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the close frame: %v", err)
	}
	return nil
}

func (tc *Case) closes() bool {
	return len(tc.want) > 0 && strings.HasPrefix(tc.want[len(tc.want)-1], "close")
}

func (tc *Case) write(c *Client) (err error) {
	var buf []byte
	for _, p := range tc.send {
		if !p.pause {
			buf = c.AppendFrame(buf, p.first, []byte(p.payload))
		}
		if p.pause || tc.chop == -1 {
			if _, err = c.Conn.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if p.pause {
			time.Sleep(5 * time.Millisecond)
		}
	}
	for len(buf) > 0 {
		n := len(buf)
		if tc.chop > 0 {
			n = min(n, tc.chop)
		}
		if _, err = c.Conn.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}
