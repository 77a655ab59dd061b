package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/ratelimit"
)

// Rates is the value of the key rate: a limit, several limits, or false; nil if the key is not set.
type Rates []*Rate

type Rate struct {
	At     *settings.TOMLTable
	Text   string `key:"rate"`
	Burst  int    `key:"burst" range:"1-1000000"`
	By     string `key:"by"`
	Fields bool   `key:"fields"`
	DryRun bool   `key:"dry-run"`

	rate   ratelimit.Rate
	header string // NAME in lower case if By is "header NAME"; otherwise ""
}

func (r *Rates) FromFile(v settings.TOMLValue) error {
	*r = Rates{}
	list, several := v.Any.([]settings.TOMLValue)
	switch {
	case v.Any == false:
		return nil
	case !several:
		list = []settings.TOMLValue{v}
	case len(list) == 0:
		return errors.New("at least one limit, or false")
	}
	for _, item := range list {
		one := &Rate{At: &settings.TOMLTable{File: v.File, Line: item.Line, Entries: []settings.TOMLValue{v}}}
		var err error
		switch of := item.Any.(type) {
		case string:
			one.Text = of
		case *settings.TOMLTable:
			settings.DecodeTOML(of, one, func(wrong error) { err = cmp.Or(err, wrong) })
		}
		if err == nil {
			err = one.parse()
		}
		if err != nil {
			return err
		}
		*r = append(*r, one)
	}
	return nil
}

func (r *Rate) parse() (err error) {
	if r.rate, err = ratelimit.ParseRate(r.Text); err != nil {
		return r.At.Errorf("rate", "must be %v", err)
	}
	if r.Burst > 0 && strings.Contains(r.Text, "burst") {
		return r.At.Errorf("burst", "rate = %q already contains it", r.Text)
	}
	r.rate.Burst = cmp.Or(r.Burst, r.rate.Burst)
	name, isHeader := strings.CutPrefix(r.By, "header ")
	switch field := (http1.HeaderField{Name: name, Value: "x"}); {
	case isHeader && field.Check() == nil:
		r.header = strings.ToLower(name)
	case r.By != "" && r.By != "address" && r.By != "user":
		return r.At.Errorf("by", `must be "address", "user" or "header NAME", such as "header X-Api-Key"`)
	}
	return nil
}

// limits returns the rate limits for the value of the key rate, or nil if the key is not set. Tables that inherit a
// limit share this limit.
func (b *ruleBuilder) limits(table *settings.TOMLTable, rates Rates) (limits []*exchange.RateLimit) {
	if rates == nil {
		return nil
	}
	limits = []*exchange.RateLimit{}
	for i, r := range rates {
		if b.rates[r] == 0 {
			b.rates[r] = len(b.rates) + 1
			b.checkRate(table, r, rates)
		}
		if b.parts.Rates == nil {
			continue
		}
		o := ratelimit.Options{Rate: r.rate, Number: b.rates[r], Policy: "default", User: r.By == "user",
			Header: r.header, Fields: r.Fields, DryRun: r.DryRun,
			Text: fmt.Sprintf("%s by %s (%s)", r.Text, cmp.Or(r.By, "address"), r.At)}
		if i > 0 {
			o.Policy = fmt.Sprintf("limit-%d", i+1)
		}
		limits = append(limits, b.parts.Rates.Limit(o))
	}
	return limits
}

func (b *ruleBuilder) checkRate(table *settings.TOMLTable, r *Rate, rates Rates) {
	switch {
	case r.By == "user" && !b.plan.Site.anyRules(func(r *TopRules) bool { return r.Auth != nil || r.Login.wanted() }):
		b.recordMisuse(table, "rate", errors.New("by user requires auth or login, which no path has"))
	case r.header != "" && b.plan.Command.Word == settings.WordCheck &&
		!slices.ContainsFunc(rates, func(r *Rate) bool { return r.By == "" || r.By == "address" }):
		b.warn(r.At.Errorf("rate", "clients choose %s, so this limit alone stops nobody; "+
			"add one by address: rate = [\"100/s\", { … }]", r.By[len("header "):]).Error())
	}
}
