package conn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

type waiting struct {
	Unsent
	l    *Ledger
	name string
	body []byte
	cut  *[]string
}

func (w *waiting) Cut() string {
	*w.cut = append(*w.cut, w.name)
	w.l.Drop(&w.Unsent, w.body, 0)
	return w.name
}

// A response that exceeds Max alone is not aborted if all other responses together are below Max.
func TestLedgerAbortsResponsesInOrderOfTheirExpectedWait(t *testing.T) {
	const mib, second = 1 << 20, int64(time.Second)
	for _, c := range []struct {
		name string
		do   func(wait func(name string, body []byte, at int64) *waiting)
		now  int64
		want string
		left int64
	}{
		{"the only one", func(wait func(string, []byte, int64) *waiting) { wait("a", make([]byte, 100*mib), 0) },
			99 * second, "", 100 * mib},
		{"a large one beside small ones", func(wait func(string, []byte, int64) *waiting) {
			wait("large", make([]byte, 100*mib), 0)
			wait("small", make([]byte, 4*mib), second)
		}, 99 * second, "", 104 * mib},
		{"the oldest of those that are not read", func(wait func(string, []byte, int64) *waiting) {
			wait("new", make([]byte, 5*mib), 9*second)
			wait("old", make([]byte, mib), 0)
			wait("newest", make([]byte, 5*mib), 10*second)
		}, 10 * second, "old new", 5 * mib},
		{"one that is read, and larger", func(wait func(string, []byte, int64) *waiting) {
			large := wait("large", make([]byte, 100*mib), 0)
			for at := second; at < 10*second; at += second / 10 {
				large.Took(mib/10, at)
			}
			wait("a", make([]byte, 3*mib), 5*second)
			wait("b", make([]byte, 3*mib), 9*second)
		}, 10 * second, "a", 103 * mib},
		{"one that fills the kernel only", func(wait func(string, []byte, int64) *waiting) {
			wait("a", make([]byte, 5*mib), 0).Took(4*mib, second/2)
			read := wait("b", make([]byte, 5*mib), 0)
			read.Took(mib, second)
			read.Took(mib, 5*second)
		}, 10 * second, "a", 5 * mib},
		{"one that has stopped to be read", func(wait func(string, []byte, int64) *waiting) {
			wait("a", make([]byte, 5*mib), 0).Took(4*mib, 2*second)
			slow := wait("b", make([]byte, 5*mib), 0)
			for at := second; at < 300*second; at += second {
				slow.Took(10<<10, at)
			}
		}, 300 * second, "a", 5 * mib},
		{"shared memory", func(wait func(string, []byte, int64) *waiting) {
			body := make([]byte, 4*mib)
			for i := range 9 {
				wait(fmt.Sprint(i), body, 0)
			}
		}, 99 * second, "", 4 * mib},
		{"small parts that are written", func(wait func(string, []byte, int64) *waiting) {
			for i := range 9 {
				wait(fmt.Sprint(i), make([]byte, CountedPart-1), 0)
			}
		}, 99 * second, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, cut, exceeded := &Ledger{Max: 4 * mib}, []string{}, false
			l.Exceeded = func() { exceeded = true }
			c.do(func(name string, body []byte, at int64) *waiting {
				w := &waiting{l: l, name: name, body: body, cut: &cut}
				l.Add(&w.Unsent, w, body, len(body), at)
				return w
			})
			if exceeded {
				l.Bound(c.now)
			}
			if got := strings.Join(cut, " "); got != c.want || l.Total() != c.left || l.Ended() != int64(len(cut)) {
				t.Errorf("%q were cut, %d bytes wait, %d have ended", got, l.Total(), l.Ended())
			}
			for len(l.waiting) > 0 {
				w := l.waiting[0].of.(*waiting)
				l.Drop(&w.Unsent, w.body, 0)
			}
			checktest.Truef(t, l.Total() == 0 && len(l.memory) == 0, "%d bytes are left behind", l.Total())
		})
	}
}

func TestLedgerCountsSmallPartsUntilTheLastIsDropped(t *testing.T) {
	var l Ledger
	l.Max, l.Exceeded = 1<<20, func() {}
	w := &waiting{l: &l}
	for range 3 {
		l.AddSmall(&w.Unsent, w, 100, 0)
	}
	if n := w.Size(); n < 300 || n != l.Total() || w.left != 300 {
		t.Errorf("%d of %d bytes wait, %d are unwritten", n, l.Total(), w.left)
	}
	for i := range 3 {
		checktest.Truef(t, w.Waits() && len(l.waiting) == 1, "it does not wait after %d parts", i)
		l.DropSmall(&w.Unsent, 100, 0)
	}
	checktest.Truef(t, !w.Waits() && l.Total() == 0 && w.left == 0 && len(l.waiting) == 0,
		"%d bytes wait, %d are unwritten", l.Total(), w.left)
}
