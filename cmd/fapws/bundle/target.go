package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
)

// A Target describes the systems on which an executable of fapws runs.
type Target struct {
	Arch      string // GOARCH
	Libc      string // "glibc", "musl", or "" for a static executable, which loads no extension modules
	Python    string // magic number of Python's bytecode
	HasStdlib bool   // Python's standard library is in the executable.
	Digits    int64  // offset in the executable of the length of a bundle, which has 20 digits (mark)

	processor string // name of the processor in the tags of wheels
	glibc     int    // minor version of the glibc that the executable needs
}

// machines maps e_machine of elf(5) to the names of a processor in Go and in tags of wheels.
var machines = map[uint16][2]string{3: {"386", "i686"}, 21: {"ppc64le", "ppc64le"}, 40: {"arm", "armv7l"},
	62: {"amd64", "x86_64"}, 183: {"arm64", "aarch64"}, 243: {"riscv64", "riscv64"}}

// The begin of an archive of modules, and the number of bytes for each module before the names (core_archive.c).
const (
	archiveBegin = "(?s)fapws 2\x00(..)\r\n"
	archiveEntry = 28
)

// ReadTarget reads an executable of fapws, for any processor.
func ReadTarget(path string) (*Target, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	archive := regexp.MustCompile(archiveBegin).FindSubmatchIndex(text)
	digits, length := findMark(text)
	switch {
	case archive == nil || digits == 0 || !bytes.HasPrefix(text, []byte("\x7fELF")):
		return nil, fmt.Errorf("%s is not an executable of this version of fapws", path)
	case length != 0:
		return nil, fmt.Errorf("%s is a bundle, which has no packages for others: use fapws itself", path)
	}
	names := machines[binary.LittleEndian.Uint16(text[18:])]
	t := &Target{Digits: digits, Arch: names[0], processor: names[1], Python: string(text[archive[2]:archive[3]])}
	count := binary.LittleEndian.Uint32(text[archive[1]:])
	modules := text[archive[1]+4+int(count)*archiveEntry:]
	for range count {
		var module []byte
		module, modules, _ = bytes.Cut(modules, []byte{0})
		t.HasStdlib = t.HasStdlib || string(module) == "site"
	}
	switch libraries := needed(bytes.NewReader(text)); {
	case names[0] == "":
		return nil, fmt.Errorf("%s is for a processor that fapws does not support", path)
	case slices.Contains(libraries, "libc.so.6"):
		t.Libc = "glibc"
	case len(libraries) > 0:
		t.Libc = "musl"
	}
	for _, version := range regexp.MustCompile("GLIBC_2\\.(\\d+)\x00").FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(version[1]))
		t.glibc = max(t.glibc, n)
	}
	return t, nil
}

// RunsOn reports whether the packages of one target run on the other.
func (t *Target) RunsOn(other *Target) bool {
	return t.Arch == other.Arch && t.Libc == other.Libc && t.Libc != ""
}

// Wheels returns the tags of wheels that run on the target, best first (PEP 600 and 656).
func (t *Target) Wheels() (tags []string) {
	switch t.Libc {
	case "":
		return []string{"any"}
	case "musl":
		return []string{"musllinux_1_2_" + t.processor, "musllinux_1_1_" + t.processor}
	}
	for minor := t.glibc; minor >= 5; minor-- {
		tags = append(tags, fmt.Sprintf("manylinux_2_%d_%s", minor, t.processor))
	}
	for _, name := range []string{"manylinux2014_", "manylinux2010_", "manylinux1_", "linux_"} {
		tags = append(tags, name+t.processor)
	}
	return tags
}

// String names the target in messages.
func (t *Target) String() string {
	switch t.Libc {
	case "":
		return "linux/" + t.Arch + ", static"
	case "musl":
		return "linux/" + t.Arch + ", musl"
	}
	return fmt.Sprintf("linux/%s, glibc 2.%d", t.Arch, t.glibc)
}
