package exchange

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func TestInvalidRulesAreRejected(t *testing.T) {
	for want, o := range map[string]Rules{
		"only the server sets":             {Set: []http1.HeaderField{{Name: "connection", Value: "x"}}},
		"has a control character":          {Add: []http1.HeaderField{{Name: "X-A", Value: "a\r\nb"}}},
		"is not the name of a header":      {Remove: []string{"a b"}},
		"a header field needs a name":      {Set: []http1.HeaderField{{Name: "", Value: "x"}}},
		`"get" is not a method (GET, POST`: {Methods: []string{"get"}},
	} {
		_, err := NewRules(o)
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), want), "%+v: %v, want %s", o, err, want)
	}
}

func TestServerPagesKeepTheFieldsThatTheyNeed(t *testing.T) {
	field := func(name string) http1.HeaderField { return http1.HeaderField{Name: name, Value: "rule"} }
	given := checktest.Try(NewRules(Rules{Set: []http1.HeaderField{field("content-security-policy"), field("X-A")},
		Add:    []http1.HeaderField{field("Referrer-Policy")},
		Remove: []string{"X-B", "Referrer-Policy"}, SetSecure: []http1.HeaderField{field("Strict-Transport-Security"),
			field("Content-Security-Policy")}})).Must(t)
	site := &Site{Rules: given}
	kept := rulesOf(site, &Mount{Exempt: FromPolicy})
	for want, edits := range map[string]http1.Edits{
		"Content-Security-Policy: page\r\nReferrer-Policy: page\r\nX-A: rule\r\n": kept.headers[:kept.plain],
		"Content-Security-Policy: page\r\nReferrer-Policy: page\r\n" +
			"X-A: rule\r\nStrict-Transport-Security: rule\r\n": kept.headers,
		"content-security-policy: rule\r\nX-A: rule\r\nReferrer-Policy: rule\r\n": rulesOf(site, nil).headers[:1],
	} {
		response := http1.ResponseHead{Fields: []byte("Content-Security-Policy: page\r\nReferrer-Policy: page\r\nX-B: page\r\n")}
		edits.Apply(nil, &response)
		checktest.Equal(t, string(response.Fields), want)
	}
}

// access is an Access that decides at the second call of Admit, as after a password check.
type access struct{ asked *string }

func (a access) Admit(x *Exchange) (*Reply, Check) {
	*a.asked += "login "
	x.from = &Peer{User: "ann"}
	if strings.Count(*a.asked, "login") > 1 {
		return nil, nil
	}
	return nil, a
}
func (access) Cancel()                            {}
func (access) Defer()                             {}
func (access) By() Login                          { return Basic }
func (access) Named([]byte, []http1.Field) string { return "" }

func TestLimitsCountOnceAndThoseOfUsersAfterTheLogin(t *testing.T) {
	var asked string
	limit := func(name string, ofUser, dryRun bool) *RateLimit {
		return &RateLimit{OfUser: ofUser, DryRun: dryRun, Take: func(x *Exchange) *Reply {
			asked += name + x.Req.Peer.User + " "
			return &Reply{Status: 429}
		}}
	}
	x := &Exchange{client: new(Client), req: newRequest()}
	x.from, x.Req = new(Peer), &x.req.handed
	x.Req.Peer = x.from
	r := &rules{access: access{&asked}, limits: []*RateLimit{limit("user:", true, false), limit("dry", false, true)}}
	refusal, running := r.admit(x)
	checktest.Truef(t, refusal == nil && running != nil, "before the password check: %v, %v", refusal, running)
	if refusal, running := r.admit(x); refusal == nil || running != nil || asked != "dry login login user:ann " {
		t.Errorf("%v, %v, %q", refusal, running, asked)
	}
	refusal, running = r.admit(x)
	checktest.Truef(t, refusal == nil && running == nil, "the next mount: %v, %v", refusal, running)
	inner := &Exchange{client: &Client{subrequest: new(Origin)}, req: newRequest()}
	inner.Req = &inner.req.handed
	refusal, _ = (&rules{limits: r.limits}).admit(inner)
	checktest.Equalf(t, refusal, nil, "a subrequest is limited")
}
