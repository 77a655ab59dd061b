package pybridge

import (
	"encoding/binary"
	"testing"
)

// Messages of a forked child that are cut off anywhere, or have wrong lengths, are left out.
func TestForgedMessages(t *testing.T) {
	text := func(b []byte, text string) []byte {
		return append(binary.NativeEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	for kind := range 256 {
		var texts []byte
		for _, one := range []string{"news", "7", "update", "data"} {
			texts = text(texts, one)
		}
		raw := append([]byte{byte(kind)}, text(nil, string(texts))...)
		for n := range len(raw) + 1 {
			cut := append(raw[:n:n], 0xff, 0xff, 0xff, 0xff, 0xff)
			for _, all := range [][]byte{cut[:n], cut} {
				published := 0
				ReadMessages(all, func(string) {}, func(string) {}, &ForkCounts{}, func(events []Event) { published += len(events) })
				if published > 0 && n < len(raw)-5 {
					t.Errorf("kind %d, %d bytes of %d: %d events", kind, n, len(raw), published)
				}
			}
		}
	}
}
