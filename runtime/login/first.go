package login

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"fapws/runtime/auth"
)

// first is the making of the first user, for a client that knows a code which only the log of the server shows. The code is
// in a file of the state directory, so that all processes have the same one, until there is a user.
type first struct {
	l   *Login
	run string // Options.Run

	mu    sync.Mutex
	shown bool
}

// wanted reports whether there is no user yet. It does not block.
func (f *first) wanted() bool { return f.l.users.Empty() }

// announce shows the code in the log, once for a run of the server.
func (f *first) announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shown {
		return
	}
	f.shown = true
	code, news, err := f.code()
	switch {
	case err != nil:
		f.l.log(fmt.Sprintf("login: no code for the first user: %v; make the user with: %s", err, f.command()))
	case news:
		f.l.log(fmt.Sprintf("login: %s has no user yet; to make the first one, log in with the code %s, or type: %s", f.l.users.Path(), code, f.command()))
	}
}

// command is what makes a user, typed in any directory.
func (f *first) command() string {
	path, err := filepath.Abs(f.l.users.Path())
	if err != nil {
		path = f.l.users.Path()
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N) && !strings.ContainsRune("/._-", r) }) {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return "fapws user add -f " + path
}

// right reports whether a client has typed the code, in any case and with or without hyphens.
func (f *first) right(typed string) bool {
	code, _, err := f.code()
	if err != nil {
		f.l.log(fmt.Sprintf("login: no code for the first user: %v", err))
		return false
	}
	return subtle.ConstantTimeCompare([]byte(plainCode(typed)), []byte(plainCode(code))) == 1
}

func plainCode(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s))
}

// done is called when there is a user: the code is worth nothing any more.
func (f *first) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = false
	err := f.l.state.codes(func(all map[account]code) bool {
		delete(all, f.l.account(""))
		return true
	})
	if err != nil {
		f.l.log(fmt.Sprintf("login: the code for the first user can be used again if there is no user any more: %v", err))
	}
}

// code is a code for the first user of a file, and the run of the server that has shown it last.
type code struct{ text, run string }

// letters leaves out letters and digits that look alike.
var letters = base32.NewEncoding("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")

// newCode returns 60 bits.
func newCode() string {
	var random [10]byte
	rand.Read(random[:])
	text := letters.EncodeToString(random[:])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12]
}

// code returns the code, which is made if there is none, and whether this run of the server asks for it the first time.
func (f *first) code() (text string, news bool, err error) {
	err = f.l.state.codes(func(all map[account]code) bool {
		c := all[f.l.account("")]
		if c.text == "" {
			c.text = newCode()
		} else if c.run == f.run && f.run != "" {
			text = c.text
			return false
		}
		text, news = c.text, true
		all[f.l.account("")] = code{c.text, f.run}
		return true
	})
	return text, news, err
}

// codes lets change look at all codes, and writes them if it reports true. Each line of the file is "ACCOUNT CODE RUN".
func (s *State) codes(change func(map[account]code) bool) error {
	path := filepath.Join(s.dir, CodeFile)
	return exclusively(s.dir, func() error {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		all := map[account]code{}
		for line := range strings.Lines(string(text)) {
			parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
			if of, ok := parseAccount([]byte(parts[0])); ok && len(parts) == 3 {
				all[of] = code{parts[1], parts[2]}
			}
		}
		if !change(all) {
			return nil
		}
		var out strings.Builder
		for of, c := range all {
			fmt.Fprintf(&out, "%x %s %s\n", of, c.text, c.run)
		}
		return auth.ReplaceFile(path, []byte(out.String()))
	})
}
