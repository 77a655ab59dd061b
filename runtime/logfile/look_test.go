package logfile

import "testing"

func TestLevelsHaveColorsAndPriorities(t *testing.T) {
	const text = Stamp + "warning info text\nmore\n"
	for look, want := range map[Look]string{
		Plain:   text,
		Filed:   text,
		Colored: "\x1b[2m" + Stamp + "\x1b[0m\x1b[33mwarning\x1b[0m info text\nmore\n",
		Journal: "<4>warning info text\n<4>more\n",
	} {
		if got := string(look.Dress([]byte(text), Warning)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := string(Colored.Dress([]byte(Stamp+"GET / 200\n"), Info)); got != "\x1b[2m"+Stamp+"\x1b[0mGET / 200\n" {
		t.Errorf("a request is %q", got)
	}
}
