package auth

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/GehirnInc/crypt"

	"fapws/runtime/checktest"
)

func apr1(password string) string {
	hash, _ := crypt.APR1.New().Generate([]byte(password), []byte("$apr1$abcdefgh"))
	return hash
}

func TestHashesOfAllKindsAreVerified(t *testing.T) {
	for _, c := range checktest.Cases(t, "testdata/hashes.txt", 2) {
		password, hash := c[0], c[1]
		checktest.Must(t, checkHash(hash))
		checktest.Truef(t, verify(hash, password), "%s is not accepted for %q", hash, password)
		for _, wrong := range []string{"", password + "x", strings.ToUpper(password) + "."} {
			checktest.Truef(t, wrong == password || !verify(hash, wrong), "%s is accepted for %q", hash, wrong)
		}
	}
}

// Apache's htpasswd in Ubuntu 24.04 does not support the flags -2 and -5, so OpenSSL computes these hashes.
func TestHashesOfHtpasswdAndOpenSSLAreAccepted(t *testing.T) {
	for program, name := range map[string]string{"htpasswd": "apache2-utils", "openssl": "openssl"} {
		_, err := exec.LookPath(program)
		checktest.Mustf(t, err, "%s is missing: install %s (./build.sh does)", program, name)
	}
	for _, maker := range []string{"htpasswd -nbm someone", "htpasswd -nbB someone", "htpasswd -nbs someone",
		"openssl passwd -5", "openssl passwd -6"} {
		for _, password := range []string{"x", "correct horse", "äöü€", strings.Repeat("long", 15)} {
			words := append(strings.Fields(maker), password)
			out, err := exec.Command(words[0], words[1:]...).Output()
			checktest.Mustf(t, err, "%s", maker)
			if words[0] == "openssl" {
				out = append([]byte("someone:"), out...)
			}
			u, err := parseTable("users", out)
			checktest.Mustf(t, err, "%s", out)
			checktest.Truef(t, u.verify("someone", password) && !u.verify("someone", password+"x") &&
				!u.verify("other", password), "%q: %s", password, out)
		}
	}
}

func TestUserFileErrorsNameLineUserAndCause(t *testing.T) {
	for text, want := range map[string]string{
		"a:$2y$10$short":                      "users:1: user a: the hash is not one of bcrypt",
		"# x\n\nb:plain":                      "users:3: user b: unknown kind of hash",
		"c":                                   "users:1: not user:hash",
		":x":                                  "users:1: not user:hash",
		"\x1b[31mx:x":                         "users:1: not user:hash",
		"d:{SHA}x":                            "{SHA} is not followed by a sum",
		"e:$apr1$x":                           "the hash is truncated",
		"f:$6$rounds=99999999$abc$x":          "more than 1000000 rounds",
		"g:$5$rounds=x$abc$x":                 "the hash is truncated",
		"h:$2y$31$" + strings.Repeat("a", 53): "the cost of its hash is 31",
	} {
		file := filepath.Join(t.TempDir(), "users")
		os.WriteFile(file, []byte(text), 0o600)
		_, err := NewUsers(NewChecker(), file, false, nil)
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "\n"),
			"%q: %v, want %s", text, err, want)
	}
	_, err := NewUsers(NewChecker(), "/nowhere/users", false, nil)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "/nowhere/users"), "%v", err)
	_, err = NewUsers(NewChecker(), t.TempDir(), false, nil)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "is not a file"), "%v", err)
	_, err = NewBasic("a\nb", nil)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "realm"), "%v", err)
}

func credentials(user, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func check(b *Basic, client string, credentials []byte) Verdict {
	user, password, _ := strings.Cut(string(decode(make([]byte, maxText), credentials)), ":")
	done := make(chan Verdict)
	b.Check(Origin{Addr: client}, user, password, func(found Verdict) { done <- found })
	return <-done
}

var eventually = checktest.Eventually

func FuzzUsers(f *testing.F) {
	for _, c := range checktest.Cases(f, "testdata/hashes.txt", 2) {
		f.Add("a:"+c[1], c[0])
	}
	f.Add("a:$5$rounds=1000$", "x")
	f.Add("a:$1$", "")
	f.Fuzz(func(t *testing.T, text, password string) {
		if strings.Contains(text, "rounds=") || strings.Contains(text, "$2") {
			return
		}
		u, err := parseTable("users", []byte(text))
		if err != nil {
			return
		}
		for name := range u.hashes {
			u.verify(name, password)
		}
	})
}

// A killed process leaves its temporary file, which the next change removes.
func TestChangeRemovesTheFileOfAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	for range 2 {
		checktest.Must(t, os.WriteFile(filepath.Join(dir, ".users.new"), []byte("half"), 0o600))
		checktest.Must(t, Set(path, "ann", "correct horse"))
		checktest.Must(t, CheckPassword(path, "ann", "correct horse"))
		left := checktest.Try(os.ReadDir(dir)).Must(t)
		checktest.Truef(t, len(left) == 1, "files: %v", left)
	}
}
