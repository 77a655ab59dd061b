package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"fapws/runtime/system"
)

type InvalidError struct{ text string }

func (e *InvalidError) Error() string { return e.text }

// invalidIf returns an InvalidError if wrong is true, otherwise nil.
func invalidIf(wrong bool, format string, args ...any) error {
	if !wrong {
		return nil
	}
	return &InvalidError{fmt.Sprintf(format, args...)}
}

const minPassword = 8

func CheckName(name string) error {
	wrong := name == "" || len(name) > maxUser || strings.HasPrefix(name, "-") || strings.ContainsAny(name, ":#") ||
		!utf8.ValidString(name) || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl)
	return invalidIf(wrong, "%q cannot be the name of a user", name)
}

func Add(path, name, password string) error {
	return setPassword(path, name, password, func(t *table) error {
		return invalidIf(t.hashes[name] != "", "there is a user %s already", name)
	})
}

func addFirst(path, name, password string) error {
	return setPassword(path, name, password, func(t *table) error {
		return invalidIf(len(t.hashes) > 0, "there is a user already")
	})
}

func SetPassword(path, name, password string) error {
	return setPassword(path, name, password, exists(name))
}

func setPassword(path, name, password string, fits func(*table) error) error {
	if err := CheckName(name); err != nil {
		return err
	}
	hash, err := Hash(password)
	if err != nil {
		return &InvalidError{err.Error()}
	}
	return edit(path, name, hash, fits)
}

// Set adds a user or changes the user's password, and creates the file if it is missing.
func Set(path, name, password string) error {
	return setPassword(path, name, password, func(*table) error { return nil })
}

// Act implements the functions of the Python module fapws.users. For "list", the result contains the user names, one on
// each line. For "check", the result is the user name, or "" if the name or the password is wrong.
func Act(action, path, name, password string) (string, error) {
	switch action {
	case "set":
		return "", Set(path, name, password)
	case "remove":
		return "", Remove(path, name)
	case "check":
		if _, t, err := readUsers(path); err != nil || !verify(t.hashes[name], password) {
			return "", err
		}
		return name, nil
	}
	names, err := Names(path)
	return strings.Join(names, "\n"), err
}

func CheckPassword(path, name, password string) error {
	_, t, err := readUsers(path)
	if err != nil {
		return err
	}
	return invalidIf(!verify(t.hashes[name], password), "wrong name or password")
}

func Remove(path, name string) error { return edit(path, name, "", exists(name)) }

func exists(name string) func(*table) error {
	return func(t *table) error { return invalidIf(t.hashes[name] == "", "there is no user %s", name) }
}

func Names(path string) (names []string, err error) {
	text, t, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if name := nameOf(line); t.hashes[name] != "" {
			names = append(names, name)
			delete(t.hashes, name)
		}
	}
	return names, nil
}

func readUsers(path string) (text []byte, t *table, err error) {
	if text, err = os.ReadFile(path); err == nil {
		t, err = parseTable(path, text)
	}
	return text, t, err
}

func nameOf(line string) string {
	line = strings.TrimSpace(line)
	name, _, found := strings.Cut(line, ":")
	if !found || strings.HasPrefix(line, "#") {
		return ""
	}
	return name
}

// edit replaces the line of a user in the file, or removes the line if hash is "".
func edit(path, name, hash string, fits func(*table) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return change(path, func(text []byte) ([]byte, error) {
		t, err := parseTable(path, text)
		if err == nil {
			err = fits(t)
		}
		if err != nil {
			return nil, err
		}
		var out strings.Builder
		for line := range strings.Lines(string(text)) {
			if nameOf(line) != name {
				out.WriteString(strings.TrimRight(line, "\r\n") + "\n")
			}
		}
		if hash != "" {
			out.WriteString(name + ":" + hash + "\n")
		}
		return []byte(out.String()), nil
	})
}

// change atomically replaces the text of a file by the result of f. The argument of f is the old text, or an empty text
// if the file is missing. If f returns nil, the file does not change. The directory is locked until change returns.
func change(path string, f func(text []byte) ([]byte, error)) error {
	return exclusively(filepath.Dir(path), func() error {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if text, err = f(text); err != nil || text == nil {
			return err
		}
		return replaceFile(path, text)
	})
}

// replaceFile writes a file atomically, even if the machine loses power. replaceFile keeps the file's owner and mode; a
// new file can be read only by the owner of the directory. If the process is killed, the next call removes the temporary
// file. replaceFile blocks for the disk. The caller must hold the lock of the directory (exclusively).
func replaceFile(path string, text []byte) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	_ = os.Remove(temporary) // O_EXCL reports the error
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	info, missing := os.Stat(path)
	if missing == nil {
		err = f.Chmod(info.Mode().Perm())
	} else {
		// use the directory's owner, so that a server that may write to the directory can read the file
		info, err = os.Stat(filepath.Dir(path))
	}
	if err == nil {
		st := info.Sys().(*syscall.Stat_t)
		// Ignore the error, because only root can change the owner. Without root, the owner is the user of this
		// process.
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
	_, failed := f.Write(text)
	if err = errors.Join(err, failed, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return system.IgnoreUnsupported(dir.Sync())
}
