package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CertReqs are the values of Config.CertReqs, by the number that Python's module ssl gives them.
var CertReqs = []string{"none", "optional", "required"}

// TLSVersions are the values of Config.TLSMin.
var TLSVersions = []string{"1.2", "1.3"}

// TLSModes are the values of Config.TLS.
var TLSModes = []string{"off", "auto", "acme"}

// certReqs is one of CertReqs, or its number, or its name in Python: CERT_REQUIRED.
type certReqs struct{ to *string }

func (v *certReqs) fromText(s string) error {
	s = strings.ToLower(strings.TrimSpace(s))
	for i, word := range CertReqs {
		if s == word || s == strconv.Itoa(i) || s == "cert_"+word {
			*v.to = word
			return nil
		}
	}
	return errors.New("none, optional or required (0, 1 or 2)")
}

func (v *certReqs) fromScript(any) error { return errors.New("given as a flag") }
func (v *certReqs) String() string       { return *v.to }

// hostNames is a list of host names without patterns.
type hostNames struct{ texts }

func (v *hostNames) fromText(s string) error {
	return v.fromTexts(s, func(one string) error {
		if !hostName(one) || !strings.Contains(one, ".") {
			return fmt.Errorf("host names such as example.org, separated by commas; not %s", shorten(one))
		}
		return nil
	})
}

// httpsURL is a URL that begins with https://.
type httpsURL struct{ text }

func (v *httpsURL) fromText(s string) error {
	if rest, ok := strings.CutPrefix(s, "https://"); !ok || rest == "" || strings.ContainsAny(rest, " \x00") {
		return errors.New("a URL that begins with https://")
	}
	return v.text.fromText(s)
}

// httpsRedirect is yes, no or a port.
type httpsRedirect struct{ to *string }

func (v *httpsRedirect) fromText(s string) error {
	var on bool
	if n, err := strconv.Atoi(s); err == nil && n > 1 && n <= 65535 {
		*v.to = strconv.Itoa(n)
		return nil
	}
	if (&toggle{&on}).fromText(s) != nil {
		return errors.New("yes, no, or a port from 2 to 65535")
	}
	*v.to = (&toggle{&on}).String()
	return nil
}

func (v *httpsRedirect) fromScript(any) error { return errors.New("given as a flag") }
func (v *httpsRedirect) String() string       { return *v.to }
