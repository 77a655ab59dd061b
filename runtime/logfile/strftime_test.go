package logfile

import (
	"testing"
	"time"

	"fapws/runtime/checktest"
)

var at = time.Date(2024, 1, 7, 5, 4, 9, 0, time.FixedZone("CET", 3600))

func TestTimesAreFormattedLikeStrftime(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 07-Jan-2024 05:04:09 CET"},
		{"%e|%k|%l|%P|%s|%c", " 7| 5| 5|am|1704600249|Sun Jan  7 05:04:09 2024"},
		{"%-d %_d %05d %^a %Ey %Om", "7  7 00007 SUN 24 01"},
		{"%Q %", "%Q %"},
		{"%-", "%-"},
	} {
		checktest.Equalf(t, string(AppendTime([]byte("> "), c.format, at)), "> "+c.want, "%s: %q", c.format, c.want)
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
		checktest.Equalf(t, got, want, "%s", format)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("%F %T%n%-d%100a")
	f.Fuzz(func(t *testing.T, format string) {
		got := AppendTime(nil, format, at)
		checktest.Needf(t, len(got) <= 1024*(len(format)+1), "%q: %d bytes", format, len(got))
		_ = CheckTimeFormat(format)
	})
}
