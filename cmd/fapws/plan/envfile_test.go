package plan

import (
	"reflect"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestEnvFileIsParsed(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/home/me", "DIR": `C:\new ${A}`}[name]
		return v, ok
	}
	got, err := parseEnvFile(".env", "\ufeff# comment\r\nA=1\r\n export B = two words  # comment\nC='a $HOME "+
		"${HOME} \\n'\n"+
		"D=\"${HOME}/${A}\\n\\\"x\\\" \\${A}\" # comment\nE=\nF=\"first\nsecond\"\nG=a#b\nH=${NOTHING}x\nA=again\n"+
		"I=${NOTHING:-a b}/${E:-c}/${A:-d}\nJ=\"${E-e}${NOTHING-f:-g}${HOME:-}${NOTHING:-}\"\nK='${A:-d}'\n"+
		"L=${A:+set}/${E:+set}/${E+empty}/${NOTHING+set}${NOTHING:+set}\n"+
		"M=${NOTHING:-${A}}/${NOTHING:-a${E:-${NOTHING-b}}c}/${HOME:+<${A:+${HOME}>}}/${A:-${\n"+
		"N=\"${NOTHING:-\\${A\\}\\n${DIR}}\"\nO=${NOTHING:-${A}\n", lookup)
	want := map[string]string{
		"A": "again", "B": "two words", "C": `a $HOME ${HOME} \n`, "D": "/home/me/1\n\"x\" ${A}", "E": "",
		"F": "first\nsecond", "G": "a#b", "H": "x",
		"I": "a b/c/again", "J": "f:-g/home/me", "K": "${A:-d}",
		"L": "set//empty/", "M": "again/abc/</home/me>/${A:-${", "N": "${A}\nC:\\new ${A}", "O": "${NOTHING:-again",
	}
	checktest.Truef(t, err == nil && reflect.DeepEqual(got, want), "%q, %v; want %q", got, err, want)
	for text, want := range map[string]string{
		"A=1\n\nnonsense":          ".env:3: expected NAME=value",
		"A=\"1\n2\"\nB-C=1":        ".env:3: expected NAME=value",
		"A='1\n2":                  ".env:1: the quoted value of A is not closed",
		"A=\"1\" x":                ".env:1: the quoted value of A is not closed",
		"threads = 4\n[host]\nx=1": ".env:2: expected NAME=value",
		"A=\x00":                   ".env:1: expected NAME=value",
		"A=1\nB=" + strings.Repeat("${X:-", 12) +
			strings.Repeat("}", 12): ".env:2: the value of B nests ${ } more than 10 deep",
	} {
		_, err := parseEnvFile(".env", text, lookup)
		checktest.Truef(t, err != nil && err.Error() == want, "%q: %v, want %s", text, err, want)
	}
}
