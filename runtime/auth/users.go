package auth

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/GehirnInc/crypt"
	_ "github.com/GehirnInc/crypt/apr1_crypt"
	_ "github.com/GehirnInc/crypt/md5_crypt"
	_ "github.com/GehirnInc/crypt/sha256_crypt"
	_ "github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"

	"fapws/runtime/system"
)

// Users contains the user names and hashes of a file. The file is read again after a change. Users is safe for
// concurrent use.
type Users struct {
	system.Watched[table]
	checker *Checker
	log     func(line string)
	secret  [32]byte
}

const (
	// maximum number of remembered pairs in each map of the type recent
	maxRight = 1024
	maxWrong = 2048
)

// NewUsers reads a file with a line "user:hash" for each user. If optional is set, the file may be missing at first,
// and the list of users is then empty. The directory must exist. If the file is invalid after a change, the previous
// users remain valid, and the function log, unless nil, is called. The error has one line, which names the file and the
// line in the file.
func NewUsers(c *Checker, path string, optional bool, log func(line string)) (*Users, error) {
	u := &Users{checker: c, log: log}
	u.Watched.Path, u.Optional = path, optional
	u.Parse = func(text []byte) (*table, error) { return parseTable(path, text) }
	rand.Read(u.secret[:])
	u.Set(&table{})
	err := u.Watched.Refresh()
	if u.Empty() && err == nil {
		_, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (u *Users) Path() string { return u.Watched.Path }

// Empty reports, without blocking, whether the file contains no users.
func (u *Users) Empty() bool { return len(u.Value().hashes) == 0 }

// Hash returns, without blocking, the hash of a user's password, or "" if the user does not exist.
func (u *Users) Hash(name string) string { return u.Value().hashes[name] }

func (u *Users) Refresh() {
	if err := u.Watched.Refresh(); err != nil && u.log != nil {
		u.log("users: " + err.Error() + "; the previous users stay valid")
	}
}

// Known returns the remembered verdict on a pair "user:password": Right, Wrong or Unknown. Known does not block or
// allocate memory.
func (u *Users) Known(pair []byte) Verdict {
	return u.Value().recall(u.key(pair), u.checker.now())
}

// verify returns the verdict on the password of k, and how long the verdict must be delayed. Unless the verdict is
// remembered, verify computes the hash of the password.
func (u *Users) verify(k *Check) (v Verdict, delay time.Duration) {
	if !u.Fresh() {
		u.Refresh()
	}
	pair, of := u.key([]byte(k.user+":"+k.password)), u.Value()
	const ever = 1<<63 - 1
	v = of.recall(pair, ever)
	computed := v == Unknown
	if v == Right || computed && of.verify(k.user, k.password) {
		of.right.add(pair, 0)
		return Right, 0
	}
	delay = u.checker.failed(k, computed)
	of.wrong.add(pair, u.checker.now()+delay)
	return Wrong, delay
}

// A key is a keyed hash of a pair of user name and password, so that a memory dump does not contain passwords.
type key [32]byte

func (u *Users) key(pair []byte) key {
	var buf [32 + maxText]byte
	n := copy(buf[:], u.secret[:])
	if len(pair) > maxText { // this is rare: only the login form accepts pairs of this length
		pair := sha256.Sum256(pair)
		n += copy(buf[n:], pair[:])
	} else {
		n += copy(buf[n:], pair)
	}
	return sha256.Sum256(buf[:n])
}

// A table contains the lines of a file of users, and the verdicts on pairs of user name and password. The lines of a
// table do not change.
type table struct {
	hashes map[string]string
	// dummy is a hash against which a password is checked if the user does not exist. Therefore the duration of a check
	// does not reveal whether a user exists.
	dummy string

	// keys of pairs with the verdict right or wrong, and the time from which the verdict may be reported
	right, wrong recent[key, time.Duration]
}

func (t *table) recall(k key, now time.Duration) Verdict {
	if _, ok := t.right.get(k); ok {
		return Right
	}
	if from, ok := t.wrong.get(k); ok && now >= from {
		return Wrong
	}
	return Unknown
}

// parseTable parses the text of a file of users. parseTable ignores empty lines, lines that begin with "#", and text
// after a second colon.
func parseTable(path string, text []byte) (*table, error) {
	u, line := &table{hashes: map[string]string{}}, 0
	u.right.size, u.wrong.size = maxRight, maxWrong
	for one := range bytes.Lines(text) {
		line++
		s := strings.TrimSpace(string(one))
		if s == "" || s[0] == '#' {
			continue
		}
		name, rest, found := strings.Cut(s, ":")
		hash, _, _ := strings.Cut(rest, ":")
		err := checkHash(hash)
		// If the path names another kind of file, this "name" can be anything. Do not report characters that could
		// disturb a terminal.
		if !found || name == "" || hash == "" || err != nil && CheckName(name) != nil {
			return nil, fmt.Errorf("%s:%d: not user:hash", path, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: user %s: %w", path, line, name, err)
		}
		u.hashes[name] = hash
		u.dummy = cmp.Or(u.dummy, hash)
	}
	return u, nil
}

func (u *table) verify(name, password string) bool {
	hash := u.hashes[name]
	return verify(cmp.Or(hash, u.dummy), password) && hash != ""
}

// recent is a cache that drops entries that were not used recently. When newer is full (size), it becomes older, and
// the previous older is dropped. recent is safe for concurrent use.
type recent[K comparable, V any] struct {
	mu           sync.Mutex
	size         int
	newer, older map[K]V
}

func (m *recent[K, V]) get(k K) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.newer[k]; !ok {
		if v, ok = m.older[k]; ok {
			m.insert(k, v)
		}
	}
	return v, ok
}

func (m *recent[K, V]) add(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.insert(k, v)
}

// The caller must hold m.mu.
func (m *recent[K, V]) insert(k K, v V) {
	if len(m.newer) >= m.size || m.newer == nil {
		m.older, m.newer = m.newer, map[K]V{}
	}
	m.newer[k] = v
}

const bcryptCost = 10

// Hash returns the bcrypt hash of a password, as in a file of users, or an error of one line about the password.
func Hash(password string) (string, error) {
	if utf8.RuneCountInString(password) < minPassword {
		return "", fmt.Errorf("the password needs at least %d characters", minPassword)
	}
	out, err := bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", errors.New("bcrypt does not support passwords of more than 72 bytes")
	}
	// htpasswd writes $2y$, which is equivalent to $2a$.
	return "$2y$" + strings.TrimPrefix(string(out), "$2a$"), err
}

const (
	// maximum number of rounds of SHA-crypt
	maxRounds = 1_000_000
	// maximum cost of bcrypt
	maxCost = 17
	minSum  = 22 // length of an MD5 checksum in characters, the shortest supported checksum
)

var errKind = errors.New("unknown kind of hash; supported are bcrypt (htpasswd -B), SHA-256 and SHA-512 crypt, " +
	"apr1 and {SHA}")

func checkHash(hash string) error {
	switch {
	case isBcrypt(hash):
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil {
			return errors.New("the hash is not one of bcrypt")
		}
		if cost > maxCost {
			return fmt.Errorf("the cost of its hash is %d, more than %d", cost, maxCost)
		}
		return nil
	case strings.HasPrefix(hash, "{SHA}"):
		if sum, err := base64.StdEncoding.DecodeString(hash[5:]); err != nil || len(sum) != sha1.Size {
			return errors.New("{SHA} is not followed by a sum")
		}
		return nil
	case crypt.IsHashSupported(hash):
		rounds, err := crypt.NewFromHash(hash).Cost(hash)
		if rounds > maxRounds {
			return fmt.Errorf("its hash has more than %d rounds", maxRounds)
		}
		if err != nil || len(hash)-strings.LastIndexByte(hash, '$') <= minSum {
			return errors.New("the hash is truncated")
		}
		return nil
	}
	return errKind
}

func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2y$") || strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$")
}

// verify reports whether password has this hash.
func verify(hash, password string) bool {
	switch {
	case isBcrypt(hash):
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	case strings.HasPrefix(hash, "{SHA}"):
		sum := sha1.Sum([]byte(password))
		return same(hash[5:], base64.StdEncoding.EncodeToString(sum[:]))
	case crypt.IsHashSupported(hash):
		salt := hash[:strings.LastIndexByte(hash, '$')] // crypt's own Verify would include the checksum in the salt
		again, err := crypt.NewFromHash(hash).Generate([]byte(password), []byte(salt))
		return err == nil && same(hash, again)
	}
	return false
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
