package logfile

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestFaultsOfAPlaceAreLoggedOnceInASecond(t *testing.T) {
	var f Faults
	var lines []string
	log := func(line string) { lines = append(lines, line) }
	recovers := func(run func()) {
		defer func() { f.Log(recover(), log) }()
		run()
	}
	helper := func(text string) { panic(text) }
	for range 5 {
		recovers(func() { panic("one") })
		recovers(func() { helper("two") })
		recovers(func() { helper("three") })
		recovers(func() {
			defer func() { panic(recover()) }()
			var none []int
			_ = none[len(lines)]
		})
		f.Log("four", log)
	}
	f.Log("five", log)
	checktest.Equal(t, len(lines), 6)
	for i, text := range []string{"one", "two", "three", "index out of range", "four", "five"} {
		checktest.Truef(t, strings.Contains(lines[i], text) &&
			strings.Contains(lines[i], "faults_test.go"), "%s", lines[i])
	}
}
