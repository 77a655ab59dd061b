package exchange

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// collect returns a collected body of an exchange of s.
func collect(s *Server, max int64) *Body { return collectFrom("192.0.2.1", s, max) }

func collectFrom(addr string, s *Server, max int64) *Body {
	s.Set = new(conn.Set)
	x := s.New(&Client{peer: &Peer{Addr: addr}}, new(Sub))
	x.req = newRequest()
	x.Req, x.MaxBody, x.Choice = &x.req.handed, max, new(Mount)
	b := new(Body)
	b.Begin(x, -1, false, 0)
	return b
}

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
		s := &Server{Config: Config{SpoolDir: t.TempDir(), SpoolSize: 5}, spools: spools{files: conn.Shares{Max: 1}},
			InputMemory: conn.Shares{Max: 100}}
		b := collect(s, -1)
		x := b.x
		for _, piece := range c.pieces {
			checktest.Equal(t, b.Arrive([]byte(piece), 0, false), More)
		}
		checktest.Truef(t, x.WaitsForClient(), "%q: the body is complete", c.pieces)
		checktest.Equal(t, b.Arrive(nil, 0, true), Whole)
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
		checktest.Truef(t, s.spools.files.Free("") == 1 && s.spools.space.Used() == 0 && s.spools.written == 0, "%q: the file still counts after the response", c.pieces)
		checktest.Equalf(t, s.InputMemory.Used(), int64(0), "%q: bytes still count", c.pieces)
	}
}

// When the bodies of a client exceed its share of memory, all but the small bodies are stored in files.
func TestBodiesOfAClientMoveToFilesAboveItsMemory(t *testing.T) {
	s := &Server{Config: Config{SpoolDir: t.TempDir(), SpoolSize: 256 << 10}, InputMemory: conn.Shares{Max: 3 << 20},
		spools: spools{files: conn.Shares{Max: 1000}}}
	store := func(client string, size int) *Body {
		b := collectFrom(client, s, -1)
		b.least = 16 << 10
		for range size >> 10 {
			checktest.Equal(t, b.Arrive(make([]byte, 1<<10), 0, false), More)
		}
		return b
	}
	var all []*Body
	inMemory := 0
	for range 50 {
		b := store("192.0.2.1", 200<<10)
		inMemory += len(b.data)
		all = append(all, b)
	}
	checktest.Truef(t, inMemory >= 1<<19 && inMemory <= 1<<20, "one client has %d bytes in memory", inMemory)
	for _, b := range []*Body{store("192.0.2.1", 8<<10), store("192.0.2.2", 200<<10)} {
		checktest.Truef(t, !b.InFile(), "%d bytes of %s are in a file", b.size, b.client)
		all = append(all, b)
	}
	for i, b := range all {
		if x := b.x; i%2 == 0 {
			checktest.Equal(t, b.Arrive(nil, 0, true), Whole)
			if x.Req.Spool >= 0 {
				unix.Close(x.Req.Spool)
			}
			x.End()
		}
		b.Drop()
	}
	checktest.Equalf(t, s.InputMemory.Used(), int64(0), "bytes still count")
}

// roomy returns a server that keeps bodies of up to 1 MiB in regions, 2 MiB together.
func roomy(t *testing.T) *Server {
	return &Server{Config: Config{SpoolDir: t.TempDir(), SpoolSize: 256 << 10, RoomyBody: 1 << 20},
		InputMemory: conn.Shares{Max: 2 << 20}, spools: spools{files: conn.Shares{Max: 100}}}
}

// A large body for a handler stays where it arrives, and counts until its exchange ends.
func TestLargeBodyStaysInItsRegionUntilTheExchangeEnds(t *testing.T) {
	content := make([]byte, 600<<10)
	for i := range content {
		content[i] = byte(i * i / 7)
	}
	s := roomy(t)
	for _, length := range []int64{-1, int64(len(content))} {
		for _, direct := range []bool{false, true} {
			b := collectFrom("", s, -1)
			x := b.x
			b.length, x.Choice.Roomy = length, true
			for left := content; len(left) > 0; {
				n := min(50<<10, len(left))
				piece := bytes.Clone(left[:n])
				if tail := b.Tail(); direct && len(tail) >= n {
					copy(tail, piece)
					piece = tail[:n]
				}
				checktest.Equal(t, b.Arrive(piece, 0, n == len(left)) == Refuse, false)
				left = left[n:]
			}
			r := x.Req
			checktest.Truef(t, r.Stays && r.Spool < 0 && bytes.Equal(r.Body, content), "length %d: stays %v, file %d, %d bytes", length,
				r.Stays, r.Spool, len(r.Body))
			used := s.InputMemory.Used()
			checktest.Truef(t, used >= int64(len(content)) && used <= 1<<20, "%d bytes count", used)
			x.End()
			checktest.Equalf(t, s.InputMemory.Used(), int64(0), "bytes count after the end")
		}
	}
	checktest.Truef(t, s.Regions.Spare > 0, "no memory is kept for the next body")
	s.Trim()
	checktest.Equalf(t, s.Regions.Spare, 0, "bytes are kept while no client is connected")
}

