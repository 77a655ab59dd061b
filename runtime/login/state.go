package login

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/auth"
)

// State is a directory with what sessions need for longer than a process lives: the key that signs cookies, and the
// list of sessions that have ended early. All processes of a server share it. Its methods are safe for concurrent use.
type State struct {
	dir   string
	key   []byte
	ended ended
}

// Names of the files. Only the user of the server may see them.
const (
	KeyFile   = "key"   // of all signatures, in hexadecimal digits
	EndedFile = "ended" // see ended
	CodeFile  = "first" // codes for first users: see first
)

// OpenState opens a directory, which is made if it is missing, with the right to use it for this user alone. age is
// the longest time that a session lives. The error is one line.
func OpenState(dir string, age time.Duration) (*State, error) {
	s := &State{dir: dir, ended: ended{dir: dir, age: age, now: time.Now, limit: maxEnded}}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = exclusively(dir, func() error {
			if s.key, err = readKey(filepath.Join(dir, KeyFile)); errors.Is(err, fs.ErrNotExist) {
				s.key, err = makeKey(filepath.Join(dir, KeyFile))
			}
			return err
		})
	}
	if err == nil {
		err = s.ended.open()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep sessions in %s: %w; make it writable, or name another directory with --state-dir", dir, reason(err))
	}
	return s, nil
}

// Close closes the files.
func (s *State) Close() { s.ended.file.Close() }

// reason is err without the operation and the path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read the file key: remove it, which ends all sessions")
	}
	text, err := io.ReadAll(io.LimitReader(f, 4*sha256.Size))
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != sha256.Size {
		return nil, errors.New("the file key is damaged: remove it, which ends all sessions")
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return key, auth.ReplaceFile(path, []byte(hex.EncodeToString(key)+"\n"))
}

// derive returns a key for one purpose (RFC 5869).
func (s *State) derive(purpose string) []byte {
	out, err := hkdf.Expand(sha256.New, s.key, "fapws login: "+purpose, sha256.Size)
	if err != nil {
		panic(err) // only a length beyond 255 hashes is an error
	}
	return out
}

// exclusively runs f while no other process does the same in the directory.
func exclusively(dir string, f func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return err
	}
	return f()
}

// verifiedTokens remembers tokens that were verified, at least the last maxVerified that were used: two MACs take as long as a small
// response. Its methods are safe for concurrent use.
type verifiedTokens struct {
	mu           sync.Mutex
	newer, older map[string]*verifiedToken
}

// verifiedToken is a session that a token is for as long as its user has this hash.
type verifiedToken struct {
	session *Session
	hash    string
}

// maxVerified bounds the memory: an entry has about 400 bytes.
const maxVerified = 256

// find returns the session of a token, nil if it has to be verified.
func (v *verifiedTokens) find(token []byte, l *Login) *Session {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.newer[string(token)]
	if one == nil {
		if one = v.older[string(token)]; one == nil {
			return nil
		}
		v.put(string(token), one)
	}
	if l.users.Hash(one.session.User) != one.hash {
		return nil
	}
	return one.session
}

func (v *verifiedTokens) add(token string, one *verifiedToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(token, one)
}

// put remembers a token. mu is held.
func (v *verifiedTokens) put(token string, one *verifiedToken) {
	if v.newer == nil || len(v.newer) >= maxVerified {
		v.older, v.newer = v.newer, map[string]*verifiedToken{}
	}
	v.newer[token] = one
}
