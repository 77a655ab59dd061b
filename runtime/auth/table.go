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
	dummy     string // a hash to compare with where there is no such user, so that it takes as long
	stamp     stamp
	complaint string // the last line logged about a newer file
}

// stamp tells files apart.
type stamp struct {
	size, time int64
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }

// readTable reads a file.
func readTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
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
	u, line, err := parseTable(text)
	if err != nil {
		return nil, fmt.Errorf("users: %s:%d: %w", path, line, err)
	}
	u.stamp = stampOf(info)
	return u, nil
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
		if !found || name == "" || hash == "" {
			return nil, line, fmt.Errorf("not user:hash")
		}
		if err := checkHash(hash); err != nil {
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
