package cli_test

import (
	"bufio"
	"cmp"
	"debug/elf"
	"debug/gosym"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

var update = flag.Bool("update", false, "write testdata/sizes.txt from the executable")

const sizesFile = "testdata/sizes.txt"

const (
	mostFile    = 23_500_000 // size of the executable in bytes; 370,000 of them are package fapws
	mayGrow     = 1.01       // a section may grow by this factor
	growsFreely = 16 << 10   // growth of a section in bytes that is never an error
	grownShown  = 5          // number of packages that an error names
)

// sizes are in bytes, by the name of a section, or of a package of Go.
type sizes struct{ sections, packages map[string]int }

// sizesOf reads the sections of a program, and how much machine code each package of Go has. A stripped program still
// has the table of its functions.
func sizesOf(t *testing.T, program string) (s sizes) {
	t.Helper()
	file := fapwstest.Try(elf.Open(program)).Must(t)
	defer file.Close()
	s = sizes{map[string]int{}, map[string]int{}}
	for _, section := range file.Sections {
		if section.Flags&elf.SHF_ALLOC != 0 && section.Type != elf.SHT_NOBITS && section.FileSize >= growsFreely {
			s.sections[section.Name] = int(section.FileSize)
		}
	}
	lines := fapwstest.Try(file.Section(".gopclntab").Data()).Must(t)
	table := fapwstest.Try(gosym.NewTable(nil, gosym.NewLineTable(lines, file.Section(".text").Addr))).Must(t)
	for _, f := range table.Funcs {
		s.packages[cmp.Or(f.PackageName(), "others")] += int(f.End - f.Entry)
	}
	return s
}

// shape describes what the sizes depend on, apart from the source.
func shape(t *testing.T, program string, s sizes) string {
	t.Helper()
	said := string(fapwstest.Try(exec.Command(program, "--version").Output()).Must(t))
	_, python, _ := strings.Cut(said, "Python ")
	python, _, _ = strings.Cut(python, ",")
	linked := "shared"
	if s.sections[".PyRuntime"] > 0 {
		linked = "static"
	}
	return fmt.Sprintf("%s, %s, Python %s, %s", runtime.GOARCH, runtime.Version(), python, linked)
}

func readSizes(t *testing.T) (shape string, s sizes) {
	t.Helper()
	s = sizes{map[string]int{}, map[string]int{}}
	lines := bufio.NewScanner(strings.NewReader(fapwstest.Read(t, sizesFile)))
	lines.Scan()
	shape = strings.TrimPrefix(lines.Text(), "# ")
	for lines.Scan() {
		var kind, name string
		var size int
		fmt.Sscan(lines.Text(), &kind, &name, &size)
		map[string]map[string]int{"section": s.sections, "package": s.packages}[kind][name] = size
	}
	return shape, s
}

func writeSizes(t *testing.T, shape string, s sizes) {
	t.Helper()
	text := "# " + shape + "\n"
	for _, name := range slices.Sorted(maps.Keys(s.sections)) {
		text += fmt.Sprintf("section %s %d\n", name, s.sections[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.packages)) {
		text += fmt.Sprintf("package %s %d\n", name, s.packages[name])
	}
	fapwstest.Write(t, sizesFile, text)
}

// grown lists the packages that have grown most.
func grown(now, before map[string]int) (lines []string) {
	growth := func(name string) int { return now[name] - before[name] }
	names := slices.Collect(maps.Keys(now))
	slices.SortFunc(names, func(a, b string) int { return growth(b) - growth(a) })
	for _, name := range names[:min(len(names), grownShown)] {
		lines = append(lines, fmt.Sprintf("%s %+d", name, growth(name)))
	}
	return lines
}

// Devices have little flash memory.
func TestExecutableStaysSmall(t *testing.T) {
	t.Parallel()
	program := fapwstest.Binary(t)
	if fapwstest.IsWheel(t) {
		t.Skip("sizes.txt has the sizes of the executable")
	}
	now := sizesOf(t, program)
	if *update {
		writeSizes(t, shape(t, program, now), now)
	}
	of, before := readSizes(t)
	if is := shape(t, program, now); is != of {
		t.Skipf("the executable is for %s, and %s for %s", is, sizesFile, of)
	}
	info := fapwstest.Try(os.Stat(program)).Must(t)
	wrong := []string{}
	if info.Size() > mostFile {
		wrong = append(wrong, fmt.Sprintf("the executable has %d bytes, more than %d", info.Size(), mostFile))
	}
	for _, name := range slices.Sorted(maps.Keys(now.sections)) {
		size, was := now.sections[name], before.sections[name]
		if float64(size) > float64(was)*mayGrow+growsFreely {
			wrong = append(wrong, fmt.Sprintf("section %s: %d bytes, before %d", name, size, was))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s\nthe packages that grew most, in bytes of machine code: %s\nif it must be so: go test "+
			"./cmd/fapws/acceptance/cli -run StaysSmall -update", strings.Join(wrong, "\n"),
			strings.Join(grown(now.packages, before.packages), ", "))
	}
}
