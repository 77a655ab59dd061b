package auth

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// table are the lines of a file. They do not change.
type table struct {
	hashes    map[string]string
	dummy     string      // a hash to compare with where there is no such user, so that it takes as long
	info      fs.FileInfo // of the file; nil without one
	complaint string      // about a newer file that cannot be used, "" without one
}

// sameFile reports whether a path leads to the file that info describes.
func sameFile(path string, info fs.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && info != nil && os.SameFile(now, info)
}

// readTable reads a file, and keeps it open in keep. The error is one line that begins with "users: ".
func readTable(path string, keep *OpenFile) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	t, err := tableOf(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	keep.Keep(f, t.info)
	return t, nil
}

func tableOf(f *os.File, path string) (*table, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("users: %s is not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("users: %s has more than %d bytes", path, maxFile)
	}
	t, line, err := parseTable(text)
	if err != nil {
		return nil, fmt.Errorf("users: %s:%d: %w", path, line, err)
	}
	t.info = info
	return t, nil
}

// parseTable reads lines "user:hash"; empty ones and those that begin with "#" do not count. Text behind a second
// colon is a comment.
func parseTable(text []byte) (u *table, line int, err error) {
	u = &table{hashes: map[string]string{}}
	for one := range bytes.Lines(text) {
		line++
		s := strings.TrimSpace(string(one))
		if s == "" || s[0] == '#' {
			continue
		}
		name, rest, found := strings.Cut(s, ":")
		hash, _, _ := strings.Cut(rest, ":")
		err := checkHash(hash)
		if !found || name == "" || hash == "" || err != nil && CheckName(name) != nil { // another file: the name could disturb a terminal
			return nil, line, fmt.Errorf("not user:hash")
		}
		if err != nil {
			return nil, line, fmt.Errorf("user %s: %w", name, err)
		}
		u.hashes[name] = hash
		if u.dummy == "" {
			u.dummy = hash
		}
	}
	return u, line, nil
}

func (u *table) verify(name, password string) bool {
	hash, ok := u.hashes[name]
	if !ok {
		hash = u.dummy
	}
	return verify(hash, password) && ok
}
