package pool

import (
	"io"
	"os"

	"fapws/runtime/system"
)

// maxShared bounds a file of SharedFile, in bytes.
const maxShared = 64 << 20

// SharedFile makes a file in memory, without a name, to be sent to other processes. They cannot change its length.
func SharedFile(name string, text []byte) (*os.File, error) {
	fd, err := system.MemoryFile(name)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.Write(text); err == nil {
		err = system.SealWriting(fd)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadShared returns the contents of such a file, whatever the position in it, which all processes share.
func ReadShared(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, maxShared))
}
