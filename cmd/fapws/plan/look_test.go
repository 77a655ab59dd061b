package plan

import (
	"testing"

	"fapws/runtime/logfile"
)

func TestLevelsHaveColorsAndPriorities(t *testing.T) {
	const line = stamp + "warning info text\n"
	for look, want := range map[look]string{
		simple:  line,
		colored: "\x1b[2m" + stamp + "\x1b[0m\x1b[33mwarning\x1b[0m info text\n",
		journal: "<4>warning info text\n",
	} {
		if got := string(look.dress([]byte(line), logfile.Warning)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := string(colored.dress([]byte(stamp+"GET / 200\n"), logfile.Info)); got != "\x1b[2m"+stamp+
		"\x1b[0mGET / 200\n" {
		t.Errorf("a request is %q", got)
	}
}
