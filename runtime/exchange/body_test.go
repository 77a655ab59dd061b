package exchange

import (
	"io"
	"os"
	"testing"
	"time"

	"fapws/runtime/checktest"
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
		s := &Server{Config: Config{SpoolDir: t.TempDir()}, spools: spools{files: conn.Shares{Max: 1}}}
		x := s.New(&Client{peer: new(Peer)}, new(Sub))
		x.req = newRequest()
		x.Req = &x.req.handed
		b := new(Body)
		b.Begin(-1, -1, 0)
		b.Collect(x)
		for _, piece := range c.pieces {
			checktest.Equal(t, b.Count(len(piece), 0), nil)
			checktest.Equal(t, b.Store([]byte(piece), 5), nil)
		}
		checktest.Truef(t, x.WaitsForClient(), "%q: the body is complete", c.pieces)
		b.End()
		got, spool := string(x.Req.Body), x.Req.Spool
		if spool >= 0 {
			f := os.NewFile(uintptr(spool), "spool")
			content, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
			f.Close()
			got += string(content)
			checktest.Equal(t, err, nil)
		}
		checktest.Truef(t, got == want && c.file == (spool >= 0) && x.Req.Size == int64(len(want)) && !x.WaitsForClient(),
			"%q: %q, in a file: %v, waits: %v", c.pieces, got, spool >= 0, x.WaitsForClient())
		x.End()
		checktest.Truef(t, s.spools.files.Room("") == 1 && s.spools.space.Used() == 0 && s.spools.written == 0, "%q: the file still counts after the response", c.pieces)
	}
}

func TestBodyAboveItsLimitIsTooLarge(t *testing.T) {
	for _, c := range []struct {
		size, max int64
		want      bool
	}{{0, 0, false}, {1, 0, true}, {5, 5, false}, {6, 5, true}, {6, -1, false}} {
		checktest.Equalf(t, TooLarge(c.size, c.max), c.want, "%d of %d", c.size, c.max)
	}
	b := new(Body)
	b.Begin(5, -1, 0)
	checktest.Equal(t, b.Count(5, 0), nil)
	x := &Exchange{Stream: new(Sub)}
	b.Stream(x)
	checktest.Equal(t, b.Count(0, 1), errTooLarge)
	b.Drop()
	checktest.Truef(t, !x.WaitsForClient(), "the rest of a discarded body is awaited")
}

// A body that still waited after its end would time out once more, for an exchange that may no longer exist.
func TestBodyDoesNotWaitForAFileAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(*Body){"dropped": (*Body).Drop, "complete": (*Body).End} {
		s := new(Server)
		b, x := new(Body), &Exchange{s: s, client: &Client{peer: new(Peer)}, Req: new(Request), Stream: new(Sub)}
		b.Begin(-1, -1, 0)
		b.Stream(x)
		err := b.Spill() // the server allows no files
		checktest.Truef(t, err == nil && b.Waits(), "%s: the body does not wait; %v", name, err)
		end(b)
		checktest.Truef(t, !b.Waits() && !x.WaitsForClient(), "%s: the body waits", name)
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
		b.Begin(-1, -1, 0)
		b.Count(c.size, 0)
		if c.pauses {
			b.Pause(5 * second)
			b.Resume(65 * second)
			checktest.Truef(t, !b.Paused, "the pause has not ended")
		}
		checktest.Equalf(t, b.TooSlow(c.now*second, 20*time.Second, 100), c.want, "%+v", c)
	}
}

// A client that sends most of a body fast cannot hold back the rest.
func TestRateOfABodyIsMeasuredAgainInEachPeriod(t *testing.T) {
	const second = int64(time.Second)
	b := new(Body)
	b.Begin(-1, -1, 0)
	for _, c := range []struct {
		now  int64
		size int // bytes that arrive before now
		want bool
	}{{19, 1 << 20, false}, {21, 0, false}, {40, 10, false}, {42, 2200, false}, {63, 2100, false}, {84, 2000, true}} {
		b.Count(c.size, 0)
		checktest.Equalf(t, b.TooSlow(c.now*second, 20*time.Second, 100), c.want, "%+v", c)
	}
}

func TestBodyThatCanNeverFitIsRejected(t *testing.T) {
	for _, c := range []struct {
		size, max int64
		want      error
	}{{1 << 40, -1, nil}, {11, 10, errTooLarge}, {CollectedBody + 1, CollectedBody, errTooLarge},
		{usualBody, CollectedBody, nil}} {
		checktest.Equalf(t, new(spools).admits("", c.size, c.max), c.want, "%d of %d", c.size, c.max)
	}
}
