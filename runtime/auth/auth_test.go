package auth

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/GehirnInc/crypt"

	"fapws/runtime/waittest"
)

// vectors were generated with Apache's htpasswd 2.4.62 and glibc's crypt(3).
var vectors = []struct{ hash, password string }{
	{`$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.`, `secret`},
	{`$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.`, `secret`},
	{`$6$rounds=1234$abc$O3ZOa0XiEWN0HewyM3s5mh16Zs29hmX3DWLNjonHRN//nTlr0lwJJMRhAJl66.NpDwazhmHN3f756IRDgrSzs.`,
		`secret`},
	{`$5$rounds=1400$anotherlongsalts$hA9phAhHgeqcKTycY/LRKamQM18d5P2uD0VRrWGWMX6`, `secret`},
	{`$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1`, `secret`},
	{`$5$saltstring$4Dbc1xtYOZHjmCjeUnLCwK.HWyIucFFuVMguB4yxCmA`, `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
	{`$6$saltstring$fHYz3gn00KlL4YTsPnNP97RKz02FigkzXnb38dgYGj9KsYQdtNmaIhEpjLhNbpA2dQHzf85Xda8oMZ0sOeZLW1`,
		`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
	{`$6$rounds=1234$abc$Jz7K6ieQMOmV.fxK.rQar./ymXV1P7UQu.zdOvY14Ef2Zl.4sriLvEncwUgVAIRHFWWch0IhaI/TcV4m8GgDr.`,
		`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
	{`$5$rounds=1400$anotherlongsalts$flw/QdJC0WehKa4oOQkbRGGnn7XlRxFK11YwOkKmmND`,
		`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
	{`$1$abcdefgh$qbqmpT5c4yFc3.1Qef15o.`, `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`},
	{`$5$saltstring$FdNfA4gXqvCeO6iZs7G/.wwwoywYZqo0l1pwmfWaBA7`, ``},
	{`$6$saltstring$kyGrqt6gmjAdtFLPrflEFifSYLCWWq1pyx95SvqinLDy2UHmj0sTF0MSLMwxPFZc3tu5kQckI8fks0zOPda3n1`, ``},
	{`$6$rounds=1234$abc$ZY9QBxwZvUDfTJXfQ4.weVfufAd1mWOLByh9Q9LUf5.HJGM0Cv4Bsz/gMckLXlhCXVCyMcCpOMTeSAAOX1CyE.`, ``},
	{`$5$rounds=1400$anotherlongsalts$7IcTVudmZDHdXM3GIn4KAxA5tvn.eciiARdqRBeqNs/`, ``},
	{`$1$abcdefgh$M55TzYaaccxVGbptZWaxX/`, ``},
	{`$apr1$NPQnZYnF$1zZ0WmG57xHEcYrjUV/g0.`, `secret`},
	{`$2y$05$k4FfRdtw.jwZEYcDnLtfR.Hh8.TFV.vcmbH4pgWaCeXxGljcfeoSG`, `secret`},
	{`{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=`, `secret`},
	{`$apr1$PpydoCCR$B.S57QMgPUOK/kzW/NTad/`, `a long pass word of many`},
	{`$2y$05$ZCaWlfxtTj98HcXXS64GxObXi4eDtn41igx7wBsgYN593XJPVzGq6`, `a long pass word of many`},
	{`{SHA}azG5C0YL8MJ5HXWB8KtGks7tsfs=`, `a long pass word of many`},
}

func apr1(password string) string {
	hash, _ := crypt.APR1.New().Generate([]byte(password), []byte("$apr1$abcdefgh"))
	return hash
}

func TestHashesOfAllKindsAreVerified(t *testing.T) {
	for _, v := range vectors {
		if err := checkHash(v.hash); err != nil {
			t.Errorf("%s: %v", v.hash, err)
		}
		if !verify(v.hash, v.password) {
			t.Errorf("%s is not accepted for %q", v.hash, v.password)
		}
		for _, wrong := range []string{"", v.password + "x", strings.ToUpper(v.password) + "."} {
			if wrong != v.password && verify(v.hash, wrong) {
				t.Errorf("%s is accepted for %q", v.hash, wrong)
			}
		}
	}
}

// Apache's htpasswd in Ubuntu 24.04 does not support the flags -2 and -5, so OpenSSL computes these hashes.
func TestHashesOfHtpasswdAndOpenSSLAreAccepted(t *testing.T) {
	for program, name := range map[string]string{"htpasswd": "apache2-utils", "openssl": "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install %s (./build.sh does)", program, name)
		}
	}
	for _, maker := range []string{"htpasswd -nbm someone", "htpasswd -nbB someone", "htpasswd -nbs someone",
		"openssl passwd -5", "openssl passwd -6"} {
		for _, password := range []string{"x", "correct horse", "äöü€", strings.Repeat("long", 15)} {
			words := append(strings.Fields(maker), password)
			out, err := exec.Command(words[0], words[1:]...).Output()
			if err != nil {
				t.Fatalf("%s: %v", maker, err)
			}
			if words[0] == "openssl" {
				out = append([]byte("someone:"), out...)
			}
			u, err := parseTable("users", out)
			if err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if !u.verify("someone", password) || u.verify("someone", password+"x") || u.verify("other", password) {
				t.Errorf("%q: %s", password, out)
			}
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
		if _, err := NewUsers(NewChecker(), file, false, nil); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := NewUsers(NewChecker(), "/nowhere/users", false, nil); err == nil ||
		!strings.Contains(err.Error(), "/nowhere/users") {
		t.Error(err)
	}
	if _, err := NewUsers(NewChecker(), t.TempDir(), false, nil); err == nil ||
		!strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
	if _, err := NewBasic("a\nb", nil); err == nil || !strings.Contains(err.Error(), "realm") {
		t.Error(err)
	}
}

func credentials(user, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func check(b *Basic, client string, credentials []byte) Verdict {
	pair, _ := decode(make([]byte, maxText), credentials)
	user, password, _ := strings.Cut(string(pair), ":")
	done := make(chan Verdict)
	b.Check(Origin{Addr: client}, user, password, func(found Verdict) { done <- found })
	return <-done
}

var eventually = waittest.Eventually

func FuzzUsers(f *testing.F) {
	for _, v := range vectors {
		f.Add("a:"+v.hash, v.password)
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
