package logfile

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestLevelsHaveColorsAndPriorities(t *testing.T) {
	const text = Stamp + "warning info text\nmore\n"
	for look, want := range map[Look]string{
		Plain:   text,
		Filed:   text,
		Colored: "\x1b[2m" + Stamp + "\x1b[0m\x1b[33mwarning\x1b[0m info text\nmore\n",
		Journal: "<4>warning info text\n<4>more\n",
	} {
		checktest.Equal(t, string(look.Dress([]byte(text), Warning)), want)
	}
	checktest.Equalf(t, string(Colored.Dress([]byte(Stamp+"GET / 200\n"), Info)), "\x1b[2m"+Stamp+"\x1b[0mGET / 200\n",
		"a request")
}
