package conn

import (
	"io"
	"testing"
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
		if !carrier.Gathers() || !virtual[1].Gathers() || virtual[0].Gathers() || carrier.flushed != 0 {
			t.Errorf("it was written %d times", carrier.flushed)
		}
		say(virtual[0], "c")
		virtual[0].Close("drops what it gathers")
		say(virtual[1], "d")
		say(carrier, "tail")
		say(virtual[2], "e")
		say(virtual[2], "f")
		s.Flush()
		if carrier.flushed != 1 || s.out != nil || carrier.Gathers() {
			t.Errorf("it was written %d times", carrier.flushed)
		}
		say(other, "for another")
		say(virtual[1], "g")
		if other.flushed != 0 {
			t.Error("it need not be written yet")
		}
		if b := other.TakeGathered(); string(b) != "for another" || other.Gathers() || !virtual[1].Gathers() {
			t.Errorf("%q", b)
		}
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
		if got, err := io.ReadAll(c); string(got) != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}
