package auth

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Cost is the exponent of bcrypt's work that Hash uses: about 60 ms on a
// desktop of 2020, a second on a small board.
const Cost = 10

// Hash returns the text behind the name in a file of users, with bcrypt. The error, of one line, is about the
// password.
func Hash(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	out, err := bcrypt.GenerateFromPassword([]byte(password), Cost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", errors.New("bcrypt does not support passwords of more than 72 bytes")
	}
	// htpasswd writes $2y$, which means the same.
	return "$2y$" + strings.TrimPrefix(string(out), "$2a$"), err
}

const (
	maxRounds = 1_000_000 // of SHA-crypt: seconds
	maxCost   = 17        // of bcrypt: seconds
)

var errKind = errors.New("unknown kind of hash; supported are bcrypt (htpasswd -B), SHA-256 and SHA-512 crypt, apr1 and {SHA}")

// checkHash returns an error if a hash is invalid or of an unknown kind.
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
	case strings.HasPrefix(hash, "$apr1$"), strings.HasPrefix(hash, "$1$"):
		if strings.Count(hash, "$") != 3 {
			return errors.New("the hash is truncated")
		}
		return nil
	case strings.HasPrefix(hash, "$5$"), strings.HasPrefix(hash, "$6$"):
		_, rounds, _, sum, ok := splitSHACrypt(hash)
		if !ok || sum == "" {
			return errors.New("the hash is truncated")
		}
		if rounds > maxRounds {
			return fmt.Errorf("its hash has more than %d rounds", maxRounds)
		}
		return nil
	}
	return errKind
}

func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2y$") || strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$")
}

// verify says whether hash is of password. It takes as long as the hash wants.
func verify(hash, password string) bool {
	switch {
	case isBcrypt(hash):
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	case strings.HasPrefix(hash, "{SHA}"):
		sum := sha1.Sum([]byte(password))
		return same(hash[5:], base64.StdEncoding.EncodeToString(sum[:]))
	case strings.HasPrefix(hash, "$apr1$"), strings.HasPrefix(hash, "$1$"):
		magic, salt, _ := splitMD5Crypt(hash)
		return same(hash, md5Crypt(magic, salt, password))
	case strings.HasPrefix(hash, "$5$"), strings.HasPrefix(hash, "$6$"):
		magic, rounds, salt, sum, _ := splitSHACrypt(hash)
		of256, of512 := orders()
		if magic == "$5$" {
			return same(sum, shaCrypt(sha256.New, of256, salt, password, rounds))
		}
		return same(sum, shaCrypt(sha512.New, of512, salt, password, rounds))
	}
	return false
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// splitMD5Crypt takes "$apr1$salt$sum" apart.
func splitMD5Crypt(hash string) (magic, salt, sum string) {
	parts := strings.SplitN(hash, "$", 4)
	if len(parts) != 4 {
		return "", "", ""
	}
	return "$" + parts[1] + "$", parts[2][:min(8, len(parts[2]))], parts[3]
}

// splitSHACrypt takes "$5$salt$sum" or "$5$rounds=N$salt$sum" apart.
func splitSHACrypt(hash string) (magic string, rounds int, salt, sum string, ok bool) {
	magic, rest := hash[:3], hash[3:]
	rounds = 5000
	if text, found := strings.CutPrefix(rest, "rounds="); found {
		number, after, found := strings.Cut(text, "$")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || !found {
			return "", 0, "", "", false
		}
		rounds, rest = max(1000, int(n)), after
	}
	salt, sum, ok = strings.Cut(rest, "$")
	return magic, rounds, salt[:min(16, len(salt))], sum, ok
}

// recent remembers at least the last size values that were used: when the newer half is full, the older half is forgotten.
type recent[K comparable, V any] struct {
	size         int
	newer, older map[K]V
}

func (m *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = m.newer[k]; !ok {
		if v, ok = m.older[k]; ok {
			m.add(k, v)
		}
	}
	return v, ok
}

func (m *recent[K, V]) add(k K, v V) {
	if len(m.newer) >= m.size || m.newer == nil {
		m.older, m.newer = m.newer, map[K]V{}
	}
	m.newer[k] = v
}

// memory remembers pairs of name and password by a keyed hash.
type memory = recent[key, remembered]

// remembered is of the table that a pair was compared with, and may be told from a time on.
type remembered struct {
	of   *table
	from time.Duration
}

// key is a keyed hash of a pair, so that a copy of the memory shows no password.
type key [32]byte

// told reports whether a pair that is remembered is of a table, and may be told.
func (r remembered) told(of *table, now time.Duration) bool { return r.of == of && now >= r.from }

// itoa64 are the digits of crypt(3).
const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// append64 appends n digits of v, the lowest first.
func append64(dst []byte, v uint, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, itoa64[v&63])
		v >>= 6
	}
	return dst
}

