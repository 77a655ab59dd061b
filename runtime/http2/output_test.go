package http2

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
)

func TestFilesAreSentAndTruncatedFilesResetTheirStream(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 24})
	p.framer.WriteWindowUpdate(0, 1<<24)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	name := t.TempDir() + "/file"
	checktest.Must(t, os.WriteFile(name, content, 0o600))
	id := uint32(1)
	for _, warm := range []int64{0, 1 << 20} {
		for _, c := range []struct{ offset, count int64 }{{0, 1 << 20}, {5, 100_000}, {1<<20 - 7, 7}, {1<<20 - 7, 8}} {
			f := checktest.Try(os.Open(name)).Must(t)
			p.request(id, "/later", true)
			h.waitHeld(int(id+1) / 2)
			h.Do(func() {
				h.Held[len(h.Held)-1].Sink.Send(&exchange.Part{
					First: true, End: exchange.Complete, Head: exchange.Head{Status: 200, Length: c.count},
					File: &exchange.File{FD: int(f.Fd()), Offset: c.offset, Count: c.count, Warm: warm},
				})
			})
			want := "200 " + string(content[c.offset:min(c.offset+c.count, 1<<20)])
			if c.offset+c.count > 1<<20 {
				want += "!INTERNAL_ERROR"
			}
			p.is(id, want)
			h.Do(func() { f.Close() })
			id += 2
		}
	}
}
