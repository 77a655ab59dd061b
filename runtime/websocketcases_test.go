package runtime

import (
	"errors"
	"testing"

	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"
)

// TestWebSocketCompressionCases has messages that cannot be decompressed, and a server without compression.
func TestWebSocketCompressionCases(t *testing.T) {
	t.Parallel()
	s := serveTalks(t, Config{}, newTalkApp())
	for _, test := range []struct {
		name, payload string
		code          int
	}{
		{"a bomb", string((&wstest.Client{}).Pack(make([]byte, 40<<20))), 1009},
		{"not compressed", "Hello, world!", 1007},
		{"not UTF-8", string((&wstest.Client{}).Pack([]byte("\xff\xfe"))), 1007},
	} {
		c := s.socket(t, wstest.Deflate)
		c.WriteFrame(wstest.Fin|wstest.RSV1|wstest.Text, []byte(test.payload))
		var closed *wstest.Closed
		if _, _, err := c.Receive(); !errors.As(err, &closed) || closed.Code != test.code {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	off := serveTalks(t, Config{Sites: sites.Config{NoDeflate: true}}, newTalkApp())
	if c := off.socket(t, wstest.Deflate); c.Deflate {
		t.Error("compression was agreed on, and is off")
	}
}
