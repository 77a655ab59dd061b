package bundle

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLibrariesOfAProgramAreThoseOfDebugELF(t *testing.T) {
	for _, name := range []string{"/proc/self/exe", "/bin/sh", "/usr/bin/git"} {
		file, err := os.Open(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		parsed, err := elf.NewFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := parsed.ImportedLibraries()
		if got := needed(file); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s needs %q, but debug/elf says %q, %v", name, got, want, err)
		}
	}
}

// program32 is a program of 32 bits that needs libc.so.6.
func program32() []byte {
	const address, dynamic, names = 0x10000, 52 + 2*32, 52 + 2*32 + 24
	var b bytes.Buffer
	write := func(order binary.ByteOrder, values ...any) {
		for _, value := range values {
			binary.Write(&b, order, value)
		}
	}
	little := binary.LittleEndian
	b.WriteString("\x7fELF\x01\x01\x01" + strings.Repeat("\x00", 9))
	write(little, uint16(2), uint16(40), uint32(1), uint32(0), uint32(52), uint32(0), uint32(0), uint16(52), uint16(32),
		uint16(2), uint16(0), uint16(0), uint16(0))
	for _, segment := range [][3]uint32{{segmentLoad, 0, 200}, {segmentDynamic, dynamic, 24}} {
		write(little, segment[0], segment[1], address+segment[1], address+segment[1], segment[2], segment[2], uint32(4),
			uint32(4))
	}
	write(little, uint32(dynamicNeeded), uint32(1), uint32(dynamicStrings), uint32(address+names), uint32(0), uint32(0))
	b.WriteString("\x00libc.so.6\x00")
	return b.Bytes()
}

func TestLibrariesOfAProgramOf32Bits(t *testing.T) {
	program := program32()
	if got := needed(bytes.NewReader(program)); !slices.Equal(got, []string{"libc.so.6"}) {
		t.Errorf("it needs %q", got)
	}
	for n := range program { // an incomplete program
		needed(bytes.NewReader(program[:n]))
	}
}

func TestDamagedProgramsAreRead(t *testing.T) {
	program := program32()
	for i := range program {
		for _, value := range []byte{0, 1, 2, 0x7f, 0xff} {
			damaged := bytes.Clone(program)
			damaged[i] = value
			needed(bytes.NewReader(damaged))
		}
	}
	if got := needed(io.NewSectionReader(strings.NewReader("#!/bin/sh"), 0, 9)); got != nil {
		t.Errorf("a script needs %q", got)
	}
}
