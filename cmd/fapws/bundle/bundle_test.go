package bundle

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

// writeBundle writes a bundle with a file a.txt to a new directory, and returns its path.
func writeBundle(t *testing.T, content string, files ...File) string {
	t.Helper()
	program := []byte("program")
	packed := stored(t, content)
	files = append(files, File{Name: "app/a.txt", Size: uint64(len(content)), Packed: uint64(len(packed))})
	manifest := checktest.Try(json.Marshal(Manifest{Name: "shop", Program: uint64(len(program)), Files: files})).Must(t)
	text := bytes.Join([][]byte{program, packed, manifest}, nil)
	end := trailer{Format: format, Hash: sha256.Sum256(text), Length: uint64(len(text)) + trailerSize}
	copy(end.Magic[:], magic)
	end.Files = part{uint64(len(program)), uint64(len(packed))}
	end.Manifest = part{uint64(len(program) + len(packed)), uint64(len(manifest))}
	text = checktest.Try(binary.Append(text, binary.LittleEndian, &end)).Must(t)
	name := filepath.Join(t.TempDir(), "shop")
	checktest.Must(t, os.WriteFile(name, text, 0o755))
	return name
}

// stored returns content in the form of compressed data, but as long as before.
func stored(t *testing.T, content string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := checktest.Try(zlib.NewWriterLevel(&packed, zlib.NoCompression)).Must(t)
	checktest.Try(w.Write([]byte(content))).Must(t)
	checktest.Must(t, w.Close())
	return packed.Bytes()
}

func unpack(t *testing.T, name, cache string) (folder string, err error) {
	t.Helper()
	b := checktest.Try(Open(name, name)).Must(t)
	defer b.Close()
	return b.Unpack(cache)
}

func TestFilesAreUnpackedOnceIntoAPrivateDirectory(t *testing.T) {
	name, cache := writeBundle(t, "hello"), t.TempDir()
	folder := checktest.Try(unpack(t, name, cache)).Must(t)
	checktest.Equal(t, string(checktest.Try(os.ReadFile(folder+"/app/a.txt")).Must(t)), "hello")
	st := checktest.Try(os.Stat(folder)).Must(t)
	checktest.Equal(t, st.Mode().Perm()&0o022, os.FileMode(0))
	checktest.Must(t, os.WriteFile(folder+"/app/a.txt", []byte("kept"), 0o600))
	checktest.Equal(t, checktest.Try(unpack(t, name, cache)).Must(t), folder)
	checktest.Equal(t, string(checktest.Try(os.ReadFile(folder+"/app/a.txt")).Must(t)), "kept")
}

// A cleaner of /tmp removes old files, and a loss of power can interrupt a process that unpacks.
func TestIncompleteDirectoriesAreReplaced(t *testing.T) {
	name, cache := writeBundle(t, "hello"), t.TempDir()
	folder := checktest.Try(unpack(t, name, cache)).Must(t)
	for _, file := range []string{"/name", "/app/a.txt"} {
		checktest.Must(t, os.Remove(folder+file))
	}
	checktest.Must(t, os.Mkdir(cache+"/.unpacking-1", 0o755))
	checktest.Must(t, os.WriteFile(cache+"/.unpacking-1/a.txt", nil, 0o600))
	checktest.Equal(t, checktest.Try(unpack(t, name, cache)).Must(t), folder)
	checktest.Equal(t, string(checktest.Try(os.ReadFile(folder+"/app/a.txt")).Must(t)), "hello")
	checktest.Equal(t, len(checktest.Try(os.ReadDir(cache)).Must(t)), 1)
}

func TestAnyOtherFileIsNoBundle(t *testing.T) {
	for _, content := range []string{"", "short", strings.Repeat("x", 1000)} {
		name := filepath.Join(t.TempDir(), "file")
		checktest.Must(t, os.WriteFile(name, []byte(content), 0o600))
		b, err := Open(name, name)
		checktest.Truef(t, b == nil && err == nil, "%q: %v, %v", content, b, err)
	}
}

func TestTruncatedOrChangedBundleIsRefused(t *testing.T) {
	name := writeBundle(t, strings.Repeat("x", 1000))
	whole := checktest.Try(os.ReadFile(name)).Must(t)
	for what, text := range map[string][]byte{
		"missing middle": append(bytes.Clone(whole[:500]), whole[600:]...),
		"changed byte":   append(append(bytes.Clone(whole[:500]), 'y'), whole[501:]...),
	} {
		checktest.Must(t, os.WriteFile(name, text, 0o755))
		b, err := Open(name, name)
		if err == nil {
			_, err = b.Unpack(t.TempDir())
		}
		checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), errDamaged.Error()), "%s: %v", what, err)
	}
}

func TestFilesOutsideOfTheDirectoryAreNotWritten(t *testing.T) {
	cache := t.TempDir()
	_, err := unpack(t, writeBundle(t, "", File{Name: "../out"}), cache)
	checktest.Truef(t, err != nil, "unpacked")
	entries := checktest.Try(os.ReadDir(cache)).Must(t)
	checktest.Equal(t, len(entries), 0)
}

// end closes the descriptor with which this process keeps a directory, as the end of a process does.
func end(t *testing.T, folder string) {
	t.Helper()
	for fd := range 1000 {
		if place, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); place == folder {
			checktest.Must(t, unix.Close(fd))
		}
	}
}

func TestTwoVersionsAreKeptAndThoseInUse(t *testing.T) {
	cache := checktest.Try(filepath.EvalSymlinks(t.TempDir())).Must(t)
	var folders []string
	for i, content := range []string{"one", "two", "three", "four"} {
		folder := checktest.Try(unpack(t, writeBundle(t, content), cache)).Must(t)
		stamp := unix.NsecToTimeval(int64(i+1) * 1e12)
		checktest.Must(t, unix.Utimes(folder, []unix.Timeval{stamp, stamp}))
		folders = append(folders, folder)
		if i != 0 {
			end(t, folder)
		}
	}
	for i, kept := range []bool{true, false, true, true} {
		_, err := os.Stat(folders[i])
		checktest.Truef(t, (err == nil) == kept, "version %d: %v", i+1, err)
	}
}

func TestDirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	name, cache := writeBundle(t, "hello"), t.TempDir()
	folder := checktest.Try(unpack(t, name, cache)).Must(t)
	refused := func() bool {
		_, err := unpack(t, name, cache)
		return err != nil && strings.Contains(err.Error(), "another user could change it")
	}
	checktest.Must(t, os.Chmod(cache, 0o777))
	checktest.Truef(t, refused(), "below a directory in which others may rename")
	checktest.Must(t, os.Chmod(cache, 0o777|os.ModeSticky))
	checktest.Truef(t, !refused(), "below a directory such as /tmp")
	checktest.Must(t, os.Chmod(folder, 0o777))
	checktest.Truef(t, refused(), "in a directory that others may write")
}

func TestFirstDirectoryThatCanBeWrittenIsUsed(t *testing.T) {
	name, first, second := writeBundle(t, "hello"), t.TempDir(), t.TempDir()
	checktest.Must(t, os.Chmod(first, 0o777))
	b := checktest.Try(Open(name, name)).Must(t)
	defer b.Close()
	checktest.Equal(t, filepath.Dir(checktest.Try(b.Unpack(first, second)).Must(t)), second)
	_, err := b.Unpack(first, filepath.Join(name, "cache"))
	checktest.Truef(t, err != nil && strings.HasPrefix(err.Error(), first), "%v", err)
}
