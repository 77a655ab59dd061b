package bundle

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// trailer is the end of a bundle. All numbers are little-endian, and all parts are before the trailer.
type trailer struct {
	Magic  [8]byte
	Format uint32
	_      uint32
	// Modules is the archive of modules, Files the content of all files, Manifest is JSON, and Signature is reserved.
	Modules, Files, Manifest, Signature part
	Hash                                [sha256.Size]byte // of everything before the trailer
	Length                              uint64            // of the whole file, with the trailer
	_                                   uint64
}

type part struct{ Offset, Size uint64 }

const (
	trailerSize = 128
	magic       = "fapwsbdl"
	format      = 1
	maxManifest = 64 << 20
)

// A Bundle is an open bundle.
type Bundle struct {
	Name    string // path of the file, for messages
	file    *os.File
	trailer trailer
}

// A Manifest describes the contents of a bundle.
type Manifest struct {
	Name     string // prefix of the directories of the bundle, such as "console"
	Program  uint64 // size of fapws itself
	Fapws    string // version
	Python   string
	Machine  string // GOOS/GOARCH
	Modules  int
	Packages []Package
	Files    []File
}

type Package struct{ Name, Version, License string }

// A File is in the part Files.
type File struct {
	Name           string // relative to the directory of the unpacked bundle, with slashes
	Offset, Packed uint64 // of the compressed content (zlib)
	Size           uint64 // of the content
	Executable     bool
}

var errDamaged = errors.New("it is truncated or damaged; copy it again")

// Open opens the file path. The result is nil if the file is no bundle. name is the path for messages.
func Open(path, name string) (*Bundle, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, system.Cause(err))
	}
	b := &Bundle{Name: name, file: file}
	found, err := b.readTrailer()
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if !found || err != nil {
		file.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bundle) Close() { b.file.Close() }

func (b *Bundle) readTrailer() (found bool, err error) {
	st, err := b.file.Stat()
	if err != nil || st.Size() < trailerSize {
		return false, err
	}
	t, end := &b.trailer, make([]byte, trailerSize)
	if _, err := b.file.ReadAt(end, st.Size()-trailerSize); err != nil {
		return false, err
	}
	if _, err := binary.Decode(end, binary.LittleEndian, t); err != nil {
		return false, err
	}
	if string(t.Magic[:]) != magic {
		text, err := unix.Mmap(int(b.file.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
		if err != nil {
			return false, nil
		}
		defer unix.Munmap(text)
		if _, length := findMark(text); length != 0 {
			return true, fmt.Errorf("it has %d bytes instead of %d; %w", st.Size(), length, errDamaged)
		}
		return false, nil
	}
	if t.Format != format {
		return true, fmt.Errorf("it has the format %d of bundles, and this fapws reads %d", t.Format, format)
	}
	if t.Length != uint64(st.Size()) {
		return true, fmt.Errorf("it has %d bytes instead of %d; %w", st.Size(), t.Length, errDamaged)
	}
	limit := t.Length - trailerSize
	for _, p := range []part{t.Modules, t.Files, t.Manifest, t.Signature} {
		if p.Offset > limit || p.Size > limit-p.Offset {
			return true, errDamaged
		}
	}
	if t.Manifest.Size > maxManifest {
		return true, errDamaged
	}
	return true, nil
}

// Modules returns the position of the archive of modules in the file.
func (b *Bundle) Modules() (offset, size int64) {
	return int64(b.trailer.Modules.Offset), int64(b.trailer.Modules.Size)
}

// ID identifies the content of the bundle.
func (b *Bundle) ID() string { return hex.EncodeToString(b.trailer.Hash[:8]) }

// Manifest reads the manifest, and checks that all files are within the bundle.
func (b *Bundle) Manifest() (*Manifest, error) {
	text := make([]byte, b.trailer.Manifest.Size)
	if _, err := b.file.ReadAt(text, int64(b.trailer.Manifest.Offset)); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, system.Cause(err))
	}
	m := &Manifest{}
	if json.Unmarshal(text, m) != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, errDamaged)
	}
	for _, f := range m.Files {
		if size := b.trailer.Files.Size; f.Offset > size || f.Packed > size-f.Offset {
			return nil, fmt.Errorf("%s: %w", b.Name, errDamaged)
		}
	}
	return m, nil
}

// content returns the content of a file.
func (b *Bundle) content(f File) (io.Reader, error) {
	return zlib.NewReader(io.NewSectionReader(b.file, int64(b.trailer.Files.Offset+f.Offset), int64(f.Packed)))
}

// Verify reads the whole file and compares its hash.
func (b *Bundle) Verify() error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(b.file, 0, int64(b.trailer.Length)-trailerSize))
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name, system.Cause(err))
	}
	if n != int64(b.trailer.Length)-trailerSize || !bytes.Equal(sum.Sum(nil), b.trailer.Hash[:]) {
		return fmt.Errorf("%s: %w", b.Name, errDamaged)
	}
	return nil
}
