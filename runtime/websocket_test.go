package runtime

import (
	"bytes"
	"testing"

	"fapws/runtime/websocket/wstest"
)

func TestWebSocketEchoes(t *testing.T) {
	t.Parallel()
	for _, fields := range [][]string{nil, {wstest.Deflate}} {
		s := serveTalks(t, Config{}, newTalkApp())
		c := s.socket(t, fields...)
		if c.Deflate != (fields != nil) {
			t.Error("compression was agreed on:", c.Deflate)
		}
		for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 300000, 1 << 20} {
			want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			if err := c.Send(wstest.Binary, want); err != nil {
				t.Fatal(err)
			}
			op, got, err := c.Receive()
			if err != nil || op != wstest.Binary || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: got %d of %d, %v", size, op, len(got), err)
			}
		}
		if closed, err := c.CloseWith(1000, "bye"); err != nil || closed.Code != 1000 {
			t.Error(closed, err)
		}
	}
}
