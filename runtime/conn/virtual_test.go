package conn

import (
	"io"
	"testing"

	"fapws/runtime/checktest"
)

type carried struct{ by *recorder }

func (c carried) Read([]byte) (int, error) { return 0, io.EOF }
func (c carried) Flush() error             { return nil }
func (c carried) CloseWrite() error        { return nil }
func (c carried) AwaitRoom()               {}
func (c carried) Write(b []byte) (int, error) {
	out := c.by.Use()
	*out = append(append(*out, '|'), b...)
	return len(b), nil
}

// Virtual connections write alternately into the gathered output of their carrier. Closing one of them discards only
// its own output.
func TestOutputOfVirtualConnectionsIsWrittenTogetherInOrder(t *testing.T) {
	s := newSet(t, 1000)
	carrier, client := s.open()
	other, second := s.open()
	s.do(func() {
		virtual := make([]*recorder, 3)
		for i := range virtual {
			virtual[i] = new(recorder)
			virtual[i].OpenVirtual(&s.Set, carried{carrier}, virtual[i], nil, nil)
		}
		say := func(r *recorder, text string) {
			out := r.Use()
			*out = append(*out, text...)
		}
		say(carrier, "head")
		say(virtual[0], "a")
		say(virtual[1], "b")
		checktest.Truef(t, carrier.Gathers() && virtual[1].Gathers() && !virtual[0].Gathers() && carrier.flushed == 0,
			"it was written %d times", carrier.flushed)
		say(virtual[0], "c")
		virtual[0].Close("drops what it gathers")
		say(virtual[1], "d")
		say(carrier, "tail")
		say(virtual[2], "e")
		say(virtual[2], "f")
		s.Flush()
		checktest.Truef(t, carrier.flushed == 1 && s.out == nil && !carrier.Gathers(),
			"it was written %d times", carrier.flushed)
		say(other, "for another")
		say(virtual[1], "g")
		checktest.Equalf(t, other.flushed, 0, "it need not be written yet")
		b := other.TakeGathered()
		checktest.Truef(t, string(b) == "for another" && !other.Gathers() && virtual[1].Gathers(), "%q", b)
		say(other, "once more")
		say(virtual[1], "h")
		say(carrier, "last")
		carrier.Close("drops all of its own")
		virtual[1].Close("")
		virtual[2].Close("")
		s.Flush()
		other.Finish()
	})
	for c, want := range map[io.Reader]string{client: "head|a|btail|d|ef", second: "once more"} {
		got, err := io.ReadAll(c)
		checktest.Truef(t, string(got) == want && err == nil, "%q, %v, want %q", got, err, want)
	}
}
