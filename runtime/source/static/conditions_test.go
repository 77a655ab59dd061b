package static

import (
	"fmt"
	"strings"
	"testing"
)

func TestRangesAreParsed(t *testing.T) {
	for _, c := range []struct {
		value string
		size  int64
		want  string
	}{
		{"bytes=0-0", 10, "[0 1]"},
		{"bytes=0-9", 10, "[0 10]"},
		{"bytes=2-4", 10, "[2 3]"},
		{"bytes=2-", 10, "[2 8]"},
		{"bytes=9-", 10, "[9 1]"},
		{"bytes=5-99", 10, "[5 5]"},
		{"bytes=-3", 10, "[7 3]"},
		{"bytes=-99", 10, "[0 10]"},
		{"Bytes=1-2", 10, "[1 2]"},
		{"bytes= 1-2 , 4-5\t", 10, "[1 2][4 2]"},
		{"bytes=,1-2,,", 10, "[1 2]"},
		{"bytes=8-9,0-1", 10, "[8 2][0 2]"},
		{"bytes=0-1,99-100", 10, "[0 2]"},
		{"bytes=0-1,-0", 10, "[0 2]"},
		{"bytes=0-99999999999999999999999", 10, "[0 10]"},
		{"bytes=-99999999999999999999999", 10, "[0 10]"},

		{"bytes=10-", 10, "unsatisfiable"},
		{"bytes=10-20,30-40", 10, "unsatisfiable"},
		{"bytes=-0", 10, "unsatisfiable"},
		{"bytes=99999999999999999999999-", 10, "unsatisfiable"},

		{"", 10, "whole"},
		{"bytes", 10, "whole"},
		{"bytes=", 10, "whole"},
		{"bytes=,", 10, "whole"},
		{"bytes=-", 10, "whole"},
		{"bytes=a-b", 10, "whole"},
		{"bytes=1", 10, "whole"},
		{"bytes=2-1", 10, "whole"},
		{"bytes=1-2-3", 10, "whole"},
		{"bytes=+1-2", 10, "whole"},
		{"bytes=--1", 10, "whole"},
		{"bytes=1 - 2", 10, "whole"},
		{"bytes=0-1;2-3", 10, "whole"},
		{"bytes =0-1", 10, "whole"},
		{"items=0-1", 10, "whole"},
		{"bytes=0-1,x", 10, "whole"},
		{"bytes=0-", 0, "whole"},
		{"bytes=-5", 0, "whole"},
		{"bytes=0-,0-", 10, "whole"},
		{"bytes=0-5,5-9", 10, "whole"}, // 11 bytes of 10
		{"bytes=" + strings.Repeat("0-0,", maxRanges-1) + "0-0", 1000, strings.Repeat("[0 1]", maxRanges)},
		{"bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0", 1000, "whole"},
		{"bytes=" + strings.Repeat("2000-,", maxRanges) + "0-0", 1000, "whole"},
	} {
		got := ""
		switch set, ok := appendRanges(nil, []byte(c.value), c.size); {
		case !ok:
			got = "whole"
		case len(set) == 0:
			got = "unsatisfiable"
		default:
			for _, r := range set {
				got += fmt.Sprintf("[%d %d]", r.start, r.count)
			}
		}
		if got != c.want {
			t.Errorf("%q of %d: %s, not %s", c.value, c.size, got, c.want)
		}
	}
}
