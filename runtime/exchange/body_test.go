package exchange

import (
	"io"
	"os"
	"testing"
	"time"

	"fapws/runtime/conn"
)

func TestBodyMovesFromMemoryToAFileWhenItIsLarge(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		file   bool
	}{
		{nil, false},
		{[]string{"", "12345"}, false},
		{[]string{"12345", "6"}, true},
		{[]string{"1234567", "89", "0"}, true},
	} {
		want := ""
		for _, piece := range c.pieces {
			want += piece
		}
		b := new(Body)
		b.Begin(-1, 0)
		b.X = &Exchange{s: &Server{Config: Config{SpoolDir: t.TempDir()}, files: conn.Shares{Max: 1}}}
		for _, piece := range c.pieces {
			if err := b.Count(len(piece), 0); err != nil {
				t.Error(err)
			}
			if err := b.Store([]byte(piece), 5); err != nil {
				t.Error(err)
			}
		}
		data, spool := b.stored()
		got := string(data)
		if spool >= 0 {
			f := os.NewFile(uintptr(spool), "spool")
			content, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
			f.Close()
			if got += string(content); err != nil {
				t.Error(err)
			}
		}
		if got != want || c.file != (spool >= 0) || b.Size() != int64(len(want)) {
			t.Errorf("%q: %q, in a file: %v", c.pieces, got, spool >= 0)
		}
		b.Drop()
	}
}

func TestBodyAboveItsLimitIsTooLarge(t *testing.T) {
	for _, c := range []struct {
		size, max int64
		want      bool
	}{{0, 0, false}, {1, 0, true}, {5, 5, false}, {6, 5, true}, {6, -1, false}} {
		if got := TooLarge(c.size, c.max); got != c.want {
			t.Errorf("%d of %d: %v", c.size, c.max, got)
		}
	}
	b := new(Body)
	b.Begin(5, 0)
	if err := b.Count(5, 0); err != nil {
		t.Error(err)
	}
	if err := b.Count(0, 1); err != errTooLarge {
		t.Error(err)
	}
}

// Pauses do not count for the rate of a body, because the server does not read during a pause.
func TestPausesDoNotMakeABodyTooSlow(t *testing.T) {
	const second = int64(time.Second)
	for _, c := range []struct {
		size   int
		now    int64
		pauses bool
		want   bool
	}{
		{0, 10, false, false},
		{0, 21, false, true},
		{2099, 21, false, true},
		{2100, 21, false, false},
		{2099, 21 + 60, true, true},
		{2100, 21 + 60, true, false},
	} {
		b := new(Body)
		b.Begin(-1, 0)
		b.Count(c.size, 0)
		if c.pauses {
			b.Pause(5 * second)
			if b.Resume(65 * second); b.Paused {
				t.Error("the pause has not ended")
			}
		}
		if got := b.TooSlow(c.now*second, 20*time.Second, 100); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
