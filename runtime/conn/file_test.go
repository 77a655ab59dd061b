package conn

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fapws/runtime/checktest"
)

// The files are in memory, on disk, or partly in memory; other bytes precede and follow each file.
func TestFilesArriveIntactOverTLS(t *testing.T) {
	content := pattern(5_000_000)
	path := filepath.Join(t.TempDir(), "file")
	checktest.Must(t, os.WriteFile(path, content, 0o600))
	file := checktest.Try(os.Open(path)).Must(t)
	defer file.Close()
	for _, c := range []struct {
		name string
		// every coldEvery-th read finds that the file is not in memory; 0 means that all reads find the file in memory
		coldEvery     int
		offset, count int64
		warm          int64
		err           error
	}{
		{"warm", 0, 0, 5_000_000, 0, nil},
		{"cold", 1, 0, 5_000_000, 0, nil},
		{"both", 3, 0, 5_000_000, 0, nil},
		{"range", 2, 1_234_567, 1_000_001, 0, nil},
		{"looked at", 1, 7, 50_000, 60_000, nil},
		{"short and warm", 0, 4_000_000, 1_000_001, 0, ErrShortFile},
		{"short and cold", 1, 4_000_000, 1_000_001, 0, ErrShortFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func() *peer {
				return &peer{finish: true, answer: func(p *peer, _ []byte) {
					items := []Item{
						{Data: []byte("head"), More: true}, {File: File{FD: int(file.Fd()), Offset: c.offset,
							Count: c.count, Warm: c.warm}, More: true}, {Data: []byte("tail")},
					}
					left, full, err := p.WriteItems(items)
					switch {
					case err != nil:
						p.Sent(err)
						p.Reset = true
						p.Close(err.Error())
					case len(left) == 0:
						p.Sent(nil)
						p.Finish()
					default:
						p.Queue(Output{Items: slices.Clone(left), Owner: p}, full)
					}
				}}
			})
			asked := 0
			s.do(func() {
				s.conns.Cached = func(int, int64) bool { asked++; return c.coldEvery == 0 || asked%c.coldEvery != 0 }
			})
			client := s.dial(nil, nil)
			client.Write([]byte("question"))
			got, err := io.ReadAll(client)
			want := slices.Concat([]byte("head"), content[c.offset:min(c.offset+c.count, int64(len(content)))],
				[]byte("tail"))
			p := s.only()
			s.until("the file is sent", func() bool { return len(p.sent) == 1 })
			checktest.Truef(t, errors.Is(p.sent[0], c.err), "%v", p.sent[0])
			checktest.Truef(t, c.err != nil || err == nil && bytes.Equal(got, want),
				"%d bytes of %d, %v", len(got), len(want), err)
		})
	}
}