// A program gets a copy of the body, which counts after the handler has returned the region.
func TestCopyOfARegionCounts(t *testing.T) {
	s := roomy(t)
	b := collectFrom("", s, -1)
	x := b.x
	b.length, x.Choice.Roomy = 600<<10, true
	checktest.Equal(t, b.Arrive(make([]byte, 600<<10), 0, true), Whole)
	region, used := x.TakeRegion(), s.InputMemory.Used()
	copied := region.Recount()
	region.Release()
	checktest.Truef(t, used > 0 && s.InputMemory.Used() == used && s.Regions.Spare > 0, "%d bytes count after %d",
		s.InputMemory.Used(), used)
	copied.Release()
	checktest.Equalf(t, s.InputMemory.Used(), int64(0), "bytes count after the end")
	s.Trim()
}

// When the regions of a client have used its share of memory, its further bodies are stored in files, those that have
// begun in memory, too.
func TestLargeBodiesMoveToFilesAboveTheMemoryOfTheirClient(t *testing.T) {
	s := roomy(t)
	var all []*Exchange
	files := 0
	for i := range 12 {
		b := collectFrom("192.0.2.1", s, -1)
		x := b.x
		b.length, x.Choice.Roomy = []int64{-1, 300 << 10}[i%2], true
		for range 300 {
			checktest.Equal(t, b.Arrive(bytes.Repeat([]byte{byte(i + 1)}, 1<<10), 0, false), More)
		}
		checktest.Equal(t, b.Arrive(nil, 0, true), Whole)
		all = append(all, x)
		if fd := x.Req.Spool; fd >= 0 {
			files++
			stored := make([]byte, 301<<10)
			n := checktest.Try(unix.Pread(fd, stored, 0)).Must(t)
			checktest.Truef(t, bytes.Equal(stored[:n], bytes.Repeat([]byte{byte(i + 1)}, 300<<10)), "body %d: %d bytes", i, n)
			unix.Close(fd)
		}
	}
	used := s.InputMemory.Used()
	checktest.Truef(t, files >= 8 && used > 0 && used <= s.InputMemory.Max/3+64<<10, "%d files, %d bytes in memory", files, used)
	other := collectFrom("192.0.2.2", s, -1)
	other.length, other.x.Choice.Roomy = 300<<10, true
	checktest.Equal(t, other.Arrive(make([]byte, 300<<10), 0, false), More)
	checktest.Truef(t, other.inRegion(), "another client gets no memory: %d used, %d of it", used, s.InputMemory.Held("192.0.2.2"))
	other.Drop()
	for _, x := range all {
		x.End()
	}
	checktest.Equalf(t, s.InputMemory.Used(), int64(0), "bytes still count")
}

func TestBodyAboveItsLimitIsTooLarge(t *testing.T) {
	for _, c := range []struct {
		size, max int64
		want      bool
	}{{0, 0, false}, {1, 0, true}, {5, 5, false}, {6, 5, true}, {6, -1, false}} {
		checktest.Equalf(t, TooLarge(c.size, c.max), c.want, "%d of %d", c.size, c.max)
	}
	b := collect(&Server{Config: Config{SpoolSize: 10}}, 5)
	x := b.x
	b.least = 10
	checktest.Equal(t, b.Arrive([]byte("12345"), 0, false), More)
	checktest.Equal(t, b.Arrive(nil, 1, false), Refuse)
	checktest.Equal(t, b.Refusal().Status, 413)
	b.Drop()
	checktest.Truef(t, !x.WaitsForClient(), "the rest of a discarded body is awaited")
	checktest.Equal(t, b.Arrive([]byte("1234567890"), 0, true), Whole)
}

// A body that still waited after its end would time out once more, for an exchange that may no longer exist.
func TestBodyDoesNotWaitForAFileAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(*Body){"dropped": (*Body).Drop,
		"complete": func(b *Body) { checktest.Equal(t, b.Arrive(nil, 0, true), Whole) }} {
		b := collect(new(Server), -1)
		x := b.x
		checktest.Equalf(t, b.Arrive([]byte("1"), 0, false), Pause, "%s", name) // the server allows no files
		checktest.Equalf(t, b.Held(), int64(1), "%s", name)
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
		b := &Body{size: int64(c.size)}
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
	for _, c := range []struct {
		now  int64
		size int64 // bytes that arrive before now
		want bool
	}{{19, 1 << 20, false}, {21, 0, false}, {40, 10, false}, {42, 2200, false}, {63, 2100, false}, {84, 2000, true}} {
		b.size += c.size
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

// Clients may send many bodies for which there is no room.
func TestBodyWithoutRoomIsLoggedOnce(t *testing.T) {
	s, lines := new(Server), 0
	for range 2 {
		b := collect(s, -1)
		s.Set.Log = func(logfile.Level, string, ...any) { lines++ }
		b.Fail(errNoRoom)
		checktest.Equal(t, b.Refusal().Status, 507)
		checktest.Equalf(t, lines, 1, "lines")
	}
}
