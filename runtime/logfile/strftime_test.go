package logfile

import (
	"testing"
	"time"
)

var at = time.Date(2024, 1, 7, 5, 4, 9, 0, time.FixedZone("CET", 3600))

func TestTimesAreFormattedLikeStrftime(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 07-Jan-2024 05:04:09 CET"},
		{"%a %B %e|%k|%l|%I %p %P", "Sun January  7| 5| 5|05 AM am"},
		{"%c|%D|%F|%T|%R|%r|%x|%X", "Sun Jan  7 05:04:09 2024|01/07/24|2024-01-07|05:04:09|05:04|05:04:09 " +
			"AM|01/07/24|05:04:09"},
		{"%j %U %W %V %G %g %u %w", "007 01 01 01 2024 24 7 0"},
		{"%y %C %s %z %%%n%t|%h", "24 20 1704600249 +0100 %\n\t|Jan"},
		{"%-d %_d %05d %^a %Ey %Om", "7  7 00007 SUN 24 01"},
		{"%5a|%05a|%-H|%_H|%^5b", "  Sun|00Sun|5| 5|  JAN"},
		{"%Q %", "%Q %"},
		{"%-", "%-"},
		{"", ""},
	} {
		if got := string(AppendTime([]byte("> "), c.format, at)); got != "> "+c.want {
			t.Errorf("%s: %q, want %q", c.format, got, c.want)
		}
	}
}

func TestInvalidTimeFormatsAreRejected(t *testing.T) {
	for format, want := range map[string]string{
		"%F %-d %%": "",
		"%Q":        "has %Q, which is not a supported strftime conversion",
		"a %_5q":    "has %_5q, which is not a supported strftime conversion",
		"%F %":      `ends with a lone "%"`,
		"%F %-5":    "ends with an incomplete conversion",
	} {
		got := ""
		if err := CheckTimeFormat(format); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("%F %T%n%-d%100a")
	f.Fuzz(func(t *testing.T, format string) {
		if got := AppendTime(nil, format, at); len(got) > 1024*(len(format)+1) {
			t.Fatalf("%q: %d bytes", format, len(got))
		}
		_ = CheckTimeFormat(format)
	})
}
