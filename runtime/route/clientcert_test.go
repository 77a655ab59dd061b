package route

import (
	"crypto/x509"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
)

func TestRuleAndTLSStateDecideWhetherAClientPasses(t *testing.T) {
	some := []*x509.Certificate{new(x509.Certificate)}
	clients := map[string]*conn.TLSState{
		"plain":   nil,
		"none":    {Authorities: "a"},
		"good":    {Authorities: "a", Certificates: some, Verified: true},
		"refused": {Authorities: "a", Certificates: some, Refused: "it is old"},
		"other":   {Authorities: "b", Certificates: some, Verified: true},
		"unasked": {},
	}
	for _, c := range []struct {
		rule ClientCert
		want map[string]int
	}{
		{ClientCert{}, nil},
		{ClientCert{Authorities: "a"}, map[string]int{"other": 421, "unasked": 421}},
		{ClientCert{Authorities: "a", Need: NoBadCert}, map[string]int{"other": 421, "unasked": 421, "refused": 403}},
		{ClientCert{Authorities: "a", Need: VerifiedCert}, map[string]int{"other": 421, "unasked": 421, "refused": 403,
			"none": 403, "plain": 403}},
	} {
		for name, state := range clients {
			status, text := c.rule.check(&conn.Peer{TLS: state})
			checktest.Truef(t, status == c.want[name] && (text == "") == (status == 0),
				"%+v, %s: status %d, %q", c.rule, name, status, text)
		}
	}
}
