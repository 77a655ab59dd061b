package bundle

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Numbers of ELF (elf(5)).
const (
	segmentLoad    = 1 // PT_LOAD
	segmentDynamic = 2 // PT_DYNAMIC
	dynamicNeeded  = 1 // DT_NEEDED
	dynamicStrings = 5 // DT_STRTAB

	mostSegments = 64 << 10
	longestName  = 256
)

// needed returns the names of the shared libraries that a program or a library of 32 or 64 bits needs, or nil if file
// is neither. All processors that fapws runs on are little-endian. Package debug/elf, which reads much more, would add
// 130 KB to the executable.
func needed(file io.ReaderAt) (names []string) {
	head := bytesAt(file, 0, 64)
	if !bytes.HasPrefix(head, []byte("\x7fELF")) || len(head) < 64 {
		return nil
	}
	e := program{file: file, width: 4}
	segments, entry, count, address := 28, 42, 44, 8
	if head[4] == 2 { // 64 bits
		e.width, segments, entry, count, address = 8, 32, 54, 56, 16
	}
	size := int(binary.LittleEndian.Uint16(head[entry:]))
	if size < address+3*e.width {
		return nil
	}
	var dynamic []byte
	table := bytesAt(file, e.number(head[segments:]), size*int(binary.LittleEndian.Uint16(head[count:])))
	for ; len(table) >= size; table = table[size:] {
		position, length := e.number(table[address-e.width:]), e.number(table[address+2*e.width:])
		switch binary.LittleEndian.Uint32(table) {
		case segmentLoad:
			e.loads = append(e.loads, load{e.number(table[address:]), position, length})
		case segmentDynamic:
			dynamic = bytesAt(file, position, int(min(length, mostSegments)))
		}
	}
	var strings uint64
	var offsets []uint64
	for ; len(dynamic) >= 2*e.width; dynamic = dynamic[2*e.width:] {
		switch value := e.number(dynamic[e.width:]); e.number(dynamic) {
		case dynamicNeeded:
			offsets = append(offsets, value)
		case dynamicStrings:
			strings = value
		}
	}
	for _, offset := range offsets {
		name, _, _ := bytes.Cut(bytesAt(file, e.position(strings+offset), longestName), []byte{0})
		names = append(names, string(name))
	}
	return names
}

// A program is an ELF file: an executable or a shared library.
type program struct {
	file  io.ReaderAt
	width int // of an address, in bytes
	loads []load
}

// A load says which part of the file is at an address of memory.
type load struct{ address, position, size uint64 }

// number reads an address, or a number of the same width.
func (e *program) number(b []byte) uint64 {
	if e.width == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return uint64(binary.LittleEndian.Uint32(b))
}

// position returns the position in the file of an address, or 0.
func (e *program) position(address uint64) uint64 {
	for _, l := range e.loads {
		if address-l.address < l.size {
			return address - l.address + l.position
		}
	}
	return 0
}

// bytesAt returns up to n bytes of the file.
func bytesAt(file io.ReaderAt, position uint64, n int) []byte {
	b := make([]byte, n)
	read, _ := file.ReadAt(b, int64(position)) // an error is the end of the file
	return b[:read]
}
