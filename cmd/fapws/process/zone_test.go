package process

import (
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestPOSIXTimeZoneRulesAreReadLikeTheCLibrary(t *testing.T) {
	const winter, summer = "2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"
	for rule, want := range map[string][2]string{
		"CET-1CEST,M3.5.0,M10.5.0/3":       {"13:00 CET", "14:00 CEST"},
		":CET-1CEST,M3.5.0,M10.5.0/3":      {"13:00 CET", "14:00 CEST"},
		"<+0530>-5:30":                     {"17:30 +0530", "17:30 +0530"},
		"JST-9":                            {"21:00 JST", "21:00 JST"},
		"NZST-12NZDT,M9.5.0,M4.1.0/3":      {"01:00 NZDT", "00:00 NZST"},
		"<-03>3<-02>,M3.5.0/-2,M10.5.0/-1": {"09:00 -03", "10:00 -02"},
		"AAA5BBB,J60/0,J300":               {"07:00 AAA", "08:00 BBB"},
		"<+0330>-3:30":                     {"15:30 +0330", "15:30 +0330"},
		"AEST-10AEDT,M10.1.0,M4.1.0/3":     {"23:00 AEDT", "22:00 AEST"},
		"EET-2EEST,J90/2:30,J300":          {"14:00 EET", "15:00 EEST"},
		"<-04>4<-03>,M9.1.6/24,M4.1.6/24":  {"09:00 -03", "08:00 -04"},
		"not a rule":                       {"12:00 ?", "12:00 ?"},
		"CET-1CEST,M3.5.0":                 {"12:00 ?", "12:00 ?"},
		"CET-1\n":                          {"12:00 ?", "12:00 ?"},
	} {
		zone := zoneOf(rule)
		if zone == nil {
			t.Errorf("%s: no zone", rule)
			continue
		}
		for i, at := range [...]string{winter, summer} {
			when, _ := time.Parse(time.RFC3339, at)
			checktest.Equalf(t, when.In(zone).Format("15:04 MST"), want[i], "%s at %s", rule, at)
		}
	}
	for _, name := range []string{"", "UTC", ":UTC", "/etc/localtime", ":/etc/localtime"} {
		checktest.Equalf(t, zoneOf(name), nil, "%q is taken for a rule", name)
	}
}
