package auth

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/GehirnInc/crypt"
	_ "github.com/GehirnInc/crypt/apr1_crypt"
	_ "github.com/GehirnInc/crypt/md5_crypt"
	_ "github.com/GehirnInc/crypt/sha256_crypt"
	_ "github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"
)

const bcryptCost = 10

// Hash returns the bcrypt hash of a password, as in a file of users, or an error of one line about the password.
func Hash(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
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