// md5Crypt is Poul-Henning Kamp's hash of FreeBSD 2, which Apache uses with the
// magic "$apr1$". It returns the whole hash.
func md5Crypt(magic, salt, password string) string {
	alternate := md5.Sum([]byte(password + salt + password))
	h := md5.New()
	h.Write([]byte(password + magic + salt))
	h.Write(repeated(alternate[:], len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte{password[0]})
		}
	}
	sum := stretch(h, 1000, h.Sum(nil), []byte(password), []byte(salt))
	return magic + salt + "$" + inOrder(sum, [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}, {-1, -1, 11}})
}

// stretch hashes a sum, password and salt again and again.
func stretch(h hash.Hash, rounds int, sum, password, salt []byte) []byte {
	for i := range rounds {
		h.Reset()
		mix(h, i&1 != 0, password, sum)
		if i%3 != 0 {
			h.Write(salt)
		}
		if i%7 != 0 {
			h.Write(password)
		}
		mix(h, i&1 != 0, sum, password)
		sum = h.Sum(sum[:0])
	}
	return sum
}

// inOrder returns the digits of the bytes of a sum, two to four of those that each element of order names; -1 is none.
func inOrder(sum []byte, order [][3]int) string {
	var out []byte
	for _, three := range order {
		digits, v := 4, uint(0)
		for _, i := range three {
			v <<= 8
			if i < 0 {
				digits--
			} else {
				v |= uint(sum[i])
			}
		}
		out = append64(out, v, digits)
	}
	return string(out)
}

func mix(h hash.Hash, first bool, a, b []byte) {
	if first {
		h.Write(a)
	} else {
		h.Write(b)
	}
}

// shaCrypt is Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512", version
// 0.6. It returns the sum as text.
func shaCrypt(make func() hash.Hash, order [][3]int, salt, password string, rounds int) string {
	p, s := []byte(password), []byte(salt)
	h := make()
	h.Write(p)
	h.Write(s)
	h.Write(p)
	b := h.Sum(nil)

	h.Reset()
	h.Write(p)
	h.Write(s)
	h.Write(repeated(b, len(p)))
	for n := len(p); n > 0; n >>= 1 {
		mix(h, n&1 != 0, b, p)
	}
	a := h.Sum(nil)

	h.Reset()
	for range p {
		h.Write(p)
	}
	pp := repeated(h.Sum(nil), len(p))
	h.Reset()
	for range 16 + int(a[0]) {
		h.Write(s)
	}
	ss := repeated(h.Sum(nil), len(s))

	return inOrder(stretch(h, rounds, a, pp, ss), order)
}

// repeated returns n bytes of b, again and again.
func repeated(b []byte, n int) []byte { return bytes.Repeat(b, n/len(b)+1)[:n] }

// orders are those in which the bytes of sums are written.
var orders = sync.OnceValues(func() (of256, of512 [][3]int) {
	for i, x := 0, [3]int{0, 10, 20}; i < 10; i++ {
		of256 = append(of256, x)
		x = [3]int{(x[2] + 1) % 30, (x[0] + 1) % 30, (x[1] + 1) % 30}
	}
	of256 = append(of256, [3]int{-1, 31, 30})
	for i, x := 0, [3]int{0, 21, 42}; i < 21; i++ {
		of512 = append(of512, x)
		x = [3]int{(x[1] + 1) % 63, (x[2] + 1) % 63, (x[0] + 1) % 63}
	}
	return of256, append(of512, [3]int{-1, -1, 63})
})
