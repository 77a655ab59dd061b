package plan

import (
	"reflect"
	"testing"
)

func TestEnvFileIsParsed(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/home/me"}[name]
		return v, ok
	}
	got, err := parseEnvFile(".env", "\ufeff# comment\r\nA=1\r\n export B = two words  # comment\nC='a $HOME ${HOME} \\n'\n"+
		"D=\"${HOME}/${A}\\n\\\"x\\\" \\${A}\" # comment\nE=\nF=\"first\nsecond\"\nG=a#b\nH=${NOTHING}x\nA=again\n"+
		"I=${NOTHING:-a b}/${E:-c}/${A:-d}\nJ=\"${E-e}${NOTHING-f:-g}${HOME:-}${NOTHING:-}\"\nK='${A:-d}'\n"+
		"L=${A:+set}/${E:+set}/${E+empty}/${NOTHING+set}${NOTHING:+set}\n", lookup)
	want := map[string]string{
		"A": "again", "B": "two words", "C": `a $HOME ${HOME} \n`, "D": "/home/me/1\n\"x\" ${A}", "E": "", "F": "first\nsecond", "G": "a#b", "H": "x",
		"I": "a b/c/again", "J": "f:-g/home/me", "K": "${A:-d}",
		"L": "set//empty/",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for text, want := range map[string]string{
		"A=1\n\nnonsense":          ".env:3: expected NAME=value",
		"A=\"1\n2\"\nB-C=1":        ".env:3: expected NAME=value",
		"A='1\n2":                  ".env:1: the quoted value of A is not closed",
		"A=\"1\" x":                ".env:1: the quoted value of A is not closed",
		"threads = 4\n[host]\nx=1": ".env:2: expected NAME=value",
		"A=\x00":                   ".env:1: expected NAME=value",
	} {
		if _, err := parseEnvFile(".env", text, lookup); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
